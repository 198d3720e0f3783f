//! The state behind a cache: current objects, recent changes, and who waits for which of them.

use std::{
    collections::{BTreeMap, HashMap},
    ops,
    sync::Arc,
};

use milo_core::{
    definition::ResourceDefinition,
    key::{Key, KeyRange},
    storage::Revision,
};
use tokio::sync::watch;

use super::{
    cached::{CorruptObject, Shared},
    change::Change,
    filter::Seen,
    history::History,
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
    /// The objects that each tenant sees, of kinds that are seen from where they do not live.
    seen: HashMap<Seen, Objects>,
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
    objects: Objects,
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
        let mut seen: HashMap<Seen, Vec<Shared>> = HashMap::new();
        for object in &objects {
            for tenant in Seen::of(object, definition) {
                seen.entry(tenant).or_default().push(object.clone());
            }
        }
        self.seen = seen.into_iter().map(|(s, all)| (s, Objects::from_sorted(all))).collect();
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
        let before = previous.iter().flat_map(|object| Seen::of(object, definition));
        let mut seen: Vec<Seen> = before.collect();
        for seen in &seen {
            if let Some(objects) = self.seen.get_mut(seen) {
                objects.remove(key);
                if objects.is_empty() {
                    self.seen.remove(seen);
                }
            }
        }
        if let Some(object) = &current {
            for now in Seen::of(object, definition) {
                self.seen.entry(now.clone()).or_default().insert(object.clone());
                if !seen.contains(&now) {
                    seen.push(now);
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

    /// Forgets ranges that nobody watches any more, and changes that are old.
    pub(super) fn tidy(&mut self) {
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

    /// How many tenants have objects.
    #[cfg(test)]
    pub(super) fn tenants(&self) -> usize {
        self.seen.len()
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

    /// What `seen` sees now.
    pub(super) fn now(&self, seen: Option<&Seen>) -> Moment {
        let objects = match seen {
            None => self.objects.clone(),
            Some(seen) => self.seen.get(seen).cloned().unwrap_or_default(),
        };
        Moment { objects, since: Vec::new(), past: false }
    }

    /// What `seen` saw of a range at a revision; none when that is not known here.
    pub(super) fn at(
        &self,
        range: &KeyRange,
        seen: Option<&Seen>,
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
        if past && !self.is_readable_since(range, seen, since.clone()) {
            return None;
        }
        let changes = since.rev().filter_map(|sequence| self.history.get(sequence));
        let concerned = |change: &&Arc<Change>| change.key().is_some_and(|key| range.contains(key));
        let since = changes.filter(concerned).cloned().collect();
        Some(Moment { since, past, ..self.now(seen) })
    }

    /// Whether everything in a range can be read now and could be during these changes.
    fn is_readable_since(
        &self,
        range: &KeyRange,
        seen: Option<&Seen>,
        mut since: ops::Range<u64>,
    ) -> bool {
        let corrupt = |sequence| self.history.get(sequence).is_some_and(|c| c.is_of_corruption());
        self.corrupt(range, seen).is_none() && !since.any(corrupt)
    }
}

impl Moment {
    /// Whether it may be a state that is over.
    pub(super) fn is_past(&self) -> bool {
        self.past
    }

    /// The objects of a range, which must be one that the moment was made for.
    pub(super) fn walk(
        mut self,
        range: &KeyRange,
        seen: Option<&Seen>,
        definition: &ResourceDefinition,
    ) -> Walk {
        let sees = |object: &&Shared| {
            seen.is_none_or(|seen| Seen::of(object, definition).any(|other| other == *seen))
        };
        for change in self.since {
            let (previous, _) = change.both();
            match previous.filter(sees) {
                Some(object) => {
                    self.objects.insert(object.clone());
                }
                None => {
                    if let Some(key) = change.key() {
                        self.objects.remove(key);
                    }
                }
            }
        }
        self.objects.walk(range)
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
