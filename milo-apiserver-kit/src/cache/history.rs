//! The recent changes of a kind, from which watchers catch up without asking the storage.

use std::{collections::VecDeque, ops, sync::Arc, time::Duration};

use milo_core::storage::Revision;
use tokio::time::Instant;

use super::change::Change;

/// How long changes are kept: a minute, which is how often watchers are told where they are, and
/// some more. What is older only the storage still knows.
const AGE: Duration = Duration::from_secs(75);
/// How many bytes of objects the changes may keep in memory. The last change is always kept.
const BYTES: usize = 64 * 1024 * 1024;
/// How many changes may be kept, as upstream.
const CHANGES: usize = 102_400;
/// How many of the changes keep their encoded lines: those that most watchers still have to read.
const FRAMES: usize = 256;

/// Changes in order, each with a sequence number.
#[derive(Debug)]
pub(super) struct History {
    changes: VecDeque<Kept>,
    /// The sequence number of the first one.
    first: u64,
    /// Every change after this revision is here.
    floor: Revision,
    bytes: usize,
    /// What ages are counted from.
    began: Instant,
}

#[derive(Debug)]
struct Kept {
    change: Arc<Change>,
    /// Seconds after the history began.
    second: u32,
}

impl Default for History {
    fn default() -> Self {
        Self {
            changes: VecDeque::new(),
            // Zero is before every change.
            first: 1,
            floor: Revision::ZERO,
            bytes: 0,
            began: Instant::now(),
        }
    }
}

impl History {
    /// Forgets everything up to `revision`. No sequence number is used again.
    pub(super) fn reset(&mut self, revision: Revision) {
        self.first = self.end() + 1;
        self.changes.clear();
        self.bytes = 0;
        self.floor = revision;
    }

    /// Adds a change. Its sequence number.
    pub(super) fn push(&mut self, change: Change) -> u64 {
        let sequence = self.end();
        self.bytes += change.size();
        self.changes.push_back(Kept { change: Arc::new(change), second: self.now() });
        while self.bytes > BYTES || self.changes.len() > CHANGES {
            if self.changes.len() == 1 {
                break;
            }
            self.forget_first();
        }
        let no_longer_recent = self.changes.len().checked_sub(FRAMES + 1);
        if let Some(kept) = no_longer_recent.and_then(|index| self.changes.get(index)) {
            kept.change.forget_frames();
        }
        sequence
    }

    /// Forgets what is old.
    pub(super) fn forget_old(&mut self) {
        let now = self.now();
        let is_old = |kept: &Kept| Duration::from_secs((now - kept.second).into()) > AGE;
        while self.changes.front().is_some_and(is_old) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(gone) = self.changes.pop_front() else { return };
        self.first += 1;
        self.floor = gone.change.revision();
        self.bytes -= gone.change.size();
    }

    fn now(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// The sequence number of the next change.
    pub(super) fn end(&self) -> u64 {
        self.first + self.changes.len() as u64
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Arc<Change>> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        Some(&self.changes.get(index)?.change)
    }

    /// The changes after a revision; none when not all of them are here.
    pub(super) fn after(&self, revision: Revision) -> Option<ops::Range<u64>> {
        if revision < self.floor {
            return None;
        }
        let read = self.changes.partition_point(|kept| kept.change.revision() <= revision);
        Some(self.first + read as u64..self.end())
    }
}
