//! Tells watchers of commits.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::mpsc::error::TrySendError;

use super::{Event, Revision, WatchBatch, WatchError, WatchSender, index::Row};
use crate::key::KeyRange;

/// Batches that a watcher may be behind before it is cut off: about a second at a thousand group
/// commits per second, all of them in its range.
pub(super) const CAPACITY: usize = 1024;

/// All watchers of a store. Its lock is held while a commit becomes visible, so whoever holds it
/// sees memory and watchers at the same revision.
#[derive(Debug, Default)]
pub(super) struct Hub {
    inner: Mutex<HubInner>,
}

#[derive(Debug, Default)]
pub(super) struct HubInner {
    watchers: HashMap<u64, Watcher>,
    revision: Revision,
    last_id: u64,
}

#[derive(Debug)]
enum Watcher {
    /// Is being told of the past by somebody else.
    CatchingUp {
        wants_progress: bool,
    },
    Live(Live),
}

#[derive(Debug)]
struct Live {
    range: KeyRange,
    sender: WatchSender,
    /// The revision of the last batch sent from here; zero before the first one.
    sent: Revision,
}

/// Keeps a watcher registered; dropping it ends the watch.
#[derive(Debug)]
pub(super) struct Registration {
    hub: Arc<Hub>,
    id: u64,
}

impl Registration {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Tells the watcher the newest revision, or has it told as soon as it has caught up.
    pub(super) fn progress(&self) {
        let mut hub = self.hub.inner.lock();
        let revision = hub.revision;
        let over = match hub.watchers.get_mut(&self.id) {
            Some(Watcher::Live(live)) => live.progress(revision).is_err(),
            Some(Watcher::CatchingUp { wants_progress }) => {
                *wants_progress = true;
                false
            }
            None => false,
        };
        if over {
            hub.watchers.remove(&self.id);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.hub.inner.lock().watchers.remove(&self.id);
    }
}

impl Hub {
    pub(super) fn new(revision: Revision) -> Self {
        Self { inner: Mutex::new(HubInner { revision, ..HubInner::default() }) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HubInner> {
        self.inner.lock()
    }

    /// Registers a watcher that has yet to catch up.
    pub(super) fn register(self: &Arc<Self>) -> Registration {
        let mut hub = self.inner.lock();
        hub.last_id += 1;
        let id = hub.last_id;
        hub.watchers.insert(id, Watcher::CatchingUp { wants_progress: false });
        drop(hub);
        Registration { hub: Arc::clone(self), id }
    }

    /// Feeds the watcher from now on, provided that it has been told everything up to the newest
    /// revision. Returns false when it has not, true also when it is gone.
    pub(super) fn go_live(
        &self,
        id: u64,
        range: &KeyRange,
        told: Revision,
        sender: &WatchSender,
    ) -> bool {
        let mut hub = self.inner.lock();
        if hub.revision != told {
            return false;
        }
        let wants_progress = match hub.watchers.get(&id) {
            Some(Watcher::CatchingUp { wants_progress }) => *wants_progress,
            Some(Watcher::Live(_)) | None => return true,
        };
        // What the watcher was told before may be older than `told`: a replay that found nothing
        // in the range last did not say so. Hence nothing counts as sent yet.
        let sent = Revision::ZERO;
        let mut live = Live { range: range.clone(), sender: sender.clone(), sent };
        if !wants_progress || live.send(Vec::new(), told).is_ok() {
            hub.watchers.insert(id, Watcher::Live(live));
        } else {
            hub.watchers.remove(&id);
        }
        true
    }

    /// Ends all watches.
    #[cfg(feature = "embedded")]
    pub(super) fn close(&self) {
        self.inner.lock().watchers.clear();
    }

    #[cfg(all(test, feature = "embedded"))]
    pub(super) fn watchers(&self) -> usize {
        self.inner.lock().watchers.len()
    }
}

impl HubInner {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Tells every watcher its part of the commits up to `revision`.
    pub(super) fn publish(&mut self, rows: &[Row], revision: Revision) {
        self.revision = revision;
        if self.watchers.is_empty() || rows.is_empty() {
            return;
        }
        let changes = Changes::new(rows);
        self.watchers.retain(|_, watcher| match watcher {
            Watcher::CatchingUp { .. } => true,
            Watcher::Live(live) => {
                let events = changes.within(&live.range);
                events.is_empty() || live.send(events, revision).is_ok()
            }
        });
    }
}

/// The watch is over.
struct Over;

impl Live {
    fn progress(&mut self, revision: Revision) -> Result<(), Over> {
        let unread = self.sender.capacity() < self.sender.max_capacity();
        if unread && self.sent == revision {
            // What waits to be read tells it already.
            return Ok(());
        }
        self.send(Vec::new(), revision)
    }

    /// The last place in the channel is kept for saying that the watcher was cut off.
    fn send(&mut self, events: Vec<Event>, revision: Revision) -> Result<(), Over> {
        let message = if self.sender.capacity() > 1 {
            Ok(WatchBatch { events, revision })
        } else {
            Err(WatchError::Lagged)
        };
        let cut = message.is_err();
        match self.sender.try_send(message) {
            Ok(()) if !cut => {
                self.sent = revision;
                Ok(())
            }
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Closed(_)) => Err(Over),
        }
    }
}

/// Changes in commit order, and their order by key.
struct Changes<'a> {
    rows: &'a [Row],
    by_key: Vec<usize>,
}

impl<'a> Changes<'a> {
    fn new(rows: &'a [Row]) -> Self {
        let mut by_key: Vec<usize> = (0..rows.len()).collect();
        by_key.sort_unstable_by(|a, b| rows[*a].key.cmp(&rows[*b].key));
        Self { rows, by_key }
    }

    fn within(&self, range: &KeyRange) -> Vec<Event> {
        let below = |limit: &[u8]| {
            self.by_key.partition_point(|index| self.rows[*index].key.as_bytes() < limit)
        };
        let start = below(range.start());
        let mut found: Vec<usize> = self.by_key[start..]
            .iter()
            .copied()
            .take_while(|index| range.contains(&self.rows[*index].key))
            .collect();
        found.sort_unstable();
        found.into_iter().filter_map(|index| self.rows[index].event()).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::key::GroupResource;

    #[test]
    fn progress_is_told_after_a_replay_that_found_nothing_last() {
        let (read, newest) = (Revision::new(65), Revision::new(66));
        let hub = Arc::new(Hub::new(newest));
        let range = KeyRange::resource(&GroupResource::new("g", "widgets")).unwrap();
        let registration = hub.register();
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        // The replay sends a batch, finds nothing up to the newest revision, and is done.
        sender.try_send(Ok(WatchBatch { events: Vec::new(), revision: read })).unwrap();
        assert!(hub.go_live(registration.id(), &range, newest, &sender));
        registration.progress();
        registration.progress();
        assert_eq!(receiver.try_recv().unwrap().unwrap().revision, read);
        assert_eq!(receiver.try_recv().unwrap().unwrap().revision, newest);
        assert!(receiver.try_recv().is_err(), "once is enough");
    }
}
