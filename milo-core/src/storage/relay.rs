//! Watches of a store that is elsewhere, and that several processes may write to.
//!
//! One task of an engine, its follower, reads the commits of the store in their order and
//! [publishes](Relay::publish) them here. Watchers that begin in the past are told of it by the
//! store itself, through [`Past`], and then join. So the store is asked once for all watchers,
//! however many there are, and all of them see one order.
//!
//! While the store cannot be followed there are no watches: whoever watches is told so, and is
//! never left believing that nothing happens.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::{
    sync::{Notify, mpsc},
    task,
};

use super::{
    Event, ReadError, Revision, Watch, WatchError,
    publish::{CAPACITY, GoLive, Hub, Lost},
    replay::{Past, Replay, watch_error},
};
use crate::key::KeyRange;

/// A store elsewhere, as watches need it.
#[async_trait]
pub(super) trait Source: Past + Clone {
    /// The newest revision, linearizable.
    async fn revision(&self) -> Result<Revision, ReadError>;
}

/// The watchers of a store elsewhere, and how far they have been told of it.
#[derive(Debug)]
pub(super) struct Relay {
    hub: Arc<Hub>,
    wanted: Arc<Notify>,
}

/// Taken before the store is asked how far it is: see [`Relay::answer`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Question(u64);

impl Relay {
    /// Nothing is followed until [`Relay::find`] says from where on.
    pub(super) fn new() -> Self {
        let wanted = Arc::new(Notify::new());
        let hub = Hub::following(Revision::ZERO, Arc::clone(&wanted));
        hub.lock().lose(&Lost("the store has not been reached yet".into()));
        Self { hub: Arc::new(hub), wanted }
    }

    /// Everything up to here has been published.
    pub(super) fn revision(&self) -> Revision {
        self.hub.lock().revision()
    }

    /// Why there are no watches at the moment.
    pub(super) fn lost(&self) -> Option<Lost> {
        self.hub.lock().lost().cloned()
    }

    /// The store is followed from now on: whatever is committed after `revision` will be
    /// published. That is usually where publishing had come to; another revision when what came
    /// then is no longer known, for which watchers, all gone by now, have to ask the store.
    pub(super) fn find(&self, revision: Revision) {
        self.hub.lock().find(revision);
    }

    /// The store can no longer be followed: ends all watches.
    pub(super) fn lose(&self, cause: impl std::fmt::Display) {
        self.hub.lock().lose(&Lost(cause.to_string().into()));
    }

    /// Publishes `events`, which are all changes by the commits after `after` up to and including
    /// `revision`, in order; what has been published already is left out. Returns false, and
    /// publishes nothing, when the commits before them have not been published yet.
    pub(super) fn publish(&self, after: Revision, events: &[Event], revision: Revision) -> bool {
        let mut hub = self.hub.lock();
        let known = hub.revision();
        if known < after {
            return false;
        }
        if known < revision {
            let new = events.partition_point(|event| event.revision() <= known);
            hub.publish(&events[new..], revision);
        }
        true
    }

    /// Waits until a watcher wants to know how far the store is. For the follower alone.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// All that watchers want to know so far. To be taken before the store is asked.
    pub(super) fn question(&self) -> Question {
        Question(self.hub.lock().asked())
    }

    /// Tells whoever has asked before `question` was taken how far the store is: as far as has
    /// been published by now, which must be all that it had when it was asked.
    pub(super) fn answer(&self, question: Question) {
        self.hub.lock().answer(question.0);
    }

    /// Starts a watch.
    ///
    /// # Errors
    /// As [`Storage::watch`](super::Storage::watch).
    pub(super) async fn watch(
        &self,
        source: &impl Source,
        range: &KeyRange,
        after: Revision,
    ) -> Result<Watch, WatchError> {
        if after > self.revision() {
            check_future(source, after).await?;
        }
        let registration = self.hub.register();
        let id = registration.id();
        let (sender, receiver) = mpsc::channel(CAPACITY);
        match self.hub.go_live(id, range, after, &sender) {
            GoLive::Done => {}
            GoLive::Lost(error) => return Err(error),
            GoLive::Behind => {
                // The first answer says whether the past is still known.
                let first = source.changes(range, after).await.map_err(watch_error)?;
                let hub = Arc::clone(&self.hub);
                let replay = Replay::new(source.clone(), hub, id, range.clone(), sender);
                task::spawn(async move {
                    if let Some(told) = replay.tell(Ok(first)).await {
                        replay.run(told).await;
                    }
                });
            }
        }
        Ok(Watch::new(receiver, move || registration.progress()))
    }
}

/// Whoever was told of a revision by the store may watch from there, though it has not been
/// published here yet.
async fn check_future(source: &impl Source, after: Revision) -> Result<(), WatchError> {
    let current = source.revision().await.map_err(watch_error)?;
    if after > current {
        return Err(WatchError::Future { requested: after, current });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;
    use parking_lot::Mutex;

    use super::*;
    use crate::{
        key::{GroupResource, Key},
        scope::Scope,
        storage::{Record, WatchBatch},
    };

    /// A store of one key that is written by every commit, from revision 2 on.
    #[derive(Clone, Default)]
    struct Numbers {
        newest: Arc<Mutex<u64>>,
        floor: u64,
        /// Revisions at which reads of the past end, so that they come in parts.
        parts: Arc<Mutex<VecDeque<u64>>>,
    }

    fn key() -> Key {
        Key::object(&GroupResource::new("g", "numbers"), &Scope::Platform, "", "n").unwrap()
    }

    fn event(number: u64) -> Event {
        let record =
            Record { key: key(), revision: Revision::new(number), value: Bytes::from_static(b"n") };
        Event::Put { record, previous: None }
    }

    fn events(after: u64, until: u64) -> Vec<Event> {
        (after + 1..=until).filter(|number| *number > 1).map(event).collect()
    }

    #[async_trait]
    impl Past for Numbers {
        async fn changes(
            &self,
            _range: &KeyRange,
            after: Revision,
        ) -> Result<WatchBatch, ReadError> {
            let compacted = Revision::new(self.floor);
            if after < compacted {
                return Err(ReadError::Expired { requested: after, compacted });
            }
            let newest = *self.newest.lock();
            let until = self.parts.lock().pop_front().unwrap_or(newest);
            let events = events(after.get(), until);
            Ok(WatchBatch { events, revision: Revision::new(until) })
        }
    }

    #[async_trait]
    impl Source for Numbers {
        async fn revision(&self) -> Result<Revision, ReadError> {
            Ok(Revision::new(*self.newest.lock()))
        }
    }

    fn numbers(newest: u64) -> Numbers {
        Numbers { newest: Arc::new(Mutex::new(newest)), ..Numbers::default() }
    }

    fn publish(relay: &Relay, after: u64, until: u64) -> bool {
        relay.publish(Revision::new(after), &events(after, until), Revision::new(until))
    }

    /// The revisions that a watch tells of until it has come to `until`.
    async fn told(watch: &mut Watch, until: u64) -> Vec<u64> {
        let mut told = Vec::new();
        loop {
            let batch = watch.next().await.unwrap().unwrap();
            told.extend(batch.events.iter().map(|event| event.revision().get()));
            assert!(told.last().is_none_or(|last| *last <= batch.revision.get()));
            if batch.revision.get() >= until {
                return told;
            }
        }
    }

    #[tokio::test]
    async fn every_start_sees_exactly_what_came_later() {
        for (known, after) in [(5, 5), (5, 1), (5, 8), (9, 3), (1, 9)] {
            let (relay, source) = (Relay::new(), numbers(9));
            source.parts.lock().extend([after + 1, after + 2, 9]);
            relay.find(Revision::new(known));
            let start = Revision::new(after);
            let mut watch = relay.watch(&source, &KeyRange::all(), start).await.unwrap();
            *source.newest.lock() = 12;
            assert!(publish(&relay, known, 10));
            // What was published already is not told again.
            assert!(publish(&relay, known, 11));
            assert!(publish(&relay, 11, 12));
            let expected: Vec<u64> = (after + 1..=12).collect();
            assert_eq!(told(&mut watch, 12).await, expected, "{known} {after}");
        }
    }

    #[tokio::test]
    async fn a_gap_is_not_published() {
        let relay = Relay::new();
        relay.find(Revision::new(5));
        assert!(!publish(&relay, 6, 8));
        assert_eq!(relay.revision(), Revision::new(5));
        assert!(publish(&relay, 4, 8));
        assert_eq!(relay.revision(), Revision::new(8));
    }

    #[tokio::test]
    async fn watches_of_the_forgotten_and_of_the_future_do_not_start() {
        let (relay, source) = (Relay::new(), Numbers { floor: 4, ..numbers(9) });
        relay.find(Revision::new(9));
        let watch = async |after| relay.watch(&source, &KeyRange::all(), after).await;
        assert!(matches!(watch(Revision::new(3)).await, Err(WatchError::Expired { .. })));
        assert!(matches!(watch(Revision::new(10)).await, Err(WatchError::Future { .. })));
    }

    #[tokio::test]
    async fn nobody_watches_a_store_that_is_lost() {
        let (relay, source) = (Relay::new(), numbers(9));
        let watch =
            async |after| relay.watch(&source, &KeyRange::all(), Revision::new(after)).await;
        assert!(matches!(watch(9).await, Err(WatchError::Unavailable(_))), "never reached");
        relay.find(Revision::new(9));
        let mut live = watch(9).await.unwrap();
        let mut behind = watch(1).await.unwrap();
        relay.lose("the cable is cut");
        // That one may have come to the end of the past before.
        while let Some(Ok(_)) = behind.next().await {}
        let error = live.next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("the cable is cut"), "{error}");
        assert!(live.next().await.is_none());
        assert!(matches!(watch(9).await, Err(WatchError::Unavailable(_))));
        relay.find(relay.revision());
        let mut again = watch(9).await.unwrap();
        assert!(publish(&relay, 9, 10));
        assert_eq!(told(&mut again, 10).await, [10]);
    }

    #[tokio::test]
    async fn progress_is_as_new_as_the_question() {
        let (relay, source) = (Relay::new(), numbers(9));
        relay.find(Revision::new(9));
        let mut watch =
            relay.watch(&source, &KeyRange::key(&key()), Revision::new(9)).await.unwrap();
        let before = relay.question();
        watch.request_progress();
        relay.wanted().await;
        let after = relay.question();
        // This answer may be older than the question.
        relay.answer(before);
        let nothing = relay.publish(Revision::new(9), &[], Revision::new(10));
        assert!(nothing);
        relay.answer(after);
        assert_eq!(watch.next().await.unwrap().unwrap().revision, Revision::new(10));
        relay.answer(after);
        relay.lose("over");
        assert!(watch.next().await.unwrap().is_err(), "once is enough");
    }
}
