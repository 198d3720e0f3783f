//! The main function of a server program: Kubernetes-style flags, logs, certificates, signals.
//!
//! ```no_run
//! use kube::CustomResource;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// A widget.
//! #[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
//! #[kube(group = "demo.example.com", version = "v1", kind = "Widget")]
//! pub struct WidgetSpec {
//!     /// How big it is.
//!     pub size: u32,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     milo_apiserver_kit::cli::main("widgets", |server| server.kind::<Widget>())
//! }
//! ```

mod meter;
mod options;
mod run;
mod storage;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

pub use options::{LogFormat, Options};
pub use run::run;
use storage::StorageCommand;

use crate::ServerBuilder;

/// Serves a Kubernetes-style API over HTTPS.
///
/// On first start it makes a certificate authority, a serving certificate and a kubeconfig for the
/// administrator in the data directory, and prints what to type next. Point kubectl, kube-rs,
/// client-go or a front API server at it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = true)]
struct Program {
    #[command(flatten)]
    options: Options,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Backs up, restores, checks and moves what is stored
    #[command(subcommand, disable_help_subcommand = true)]
    Storage(StorageCommand),
}

/// Runs a server until it is told to stop: parses the flags, opens the storage, makes what
/// certificates are missing, and serves what `assemble` adds to the server. With the command
/// `storage` it takes snapshots, restores, checks or copies what is stored instead.
///
/// `name` is the program's name in messages and the default of its data directory, `{name}-data`.
/// A failure is told in one line on stderr; the exit code is then 1, or 2 for a bad flag.
pub fn main(name: &'static str, assemble: impl FnOnce(ServerBuilder) -> ServerBuilder) -> ExitCode {
    main_with_data_dir(name, &format!("./{name}-data"), assemble)
}

/// As [`main`], with another default for the data directory: for a program that can take over the
/// data of another one.
pub fn main_with_data_dir(
    name: &'static str,
    data_dir: &str,
    assemble: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> ExitCode {
    let Program { options, command } = match parse(name, data_dir) {
        Ok(program) => program,
        Err(code) => return code,
    };
    options.start_logging();
    log_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ran = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match command {
                None => run(name, options, assemble).await,
                Some(Command::Storage(command)) => command.run(&options).await,
            }
        }),
        Err(cause) => Err(anyhow::Error::from(cause).context("the runtime cannot be started")),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// The flags of this process, or the exit code after help or a mistake was told.
fn parse(name: &'static str, data_dir: &str) -> Result<Program, ExitCode> {
    let command = Program::command()
        .name(name)
        .mut_arg("data_dir", |arg| arg.default_value(data_dir.to_owned()));
    let parsed = command.try_get_matches().and_then(|found| Program::from_arg_matches(&found));
    parsed.map_err(|error| {
        let helpless = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if !error.use_stderr() || error.kind() == helpless {
            // Help was asked for, or is what helps.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
        let text = error.to_string();
        let told: Vec<&str> = text.lines().map(str::trim).take_while(|l| !l.is_empty()).collect();
        let line = told.join(" ");
        let line = line.strip_prefix("error: ").unwrap_or(&line);
        eprintln!("{name}: {line} (see {name} --help)");
        ExitCode::from(2)
    })
}

/// Sends what is told of a panic to the log, so that every line on stderr has the form that was
/// asked for.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no text");
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        let backtrace = backtrace.as_ref().map(tracing::field::display);
        tracing::error!(place, backtrace, "panicked: {text}");
    }));
}

/// An error and its causes in one line, each cause once: many of our errors tell their cause in
/// their own words.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        // What the system says ends in its number: `Permission denied (os error 13)`.
        let words = text.split(" (os error ").next().unwrap_or(&text);
        if line.to_lowercase().contains(&words.to_lowercase()) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Error;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read x: {source}; look at it")]
    struct Told {
        source: io::Error,
    }

    #[test]
    fn each_cause_is_told_once() {
        let missing = || io::Error::from_raw_os_error(2);
        let system = "No such file or directory (os error 2)";
        let plain = Error::from(missing()).context("cannot open y");
        assert_eq!(one_line(&plain), format!("cannot open y: {system}"));
        let told = Error::from(Told { source: missing() });
        assert_eq!(one_line(&told), format!("cannot read x: {system}; look at it"));
        assert_eq!(
            one_line(&told.context("no")),
            format!("no: cannot read x: {system}; look at it")
        );
        let other_words = Error::from(missing()).context("no such file or directory; make it");
        assert_eq!(one_line(&other_words), "no such file or directory; make it");
        assert_eq!(one_line(&Error::msg("one\n  two").context("zero")), "zero: one two");
    }
}
