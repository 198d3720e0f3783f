//! The load driver: measures any Kubernetes-style API server over HTTPS.
//!
//! See `benches/README.md` for what it measures and how.

mod cli;
mod client;
mod histogram;
mod memory;
mod object;
mod progress;
mod report;
mod run;
mod target;
mod workload;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::cli::{Cli, Output};
use crate::report::Report;

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cli.threads.into())
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let report = runtime.block_on(run_until_interrupted(&cli))?;
    match cli.output {
        Output::Table => print!("{}", report.to_table()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs everything. Ctrl-C drops the run, which stops the servers it started.
async fn run_until_interrupted(cli: &Cli) -> anyhow::Result<Report> {
    tokio::select! {
        report = run::run(cli) => report,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    }
}

/// A thousand watchers need more descriptors than the usual soft limit of 1024.
/// Servers that we start inherit the limit, which they need as well.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const WANTED: u64 = 65_536;
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum }) {
        eprintln!("cannot raise the limit of open files: {error}");
    }
}
