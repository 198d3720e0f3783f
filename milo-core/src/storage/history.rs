//! Reads of the past: the state at an old revision, and the changes after one.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Event, Page, ReadError, Record, Revision, WatchBatch,
    chunks::{Entry, Slice},
    engine::{Engine, Values, blocking},
    index::{Change, Index, Position},
    replay::Past,
};
use crate::key::{Key, KeyRange};

/// How many changes are looked at under one lock: well under a millisecond.
const SCAN: usize = 4096;
/// How many events a replay reads from the log at a time, if a commit is not larger.
const REPLAY_EVENTS: usize = 64;
/// How many bytes of values, old and new, make a replayed batch end before that.
const REPLAY_BYTES: usize = 1024 * 1024;
/// How many events are read from the log between two looks at their size.
const READ_EVENTS: usize = 4;

/// What a list needs of the current state, taken at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    live: Slice,
    /// When it was taken.
    now: Revision,
    /// What was asked for.
    at: Revision,
}

impl Snapshot {
    pub(super) fn take(
        index: &Index,
        range: &KeyRange,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Self, ReadError> {
        let (now, compacted) = (index.revision(), index.floor());
        let at = at.unwrap_or(now);
        if at > now {
            return Err(ReadError::Future { requested: at, current: now });
        }
        if at < compacted {
            return Err(ReadError::Expired { requested: at, compacted });
        }
        let limit = if at == now { limit } else { usize::MAX };
        Ok(Self { live: index.slice(range, limit), now, at })
    }

    pub(super) fn is_current(&self) -> bool {
        self.at == self.now
    }

    pub(super) fn live(&self) -> &Slice {
        &self.live
    }

    pub(super) fn revision(&self) -> Revision {
        self.at
    }
}

/// A list of the past. The state at `at` is what is still live since then, and what commits after
/// `at` have replaced or removed.
pub(super) fn list<V: Values>(
    engine: &Engine<V>,
    range: &KeyRange,
    limit: usize,
    snapshot: &Snapshot,
) -> Result<Page, ReadError> {
    let replaced = replaced_since(engine, range, snapshot)?;
    let live = snapshot.live.iter().filter(|entry| entry.position.revision <= snapshot.at);
    let mut merged = Merge { live: live.peekable(), replaced: replaced.into_iter().peekable() };
    let found: Vec<Found> = merged.by_ref().take(limit).collect();
    let remaining = merged.rest();
    let positions: Vec<Position> = found.iter().filter_map(Found::logged).collect();
    let values = read_all(engine, &positions, snapshot.at)?;
    let mut values = values.into_iter();
    let records = found.into_iter().filter_map(|found| found.record(&mut values)).collect();
    Ok(Page { records, revision: snapshot.at, remaining })
}

/// The values of `range` at `snapshot.at` that were replaced or removed between then and the
/// snapshot, in key order.
fn replaced_since<V: Values>(
    engine: &Engine<V>,
    range: &KeyRange,
    snapshot: &Snapshot,
) -> Result<Vec<(Key, Position)>, ReadError> {
    let mut replaced = Vec::new();
    let mut after = end_of(snapshot.at);
    loop {
        let index = engine.index().read();
        check_floor(&index, snapshot.at)?;
        let start = after;
        for change in index.changes_after(after).take(SCAN) {
            after = change.position();
            let old = change.previous().filter(|old| old.revision <= snapshot.at);
            if let Some(old) = old
                && after.revision <= snapshot.now
                && range.contains(change.key())
            {
                replaced.push((change.key().clone(), old));
            }
        }
        if after == start || after.revision > snapshot.now {
            break;
        }
    }
    replaced.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(replaced)
}

/// Everything up to and including a revision.
fn end_of(revision: Revision) -> Position {
    Position { revision, index: u32::MAX }
}

fn check_floor(index: &Index, requested: Revision) -> Result<(), ReadError> {
    let compacted = index.floor();
    if requested < compacted { Err(ReadError::Expired { requested, compacted }) } else { Ok(()) }
}

/// Values that the state at `at` needs, or changes after it.
fn read_all<V: Values>(
    engine: &Engine<V>,
    positions: &[Position],
    at: Revision,
) -> Result<Vec<bytes::Bytes>, ReadError> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let values = engine.values().read(positions)?;
    // Compaction may have gone by since the positions were looked up.
    check_floor(&engine.index().read(), at)?;
    let missing = positions.iter().zip(&values).find(|(_, value)| value.is_none());
    if let Some((position, _)) = missing {
        let text = format!("the log lacks change {} of {}", position.index, position.revision);
        return Err(ReadError::Corrupted(text.into()));
    }
    Ok(values.into_iter().flatten().collect())
}

enum Found {
    Live(Record),
    Logged(Key, Position),
}

impl Found {
    fn logged(&self) -> Option<Position> {
        match self {
            Self::Live(_) => None,
            Self::Logged(_, position) => Some(*position),
        }
    }

    fn record(self, values: &mut impl Iterator<Item = bytes::Bytes>) -> Option<Record> {
        match self {
            Self::Live(record) => Some(record),
            Self::Logged(key, position) => {
                Some(Record { key, revision: position.revision, value: values.next()? })
            }
        }
    }
}

/// Two sequences in key order, without a common key, as one.
struct Merge<L: Iterator, R: Iterator> {
    live: std::iter::Peekable<L>,
    replaced: std::iter::Peekable<R>,
}

impl<'a, L, R> Merge<L, R>
where
    L: Iterator<Item = &'a Entry>,
    R: Iterator<Item = (Key, Position)>,
{
    fn rest(self) -> u64 {
        (self.live.count() + self.replaced.count()) as u64
    }
}

impl<'a, L, R> Iterator for Merge<L, R>
where
    L: Iterator<Item = &'a Entry>,
    R: Iterator<Item = (Key, Position)>,
{
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let replaced_first = match (self.live.peek(), self.replaced.peek()) {
            (Some(live), Some(replaced)) => replaced.0 < live.key,
            (live, _) => live.is_none(),
        };
        if replaced_first {
            self.replaced.next().map(|(key, position)| Found::Logged(key, position))
        } else {
            self.live.next().map(|entry| Found::Live(entry.record()))
        }
    }
}

/// The past of an engine that keeps its log here.
#[async_trait]
impl<V: Values> Past for Arc<Engine<V>> {
    async fn changes(&self, range: &KeyRange, after: Revision) -> Result<WatchBatch, ReadError> {
        let (engine, range) = (Self::clone(self), range.clone());
        blocking(move || changes(&engine, &range, after)).await?
    }
}

/// The next changes in `range` after a revision: of whole commits only, though not of all.
fn changes<V: Values>(
    engine: &Engine<V>,
    range: &KeyRange,
    after: Revision,
) -> Result<WatchBatch, ReadError> {
    let (changes, revision) = {
        let index = engine.index().read();
        check_floor(&index, after)?;
        scan(&index, range, after)
    };
    let mut events: Vec<Event> = Vec::with_capacity(changes.len());
    let (mut rest, mut bytes) = (changes.as_slice(), 0);
    while !rest.is_empty() {
        if bytes >= REPLAY_BYTES
            && let Some(last) = events.last()
        {
            let revision = last.revision();
            return Ok(WatchBatch { events, revision });
        }
        let commits;
        (commits, rest) = rest.split_at(whole_commits(rest));
        let positions: Vec<Position> = commits.iter().flat_map(positions).collect();
        let values = read_all(engine, &positions, after)?;
        bytes += values.iter().map(bytes::Bytes::len).sum::<usize>();
        let mut values = values.into_iter();
        events.extend(commits.iter().filter_map(|change| event(change, &mut values)));
    }
    Ok(WatchBatch { events, revision })
}

/// How many changes to take for at least [`READ_EVENTS`], if there are as many, without a part of
/// a commit.
fn whole_commits(changes: &[Change]) -> usize {
    let revision = |change: &Change| change.position().revision;
    match changes.get(READ_EVENTS - 1).map(revision) {
        Some(last) => changes.partition_point(|change| revision(change) <= last),
        None => changes.len(),
    }
}

fn scan(index: &Index, range: &KeyRange, after: Revision) -> (Vec<Change>, Revision) {
    let mut found = Vec::new();
    let mut last = after;
    for (number, change) in index.changes_after(end_of(after)).enumerate() {
        let revision = change.position().revision;
        if revision != last && (number >= SCAN || found.len() >= REPLAY_EVENTS) {
            return (found, last);
        }
        last = revision;
        if range.contains(change.key()) {
            found.push(change.clone());
        }
    }
    (found, index.revision())
}

/// What the log must be asked for to tell of a change.
fn positions(change: &Change) -> impl Iterator<Item = Position> {
    let written = (!change.deleted()).then_some(change.position());
    written.into_iter().chain(change.previous())
}

/// Takes the values in the order of [`positions`].
fn event(change: &Change, values: &mut impl Iterator<Item = bytes::Bytes>) -> Option<Event> {
    let revision = change.position().revision;
    let record = |revision, value| Record { key: change.key().clone(), revision, value };
    let written = if change.deleted() { None } else { Some(record(revision, values.next()?)) };
    let previous = match change.previous() {
        Some(old) => Some(record(old.revision, values.next()?)),
        None => None,
    };
    match written {
        Some(record) => Some(Event::Put { record, previous }),
        None => Some(Event::Delete { revision, previous: previous? }),
    }
}
