//! What is printed at the end.

mod table;

use serde::Serialize;

use crate::cli::Cli;
use crate::memory::Usage;
use crate::target::Target;
use crate::workload::Measurement;

/// All results of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    settings: Settings,
    targets: Vec<TargetReport>,
    /// Of every target after the first, workload by workload.
    ratios: Vec<Ratio>,
}

/// What has to be the same for two runs to be comparable.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    resource_path: String,
    objects: usize,
    connections: usize,
    list_connections: usize,
    page_size: usize,
    duration_seconds: f64,
    warmup_seconds: f64,
    watchers: usize,
    watch_rate: usize,
    threads: u16,
}

/// The results of one server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetReport {
    name: String,
    /// From starting the process to the first 200 of /readyz.
    time_to_ready_seconds: Option<f64>,
    usage_when_ready: Option<Usage>,
    pub(crate) workloads: Vec<Measurement>,
}

/// One target's result divided by the first target's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ratio {
    target: String,
    workload: &'static str,
    per_second: Option<f64>,
    p50: Option<f64>,
    p99: Option<f64>,
    rss: Option<f64>,
    peak: Option<f64>,
    cpu_per_request: Option<f64>,
}

impl Report {
    pub(crate) fn new(cli: &Cli, targets: Vec<TargetReport>) -> Self {
        let ratios = targets.split_first().map_or_else(Vec::new, |(first, others)| {
            others.iter().flat_map(|other| ratios(first, other)).collect()
        });
        Self { settings: Settings::new(cli), targets, ratios }
    }

    /// Whether the numbers can be trusted: nothing failed, got lost or came twice.
    pub(crate) fn is_sound(&self) -> bool {
        self.targets.iter().flat_map(|target| &target.workloads).all(Measurement::is_sound)
    }

    /// The report for people.
    pub(crate) fn to_table(&self) -> String {
        table::render(self)
    }
}

impl Settings {
    fn new(cli: &Cli) -> Self {
        Self {
            resource_path: cli.object.resource_path.clone(),
            objects: cli.object.objects,
            connections: cli.load.connections,
            list_connections: cli.load.list_connections,
            page_size: cli.load.page_size,
            duration_seconds: cli.load.duration.as_secs_f64(),
            warmup_seconds: cli.load.warmup.as_secs_f64(),
            watchers: cli.watch.watchers,
            watch_rate: cli.watch.watch_rate,
            threads: cli.threads,
        }
    }
}

impl TargetReport {
    pub(crate) fn new(target: &Target) -> Self {
        Self {
            name: target.name().to_owned(),
            time_to_ready_seconds: target.time_to_ready().map(|time| time.as_secs_f64()),
            usage_when_ready: target.usage_when_ready(),
            workloads: Vec::new(),
        }
    }
}

/// Workloads run in the same order on every target.
fn ratios(first: &TargetReport, other: &TargetReport) -> Vec<Ratio> {
    let pairs = first.workloads.iter().zip(&other.workloads);
    pairs
        .map(|(a, b)| Ratio {
            target: other.name.clone(),
            workload: b.workload,
            per_second: divide(Some(b.per_second), Some(a.per_second)),
            p50: divide(Some(b.latency_ms.p50), Some(a.latency_ms.p50)),
            p99: divide(Some(b.latency_ms.p99), Some(a.latency_ms.p99)),
            rss: divide(b.server.map(|s| s.rss as f64), a.server.map(|s| s.rss as f64)),
            peak: divide(b.server.map(|s| s.peak as f64), a.server.map(|s| s.peak as f64)),
            cpu_per_request: divide(cpu_per_request(b), cpu_per_request(a)),
        })
        .collect()
}

/// Processor seconds of the server for each request.
fn cpu_per_request(measurement: &Measurement) -> Option<f64> {
    divide(measurement.server_cpu_seconds, Some(measurement.requests as f64))
}

fn divide(value: Option<f64>, by: Option<f64>) -> Option<f64> {
    let by = by.filter(|by| *by > 0.0)?;
    Some(value? / by)
}

/// For the headings of tables.
fn describe(settings: &Settings) -> String {
    format!(
        "{} objects of {}, {} connections ({} for lists), {} s after {} s, driver threads {}",
        settings.objects,
        settings.resource_path,
        settings.connections,
        settings.list_connections,
        settings.duration_seconds,
        settings.warmup_seconds,
        settings.threads,
    )
}
