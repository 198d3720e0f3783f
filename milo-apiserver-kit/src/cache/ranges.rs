//! Who waits for which changes.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use milo_core::key::{Key, KeyRange};
use tokio::sync::watch;

use super::{filter::Seen, state::TooSlow};

/// How many changes a range may collect before a watcher that has read none of them is too slow.
const BACKLOG: usize = 4096;

/// The ranges that somebody watches.
#[derive(Debug, Default)]
pub(super) struct Ranges(HashMap<Name, Range>);

/// What a range is filed under: its prefix, or its single key, among what is seen by a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    seen: Option<Seen>,
    prefix: Bytes,
}

/// The watchers of one key range: they are woken for changes inside it and for nothing else.
#[derive(Debug)]
struct Range {
    /// Sequence numbers of the recent changes inside, oldest first.
    recent: VecDeque<u64>,
    /// How many have been dropped from the front of `recent`.
    dropped: u64,
    signal: watch::Sender<()>,
    /// The sequence number of the change that was signalled last.
    signalled: u64,
}

/// Ranges whose watchers have to be told of some changes, once it can be done without the lock.
#[derive(Debug)]
pub(super) struct Woken {
    /// The first of these changes.
    first: u64,
    signals: Vec<watch::Sender<()>>,
}

impl Ranges {
    /// Files a change under the ranges that it concerns: by the prefixes of its key, for those who
    /// see everything and for each tenant that sees it.
    pub(super) fn tell(&mut self, key: &Key, seen: Vec<Seen>, sequence: u64, woken: &mut Woken) {
        if self.0.is_empty() {
            return;
        }
        let [resource, scope, namespace] = prefixes(key);
        for seen in std::iter::once(None).chain(seen.into_iter().map(Some)) {
            for prefix in [&resource, &scope, &namespace, &key.to_bytes()] {
                let name = Name { seen: seen.clone(), prefix: prefix.clone() };
                let Some(range) = self.0.get_mut(&name) else { continue };
                if range.signal.is_closed() {
                    self.0.remove(&name);
                    continue;
                }
                range.recent.push_back(sequence);
                if range.recent.len() > BACKLOG {
                    range.recent.pop_front();
                    range.dropped += 1;
                }
                if range.signalled < woken.first {
                    woken.signals.push(range.signal.clone());
                }
                range.signalled = sequence;
            }
        }
    }

    /// The position after all changes of a range, and what tells of further ones.
    pub(super) fn join(
        &mut self,
        range: &KeyRange,
        seen: Option<&Seen>,
    ) -> (u64, watch::Receiver<()>) {
        let entry = self.0.entry(Name::of(range, seen)).or_insert_with(|| Range {
            recent: VecDeque::new(),
            dropped: 0,
            signal: watch::Sender::new(()),
            signalled: 0,
        });
        (entry.dropped + entry.recent.len() as u64, entry.signal.subscribe())
    }

    /// The sequence numbers of the changes of a range from a position on.
    pub(super) fn from(
        &self,
        range: &KeyRange,
        seen: Option<&Seen>,
        position: u64,
    ) -> Result<impl Iterator<Item = u64>, TooSlow> {
        let range = self.0.get(&Name::of(range, seen)).ok_or(TooSlow)?;
        let skip = position.checked_sub(range.dropped).ok_or(TooSlow)?;
        let skip = usize::try_from(skip).map_err(|_| TooSlow)?;
        Ok(range.recent.range(skip.min(range.recent.len())..).copied())
    }

    /// Forgets ranges that nobody watches any more.
    pub(super) fn forget_idle(&mut self) {
        self.0.retain(|_, range| !range.signal.is_closed());
    }

    /// Tells every watcher that its range is gone, by dropping the signals.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Name {
    fn of(range: &KeyRange, seen: Option<&Seen>) -> Self {
        Self { seen: seen.cloned(), prefix: range.start().clone() }
    }
}

impl Woken {
    /// For the changes from this sequence number on.
    pub(super) fn after(first: u64) -> Self {
        Self { first, signals: Vec::new() }
    }

    /// Tells the watchers.
    pub(super) fn tell(self) {
        for signal in self.signals {
            signal.send_replace(());
        }
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
