//! The command line: which server, which workloads, how much of each.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use crate::target::TargetSpec;

/// Measure a Kubernetes-style API server over HTTPS.
///
/// Name one server with --server, --kubeconfig or --spawn, or several with
/// --target to measure them one after the other and print the ratios.
/// The process exits with 1 when a request failed, or a watcher lost or repeated
/// an event: such numbers are no measurement.
#[derive(Debug, Parser)]
#[command(
    name = "benches",
    version,
    after_help = "Examples:\n  \
    benches --spawn 'target/release/milo serve --data {dir} --port {port} --kubeconfig {kubeconfig}'\n  \
    benches --kubeconfig ~/.kube/config --workloads get,list --duration 30s\n  \
    benches --target 'milo=spawn:./milo --data {dir} --port {port} --kubeconfig {kubeconfig}' \\\n          \
    --target kube=kubeconfig:/tmp/kube.yaml --pid kube=4711"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) object: ObjectArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,

    /// How to print the result on stdout.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// Print no progress on stderr.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Threads of the driver. It usually shares its cores with the server.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
}

/// Which server, and how to be admitted by it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetArgs {
    /// Base address of a running server, for example https://127.0.0.1:6443.
    #[arg(long, value_name = "URL", conflicts_with_all = ["kubeconfig", "spawn", "target"])]
    pub(crate) server: Option<String>,
    /// Take address and credentials from the current context of this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["spawn", "target"])]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Start this command on a fresh temporary directory, and stop it at the end.
    ///
    /// {dir}, {port} and {kubeconfig} in it are replaced by the directory, a free
    /// port of 127.0.0.1, and the path at which the server may leave a kubeconfig.
    /// Without such a file, --token or --client-cert apply. The command is run
    /// directly, not by a shell.
    #[arg(long, value_name = "COMMAND", conflicts_with = "target")]
    pub(crate) spawn: Option<String>,
    /// One of several servers: NAME=spawn:COMMAND, NAME=kubeconfig:FILE or NAME=server:URL.
    #[arg(long, value_name = "NAME=KIND:VALUE")]
    pub(crate) target: Vec<TargetSpec>,

    /// Bearer token.
    #[arg(long, conflicts_with = "client_cert")]
    pub(crate) token: Option<String>,
    /// Client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Key of the client certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
    /// Trust servers certified by this CA (PEM).
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Do not verify the server's certificate.
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Process whose memory and processor time to report, with all its children; repeatable.
    ///
    /// NAME is that of a --target. Several processes of one target are added up
    /// (an API server and its etcd).
    #[arg(long, value_name = "[NAME=]PID")]
    pub(crate) pid: Vec<NamedPid>,
    /// How long a spawned server may take until /readyz answers 200.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(crate) ready_timeout: Duration,
}

/// What is stored and read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Objects")]
pub(crate) struct ObjectArgs {
    /// Path of the collection.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/apis/resourcemanager.miloapis.com/v1alpha1/organizations"
    )]
    pub(crate) resource_path: String,
    /// JSON of one object; {name} stands for its name. Name and labels are added.
    #[arg(long, value_name = "FILE")]
    pub(crate) body_template: Option<PathBuf>,
    /// Objects that the create workload makes.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) objects: usize,
}

/// How much load, and which.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArgs {
    /// What to run, in this order.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST",
          default_values_t = [WorkloadName::Create, WorkloadName::Get, WorkloadName::List,
                              WorkloadName::ListSelected, WorkloadName::Watch])]
    pub(crate) workloads: Vec<WorkloadName>,
    /// Connections, each with one request in flight.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = parse_count)]
    pub(crate) connections: usize,
    /// Connections of the list workloads, whose answers are large.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = parse_count)]
    pub(crate) list_connections: usize,
    /// How long to measure each workload except create and delete.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// How long to run each of those before measuring.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(crate) warmup: Duration,
    /// Items per page of the list workload.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) page_size: usize,
    /// A request that takes longer is an error.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

/// The watch workload.
#[derive(Debug, Args)]
#[command(next_help_heading = "Watch")]
pub(crate) struct WatchArgs {
    /// Watchers of the whole collection, each on a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse_count)]
    pub(crate) watchers: usize,
    /// Writes per second.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = parse_count)]
    pub(crate) watch_rate: usize,
    /// Objects that are written, in turn.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = parse_count)]
    pub(crate) watch_objects: usize,
    /// Watches of the idle workloads.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = parse_count)]
    pub(crate) idle_watches: usize,
    /// Watches on one connection in idle-http2.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse_count)]
    pub(crate) streams: usize,
    /// Readers of watch-list.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = parse_count)]
    pub(crate) readers: usize,
    /// How much each of them reads, in MiB a second.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = parse_count)]
    pub(crate) read_rate: usize,
    /// How long to wait, after the last write, for watchers to receive it.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) watch_drain: Duration,
}

/// A workload of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorkloadName {
    /// POST new objects.
    Create,
    /// GET random objects by name.
    Get,
    /// List the first page.
    List,
    /// List the whole collection in one answer.
    ListAll,
    /// List the tenth of the objects that a label selects, in one answer.
    ListSelected,
    /// Merge-patch an annotation of random objects.
    Update,
    /// Write at a steady rate while many watchers listen.
    Watch,
    /// Watch the whole collection from its beginning, and read it slowly.
    WatchList,
    /// Open many watches, each on an HTTP/1.1 connection of its own, and let nothing happen.
    IdleHttp1,
    /// The same with many watches on each of a few HTTP/2 connections.
    IdleHttp2,
    /// DELETE the objects that this run created.
    Delete,
}

impl WorkloadName {
    /// The name on the command line and in reports.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::ListAll => "list-all",
            Self::ListSelected => "list-selected",
            Self::Update => "update",
            Self::Watch => "watch",
            Self::WatchList => "watch-list",
            Self::IdleHttp1 => "idle-http1",
            Self::IdleHttp2 => "idle-http2",
            Self::Delete => "delete",
        }
    }
}

/// The form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// A process, possibly of a named target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPid {
    /// The target; `None` means every target, of which there is usually one.
    pub(crate) target: Option<String>,
    /// The process id.
    pub(crate) pid: u32,
}

impl std::str::FromStr for NamedPid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (target, pid) = match text.split_once('=') {
            Some((name, pid)) => (Some(name.to_owned()), pid),
            None => (None, text),
        };
        let pid = pid.parse().map_err(|_| format!("{pid:?} is not a process id"))?;
        Ok(Self { target, pid })
    }
}

/// `90`, `90s`, `250ms`, `2m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("unknown unit {unit:?}: use ms, s or m")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a time such as 10s"))?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "5h", "1.2.3s", "-1s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pids() {
        assert_eq!("7".parse(), Ok(NamedPid { target: None, pid: 7 }));
        assert_eq!("kube=7".parse(), Ok(NamedPid { target: Some("kube".to_owned()), pid: 7 }));
        assert!("kube=".parse::<NamedPid>().is_err());
    }
}
