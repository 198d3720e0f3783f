//! Watch fan-out: one steady writer, many watchers of the whole collection.
//!
//! Each write carries a number, by which every watcher tells which write an event is of:
//! how long it took, and whether one is missing or came twice. The last write is a
//! sentinel: a watch is ordered, so that whoever has seen it has seen all it will see.

mod event;
mod ledger;
mod watcher;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::Method;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use self::ledger::Ledger;
use self::watcher::{Tally, Watcher};
use super::closed_loop::connect_all;
use super::{Bench, Measurement, Meter, names};
use crate::client::{Connection, JSON};
use crate::histogram::Latencies;
use crate::object::fresh_prefix;
use crate::progress::Progress;

/// Events that a watcher never received.
pub(super) const LOST: &str = "lost";
/// Events that a watcher received again.
pub(super) const DUPLICATES: &str = "duplicates";
/// Events whose revision is not above that of the event before.
pub(super) const OUT_OF_ORDER: &str = "outOfOrder";

/// Watches whose first answer is awaited at the same time.
pub(super) const OPENING: usize = 64;

pub(super) async fn run(
    bench: &Bench<'_>,
    progress: &Progress,
) -> anyhow::Result<Vec<Measurement>> {
    let options = &bench.cli.watch;
    let prefix = fresh_prefix();
    let paths = create_objects(bench, &prefix).await?;
    let load = &bench.cli.load;
    let ledger = Ledger::new(&prefix, options.watch_rate, load.warmup, load.duration);
    let ledger = Arc::new(ledger);

    let opening = Instant::now();
    let shared = Arc::new(Shared::new(Arc::clone(&ledger), progress));
    let watchers = open_all(bench, &shared).await?;
    let opened = opening.elapsed();

    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for watcher in watchers {
        tasks.spawn(watcher.run(stopped.clone()));
    }
    let writers = connect_all(bench.endpoint(), writer::connections(paths.len())).await?;
    let start = Instant::now();
    let from = start + load.warmup;
    let writing = tokio::spawn(writer::run(writers, paths, Arc::clone(&ledger), start));
    tokio::time::sleep_until(from.into()).await;
    let meter = Meter::start(bench.target.processes());
    let written = writing.await.context("the writer stopped")??;
    shared.wait_for_sentinel(options.watchers, options.watch_drain).await;

    let mut received = Measurement { workload: "watch", ..Measurement::default() };
    meter.finish(&mut received);
    // The receivers are held by the watchers, so that it only fails when all have ended.
    let _ = stop.send(true);
    let mut total = Tally::new(&ledger);
    while let Some(tally) = tasks.join_next().await {
        let (tally, seen) = tally.context("a watcher stopped")?;
        total.add(tally);
        total.add_lost(ledger.missing(&seen));
    }
    received.counts.insert("watchers", options.watchers as f64);
    received.counts.insert("openMilliseconds", opened.as_secs_f64() * 1e3);
    let end = total.last.max(from);
    total.fill(&mut received);
    Ok(vec![received.over(end - from), written.into_measurement(from)])
}

/// What watchers share.
struct Shared {
    ledger: Arc<Ledger>,
    counters: Arc<crate::progress::Counters>,
    /// Watchers that have seen the sentinel, or have ended.
    finished: AtomicUsize,
    finished_changed: Notify,
}

impl Shared {
    fn new(ledger: Arc<Ledger>, progress: &Progress) -> Self {
        Self {
            ledger,
            counters: Arc::clone(progress.counters()),
            finished: AtomicUsize::new(0),
            finished_changed: Notify::new(),
        }
    }

    fn finish_one(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.finished_changed.notify_one();
    }

    /// Waits until all watchers have seen the last write, or for `patience`.
    async fn wait_for_sentinel(&self, watchers: usize, patience: Duration) {
        let all = async {
            while self.finished.load(Ordering::Relaxed) < watchers {
                self.finished_changed.notified().await;
            }
        };
        // Those that have not seen it by then count it, and what else is missing, as lost.
        let _ = tokio::time::timeout(patience, all).await;
    }
}

/// Creates the objects that will be written, and returns their paths.
async fn create_objects(bench: &Bench<'_>, prefix: &str) -> anyhow::Result<Vec<String>> {
    let mut connection = Connection::new(Arc::clone(bench.endpoint()));
    let mut paths = Vec::new();
    for index in 0..bench.cli.watch.watch_objects {
        let name = format!("{prefix}-w{index:03}");
        let body = bench.template.plain_body(&name);
        let request =
            connection.endpoint().request(Method::POST, bench.path(), Some((JSON, body)))?;
        connection.exchange(request, |_| ()).await.with_context(|| format!("create {name}"))?;
        paths.push(format!("{}/{name}", bench.path()));
    }
    Ok(paths)
}

/// Opens all watches from one revision, some at a time.
async fn open_all(bench: &Bench<'_>, shared: &Arc<Shared>) -> anyhow::Result<Vec<Watcher>> {
    let revision = names::revision(bench.endpoint(), bench.path()).await?;
    let wanted = bench.cli.watch.watchers;
    let mut open = Vec::with_capacity(wanted);
    while open.len() < wanted {
        let mut batch = JoinSet::new();
        for _ in 0..OPENING.min(wanted - open.len()) {
            let connection = Connection::new(Arc::clone(bench.endpoint()));
            let watcher = Watcher::open(
                connection,
                bench.path().to_owned(),
                revision.clone(),
                Arc::clone(shared),
            );
            batch.spawn(watcher);
        }
        while let Some(watcher) = batch.join_next().await {
            open.push(watcher?.context("cannot open a watch")?);
        }
    }
    Ok(open)
}

/// What the writer did.
struct Written {
    latencies: Latencies,
    errors: u64,
    first_error: Option<String>,
    max_lag: Duration,
    last: Instant,
}

impl Written {
    fn into_measurement(self, from: Instant) -> Measurement {
        let mut measurement = Measurement {
            workload: "watch-write",
            requests: self.latencies.count() + self.errors,
            errors: self.errors,
            first_error: self.first_error,
            latency_ms: self.latencies.percentiles(),
            ..Measurement::default()
        };
        measurement.counts.insert("maxLagMilliseconds", self.max_lag.as_secs_f64() * 1e3);
        measurement.over(self.last.saturating_duration_since(from))
    }
}
