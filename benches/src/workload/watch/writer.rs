//! The writer: patches objects in turn, at a steady rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::Method;
use tokio::task::JoinSet;

use super::Written;
use super::ledger::Ledger;
use crate::client::{Connection, Failure, MERGE_PATCH};
use crate::histogram::Latencies;

/// Enough for a steady rate while some answers are slow.
const MAX_CONNECTIONS: usize = 16;

/// How many connections write: never more than objects, so that no two writes of one
/// object meet.
pub(super) fn connections(objects: usize) -> usize {
    objects.min(MAX_CONNECTIONS)
}

/// Sends every write of the ledger when it is due (or late, when the server does not keep
/// up) and the sentinel when all the others are answered.
///
/// # Errors
///
/// When a request cannot be made; failed requests are counted.
pub(super) async fn run(
    connections: Vec<Connection>,
    paths: Vec<String>,
    ledger: Arc<Ledger>,
    start: Instant,
) -> anyhow::Result<Written> {
    let turns = Arc::new(Turns { paths, ledger, start, next: AtomicUsize::new(0) });
    let mut workers = JoinSet::new();
    for connection in connections {
        workers.spawn(write_in_turn(connection, Arc::clone(&turns)));
    }
    let mut total = Written::new(start);
    let mut last_connection = None;
    while let Some(worker) = workers.join_next().await {
        let (connection, written) = worker.context("a writer stopped")??;
        total.add(written);
        last_connection = Some(connection);
    }
    if let Some(mut connection) = last_connection {
        write(&mut connection, &turns, turns.ledger.sentinel(), &mut total).await?;
    }
    Ok(total)
}

struct Turns {
    paths: Vec<String>,
    ledger: Arc<Ledger>,
    start: Instant,
    next: AtomicUsize,
}

async fn write_in_turn(
    mut connection: Connection,
    turns: Arc<Turns>,
) -> Result<(Connection, Written), http::Error> {
    let mut written = Written::new(turns.start);
    loop {
        let number = turns.next.fetch_add(1, Ordering::Relaxed);
        if number >= turns.ledger.sentinel() {
            return Ok((connection, written));
        }
        let due = turns.start + turns.ledger.due(number);
        tokio::time::sleep_until(due.into()).await;
        write(&mut connection, &turns, number, &mut written).await?;
    }
}

async fn write(
    connection: &mut Connection,
    turns: &Turns,
    number: usize,
    written: &mut Written,
) -> Result<(), http::Error> {
    let ledger = &turns.ledger;
    let path = &turns.paths[number % turns.paths.len()];
    let body = Some((MERGE_PATCH, ledger.patch(number)));
    let request = connection.endpoint().request(Method::PATCH, path, body)?;
    let sent = Instant::now();
    ledger.send(number, sent);
    let result = connection.exchange(request, |_| ()).await;
    let ended = Instant::now();
    if result.is_ok() {
        ledger.accept(number);
    }
    if ledger.is_measured(number) {
        let lag = sent.saturating_duration_since(turns.start + ledger.due(number));
        written.record(result, ended, ended - sent, lag);
    }
    Ok(())
}

impl Written {
    fn new(start: Instant) -> Self {
        Self {
            latencies: Latencies::new(),
            errors: 0,
            first_error: None,
            max_lag: Duration::ZERO,
            last: start,
        }
    }

    fn record(
        &mut self,
        result: Result<u64, Failure>,
        ended: Instant,
        latency: Duration,
        lag: Duration,
    ) {
        self.last = ended;
        self.max_lag = self.max_lag.max(lag);
        match result {
            Ok(_) => self.latencies.record(latency),
            Err(failure) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| failure.to_string());
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.errors += other.errors;
        self.max_lag = self.max_lag.max(other.max_lag);
        self.last = self.last.max(other.last);
        self.first_error = self.first_error.take().or(other.first_error);
    }
}
