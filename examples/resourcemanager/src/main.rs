//! Organizations and projects: the resource manager alone.

use std::process::ExitCode;

use milo_apiserver_kit::ServerBuilder;

fn main() -> ExitCode {
    milo_apiserver_kit::cli::main("resourcemanager", ServerBuilder::hierarchy)
}
