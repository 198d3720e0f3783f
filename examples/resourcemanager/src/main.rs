//! Organizations and projects: the resource manager alone.

use std::process::ExitCode;

use milo_apiserver_kit::{ServerBuilder, cli};

/// Objects are allocated by one thread and freed by another all the time; with the system's allocator
/// of glibc a server makes half as many writes a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The same data as `milo`, which serves these kinds too: whoever needs more later only starts
    // the other program.
    cli::main_with_data_dir("resourcemanager", "./milo-data", ServerBuilder::hierarchy)
}
