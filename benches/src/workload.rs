//! The workloads, and what one measurement yields.

mod closed_loop;
mod create;
mod delete;
mod get;
mod idle;
mod list;
mod names;
mod update;
mod watch;
mod watch_list;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::cli::{Cli, WorkloadName};
use crate::client::Endpoint;
use crate::histogram::Percentiles;
use crate::memory::{Processes, Usage};
use crate::object::ObjectTemplate;
use crate::progress::Progress;
use crate::target::Target;

/// One measured workload: a row of the report.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measurement {
    pub(crate) workload: &'static str,
    /// Answered requests, failed ones included; of a watch, events received.
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) seconds: f64,
    /// Successful requests (or events) per second.
    pub(crate) per_second: f64,
    /// Of successful requests (or events), in milliseconds.
    pub(crate) latency_ms: Percentiles,
    /// Length of the bodies received.
    pub(crate) bytes: u64,
    pub(crate) bytes_per_second: f64,
    /// The server's memory at the end, before connections are closed.
    pub(crate) server: Option<Usage>,
    /// Processor seconds that the server spent during the measurement.
    pub(crate) server_cpu_seconds: Option<f64>,
    /// Processor seconds that this driver spent meanwhile.
    pub(crate) driver_cpu_seconds: Option<f64>,
    /// What else was counted.
    pub(crate) counts: BTreeMap<&'static str, f64>,
}

impl Measurement {
    /// Fills in what follows from the number of requests, errors, and bytes.
    fn over(mut self, elapsed: Duration) -> Self {
        self.seconds = elapsed.as_secs_f64();
        if self.seconds > 0.0 {
            self.per_second = self.requests.saturating_sub(self.errors) as f64 / self.seconds;
            self.bytes_per_second = self.bytes as f64 / self.seconds;
        }
        self
    }

    /// Whether nothing failed, got lost or came twice.
    pub(crate) fn is_sound(&self) -> bool {
        let faults = [watch::LOST, watch::DUPLICATES, watch::OUT_OF_ORDER];
        self.errors == 0
            && self.requests > 0
            && faults.iter().all(|fault| self.counts.get(fault).is_none_or(|count| *count == 0.0))
    }
}

/// What all workloads of one target share.
pub(crate) struct Bench<'a> {
    target: &'a Target,
    cli: &'a Cli,
    template: Arc<ObjectTemplate>,
    /// Objects that exist, by name.
    names: Arc<Vec<String>>,
    /// Whether this run created them, so that it may delete them.
    names_are_ours: bool,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(target: &'a Target, cli: &'a Cli, template: Arc<ObjectTemplate>) -> Self {
        Self { target, cli, template, names: Arc::default(), names_are_ours: false }
    }

    /// Runs a workload.
    ///
    /// # Errors
    ///
    /// When it cannot run at all; failed requests are counted instead.
    pub(crate) async fn run(&mut self, name: WorkloadName) -> anyhow::Result<Vec<Measurement>> {
        let label = format!("{}: {}", self.target.name(), name.as_str());
        let progress = Progress::start(label, self.cli.quiet);
        let measurement = match name {
            WorkloadName::Create => create::run(self, &progress).await?,
            WorkloadName::Get => get::run(self, &progress).await?,
            WorkloadName::List | WorkloadName::ListAll | WorkloadName::ListSelected => {
                list::run(self, name, &progress).await?
            }
            WorkloadName::Update => update::run(self, &progress).await?,
            WorkloadName::Delete => delete::run(self, &progress).await?,
            WorkloadName::WatchList => watch_list::run(self, &progress).await?,
            WorkloadName::IdleHttp1 | WorkloadName::IdleHttp2 => {
                idle::run(self, name, &progress).await?
            }
            WorkloadName::Watch => return watch::run(self, &progress).await,
        };
        Ok(vec![measurement])
    }

    fn endpoint(&self) -> &Arc<Endpoint> {
        self.target.endpoint()
    }

    fn path(&self) -> &str {
        self.cli.object.resource_path.trim_end_matches('/')
    }

    /// Names of existing objects: those that this run created, or else those that it finds.
    async fn names(&mut self) -> anyhow::Result<Arc<Vec<String>>> {
        if self.names.is_empty() {
            let found = names::find(self.endpoint(), self.path(), self.cli.object.objects).await?;
            self.names = Arc::new(found);
        }
        Ok(Arc::clone(&self.names))
    }
}

/// Processor time of server and driver between two moments.
struct Meter {
    processes: Processes,
    server_at_start: Option<Usage>,
    driver_at_start: Option<f64>,
}

impl Meter {
    fn start(processes: &Processes) -> Self {
        Self {
            processes: processes.clone(),
            server_at_start: processes.usage(),
            driver_at_start: crate::memory::own_cpu_seconds(),
        }
    }

    fn finish(&self, measurement: &mut Measurement) {
        let difference = |end: Option<f64>, start: Option<f64>| Some(end? - start?);
        let server = self.processes.usage();
        let cpu = |usage: Option<Usage>| usage.map(|usage| usage.cpu_seconds);
        measurement.server = server;
        measurement.server_cpu_seconds = difference(cpu(server), cpu(self.server_at_start));
        measurement.driver_cpu_seconds =
            difference(crate::memory::own_cpu_seconds(), self.driver_at_start);
    }
}
