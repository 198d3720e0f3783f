//! What both engines keep in memory: the current state, and which key changed at which revision.
//!
//! Values of the past are not here. A [`Change`] only says where the value log has them.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Event, Record, Revision,
    chunks::{Chunks, Entry, Slice},
};
use crate::key::{Key, KeyRange};

/// Where the log has a value: the commit that wrote it, and the how-many-th change it was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Position {
    pub(super) revision: Revision,
    pub(super) index: u32,
}

/// A change as it is planned, logged, applied and published.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) position: Position,
    pub(super) key: Key,
    /// None when the value was removed.
    pub(super) value: Option<Bytes>,
    pub(super) previous: Option<Entry>,
}

impl Row {
    /// What watchers are told. None for a removal of nothing, which is never planned.
    pub(super) fn event(&self) -> Option<Event> {
        let previous = self.previous.as_ref().map(Entry::record);
        let revision = self.position.revision;
        match &self.value {
            Some(value) => {
                let record = Record { key: self.key.clone(), revision, value: value.clone() };
                Some(Event::Put { record, previous })
            }
            None => Some(Event::Delete { revision, previous: previous? }),
        }
    }
}

/// A change within the history that is kept: 64 bytes, the key's bytes being shared.
#[derive(Clone, Debug)]
pub(super) struct Change {
    key: Key,
    revision: Revision,
    /// Zero when the key was absent.
    previous_revision: Revision,
    index: u32,
    previous_index: u32,
    deleted: bool,
}

impl Change {
    pub(super) fn new(
        key: Key,
        position: Position,
        previous: Option<Position>,
        deleted: bool,
    ) -> Self {
        let none = Position { revision: Revision::ZERO, index: 0 };
        let previous = previous.unwrap_or(none);
        Self {
            key,
            revision: position.revision,
            previous_revision: previous.revision,
            index: position.index,
            previous_index: previous.index,
            deleted,
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn position(&self) -> Position {
        Position { revision: self.revision, index: self.index }
    }

    /// The value that was replaced or removed.
    pub(super) fn previous(&self) -> Option<Position> {
        (self.previous_revision > Revision::ZERO)
            .then_some(Position { revision: self.previous_revision, index: self.previous_index })
    }

    pub(super) fn deleted(&self) -> bool {
        self.deleted
    }
}

/// The state of a store.
#[derive(Debug)]
pub(super) struct Index {
    live: Chunks,
    /// In commit order. Those at or below the floor only wait for their old values to be erased.
    changes: VecDeque<Change>,
    revision: Revision,
    floor: Revision,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            live: Chunks::default(),
            changes: VecDeque::new(),
            revision: Revision::FIRST,
            floor: Revision::ZERO,
        }
    }
}

impl Index {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn floor(&self) -> Revision {
        self.floor
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.live.get(key.as_bytes())
    }

    pub(super) fn slice(&self, range: &KeyRange, limit: usize) -> Slice {
        self.live.slice(range, limit)
    }

    /// Takes in the changes of a commit, or of several, up to `revision`.
    pub(super) fn apply(&mut self, rows: &[Row], revision: Revision) {
        for row in rows {
            let previous = row.previous.as_ref().map(|entry| entry.position);
            self.change(row.key.clone(), row.position, previous, row.value.clone());
        }
        self.revision = self.revision.max(revision);
    }

    fn change(
        &mut self,
        key: Key,
        position: Position,
        previous: Option<Position>,
        value: Option<Bytes>,
    ) {
        self.changes.push_back(Change::new(key.clone(), position, previous, value.is_none()));
        match value {
            Some(value) => self.live.insert(Entry { key, value, position }),
            None => self.live.remove(key.as_bytes()),
        }
    }

    /// Kept changes after a position, in commit order.
    pub(super) fn changes_after(&self, after: Position) -> impl Iterator<Item = &Change> {
        let start = self.changes.partition_point(|change| change.position() <= after);
        self.changes.range(start..)
    }

    /// Raises the floor, never beyond the newest revision. Returns whether it moved.
    pub(super) fn raise_floor(&mut self, floor: Revision) -> bool {
        let floor = floor.min(self.revision);
        let moved = floor > self.floor;
        self.floor = self.floor.max(floor);
        moved
    }

    /// The first changes at or below the floor.
    pub(super) fn expired(&self, limit: usize) -> impl Iterator<Item = &Change> {
        self.changes.iter().take(limit).take_while(|change| change.revision <= self.floor)
    }

    /// Drops the first changes, whose old values were erased.
    pub(super) fn forget(&mut self, count: usize) {
        self.changes.drain(..count.min(self.changes.len()));
        if self.changes.is_empty() {
            self.changes.shrink_to(1024);
        }
    }
}

/// What an engine needs that keeps a log on disk.
#[cfg(feature = "embedded")]
impl Index {
    /// One that was read back: `changes` in commit order.
    pub(super) fn restored(
        live: Chunks,
        changes: VecDeque<Change>,
        revision: Revision,
        floor: Revision,
    ) -> Self {
        Self { live, changes, revision, floor }
    }

    /// Whether any change is kept, be it only for its old value to be erased.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether raising the floor so far would let anything be erased.
    pub(super) fn has_changes_until(&self, floor: Revision) -> bool {
        self.changes.front().is_some_and(|change| change.revision <= floor)
    }
}
