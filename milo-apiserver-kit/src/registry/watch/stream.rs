//! One client's watch, as a stream of bytes.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use milo_core::{
    key::KeyRange,
    status::StatusError,
    storage::{Event, Revision, Watch},
};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::encoder::{Encoder, error_frame};
use crate::{
    cache::{Cache, Cached, Change, Cursor, EventType, Filter, Joined, Walk},
    errors,
    registry::Resource,
    request::options::{Freshness, WatchStart},
};

const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// The last bookmark comes so long before the end.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// How long the storage may tell nothing of the past.
const SILENCE: Duration = Duration::from_secs(30);
/// How much is sent at once: several of these may wait for a slow client.
const BLOCK: usize = 32 * 1024;
/// How many objects are looked at before other tasks get their turn.
const TURN: usize = 1024;

/// What a watch is to tell.
pub(super) struct Wanted {
    pub(super) range: KeyRange,
    pub(super) filter: Filter,
    pub(super) start: WatchStart,
    pub(super) bookmarks: bool,
    pub(super) ends: Instant,
}

/// When the first bookmark is due: in a minute, or shortly before the end, if only just.
pub(in crate::registry) fn first_bookmark(ends: Instant) -> Instant {
    next_bookmark(ends).min(ends.checked_sub(LAST_BOOKMARK).unwrap_or(ends)).max(Instant::now())
}

/// When the next bookmark is due: in a minute, or shortly before the end, and none after that.
pub(in crate::registry) fn next_bookmark(ends: Instant) -> Instant {
    let now = Instant::now();
    match ends.checked_sub(LAST_BOOKMARK) {
        Some(last) if now < last => last.min(now + BOOKMARK_PERIOD),
        _ => ends,
    }
}

/// One client's watch.
pub(super) struct WatchStream {
    resource: Arc<Resource>,
    cache: Arc<Cache>,
    range: KeyRange,
    filter: Filter,
    encoder: Encoder,
    /// When the next one is due, for clients that asked for bookmarks.
    bookmarks: Option<Instant>,
    ends: Instant,
    /// Rings when the next bookmark is due, or the time is up. It is set once a minute, not
    /// whenever something happens: with a thousand watchers of busy objects that shows.
    alarm: Pin<Box<Sleep>>,
    /// The server shuts down.
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The highest resource version that the client has been told.
    told: Revision,
    /// What is to be sent before anything else.
    unread: VecDeque<Arc<Change>>,
    bookmark: BookmarkState,
    phase: Phase,
}

/// Whether a bookmark is to be sent.
#[derive(Clone, Copy)]
enum BookmarkState {
    NotDue,
    /// As soon as everything up to some revision has been read.
    Due,
    /// After what is unread, which is everything up to this revision.
    At(Revision),
}

enum Phase {
    /// Nothing has been sent yet.
    Start(WatchStart),
    /// The state that the watch begins with is being sent.
    Initial { objects: Walk, joined: Joined, marked: bool },
    /// Changes older than the cache remembers come from the storage, up to where it was joined.
    Replay { history: Watch, joined: Joined },
    /// The watch follows the cache, or catches up with it.
    Live(Cursor),
    /// An error has been sent, or the client is too slow.
    Done,
}

impl WatchStream {
    pub(super) fn new(
        resource: Arc<Resource>,
        cache: Arc<Cache>,
        wanted: Wanted,
        encoder: Encoder,
        closing: CancellationToken,
    ) -> Self {
        let Wanted { range, filter, start, bookmarks, ends } = wanted;
        let bookmarks = bookmarks.then(|| first_bookmark(ends));
        Self {
            resource,
            cache,
            range,
            filter,
            encoder,
            bookmarks,
            ends,
            alarm: Box::pin(tokio::time::sleep_until(bookmarks.unwrap_or(ends))),
            stop: Box::pin(closing.cancelled_owned()),
            told: Revision::ZERO,
            unread: VecDeque::new(),
            bookmark: BookmarkState::NotDue,
            phase: Phase::Start(start),
        }
    }

    /// The next bytes to send; none when the watch is over.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let sent = self.pending();
            if !matches!(&sent, Ok(bytes) if bytes.is_empty()) {
                return Some(self.finish(sent));
            }
            // Whoever selects little of much reads on without ever having to wait.
            tokio::task::consume_budget().await;
            // Apart from the last one these are soon over, and what they need with them: a watch
            // that waits, as most do, keeps only what waiting takes.
            let sent = match std::mem::replace(&mut self.phase, Phase::Done) {
                Phase::Start(start) => Box::pin(self.start(start)).await,
                Phase::Initial { objects, joined, marked } => {
                    Box::pin(self.initial(objects, joined, marked)).await
                }
                Phase::Replay { history, joined } => Box::pin(self.replay(history, joined)).await?,
                Phase::Live(cursor) => self.live(cursor).await?,
                Phase::Done => return None,
            };
            if !matches!(&sent, Ok(bytes) if bytes.is_empty()) {
                return Some(self.finish(sent));
            }
        }
    }

    fn finish(&mut self, sent: Result<Bytes, StatusError>) -> Bytes {
        sent.unwrap_or_else(|error| {
            // Nothing follows an error.
            self.unread.clear();
            self.bookmark = BookmarkState::NotDue;
            self.phase = Phase::Done;
            error_frame(&error)
        })
    }

    /// What is to be sent before looking further.
    fn pending(&mut self) -> Result<Bytes, StatusError> {
        while !self.unread.is_empty() {
            let block = self.block()?;
            if !block.is_empty() {
                return Ok(block);
            }
        }
        if let BookmarkState::At(revision) = self.bookmark {
            self.bookmark = BookmarkState::NotDue;
            return Ok(self.bookmark(revision.max(self.told), false));
        }
        Ok(Bytes::new())
    }

    async fn start(&mut self, start: WatchStart) -> Result<Bytes, StatusError> {
        let cache = self.cache.clone();
        match start {
            WatchStart::State(freshness, marked) => {
                cache.reach(freshness).await?;
                let joined = cache.join_with_state(&self.range, &self.filter);
                let (objects, joined) = joined.map_err(|error| self.resource.corrupt(&error))?;
                self.told = joined.revision;
                let marked = marked && self.bookmarks.is_some();
                self.phase = Phase::Initial { objects, joined, marked };
            }
            WatchStart::Now(freshness) => {
                cache.reach(freshness).await?;
                let joined = cache.join_now(&self.range, &self.filter);
                self.told = joined.revision;
                self.phase = Phase::Live(joined.cursor);
            }
            WatchStart::After(revision) => {
                cache.reach(Freshness::NotOlderThan(revision)).await?;
                self.told = revision;
                self.phase = self.after(revision).await?;
            }
        }
        Ok(Bytes::new())
    }

    /// Goes on after a revision that the cache has reached.
    async fn after(&self, revision: Revision) -> Result<Phase, StatusError> {
        let cache = self.cache.clone();
        if let Some(cursor) = cache.join_after(&self.range, &self.filter, revision) {
            return Ok(Phase::Live(cursor));
        }
        let joined = cache.join_now(&self.range, &self.filter);
        let history = cache.storage().watch(&self.range, revision).await;
        let history = history.map_err(|error| errors::watch(&error))?;
        history.request_progress();
        Ok(Phase::Replay { history, joined })
    }

    /// Sends more of the state that the watch begins with. It is walked over, not copied: however
    /// long it is and however slow the client, it needs the memory of one block.
    async fn initial(
        &mut self,
        mut objects: Walk,
        mut joined: Joined,
        marked: bool,
    ) -> Result<Bytes, StatusError> {
        let mut block = BytesMut::new();
        for looked in 1.. {
            if block.len() >= BLOCK {
                break;
            }
            if looked % TURN == 0 {
                // Whoever selects little of much must not keep others from their turn.
                tokio::task::yield_now().await;
            }
            let Some(object) = objects.next() else {
                if marked {
                    block.extend_from_slice(&self.bookmark(joined.revision, true));
                }
                // What happened meanwhile may be more than the cache keeps for a slow reader. A
                // client that has only just learned the state should not have to begin again.
                self.phase = match self.cache.read(&mut joined.cursor) {
                    Ok(changes) => {
                        self.unread = changes.into();
                        Phase::Live(joined.cursor)
                    }
                    Err(_) => self.after(joined.revision).await?,
                };
                return Ok(block.freeze());
            };
            if self.filter.matches(&object, self.resource.definition()) {
                let revision = object.revision();
                let added = EventType::Added;
                self.encoder.event(&self.resource, added, &object, revision, &mut block)?;
            }
        }
        self.phase = Phase::Initial { objects, joined, marked };
        Ok(block.freeze())
    }

    /// Waits for more of the past; none at the end of the watch.
    async fn replay(
        &mut self,
        mut history: Watch,
        joined: Joined,
    ) -> Option<Result<Bytes, StatusError>> {
        let batch = tokio::select! {
            // When the history ends, the client resumes from where it is.
            batch = history.next() => batch?,
            // It was asked how far it is, so it has something to tell.
            () = tokio::time::sleep(SILENCE) => return None,
            () = tokio::time::sleep_until(self.ends) => return None,
            () = &mut self.stop => return None,
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Some(Err(errors::watch(&error))),
        };
        for event in batch.events {
            // What the cache will tell is not told twice.
            if event.revision() <= joined.revision {
                let change = self.change(event);
                self.unread.push_back(Arc::new(change));
            }
        }
        self.phase = if batch.revision < joined.revision {
            Phase::Replay { history, joined }
        } else {
            Phase::Live(joined.cursor)
        };
        Some(Ok(Bytes::new()))
    }

    fn change(&self, event: Event) -> Change {
        let cached = |record| Cached::new(record, self.resource.definition()).map(Arc::new);
        let revision = event.revision();
        let (written, replaced) = match event {
            Event::Put { record, previous } => (Some(record), previous),
            Event::Delete { previous, .. } => (None, Some(previous)),
            _ => (None, None),
        };
        let previous = replaced.map(cached).transpose();
        match (written.map(cached).transpose(), previous) {
            (Err(corrupt), previous) => {
                Change::corrupted(revision, Arc::new(corrupt), previous.unwrap_or_default())
            }
            (Ok(None), Err(corrupt)) => Change::corrupted(revision, Arc::new(corrupt), None),
            // What could not be read before was not known to whoever watches.
            (Ok(current), previous) => Change::new(revision, current, previous.unwrap_or_default()),
        }
    }

    /// Waits for something to send; none at the end of the watch.
    async fn live(&mut self, mut cursor: Cursor) -> Option<Result<Bytes, StatusError>> {
        let due = tokio::select! {
            changed = cursor.changed() => {
                changed.ok()?;
                false
            }
            () = &mut self.alarm => true,
            () = &mut self.stop => return None,
        };
        if due {
            if Instant::now() >= self.ends {
                return None;
            }
            self.bookmarks = self.bookmarks.map(|_| next_bookmark(self.ends));
            self.alarm.as_mut().reset(self.bookmarks.unwrap_or(self.ends));
        }
        let cache = self.cache.clone();
        if due {
            self.bookmark = BookmarkState::Due;
            // An idle kind learns here how far the store has come.
            let reach = Box::pin(cache.reach(Freshness::MostRecent));
            let _ = tokio::time::timeout(Duration::from_secs(1), reach).await;
        }
        // In this order: everything up to this revision is in what is read next.
        let reached = cache.revision();
        self.unread = cache.read(&mut cursor).ok()?.into();
        if matches!(self.bookmark, BookmarkState::Due) && !cursor.is_behind() {
            self.bookmark = BookmarkState::At(reached);
        }
        self.phase = Phase::Live(cursor);
        Some(Ok(Bytes::new()))
    }

    /// The lines for the next unread changes, as far as they are selected: about a block of them.
    fn block(&mut self) -> Result<Bytes, StatusError> {
        let mut only = Bytes::new();
        let mut block = BytesMut::new();
        while only.len().max(block.len()) < BLOCK
            && let Some(change) = self.unread.pop_front()
        {
            let definition = self.resource.definition();
            if let Some(corrupt) = change.corruption(&self.filter, definition) {
                if only.is_empty() && block.is_empty() {
                    return Err(self.resource.corrupt(corrupt));
                }
                // First what came before.
                self.unread.push_front(change);
                break;
            }
            self.told = self.told.max(change.revision());
            let Some(event) = change.event_type(&self.filter, definition) else { continue };
            let line = self.encoder.change(&self.resource, event, &change)?;
            if only.is_empty() && block.is_empty() {
                // A lone line is sent as it is, without a copy.
                only = line;
                continue;
            }
            if block.is_empty() {
                let both = only.len() + line.len();
                block.reserve(both.max(BLOCK.min(both * 4)));
                block.extend_from_slice(&std::mem::take(&mut only));
            }
            block.extend_from_slice(&line);
        }
        Ok(if block.is_empty() { only } else { block.freeze() })
    }

    fn bookmark(&mut self, revision: Revision, ends_initial_events: bool) -> Bytes {
        self.told = self.told.max(revision);
        self.encoder.bookmark(&self.resource, revision, ends_initial_events)
    }
}
