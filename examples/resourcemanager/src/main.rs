//! Organizations and projects: the resource manager alone.

use std::process::ExitCode;

use milo_apiserver_kit::{ServerBuilder, cli};

fn main() -> ExitCode {
    // The same data as `milo`, which serves these kinds too: whoever needs more later only starts
    // the other program.
    cli::main_with_data_dir("resourcemanager", "./milo-data", ServerBuilder::hierarchy)
}
