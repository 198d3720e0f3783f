//! Milo, all in one process: the server that a newcomer starts first.

use std::process::ExitCode;

fn main() -> ExitCode {
    milo_apiserver_kit::cli::main("milo", |server| server.hierarchy())
}
