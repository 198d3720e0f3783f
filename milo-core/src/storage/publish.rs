//! Tells watchers of commits.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc::error::TrySendError};

use super::{Event, Revision, WatchBatch, WatchError, WatchSender, index::Row};
use crate::key::{Key, KeyRange};

/// Batches that a watcher may be behind before it is cut off: about a second at a thousand group
/// commits per second, all of them in its range.
pub(super) const CAPACITY: usize = 1024;

/// A change that watchers are told of.
pub(super) trait Change {
    fn key(&self) -> &Key;
    fn revision(&self) -> Revision;
    /// None for a change of nothing.
    fn event(&self) -> Option<Event>;
}

impl Change for Row {
    fn key(&self) -> &Key {
        &self.key
    }

    fn revision(&self) -> Revision {
        self.position.revision
    }

    fn event(&self) -> Option<Event> {
        self.event()
    }
}

impl Change for Event {
    fn key(&self) -> &Key {
        self.key()
    }

    fn revision(&self) -> Revision {
        self.revision()
    }

    fn event(&self) -> Option<Event> {
        Some(self.clone())
    }
}

/// All watchers of a store. Its lock is held while a commit becomes visible, so whoever holds it
/// sees memory and watchers at the same revision.
#[derive(Debug, Default)]
pub(super) struct Hub {
    inner: Mutex<HubInner>,
    /// Wakes the one that follows a store elsewhere, when a watcher wants to know how far that is.
    /// None when the hub itself is always as far as the store.
    follower: Option<Arc<Notify>>,
}

#[derive(Debug, Default)]
pub(super) struct HubInner {
    watchers: HashMap<u64, Watcher>,
    revision: Revision,
    last_id: u64,
    /// Questions of how far the store is, counted.
    asked: u64,
    /// How many of them have been answered.
    answered: u64,
    /// Why nothing is heard of the store, while that is so.
    lost: Option<Lost>,
}

/// A store elsewhere cannot be followed for now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("changes cannot be followed: {0}")]
pub(super) struct Lost(pub(super) Arc<str>);

#[derive(Debug)]
enum Watcher {
    /// Is being told of the past by somebody else.
    CatchingUp {
        asked: Option<u64>,
    },
    Live(Live),
}

#[derive(Debug)]
struct Live {
    range: KeyRange,
    sender: WatchSender,
    /// The watcher knows everything up to here, though the hub may not.
    after: Revision,
    /// The revision of the last batch sent from here; zero before the first one.
    sent: Revision,
    /// The number of a question that is still to be answered.
    asked: Option<u64>,
}

/// Whether a watcher is fed from now on.
#[derive(Debug)]
pub(super) enum GoLive {
    /// It must be told more of the past first.
    Behind,
    /// It is, or it is gone.
    Done,
    /// It cannot be: nobody knows what happens now.
    Lost(WatchError),
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

    /// Tells the watcher the newest revision, or has it told as soon as that is known and the
    /// watcher has caught up.
    pub(super) fn progress(&self) {
        let mut hub = self.hub.inner.lock();
        hub.asked += 1;
        let number = hub.asked;
        match hub.watchers.get_mut(&self.id) {
            Some(Watcher::CatchingUp { asked }) => *asked = Some(number),
            Some(Watcher::Live(live)) => live.asked = Some(number),
            None => return,
        }
        match &self.hub.follower {
            Some(follower) => follower.notify_one(),
            None => hub.answer_one(self.id),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.hub.inner.lock().watchers.remove(&self.id);
    }
}

impl Hub {
    /// The hub of a store whose commits are published here before anybody can know of them.
    pub(super) fn new(revision: Revision) -> Self {
        Self { inner: Mutex::new(HubInner { revision, ..HubInner::default() }), follower: None }
    }

    /// The hub of a store elsewhere. `follower` is woken when a watcher wants to know how far that
    /// is; the answer comes through [`HubInner::answer`].
    #[cfg(any(feature = "etcd", feature = "postgres"))]
    pub(super) fn following(revision: Revision, follower: Arc<Notify>) -> Self {
        Self { follower: Some(follower), ..Self::new(revision) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HubInner> {
        self.inner.lock()
    }

    /// Registers a watcher that has yet to catch up.
    pub(super) fn register(self: &Arc<Self>) -> Registration {
        let mut hub = self.inner.lock();
        hub.last_id += 1;
        let id = hub.last_id;
        hub.watchers.insert(id, Watcher::CatchingUp { asked: None });
        drop(hub);
        Registration { hub: Arc::clone(self), id }
    }

    /// Feeds the watcher from now on, provided that it has been told everything that the hub was
    /// told.
    pub(super) fn go_live(
        &self,
        id: u64,
        range: &KeyRange,
        told: Revision,
        sender: &WatchSender,
    ) -> GoLive {
        let mut hub = self.inner.lock();
        if let Some(lost) = &hub.lost {
            let error = WatchError::Unavailable(lost.clone().into());
            hub.watchers.remove(&id);
            return GoLive::Lost(error);
        }
        if told < hub.revision {
            return GoLive::Behind;
        }
        let asked = match hub.watchers.get(&id) {
            Some(Watcher::CatchingUp { asked }) => *asked,
            Some(Watcher::Live(_)) | None => return GoLive::Done,
        };
        // What the watcher was told before may be older than `told`: a replay that found nothing
        // in the range last did not say so. Hence nothing counts as sent yet.
        let sent = Revision::ZERO;
        let (range, sender) = (range.clone(), sender.clone());
        let live = Live { range, sender, after: told, sent, asked };
        hub.watchers.insert(id, Watcher::Live(live));
        if self.follower.is_none() || asked.is_some_and(|number| number <= hub.answered) {
            hub.answer_one(id);
        }
        GoLive::Done
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
    pub(super) fn publish(&mut self, changes: &[impl Change], revision: Revision) {
        self.revision = revision;
        if self.watchers.is_empty() || changes.is_empty() {
            return;
        }
        let changes = Changes::new(changes);
        self.watchers.retain(|_, watcher| match watcher {
            Watcher::CatchingUp { .. } => true,
            Watcher::Live(live) => {
                let events = changes.within(&live.range, live.after);
                events.is_empty() || live.send(events, revision).is_ok()
            }
        });
    }

    /// Tells one watcher the newest revision, if it has asked and is live.
    fn answer_one(&mut self, id: u64) {
        let revision = self.revision;
        if let Some(Watcher::Live(live)) = self.watchers.get_mut(&id)
            && live.asked.take().is_some()
            && live.progress(revision).is_err()
        {
            self.watchers.remove(&id);
        }
    }
}

/// What a hub needs that follows a store elsewhere.
#[cfg(any(feature = "etcd", feature = "postgres"))]
impl HubInner {
    /// How many questions have been asked: the newest revision that the store tells to somebody
    /// who asks it afterwards answers them all.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// Answers the first `asked` questions with the revision that has been published.
    pub(super) fn answer(&mut self, asked: u64) {
        self.answered = self.answered.max(asked);
        let revision = self.revision;
        self.watchers.retain(|_, watcher| match watcher {
            Watcher::Live(live) if live.asked.is_some_and(|number| number <= asked) => {
                live.asked = None;
                live.progress(revision).is_ok()
            }
            _ => true,
        });
    }

    /// Ends all live watches, and all that would become live, until the store is found again.
    pub(super) fn lose(&mut self, lost: &Lost) {
        self.lost = Some(lost.clone());
        self.watchers.retain(|_, watcher| match watcher {
            Watcher::CatchingUp { .. } => true,
            Watcher::Live(live) => {
                // The last place in the channel is kept for this.
                let error = WatchError::Unavailable(lost.clone().into());
                let _gone = live.sender.try_send(Err(error));
                false
            }
        });
    }

    /// Watches may start again: whatever comes after `revision` will be published.
    pub(super) fn find(&mut self, revision: Revision) {
        self.revision = revision;
        self.lost = None;
    }

    pub(super) fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }
}

/// The watch is over.
struct Over;

impl Live {
    fn progress(&mut self, revision: Revision) -> Result<(), Over> {
        let revision = revision.max(self.after);
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
struct Changes<'a, C> {
    all: &'a [C],
    by_key: Vec<usize>,
}

impl<'a, C: Change> Changes<'a, C> {
    fn new(all: &'a [C]) -> Self {
        let mut by_key: Vec<usize> = (0..all.len()).collect();
        by_key.sort_unstable_by(|a, b| all[*a].key().cmp(all[*b].key()));
        Self { all, by_key }
    }

    /// The changes in a range that came after a revision, in commit order.
    fn within(&self, range: &KeyRange, after: Revision) -> Vec<Event> {
        let below = |limit: &[u8]| {
            self.by_key.partition_point(|index| self.all[*index].key().as_bytes() < limit)
        };
        let start = below(range.start());
        let mut found: Vec<usize> = self.by_key[start..]
            .iter()
            .copied()
            .take_while(|index| range.contains(self.all[*index].key()))
            .filter(|index| self.all[*index].revision() > after)
            .collect();
        found.sort_unstable();
        found.into_iter().filter_map(|index| self.all[index].event()).collect()
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
        let live = hub.go_live(registration.id(), &range, newest, &sender);
        assert!(matches!(live, GoLive::Done));
        registration.progress();
        registration.progress();
        assert_eq!(receiver.try_recv().unwrap().unwrap().revision, read);
        assert_eq!(receiver.try_recv().unwrap().unwrap().revision, newest);
        assert!(receiver.try_recv().is_err(), "once is enough");
    }
}
