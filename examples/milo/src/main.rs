//! Milo, all in one process: the server that a newcomer starts first.

use std::process::ExitCode;

use milo_apiserver_kit::ServerBuilder;

/// Objects are allocated by one thread and freed by another all the time; with the system's allocator
/// of glibc a server makes half as many writes a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    milo_apiserver_kit::cli::main("milo", ServerBuilder::hierarchy)
}
