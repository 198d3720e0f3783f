//! The state behind a cache: current objects, recent changes, and who waits for which of them.

use std::{collections::BTreeMap, ops, sync::Arc};

use milo_core::{
    definition::ResourceDefinition,
    key::{Key, KeyRange},
    storage::Revision,
};
use tokio::sync::watch;

use super::{
    attribute::{Attribute, Filing},
    cached::{CorruptObject, Shared},
    change::Change,
    filter::Seen,
    history::History,
    indexes::Indexes,
    objects::{Objects, Walk},
    ranges::{Ranges, Woken},
};

/// A watcher reads changes of so many bytes at a time, but at least one commit. What it has not
/// read it does not keep in memory.
const READ_BYTES: usize = 64 * 1024;
/// How many changes are looked at for it meanwhile.
const READ_CHANGES: usize = 1024;
/// A state from before at most so many changes is made from the current one. The storage knows
/// older ones.
const UNDO: usize = 4096;

/// See the module documentation. All access is under one lock, held for short and bounded work.
#[derive(Debug, Default)]
pub(super) struct State {
    objects: Objects,
    indexes: Indexes,
    /// What is stored and cannot be read: normally nothing.
    corrupt: BTreeMap<Key, Arc<CorruptObject>>,
    /// Everything up to here has been applied.
    pub(super) revision: Revision,
    history: History,
    ranges: Ranges,
    /// Counts resets: a cursor of an earlier life must not read in this one.
    life: u64,
}

/// A watcher's place in the changes of a range.
#[derive(Debug)]
pub(crate) struct Cursor {
    range: KeyRange,
    seen: Option<Seen>,
    life: u64,
    /// Sequence numbers of changes from before the place was taken that are still to be looked at.
    past: ops::Range<u64>,
    /// The position in the range's own changes.
    next: u64,
    /// There is more to read at once.
    behind: bool,
    signal: watch::Receiver<()>,
}

/// The watcher did not keep up: what it should read next is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooSlow;

/// What a range holds at a moment; to be walked over without the lock.
pub(super) struct Moment {
    /// All objects, or those that are filed by what they are asked for by.
    objects: Objects,
    filed_under: Option<Filing>,
    /// Changes since then that have to be undone, the last one first.
    since: Vec<Arc<Change>>,
    /// Whether anything has changed since, here or elsewhere.
    past: bool,
}

impl State {
    /// Takes over a complete listing in key order. Whoever watched must start again.
    pub(super) fn reset(
        &mut self,
        objects: Vec<Shared>,
        corrupt: Vec<CorruptObject>,
        revision: Revision,
        definition: &ResourceDefinition,
    ) {
        self.indexes = Indexes::of(&objects, definition);
        self.objects = Objects::from_sorted(objects);
        let corrupt = corrupt.into_iter().map(|error| (error.key().clone(), Arc::new(error)));
        self.corrupt = corrupt.collect();
        self.revision = revision;
        self.history.reset(revision);
        self.ranges.clear();
        self.life += 1;
    }

    /// Applies one change: what is stored at a key from now on, if anything is.
    pub(super) fn apply(
        &mut self,
        key: &Key,
        revision: Revision,
        stored: Result<Option<Shared>, CorruptObject>,
        definition: &ResourceDefinition,
        woken: &mut Woken,
    ) {
        let unread = self.corrupt.remove(key);
        let (current, corrupt) = match stored {
            Ok(current) => (current, None),
            Err(error) => (None, Some(Arc::new(error))),
        };
        let previous = match &current {
            Some(object) => self.objects.insert(object.clone()),
            None => self.objects.remove(key),
        };
        self.corrupt.extend(corrupt.clone().map(|error| (key.clone(), error)));
        let change = match (&current, corrupt.or_else(|| unread.clone())) {
            (None, Some(error)) => Change::corrupted(revision, error, previous.clone()),
            (None, None) if previous.is_none() => return,
            (Some(object), _) if unread.is_some() => Change::repaired(revision, object.clone()),
            _ => Change::new(revision, current.clone(), previous.clone()),
        };
        self.indexes.replace(previous.as_ref(), current.as_ref());
        // The tenants that see it, before or after.
        let mut seen: Vec<Seen> = Vec::new();
        for object in previous.iter().chain(&current) {
            for tenant in Seen::of(object, definition) {
                if !seen.contains(&tenant) {
                    seen.push(tenant);
                }
            }
        }
        let sequence = self.history.push(change);
        self.ranges.tell(key, seen, sequence, woken);
    }

    /// What collects the signals of the changes to come.
    pub(super) fn waking(&self) -> Woken {
        Woken::after(self.history.end())
    }

    /// A place after everything that has been applied to what `seen` sees of `range`.
    pub(super) fn cursor(&mut self, range: &KeyRange, seen: Option<&Seen>) -> Cursor {
        let (next, signal) = self.ranges.join(range, seen);
        Cursor {
            range: range.clone(),
            seen: seen.cloned(),
            life: self.life,
            past: 0..0,
            next,
            behind: false,
            signal,
        }
    }

    /// A place after everything that has been applied up to `revision`; none when what came then
    /// is no longer all here.
    pub(super) fn cursor_after(
        &mut self,
        range: &KeyRange,
        seen: Option<&Seen>,
        revision: Revision,
    ) -> Option<Cursor> {
        let past = self.history.after(revision)?;
        let behind = !past.is_empty();
        Some(Cursor { past, behind, ..self.cursor(range, seen) })
    }

    /// Forgets ranges that nobody watches any more, changes that are old, and what objects need
    /// not be filed by.
    pub(super) fn tidy(&mut self) {
        self.indexes.tidy();
        self.ranges.forget_idle();
        self.history.forget_old();
    }

    /// The next changes that a cursor has not seen yet: whole commits, though not all of them.
    pub(super) fn read(&self, cursor: &mut Cursor) -> Result<Vec<Arc<Change>>, TooSlow> {
        if cursor.life != self.life {
            return Err(TooSlow);
        }
        let recent = self.ranges.from(&cursor.range, cursor.seen.as_ref(), cursor.next)?;
        let recent = recent.map(|sequence| (sequence, false));
        let past = cursor.past.clone().map(|sequence| (sequence, true));
        let mut changes = Vec::new();
        let (mut bytes, mut last) = (0, Revision::ZERO);
        cursor.behind = false;
        for (looked, (sequence, is_past)) in past.chain(recent).enumerate() {
            let change = self.history.get(sequence).ok_or(TooSlow)?;
            let enough = bytes >= READ_BYTES || looked >= READ_CHANGES;
            if enough && change.revision() != last {
                cursor.behind = true;
                break;
            }
            last = change.revision();
            if is_past {
                cursor.past.start += 1;
            } else {
                cursor.next += 1;
            }
            // What comes from the past is of anybody; the filter sees to the tenant.
            if !is_past || change.key().is_some_and(|key| cursor.range.contains(key)) {
                bytes += change.size();
                changes.push(change.clone());
            }
        }
        Ok(changes)
    }

    /// By how many attributes objects are filed.
    #[cfg(test)]
    pub(super) fn indexes(&self) -> usize {
        self.indexes.count()
    }

    /// Something in a range that cannot be read. What a tenant sees it is not part of: nobody can
    /// say whose it is, and it must not keep all others from what is theirs.
    pub(super) fn corrupt(
        &self,
        range: &KeyRange,
        seen: Option<&Seen>,
    ) -> Option<&Arc<CorruptObject>> {
        let mut corrupt = self.corrupt.iter().filter(|_| seen.is_none());
        corrupt.find(|(key, _)| range.contains(key)).map(|(_, error)| error)
    }

    /// Notes that a selection had to look at many objects in vain. See [`Indexes::wants`].
    pub(super) fn wants_index(&mut self, filings: &[Filing]) -> Option<Attribute> {
        self.indexes.wants(filings)
    }

    /// All objects, when it is (see [`State::add_index`]) and which life of the cache.
    pub(super) fn to_index(&self) -> (Objects, Revision, u64) {
        (self.objects.clone(), self.revision, self.life)
    }

    /// Takes over objects that were filed by an attribute as they were at a revision. Not when too
    /// much has happened since.
    pub(super) fn add_index(&mut self, mut filed: Objects, revision: Revision, life: u64) {
        let since = self.history.after(revision).filter(|_| life == self.life);
        let Some(since) = since.filter(|since| since.end - since.start <= UNDO as u64) else {
            return;
        };
        for change in since.filter_map(|sequence| self.history.get(sequence)) {
            let (previous, current) = change.both();
            filed.replace(previous, current);
        }
        self.indexes.add(filed);
    }

    /// What a range holds now of what is filed under all of `filings`, and maybe more.
    pub(super) fn now(&self, range: &KeyRange, filings: &[Filing]) -> Moment {
        let (objects, filed_under) = match self.indexes.narrowest(filings, range) {
            Some((objects, filing)) => (objects, Some(filing.clone())),
            None => (&self.objects, None),
        };
        Moment { objects: objects.clone(), filed_under, since: Vec::new(), past: false }
    }

    /// What a range held at a revision; none when that is not known here.
    pub(super) fn at(
        &self,
        range: &KeyRange,
        filings: &[Filing],
        revision: Revision,
    ) -> Option<Moment> {
        if revision > self.revision {
            return None;
        }
        let since = self.history.after(revision)?;
        if since.end - since.start > UNDO as u64 {
            return None;
        }
        let past = !since.is_empty();
        let changes = since.rev().filter_map(|sequence| self.history.get(sequence));
        let concerned = |change: &&Arc<Change>| change.key().is_some_and(|key| range.contains(key));
        let since = changes.filter(concerned).cloned().collect();
        Some(Moment { since, past, ..self.now(range, filings) })
    }

    /// Whether everything in a range can be read now and could be at a revision and ever since, or
    /// that revision is the present or not known here.
    pub(super) fn is_readable_since(&self, range: &KeyRange, revision: Revision) -> bool {
        let Some(mut since) = self.history.after(revision).filter(|since| !since.is_empty()) else {
            return true;
        };
        let corrupt = |sequence| self.history.get(sequence).is_some_and(|c| c.is_of_corruption());
        self.corrupt(range, None).is_none() && !since.any(corrupt)
    }
}

impl Moment {
    /// Whether it may be a state that is over.
    pub(super) fn is_past(&self) -> bool {
        self.past
    }

    /// Whether only objects that are filed under one of the filings asked for are in it.
    pub(super) fn is_filed(&self) -> bool {
        self.filed_under.is_some()
    }

    /// The objects of a range, which must be the one that the moment was made for.
    pub(super) fn walk(mut self, range: &KeyRange) -> Walk {
        for change in self.since {
            let (previous, current) = change.both();
            self.objects.replace(current, previous);
        }
        let value = self.filed_under.as_ref().map_or("", |filing| &filing.value);
        self.objects.walk_filed(value, range)
    }
}

impl Cursor {
    /// Whether the last read left something to read.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether there may be something to read that was not there before.
    #[cfg(test)]
    pub(super) fn is_signalled(&mut self) -> bool {
        let signalled = self.signal.has_changed().unwrap();
        self.signal.mark_unchanged();
        signalled
    }

    /// Waits until there may be something to read.
    ///
    /// # Errors
    /// When the range is gone, because the cache was built anew.
    pub(crate) async fn changed(&mut self) -> Result<(), TooSlow> {
        if self.behind {
            return Ok(());
        }
        self.signal.changed().await.map_err(|_| TooSlow)
    }
}
