//! What was published last, so that a watch that begins a little late asks nobody.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::{
    key::KeyRange,
    storage::{Event, Record, Revision, WatchBatch},
};

/// How many bytes of keys and values are held at most, apart from the last commit.
const HELD_BYTES: usize = 16 * 1024 * 1024;
/// How many events, which are at least as much work to look through as they are to hold.
const HELD_EVENTS: usize = 32 * 1024;
/// How many bytes of events make a batch end.
const BATCH_BYTES: usize = 1024 * 1024;

/// The changes up to the published revision, from some revision on.
#[derive(Debug, Default)]
pub(super) struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// All changes after this revision are here.
    floor: Revision,
    revision: Revision,
    events: VecDeque<Event>,
    bytes: usize,
}

impl Recent {
    /// Nothing is known of what was before `revision`.
    pub(super) fn restart(&self, revision: Revision) {
        *self.inner.lock() = Inner { floor: revision, revision, ..Inner::default() };
    }

    /// Adds all changes of the commits after the last ones, up to and including `revision`.
    pub(super) fn add(&self, events: &[Event], revision: Revision) {
        let mut inner = self.inner.lock();
        inner.revision = revision;
        inner.bytes += events.iter().map(bytes).sum::<usize>();
        inner.events.extend(events.iter().cloned());
        while inner.bytes > HELD_BYTES || inner.events.len() > HELD_EVENTS {
            inner.forget_oldest();
        }
    }

    /// The changes in `range` after a revision, of whole commits, if all of them are here.
    pub(super) fn changes(&self, range: &KeyRange, after: Revision) -> Option<WatchBatch> {
        let inner = self.inner.lock();
        if after < inner.floor || after > inner.revision {
            return None;
        }
        let first = inner.events.partition_point(|event| event.revision() <= after);
        Some(batch(inner.events.range(first..), range, inner.revision))
    }
}

impl Inner {
    fn forget_oldest(&mut self) {
        let Some(floor) = self.events.front().map(Event::revision) else { return };
        self.floor = floor;
        while self.events.front().is_some_and(|event| event.revision() <= floor) {
            self.bytes -= self.events.pop_front().as_ref().map_or(0, bytes);
        }
    }
}

/// Those of `events` that are in the range, not too many at once.
fn batch<'a>(
    events: impl Iterator<Item = &'a Event>,
    range: &KeyRange,
    revision: Revision,
) -> WatchBatch {
    let mut collected = Collected::default();
    for event in events {
        if collected.is_full_before(event.revision()) {
            return collected.finish();
        }
        if range.contains(event.key()) {
            collected.add(event.clone());
        }
    }
    WatchBatch { events: collected.events, revision }
}

/// Events of whole commits, until they are many.
#[derive(Debug, Default)]
pub(super) struct Collected {
    events: Vec<Event>,
    bytes: usize,
}

impl Collected {
    /// Whether the batch is large enough to end before the commit of this revision.
    pub(super) fn is_full_before(&self, revision: Revision) -> bool {
        self.bytes >= BATCH_BYTES
            && self.events.last().is_some_and(|last| last.revision() < revision)
    }

    pub(super) fn add(&mut self, event: Event) {
        // An event takes more than its bytes.
        self.bytes += bytes(&event) + 64;
        self.events.push(event);
    }

    /// A batch that goes as far as the last event.
    pub(super) fn finish(self) -> WatchBatch {
        let revision = self.events.last().map(Event::revision).unwrap_or_default();
        WatchBatch { events: self.events, revision }
    }

    pub(super) fn into_events(self) -> Vec<Event> {
        self.events
    }
}

fn bytes(event: &Event) -> usize {
    let record = |record: &Record| record.key.as_bytes().len() + record.value.len();
    match event {
        Event::Put { record: written, previous } => {
            record(written) + previous.as_ref().map_or(0, record)
        }
        Event::Delete { previous, .. } => record(previous),
    }
}
