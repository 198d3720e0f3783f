//! Workers that each send a request, wait for the answer, and send the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::{Bench, Measurement, Meter};
use crate::client::{ApiRequest, Connection, Endpoint, Failure};
use crate::histogram::Latencies;
use crate::object::ItemCounter;
use crate::progress::{Counters, Progress};

/// How long a worker waits after a connection failed, so that a dead server is not hammered.
const BACK_OFF: Duration = Duration::from_millis(10);
/// Connections that are being made at the same time.
const CONNECTING: usize = 64;

/// Makes the next request; `None` when there are no more.
pub(super) trait Source: Send + Sync + 'static {
    fn next(&self, endpoint: &Endpoint) -> Option<Result<ApiRequest, http::Error>>;
}

impl<F> Source for F
where
    F: Fn(&Endpoint) -> Option<Result<ApiRequest, http::Error>> + Send + Sync + 'static,
{
    fn next(&self, endpoint: &Endpoint) -> Option<Result<ApiRequest, http::Error>> {
        self(endpoint)
    }
}

/// When to begin counting, and when to stop.
#[derive(Clone, Copy)]
pub(super) enum Window {
    /// For some time, after a warm-up.
    Timed { warmup: Duration, duration: Duration },
    /// Until the source ends.
    Exhaust,
}

/// Runs `source` on several connections, which are all made beforehand.
///
/// # Errors
///
/// When the server cannot be reached, or `source` makes no valid request.
pub(super) async fn run(
    bench: &Bench<'_>,
    workload: &'static str,
    connections: usize,
    window: Window,
    source: impl Source,
    progress: &Progress,
) -> anyhow::Result<Measurement> {
    let connections = connect_all(bench.endpoint(), connections).await?;
    let (from, until) = match window {
        Window::Timed { warmup, duration } => {
            let from = Instant::now() + warmup;
            (from, Some(from + duration))
        }
        Window::Exhaust => (Instant::now(), None),
    };
    let source = Arc::new(source);
    let mut workers = JoinSet::new();
    for connection in connections {
        let worker = Worker {
            connection,
            from,
            until,
            counters: Arc::clone(progress.counters()),
            items: ItemCounter::new(),
            tally: Tally::new(from),
        };
        workers.spawn(worker.run(Arc::clone(&source)));
    }
    tokio::time::sleep_until(from.into()).await;
    let meter = Meter::start(bench.target.processes());
    let mut total = Tally::new(from);
    while let Some(tally) = workers.join_next().await {
        total.add(tally.context("a worker stopped")??);
    }
    let mut measurement = total.into_measurement(workload, from);
    meter.finish(&mut measurement);
    Ok(measurement)
}

/// Makes connections, some at a time.
///
/// # Errors
///
/// When one cannot be made.
pub(super) async fn connect_all(
    endpoint: &Arc<Endpoint>,
    count: usize,
) -> anyhow::Result<Vec<Connection>> {
    let mut connected = Vec::with_capacity(count);
    while connected.len() < count {
        let mut batch = JoinSet::new();
        for _ in 0..CONNECTING.min(count - connected.len()) {
            let mut connection = Connection::new(Arc::clone(endpoint));
            batch.spawn(async move { connection.connect().await.map(|()| connection) });
        }
        while let Some(connection) = batch.join_next().await {
            connected.push(connection?.context("cannot connect to the server")?);
        }
    }
    Ok(connected)
}

struct Worker {
    connection: Connection,
    from: Instant,
    until: Option<Instant>,
    counters: Arc<Counters>,
    items: ItemCounter,
    tally: Tally,
}

impl Worker {
    async fn run(mut self, source: Arc<impl Source>) -> Result<Tally, http::Error> {
        loop {
            let begun = Instant::now();
            if self.until.is_some_and(|until| begun >= until) {
                break;
            }
            let Some(request) = source.next(self.connection.endpoint()) else { break };
            let request = request?;
            // Making the request is not the server's time.
            let sent = Instant::now();
            let items = &mut self.items;
            let result = self.connection.exchange(request, |data| items.feed(data)).await;
            let ended = Instant::now();
            self.counters.add(result.is_err());
            let items = self.items.take();
            let broken = matches!(result, Err(Failure::Transport(_)));
            if begun >= self.from {
                self.tally.record(result, ended, ended - sent, items);
            }
            if broken {
                tokio::time::sleep(BACK_OFF).await;
            }
        }
        self.tally.reconnects = self.connection.reconnects();
        Ok(self.tally)
    }
}

/// What one worker counted.
struct Tally {
    latencies: Latencies,
    errors: u64,
    first_error: Option<(Instant, Failure)>,
    bytes: u64,
    items: u64,
    reconnects: u64,
    last: Instant,
}

impl Tally {
    fn new(from: Instant) -> Self {
        Self {
            latencies: Latencies::new(),
            errors: 0,
            first_error: None,
            bytes: 0,
            items: 0,
            reconnects: 0,
            last: from,
        }
    }

    fn record(
        &mut self,
        result: Result<u64, Failure>,
        ended: Instant,
        latency: Duration,
        items: u64,
    ) {
        self.last = ended;
        match result {
            Ok(bytes) => {
                self.latencies.record(latency);
                self.bytes += bytes;
                self.items += items;
            }
            Err(failure) => {
                self.errors += 1;
                self.first_error.get_or_insert((ended, failure));
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.errors += other.errors;
        self.bytes += other.bytes;
        self.items += other.items;
        self.reconnects += other.reconnects;
        self.last = self.last.max(other.last);
        self.first_error = [self.first_error.take(), other.first_error]
            .into_iter()
            .flatten()
            .min_by_key(|(when, _)| *when);
    }

    fn into_measurement(self, workload: &'static str, from: Instant) -> Measurement {
        let successes = self.latencies.count();
        let mut measurement = Measurement {
            workload,
            requests: successes + self.errors,
            errors: self.errors,
            first_error: self.first_error.map(|(_, failure)| failure.to_string()),
            latency_ms: self.latencies.percentiles(),
            bytes: self.bytes,
            ..Measurement::default()
        };
        measurement.counts.insert("reconnects", self.reconnects as f64);
        measurement.counts.insert("itemsPerRequest", self.items as f64 / successes.max(1) as f64);
        measurement.over(self.last - from)
    }
}
