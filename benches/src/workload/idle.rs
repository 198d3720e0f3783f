//! Watches in which nothing happens: what one more of them costs the server in memory.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use http::Method;
use hyper::body::Incoming;
use tokio::task::JoinSet;

use super::watch::OPENING;
use super::{Bench, Measurement, Meter, names};
use crate::cli::WorkloadName;
use crate::client::{ApiRequest, Connection, Endpoint, Failure, Streams};
use crate::histogram::Latencies;
use crate::progress::Progress;

/// Watches on one connection, all of them open as long as it is kept.
struct Group {
    _connection: AnyConnection,
    streams: Vec<Incoming>,
}

enum AnyConnection {
    One { _is: Connection },
    Many { _are: Streams },
}

/// Opens all watches, lets things settle, and compares the server's memory with that before.
pub(super) async fn run(
    bench: &Bench<'_>,
    name: WorkloadName,
    progress: &Progress,
) -> anyhow::Result<Measurement> {
    let options = &bench.cli.watch;
    let each = match name {
        WorkloadName::IdleHttp2 => options.streams,
        _ => 1,
    };
    let revision = names::revision(bench.endpoint(), bench.path()).await?;
    // What is made once is no part of what one more costs.
    let first = open(bench, &revision, each).await?;
    let usage = || bench.target.processes().usage();
    let before = usage();
    let meter = Meter::start(bench.target.processes());
    let opening = Instant::now();
    let (mut groups, mut latencies) = (Vec::new(), Latencies::new());
    while groups.len() * each < options.idle_watches {
        let mut batch = JoinSet::new();
        let missing = (options.idle_watches - groups.len() * each).div_ceil(each);
        for _ in 0..missing.min(OPENING) {
            batch.spawn(open(bench, &revision, each));
        }
        while let Some(group) = batch.join_next().await {
            groups.push(group?.context("cannot open a watch")?);
            (0..each).for_each(|_| progress.counters().add(false));
            latencies.record(opening.elapsed());
        }
    }
    let opened = opening.elapsed();
    tokio::time::sleep(bench.cli.load.duration).await;
    let watches: usize = groups.iter().map(|group| group.streams.len()).sum();
    let mut measurement = Measurement {
        workload: name.as_str(),
        requests: watches as u64,
        latency_ms: latencies.percentiles(),
        ..Measurement::default()
    };
    if let (Some(before), Some(after)) = (before, usage()) {
        let grown = after.rss.saturating_sub(before.rss) as f64;
        measurement.counts.insert("kibPerWatch", grown / 1024.0 / watches as f64);
    }
    measurement.counts.insert("connections", groups.len() as f64);
    meter.finish(&mut measurement);
    drop((groups, first));
    Ok(measurement.over(opened))
}

/// Opens `each` watches on a connection of their own.
fn open(
    bench: &Bench<'_>,
    revision: &str,
    each: usize,
) -> impl Future<Output = Result<Group, Failure>> + Send + 'static {
    let endpoint = Arc::clone(bench.endpoint());
    // A long timeout keeps the server from ending the watch during the measurement.
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds=86400&resourceVersion={revision}",
        bench.path()
    );
    async move {
        let request = |endpoint: &Endpoint| -> Result<ApiRequest, Failure> {
            let request = endpoint.request(Method::GET, &path, None);
            request.map_err(|error| Failure::Transport(error.to_string()))
        };
        if each == 1 {
            let mut connection = Connection::new(Arc::clone(&endpoint));
            let streams = vec![connection.open_stream(request(&endpoint)?).await?];
            return Ok(Group { _connection: AnyConnection::One { _is: connection }, streams });
        }
        let mut connection = Streams::connect(Arc::clone(&endpoint)).await?;
        let mut streams = Vec::with_capacity(each);
        for _ in 0..each {
            streams.push(connection.open(request(&endpoint)?).await?);
        }
        Ok(Group { _connection: AnyConnection::Many { _are: connection }, streams })
    }
}
