//! Organizations and projects: the resource manager alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    milo_apiserver_kit::cli::main("resourcemanager", |server| server.hierarchy())
}
