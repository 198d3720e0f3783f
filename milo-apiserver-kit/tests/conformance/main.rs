//! The conformance suite: one case per rule of `spec/wire.md`, driven over HTTP against a real
//! server.
//!
//! The cases are data, in `cases/*.yaml`, by section of the specification; what needs more than
//! requests and expectations is in `code/`. What is not built yet is listed in `pending.yaml`, and
//! fails here as soon as it works. `README.md` says how a case is written.
//!
//! ```text
//! cargo test --test conformance                         all
//! cargo test --test conformance -- --section 3.4        a section, with what is below it
//! cargo test --test conformance -- --case create-       cases whose name contains this
//! cargo test --test conformance -- --list               names
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a case fails by panicking, like any test; this one has no harness"
)]

mod behaviour;
mod case;
mod code;
mod expect;
mod fixture;
mod matcher;
mod runner;
mod server;
mod step;
#[path = "../support/mod.rs"]
mod support;
mod vars;

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = runner::Options::from_args(std::env::args().skip(1));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match runtime.block_on(runner::run(options)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
