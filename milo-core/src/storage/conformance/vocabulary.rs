//! Words that the cases are written in.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::failure::{Failure, Outcome};
use crate::{
    key::{GroupResource, Key, KeyRange},
    scope::Scope,
    storage::{
        Event, ListOptions, Page, Precondition, Record, Revision, Storage, Transaction, Watch,
        WatchBatch, WatchError,
    },
};

/// What does not come in this time does not come.
const SOON: Duration = Duration::from_secs(30);
/// How long a client waits before it tries again.
const AGAIN: Duration = Duration::from_millis(20);

pub(super) fn widgets() -> GroupResource {
    GroupResource::new("demo.example.com", "widgets")
}

/// The key of a widget. Names are the suite's own and always valid.
pub(super) fn key(namespace: &str, name: &str) -> Key {
    Key::object(&widgets(), &Scope::Platform, namespace, name)
        .unwrap_or_else(|_| Key::from_storage(bytes("invalid")))
}

/// All widgets of a namespace.
pub(super) fn namespace(name: &str) -> KeyRange {
    KeyRange::namespace(&widgets(), &Scope::Platform, name).unwrap_or_else(|_| KeyRange::all())
}

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(super) fn put(key: &Key, value: &str) -> Transaction {
    Transaction::new().put(key.clone(), bytes(value))
}

pub(super) fn create(key: &Key, value: &str) -> Transaction {
    put(key, value).require(Precondition::Absent(key.clone()))
}

pub(super) fn delete(key: &Key) -> Transaction {
    Transaction::new().delete(key.clone())
}

/// Requires that nobody has changed a record since it was read.
pub(super) fn unchanged(record: &Record) -> Precondition {
    Precondition::RevisionIs(record.key.clone(), record.revision)
}

pub(super) fn record(key: &Key, revision: Revision, value: &str) -> Record {
    Record { key: key.clone(), revision, value: bytes(value) }
}

pub(super) fn put_event(record: Record, previous: Option<Record>) -> Event {
    Event::Put { record, previous }
}

pub(super) fn delete_event(revision: Revision, previous: Record) -> Event {
    Event::Delete { revision, previous }
}

pub(super) fn all() -> ListOptions {
    ListOptions::default()
}

/// The last segments of the keys of a page.
pub(super) fn names(page: &Page) -> Vec<&str> {
    page.records.iter().map(|record| record.key.segments().map_or("", |found| found.name)).collect()
}

/// The part of a range after the last record of a page of it.
pub(super) fn rest_of(range: &KeyRange, page: &Page) -> Option<KeyRange> {
    let mut start = page.records.last()?.key.as_bytes().to_vec();
    start.push(0);
    range.starting_at(start.into())
}

/// Waits for what must happen; fails when it does not within [`SOON`].
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Failure> {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => Ok(output),
        Err(_) => Err(Failure::new(format_args!("{what} did not come within {SOON:?}"))),
    }
}

/// The next batch of a watch that goes on.
pub(super) async fn next(watch: &mut Watch) -> Result<WatchBatch, Failure> {
    match soon("a watch batch", watch.next()).await? {
        Some(batch) => Ok(batch?),
        None => Err(Failure::new("the watch ended without an error")),
    }
}

/// The events of the next batch that has any.
pub(super) async fn next_events(watch: &mut Watch) -> Result<Vec<Event>, Failure> {
    loop {
        let batch = next(watch).await?;
        if !batch.events.is_empty() {
            return Ok(batch.events);
        }
    }
}

/// All events that a watch tells, whole commits in order, checked against what it says of its
/// progress. Events of one commit are in the order of their keys.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) events: Vec<Event>,
    pub(super) revision: Revision,
}

impl Told {
    /// Of a watch that started after a revision.
    pub(super) fn after(revision: Revision) -> Self {
        Self { events: Vec::new(), revision }
    }

    /// Adds a batch; fails if it goes back, or beyond what it says.
    pub(super) fn add(&mut self, batch: WatchBatch) -> Outcome {
        let WatchBatch { mut events, revision } = batch;
        let told = self.revision;
        ensure!(revision >= told, "progress went back from {told} to {revision}");
        let revisions: Vec<_> = events.iter().map(Event::revision).collect();
        ensure!(revisions.is_sorted(), "events out of order: {revisions:?}");
        for event in &revisions {
            ensure!(*event > told, "an event of {event} after progress {told}");
            ensure!(*event <= revision, "an event of {event} in a batch of {revision}");
        }
        events.sort_by(|a, b| (a.revision(), a.key()).cmp(&(b.revision(), b.key())));
        self.events.extend(events);
        self.revision = revision;
        Ok(())
    }

    /// Reads until everything up to a revision was told, without asking for progress.
    pub(super) async fn read_until(&mut self, watch: &mut Watch, until: Revision) -> Outcome {
        while self.revision < until {
            self.add(next(watch).await?)?;
        }
        Ok(())
    }

    /// Reads until the watch ends by itself or everything up to a revision was told.
    pub(super) async fn read_until_end(
        &mut self,
        watch: &mut Watch,
        until: Revision,
    ) -> Result<Option<WatchError>, Failure> {
        while self.revision < until {
            match soon("a watch batch", watch.next()).await? {
                Some(Ok(batch)) => self.add(batch)?,
                Some(Err(error)) => {
                    let more = soon("the end of the watch", watch.next()).await?;
                    ensure!(more.is_none(), "after {error:?} the watch told {more:?}");
                    return Ok(Some(error));
                }
                None => return Err(Failure::new("the watch ended without an error")),
            }
        }
        Ok(None)
    }
}

/// All events of a watch up to a revision, after asking for progress once.
pub(super) async fn events_until(
    watch: &mut Watch,
    after: Revision,
    until: Revision,
) -> Result<Vec<Event>, Failure> {
    watch.request_progress();
    let mut told = Told::after(after);
    told.read_until(watch, until).await?;
    Ok(told.events)
}

/// Starts a watch as a client does that does not give up: a replica that has just lost its place in
/// the history of a shared store answers `Unavailable` until it has found another.
pub(super) async fn watch_at_last(
    storage: &dyn Storage,
    range: &KeyRange,
    after: Revision,
) -> Result<Result<Watch, WatchError>, Failure> {
    let started = async {
        loop {
            match storage.watch(range, after).await {
                Err(WatchError::Unavailable(_)) => tokio::time::sleep(AGAIN).await,
                started => return started,
            }
        }
    };
    soon("a replica that can be watched", started).await
}

/// All events in a range between two revisions, from a new watch.
pub(super) async fn history(
    storage: &dyn Storage,
    range: &KeyRange,
    after: Revision,
    until: Revision,
) -> Result<Vec<Event>, Failure> {
    let mut watch = storage.watch(range, after).await?;
    events_until(&mut watch, after, until).await
}

/// Waits for all tasks; fails as the first of them that does.
pub(super) async fn join<T: 'static>(
    mut tasks: JoinSet<Result<T, Failure>>,
) -> Result<Vec<T>, Failure> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result??);
    }
    Ok(results)
}

/// Commits a widget for each name, in transactions of at most 100 operations.
pub(super) async fn fill(
    storage: &dyn Storage,
    in_namespace: &str,
    names: impl IntoIterator<Item = String>,
    value: &str,
) -> Result<Revision, Failure> {
    let keys: Vec<Key> = names.into_iter().map(|name| key(in_namespace, &name)).collect();
    let mut last = storage.revision().await?;
    for part in keys.chunks(100) {
        let add = |transaction: Transaction, key: &Key| transaction.put(key.clone(), bytes(value));
        last = storage.commit(part.iter().fold(Transaction::new(), add)).await?;
    }
    Ok(last)
}

/// Polls once and drops the rest.
pub(super) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
