//! The state behind a cache: current objects, recent changes, and who waits for which of them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops,
    sync::Arc,
};

use bytes::Bytes;
use milo_core::{
    key::{Key, KeyRange},
    storage::Revision,
};
use tokio::sync::watch;

use super::{cached::Shared, change::Change};

/// How many changes are kept for watchers to catch up from without asking the storage.
const HISTORY: usize = 8192;
/// How many bytes of objects these changes may keep in memory. The last change is always kept.
const HISTORY_BYTES: usize = 64 * 1024 * 1024;
/// How many of the changes keep their encoded lines: those that most watchers still have to read.
const FRAMES: usize = 256;
/// How many changes a range may collect before a watcher that has read none of them is too slow.
const BACKLOG: usize = 4096;
/// A watcher reads changes of so many bytes at a time, but at least one commit. What it has not
/// read it does not keep in memory.
const READ_BYTES: usize = 64 * 1024;
/// How many changes are looked at for it meanwhile.
const READ_CHANGES: usize = 1024;

/// See the module documentation. All access is under one lock, held for short and bounded work.
#[derive(Debug, Default)]
pub(super) struct State {
    objects: BTreeMap<Key, Shared>,
    /// Number of objects below each range prefix that holds any.
    counts: HashMap<Bytes, u64>,
    /// Everything up to here has been applied.
    pub(super) revision: Revision,
    /// The last change of this resource.
    pub(super) changed: Revision,
    /// Recent changes; the first one has the sequence number `oldest`.
    history: VecDeque<Arc<Change>>,
    /// Their bytes.
    history_bytes: usize,
    oldest: u64,
    /// Every change after this revision is in `history`.
    floor: Revision,
    ranges: HashMap<Bytes, Range>,
    /// Counts resets: a cursor of an earlier life must not read in this one.
    life: u64,
}

/// The watchers of one key range: they are woken for changes inside it and for nothing else.
#[derive(Debug)]
struct Range {
    /// Sequence numbers of the recent changes inside, oldest first.
    recent: VecDeque<u64>,
    /// How many have been dropped from the front of `recent`.
    dropped: u64,
    signal: watch::Sender<()>,
}

/// A watcher's place in the changes of a range.
#[derive(Debug)]
pub(crate) struct Cursor {
    range: KeyRange,
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

impl State {
    /// Takes over a complete listing. Whoever watched must start again.
    pub(super) fn reset(&mut self, objects: BTreeMap<Key, Shared>, revision: Revision) {
        self.counts.clear();
        for key in objects.keys() {
            for prefix in prefixes(key) {
                *self.counts.entry(prefix).or_default() += 1;
            }
        }
        self.changed = revision;
        self.objects = objects;
        self.revision = revision;
        self.oldest += self.history.len() as u64 + 1;
        self.history.clear();
        self.history_bytes = 0;
        self.floor = revision;
        // Dropping the signals tells every watcher that its range is gone.
        self.ranges.clear();
        self.life += 1;
    }

    /// Applies one change.
    pub(super) fn apply(&mut self, key: &Key, revision: Revision, current: Option<Shared>) {
        let previous = match &current {
            Some(object) => self.objects.insert(key.clone(), object.clone()),
            None => self.objects.remove(key),
        };
        if current.is_none() && previous.is_none() {
            return;
        }
        let prefixes = prefixes(key);
        match (&previous, &current) {
            (None, Some(_)) => {
                for prefix in prefixes.clone() {
                    *self.counts.entry(prefix).or_default() += 1;
                }
            }
            (Some(_), None) => {
                for prefix in prefixes.clone() {
                    if let Some(count) = self.counts.get_mut(&prefix) {
                        *count -= 1;
                        if *count == 0 {
                            self.counts.remove(&prefix);
                        }
                    }
                }
            }
            _ => {}
        }
        let sequence = self.oldest + self.history.len() as u64;
        self.remember(Change::new(revision, current, previous));
        self.changed = revision;
        self.tell(key, prefixes, sequence);
    }

    fn remember(&mut self, change: Change) {
        self.history_bytes += change.size();
        self.history.push_back(Arc::new(change));
        let too_much =
            |state: &Self| state.history.len() > HISTORY || state.history_bytes > HISTORY_BYTES;
        while self.history.len() > 1
            && too_much(self)
            && let Some(gone) = self.history.pop_front()
        {
            self.oldest += 1;
            self.floor = gone.revision();
            self.history_bytes -= gone.size();
        }
        let no_longer_recent = self.history.len().checked_sub(FRAMES + 1);
        if let Some(change) = no_longer_recent.and_then(|index| self.history.get(index)) {
            change.forget_frames();
        }
    }

    fn tell(&mut self, key: &Key, prefixes: [Bytes; 3], sequence: u64) {
        if self.ranges.is_empty() {
            return;
        }
        for prefix in prefixes.into_iter().chain([key.to_bytes()]) {
            let Some(range) = self.ranges.get_mut(&prefix) else { continue };
            if range.signal.is_closed() {
                self.ranges.remove(&prefix);
                continue;
            }
            range.recent.push_back(sequence);
            if range.recent.len() > BACKLOG {
                range.recent.pop_front();
                range.dropped += 1;
            }
            range.signal.send_replace(());
        }
    }

    /// A place after everything that has been applied to `range`.
    pub(super) fn cursor(&mut self, range: &KeyRange) -> Cursor {
        let entry = self.ranges.entry(range_name(range)).or_insert_with(|| Range {
            recent: VecDeque::new(),
            dropped: 0,
            signal: watch::Sender::new(()),
        });
        Cursor {
            range: range.clone(),
            life: self.life,
            past: 0..0,
            next: entry.dropped + entry.recent.len() as u64,
            behind: false,
            signal: entry.signal.subscribe(),
        }
    }

    /// A place after everything that has been applied to `range` up to `revision`; none when what
    /// came then is no longer all here.
    pub(super) fn cursor_after(&mut self, range: &KeyRange, revision: Revision) -> Option<Cursor> {
        if revision < self.floor {
            return None;
        }
        let read = self.history.partition_point(|change| change.revision() <= revision);
        let past = self.oldest + read as u64..self.oldest + self.history.len() as u64;
        let behind = !past.is_empty();
        Some(Cursor { past, behind, ..self.cursor(range) })
    }

    /// Forgets ranges that nobody watches any more.
    pub(super) fn forget_idle_ranges(&mut self) {
        self.ranges.retain(|_, range| !range.signal.is_closed());
    }

    /// The next changes that a cursor has not seen yet: whole commits, though not all of them.
    pub(super) fn read(&self, cursor: &mut Cursor) -> Result<Vec<Arc<Change>>, TooSlow> {
        if cursor.life != self.life {
            return Err(TooSlow);
        }
        let range = self.ranges.get(cursor.range.start()).ok_or(TooSlow)?;
        let skip = cursor.next.checked_sub(range.dropped).ok_or(TooSlow)?;
        let skip = usize::try_from(skip).map_err(|_| TooSlow)?;
        let past = cursor.past.clone().map(|sequence| (sequence, true));
        let recent = range.recent.iter().skip(skip).map(|&sequence| (sequence, false));
        let mut changes = Vec::new();
        let (mut bytes, mut last) = (0, Revision::ZERO);
        cursor.behind = false;
        for (looked, (sequence, is_past)) in past.chain(recent).enumerate() {
            let change = self.change(sequence).ok_or(TooSlow)?;
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
            if !is_past || change.key().is_some_and(|key| cursor.range.contains(key)) {
                bytes += change.size();
                changes.push(change.clone());
            }
        }
        Ok(changes)
    }

    fn change(&self, sequence: u64) -> Option<&Arc<Change>> {
        let index = usize::try_from(sequence.checked_sub(self.oldest)?).ok()?;
        self.history.get(index)
    }

    /// The first objects of a range, in key order.
    pub(super) fn first(&self, range: &KeyRange, limit: usize) -> Vec<Shared> {
        let mut objects = Vec::with_capacity(limit.min(1024));
        objects.extend(self.objects(range).take(limit).cloned());
        objects
    }

    fn objects(&self, range: &KeyRange) -> impl Iterator<Item = &Shared> {
        let start = Key::from_storage(range.start().clone());
        let end = Key::from_storage(range.end().clone());
        self.objects.range(start..end).map(|(_, object)| object)
    }

    /// How many objects a range holds. Quick for the ranges that requests name.
    pub(super) fn count(&self, range: &KeyRange) -> u64 {
        let name = range_name(range);
        if name.ends_with(b"/") {
            return self.counts.get(&name).copied().unwrap_or(0);
        }
        self.objects(range).count() as u64
    }
}

impl Cursor {
    /// Whether the last read left something to read.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
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

/// The prefixes of the ranges that hold a key: the resource, the scope, the namespace.
fn prefixes(key: &Key) -> [Bytes; 3] {
    let bytes = key.to_bytes();
    let mut slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let mut prefix = |nth: usize| bytes.slice(..slashes.nth(nth).map_or(bytes.len(), |at| at + 1));
    // `/group/resource/`, `/group/resource/scope/`, `/group/resource/scope/namespace/`
    [prefix(2), prefix(0), prefix(0)]
}

/// What a range is filed under: its prefix, or its single key.
fn range_name(range: &KeyRange) -> Bytes {
    range.start().clone()
}
