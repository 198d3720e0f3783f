//! Watches that begin with the whole collection, read slowly: what the server keeps for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::Method;
use http_body_util::BodyExt as _;
use memchr::memmem::Finder;
use tokio::task::JoinSet;

use super::{Bench, Measurement, Meter};
use crate::client::{Connection, Failure};
use crate::histogram::Latencies;
use crate::progress::Progress;

/// How often the server's memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What one reader received.
struct Received {
    events: u64,
    bytes: u64,
    took: Duration,
}

pub(super) async fn run(bench: &Bench<'_>, progress: &Progress) -> anyhow::Result<Measurement> {
    let options = &bench.cli.watch;
    let usage = || bench.target.processes().usage();
    // The first one warms up.
    read(Connection::new(Arc::clone(bench.endpoint())), bench.path().to_owned(), u64::MAX)
        .await
        .context("cannot read a watch")?;
    let before = usage();
    let meter = Meter::start(bench.target.processes());
    let began = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..options.readers {
        let connection = Connection::new(Arc::clone(bench.endpoint()));
        let rate = (options.read_rate as u64) << 20;
        readers.spawn(read(connection, bench.path().to_owned(), rate));
    }
    let mut measurement = Measurement { workload: "watch-list", ..Measurement::default() };
    let (mut latencies, mut events, mut most) = (Latencies::new(), 0, 0);
    loop {
        tokio::select! {
            ended = readers.join_next() => {
                let Some(ended) = ended else { break };
                let received = ended?.context("a watch failed")?;
                progress.counters().add(false);
                latencies.record(received.took);
                events += received.events;
                measurement.bytes += received.bytes;
            }
            () = tokio::time::sleep(LOOK) => {
                most = most.max(usage().map_or(0, |usage| usage.rss));
            }
        }
    }
    measurement.requests = events;
    measurement.latency_ms = latencies.percentiles();
    if let Some(before) = before {
        let grown = most.saturating_sub(before.rss) as f64;
        measurement.counts.insert("kibPerReader", grown / 1024.0 / options.readers as f64);
    }
    measurement.counts.insert("readers", options.readers as f64);
    meter.finish(&mut measurement);
    Ok(measurement.over(began.elapsed()))
}

/// Reads a watch up to the end of its initial events, so many bytes a second at most.
async fn read(mut connection: Connection, path: String, rate: u64) -> Result<Received, Failure> {
    let path = format!(
        "{path}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true\
         &resourceVersionMatch=NotOlderThan&timeoutSeconds=86400"
    );
    let request = connection
        .endpoint()
        .request(Method::GET, &path, None)
        .map_err(|error| Failure::Transport(error.to_string()))?;
    let began = Instant::now();
    let mut body = connection.open_stream(request).await?;
    let end = Finder::new(b"k8s.io/initial-events-end");
    let (mut received, mut tail) =
        (Received { events: 0, bytes: 0, took: Duration::ZERO }, Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else { continue };
        received.bytes += data.len() as u64;
        received.events += memchr::memchr_iter(b'\n', data).count() as u64;
        // The mark may arrive in two parts.
        tail.extend_from_slice(&data[data.len().saturating_sub(1024)..]);
        if end.find(&tail).is_some() {
            received.took = began.elapsed();
            return Ok(received);
        }
        tail.drain(..tail.len().saturating_sub(1024));
        let due = Duration::from_secs_f64(received.bytes as f64 / rate as f64);
        tokio::time::sleep_until((began + due).into()).await;
    }
    Err(Failure::Transport("the watch ended before its initial events".to_owned()))
}
