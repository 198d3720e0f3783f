//! Users, groups, roles and bindings: the server that `milo-iam` will be assembled into.
//!
//! The kinds do not exist yet, so this program serves discovery and health only.

use std::process::ExitCode;

fn main() -> ExitCode {
    milo_apiserver_kit::cli::main("iam", |server| server)
}
