//! Users, groups, roles and bindings: the server that `milo-iam` will be assembled into.
//!
//! The kinds and the evaluator are in the library `milo-iam`; nothing serves them yet, so this program
//! has discovery and health only.

use std::process::ExitCode;

/// Objects are allocated by one thread and freed by another all the time; with the system's allocator
/// of glibc a server makes half as many writes a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    milo_apiserver_kit::cli::main("iam", |server| server)
}
