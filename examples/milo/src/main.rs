//! Milo, all in one process: the server that a newcomer starts first.

use std::process::ExitCode;

use milo_apiserver_kit::ServerBuilder;

fn main() -> ExitCode {
    milo_apiserver_kit::cli::main("milo", ServerBuilder::hierarchy)
}
