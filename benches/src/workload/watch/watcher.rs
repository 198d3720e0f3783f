//! One watcher: follows the collection, and checks what it is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::watch;

use super::event::{Event, EventReader, Lines};
use super::ledger::{Ledger, Seen};
use super::{DUPLICATES, LOST, OUT_OF_ORDER, Shared};
use crate::client::{Connection, Failure};
use crate::histogram::Latencies;
use crate::workload::Measurement;

/// Before a stream that ended is opened again.
const BACK_OFF: Duration = Duration::from_millis(10);

/// A watch of the whole collection that is open.
pub(super) struct Watcher {
    connection: Connection,
    stream: Incoming,
    path: String,
    lines: Lines,
    reader: EventReader,
    /// The newest revision received, from which to resume.
    revision: String,
    shared: Arc<Shared>,
    state: State,
}

/// What a watcher knows of the events it has received.
struct State {
    seen: Seen,
    tally: Tally,
    /// The newest revision as a number, if the server's revisions are numbers.
    newest: Option<u64>,
    has_finished: bool,
    /// An ERROR event has ended the watch.
    is_over: bool,
}

impl Watcher {
    /// Opens a watch of what comes after `revision`.
    ///
    /// # Errors
    ///
    /// When the server does not answer with a stream.
    pub(super) async fn open(
        mut connection: Connection,
        path: String,
        revision: String,
        shared: Arc<Shared>,
    ) -> Result<Self, Failure> {
        let stream = subscribe(&mut connection, &path, &revision).await?;
        let state = State {
            seen: Seen::new(shared.ledger.len()),
            tally: Tally::new(&shared.ledger),
            newest: revision.parse().ok(),
            has_finished: false,
            is_over: false,
        };
        let reader = EventReader::new(&shared.ledger.mark());
        let lines = Lines::default();
        Ok(Self { connection, stream, path, lines, reader, revision, shared, state })
    }

    /// Receives until told to stop, also after the sentinel: something may come again.
    /// What is missing can be told only when everything is written, so that the caller
    /// does it with the writes seen.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> (Tally, Seen) {
        while !self.state.is_over {
            let received = tokio::select! {
                biased;
                frame = self.stream.frame() => frame,
                _ = stop.changed() => break,
            };
            let failure = match received {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.receive(data);
                    }
                    continue;
                }
                Some(Err(error)) => Some(Failure::from(error)),
                None => None,
            };
            if !self.resume(failure, &mut stop).await {
                break;
            }
        }
        if !self.state.has_finished {
            self.shared.finish_one();
        }
        (self.state.tally, self.state.seen)
    }

    fn receive(&mut self, data: &Bytes) {
        let now = Instant::now();
        let Self { lines, reader, revision, shared, state, .. } = self;
        state.tally.bytes += data.len() as u64;
        lines.feed(data, |line| {
            let is_error = state.take(line, reader, revision, shared, now);
            shared.counters.add(is_error);
        });
    }

    /// The server may end a watch at any time; then it is resumed. `false` when that failed.
    async fn resume(&mut self, failure: Option<Failure>, stop: &mut watch::Receiver<bool>) -> bool {
        let tally = &mut self.state.tally;
        if let Some(failure) = failure {
            tally.fail(failure.to_string());
        }
        tally.restarts += 1;
        self.lines.reset();
        tokio::select! {
            () = tokio::time::sleep(BACK_OFF) => {}
            _ = stop.changed() => return false,
        }
        match subscribe(&mut self.connection, &self.path, &self.revision).await {
            Ok(stream) => {
                self.stream = stream;
                true
            }
            Err(failure) => {
                self.state.tally.fail(failure.to_string());
                false
            }
        }
    }
}

async fn subscribe(
    connection: &mut Connection,
    path: &str,
    revision: &str,
) -> Result<Incoming, Failure> {
    // A long timeout keeps the server from ending the watch during the measurement.
    let path = format!(
        "{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds=86400&resourceVersion={revision}"
    );
    let request = connection
        .endpoint()
        .request(Method::GET, &path, None)
        .map_err(|error| Failure::Transport(error.to_string()))?;
    connection.open_stream(request).await
}

impl State {
    /// Takes in one event. Returns whether it is an error.
    fn take(
        &mut self,
        line: &[u8],
        reader: &EventReader,
        resume_from: &mut String,
        shared: &Shared,
        now: Instant,
    ) -> bool {
        match reader.read(line) {
            Event::Change { revision, write } => {
                let is_newer = self.advance(revision, resume_from);
                match write {
                    Some(write) => self.take_write(write, is_newer, shared, now),
                    None => {
                        self.tally.unrelated += 1;
                        self.tally.out_of_order += u64::from(!is_newer);
                    }
                }
                false
            }
            Event::Bookmark { revision } => {
                self.advance(revision, resume_from);
                false
            }
            Event::Error => {
                self.is_over = true;
                self.tally.fail(String::from_utf8_lossy(line).into_owned());
                true
            }
            Event::Unreadable => {
                self.tally.fail(format!("not an event: {}", String::from_utf8_lossy(line)));
                true
            }
        }
    }

    /// Moves on to a revision; `false` if it is not above all before.
    fn advance(&mut self, revision: &str, resume_from: &mut String) -> bool {
        let number: Option<u64> = revision.parse().ok();
        if let (Some(number), Some(newest)) = (number, self.newest)
            && number <= newest
        {
            return false;
        }
        self.newest = number;
        revision.clone_into(resume_from);
        true
    }

    fn take_write(&mut self, write: usize, is_newer: bool, shared: &Shared, now: Instant) {
        let ledger = &shared.ledger;
        if !self.seen.insert(write) {
            // The annotation stays when somebody else changes the object later on.
            let count =
                if is_newer { &mut self.tally.unrelated } else { &mut self.tally.duplicates };
            *count += 1;
            return;
        }
        self.tally.out_of_order += u64::from(!is_newer);
        if ledger.is_measured(write)
            && let Some(age) = ledger.age(write, now)
        {
            self.tally.latencies.record(age);
            self.tally.last = now;
        }
        if write == ledger.sentinel() {
            self.has_finished = true;
            shared.finish_one();
        }
    }
}

/// What one watcher counted, or several.
pub(super) struct Tally {
    latencies: Latencies,
    bytes: u64,
    lost: u64,
    duplicates: u64,
    out_of_order: u64,
    unrelated: u64,
    restarts: u64,
    errors: u64,
    first_error: Option<String>,
    /// When the last measured event came.
    pub(super) last: Instant,
}

impl Tally {
    pub(super) fn new(ledger: &Ledger) -> Self {
        Self {
            latencies: Latencies::new(),
            bytes: 0,
            lost: 0,
            duplicates: 0,
            out_of_order: 0,
            unrelated: 0,
            restarts: 0,
            errors: 0,
            first_error: None,
            last: ledger.epoch(),
        }
    }

    /// Counts the events that one watcher did not receive.
    pub(super) const fn add_lost(&mut self, count: u64) {
        self.lost += count;
    }

    fn fail(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.unrelated += other.unrelated;
        self.restarts += other.restarts;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.last = self.last.max(other.last);
    }

    /// Writes the counts into a row of the report.
    pub(super) fn fill(self, measurement: &mut Measurement) {
        measurement.requests = self.latencies.count() + self.errors;
        measurement.errors = self.errors;
        measurement.first_error = self.first_error;
        measurement.latency_ms = self.latencies.percentiles();
        measurement.bytes = self.bytes;
        for (name, count) in [
            (LOST, self.lost),
            (DUPLICATES, self.duplicates),
            (OUT_OF_ORDER, self.out_of_order),
            ("unrelated", self.unrelated),
            ("restarts", self.restarts),
        ] {
            measurement.counts.insert(name, count as f64);
        }
    }
}
