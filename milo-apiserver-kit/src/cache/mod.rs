//! The watch cache: one per resource, for all tenants.
//!
//! A task follows the storage's watch and keeps the current objects and the recent changes.
//! Lists and watches are answered from here; a consistent read asks the storage for its revision
//! and waits until the cache has reached it, so that freshness is a promise and never a hope.

mod attribute;
mod cached;
mod change;
mod feed;
mod filter;
mod history;
mod indexes;
mod objects;
mod ranges;
mod state;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use milo_core::{
    definition::ResourceDefinition,
    key::{InvalidKey, Key, KeyRange},
    status::StatusError,
    storage::{ListOptions, ReadError, Revision, Storage},
};
use parking_lot::RwLock;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

pub(crate) use cached::{Cached, CorruptObject, Shared, encoded};
pub(crate) use change::{Change, EventType, frame};
pub(crate) use filter::Filter;
use objects::Objects;
pub(crate) use objects::Walk;
pub(crate) use state::{Cursor, TooSlow};

use crate::{errors, request::options::Freshness};
use attribute::{Attribute, Filing};
use indexes::IN_VAIN;
use state::State;

/// How long a read waits for the cache to catch up, as upstream.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How long the storage's watch may tell nothing after it was asked to. Then it is begun anew: a
/// connection that was cut without a word tells nothing for ever.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a read waits before it has the storage asked again, whose answer may be lost with the
/// watch that it was to come through.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How many objects are looked at before other tasks get their turn.
const TURN: usize = 2048;

/// See the [module documentation](self).
#[derive(Debug)]
pub(crate) struct Cache {
    definition: Arc<ResourceDefinition>,
    storage: Arc<dyn Storage>,
    range: KeyRange,
    state: RwLock<State>,
    progress: watch::Sender<Progress>,
    /// Wakes the feed to ask the storage how far it is.
    wanted: Notify,
}

/// How far a cache has come.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// The revision that has been reached; zero until the first listing is complete.
    revision: Revision,
    /// Since when nothing is heard from the storage: from the start until the first listing, and
    /// whenever the storage is away.
    lost: Option<Instant>,
}

/// Objects in key order, from one snapshot.
pub(crate) struct Listing {
    pub(crate) objects: Walk,
    pub(crate) revision: Revision,
    /// Set when the range holds objects after the last one looked at: the key to go on after.
    pub(crate) next: Option<Bytes>,
    /// How many objects of the range follow; only without a selection.
    pub(crate) remaining: Option<u64>,
}

/// Where a watch goes on after its beginning, and the revision that beginning shows.
pub(crate) struct Joined {
    pub(crate) cursor: Cursor,
    pub(crate) revision: Revision,
}

impl Cache {
    pub(crate) fn new(
        definition: Arc<ResourceDefinition>,
        storage: Arc<dyn Storage>,
    ) -> Result<Arc<Self>, InvalidKey> {
        let range = KeyRange::resource(definition.group_resource())?;
        Ok(Arc::new(Self {
            definition,
            storage,
            range,
            state: RwLock::default(),
            progress: watch::Sender::new(Progress {
                revision: Revision::ZERO,
                lost: Some(Instant::now()),
            }),
            wanted: Notify::new(),
        }))
    }

    /// Waits until the cache is as fresh as asked.
    ///
    /// # Errors
    /// 503 when the storage cannot say its revision, 429 when the cache has lost it, 504 when the
    /// revision is not reached in time.
    pub(crate) async fn reach(&self, freshness: Freshness) -> Result<(), StatusError> {
        match freshness {
            Freshness::MostRecent => {
                // Whoever does not say in this time how far it is will not tell what is there.
                let revision = tokio::time::timeout(CATCH_UP, self.storage.revision()).await;
                let revision = revision.map_err(|_| errors::silent())?;
                self.wait_for(revision.map_err(|error| errors::read(&error))?).await
            }
            Freshness::NotOlderThan(revision) | Freshness::Exact(revision) => {
                self.wait_for(revision).await
            }
            Freshness::Any => self.wait_for(Revision::ZERO).await,
        }
    }

    async fn wait_for(&self, revision: Revision) -> Result<(), StatusError> {
        let reached = |progress: &Progress| progress.reached(revision);
        if reached(&self.progress.borrow()) {
            return Ok(());
        }
        let mut progress = self.progress.subscribe();
        let waited = tokio::time::timeout(CATCH_UP, async {
            loop {
                self.wanted.notify_one();
                if tokio::time::timeout(ASK_AGAIN, progress.wait_for(reached)).await.is_ok() {
                    return;
                }
            }
        });
        if waited.await.is_ok() {
            return Ok(());
        }
        let current = *self.progress.borrow();
        match current.lost {
            Some(since) => Err(not_ready(since.elapsed())),
            None => {
                Err(StatusError::resource_version_too_large(revision.get(), current.revision.get()))
            }
        }
    }

    /// The revision that everything up to has been applied.
    pub(crate) fn revision(&self) -> Revision {
        self.progress.borrow().revision
    }

    /// Whether the first listing is complete.
    pub(crate) fn is_filled(&self) -> bool {
        self.revision() > Revision::ZERO
    }

    /// Whether what is here follows the storage.
    pub(crate) fn is_ready(&self) -> bool {
        self.progress.borrow().reached(Revision::ZERO)
    }

    /// Waits until the first listing is complete.
    pub(crate) async fn filled(&self) {
        // The sender lives in this very cache, so waiting cannot fail.
        let filled = |progress: &Progress| progress.reached(Revision::ZERO);
        let _ = self.progress.subscribe().wait_for(filled).await;
    }

    /// Up to `limit` objects of a range that `filter` lets through. Nothing is decoded. With
    /// `exactly`, none when the cache does not know the state at that very revision.
    ///
    /// # Errors
    /// When something in the range cannot be read: a list without it would say that it is gone.
    pub(crate) async fn list(
        self: &Arc<Self>,
        range: &KeyRange,
        filter: &Filter,
        limit: Option<usize>,
        exactly: Option<Revision>,
    ) -> Result<Option<Listing>, Arc<CorruptObject>> {
        let filings = filter.filings(&self.definition);
        let (moment, revision) = {
            let state = self.state.read();
            let known = match exactly {
                Some(at) if filter.seen().is_none() && !state.is_readable_since(range, at) => None,
                Some(at) => state.at(range, &filings, at).map(|moment| (moment, at)),
                None => Some((state.now(range, &filings), state.revision)),
            };
            let Some((moment, revision)) = known else { return Ok(None) };
            match state.corrupt(range, filter.seen()) {
                Some(corrupt) => return Err(corrupt.clone()),
                None => (moment, revision),
            }
        };
        if moment.is_past() && self.has_expired(range, revision).await {
            return Ok(None);
        }
        // Objects are filed under what a tenant sees: then nothing is left to be looked at.
        let all = filter.selects_all() && (filter.is_everything() || moment.is_filed());
        let walk = moment.walk(range);
        if all {
            return Ok(Some(Listing::page(walk, revision, limit)));
        }
        let (objects, next) = self.select(walk, filter, limit, &filings).await;
        Ok(Some(Listing { objects: Walk::over(objects), revision, next, remaining: None }))
    }

    /// Whether the storage has given a revision up. Clients are told so by every server alike,
    /// whatever one of them happens to remember.
    async fn has_expired(&self, range: &KeyRange, revision: Revision) -> bool {
        let point = KeyRange::key(&Key::from_storage(range.start().clone()));
        let options = ListOptions::default().limit(1).at(revision);
        self.storage.list(&point, options).await.is_err()
    }

    /// The objects of a range as they are now, not all of which `filter` need let through, and a
    /// place right after them.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub(crate) fn join_with_state(
        &self,
        range: &KeyRange,
        filter: &Filter,
    ) -> Result<(Walk, Joined), Arc<CorruptObject>> {
        let filings = filter.filings(&self.definition);
        let (moment, joined) = {
            let mut state = self.state.write();
            if let Some(corrupt) = state.corrupt(range, filter.seen()) {
                return Err(corrupt.clone());
            }
            let cursor = state.cursor(range, filter.seen());
            (state.now(range, &filings), Joined { cursor, revision: state.revision })
        };
        Ok((moment.walk(range), joined))
    }

    /// The first `limit` objects that `filter` lets through and, if any come after them, the last
    /// one's key. Not under the lock: selectors may be expensive.
    async fn select(
        self: &Arc<Self>,
        walk: Walk,
        filter: &Filter,
        limit: Option<usize>,
        filings: &[Filing],
    ) -> (Vec<Shared>, Option<Bytes>) {
        let limit = limit.unwrap_or(usize::MAX);
        let mut found = Vec::<Shared>::new();
        let mut next = None;
        let mut looked = 0;
        for object in walk {
            looked += 1;
            if looked % TURN == 0 {
                tokio::task::yield_now().await;
            }
            if !filter.matches(&object, &self.definition) {
                continue;
            }
            if found.len() == limit {
                // Only what can be seen tells that the list goes on: not whether others have more.
                next = found.last().map(|last| last.key().to_bytes());
                break;
            }
            found.push(object);
        }
        if looked - found.len() >= IN_VAIN {
            self.miss_index(filings);
        }
        (found, next)
    }

    /// Has objects filed by an attribute that would have spared a selection much of its work, if
    /// there is one and it pays.
    fn miss_index(self: &Arc<Self>, filings: &[Filing]) {
        if filings.is_empty() {
            return;
        }
        if let Some(attribute) = self.state.write().wants_index(filings) {
            let cache = Arc::clone(self);
            tokio::task::spawn_blocking(move || cache.build_index(attribute));
        }
    }

    /// Files all objects by an attribute, without holding up anybody.
    fn build_index(&self, attribute: Attribute) {
        let (objects, revision, life) = self.state.read().to_index();
        let filed = Objects::filed_by(attribute, objects.walk(&self.range));
        self.state.write().add_index(filed, revision, life);
    }

    /// A place right after what is known of what `filter` can see of a range.
    pub(crate) fn join_now(&self, range: &KeyRange, filter: &Filter) -> Joined {
        let mut state = self.state.write();
        Joined { cursor: state.cursor(range, filter.seen()), revision: state.revision }
    }

    /// A place after what happened up to `revision` to what `filter` can see of a range; none when
    /// what came then is older than what is kept here.
    pub(crate) fn join_after(
        &self,
        range: &KeyRange,
        filter: &Filter,
        revision: Revision,
    ) -> Option<Cursor> {
        self.state.write().cursor_after(range, filter.seen(), revision)
    }

    /// Some of what a watcher has not seen yet, oldest first.
    pub(crate) fn read(&self, cursor: &mut Cursor) -> Result<Vec<Arc<Change>>, TooSlow> {
        self.state.read().read(cursor)
    }

    /// The kind that is cached.
    pub(crate) fn definition(&self) -> &Arc<ResourceDefinition> {
        &self.definition
    }

    /// The storage behind the cache.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }
}

impl Listing {
    /// The first `limit` objects of a walk.
    fn page(mut walk: Walk, revision: Revision, limit: Option<usize>) -> Self {
        let rest = walk.truncate(limit.unwrap_or(usize::MAX));
        let next = walk.last_object().filter(|_| rest > 0).map(|last| last.key().to_bytes());
        let remaining = next.is_some().then_some(rest as u64);
        Self { objects: walk, revision, next, remaining }
    }
}

impl Progress {
    fn reached(&self, revision: Revision) -> bool {
        self.lost.is_none() && self.revision >= revision
    }
}

/// The longer the storage has been away, the later clients should come back.
fn not_ready(downtime: Duration) -> StatusError {
    let wait = (0.06 * downtime.as_secs_f64()).exp().clamp(1.0, 30.0);
    let wait = Duration::from_secs(wait as u64);
    StatusError::too_many_requests("storage is (re)initializing", wait)
}

/// A cache that could not be fed for now.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Watch(#[from] milo_core::storage::WatchError),
    #[error(transparent)]
    Corrupt(#[from] CorruptObject),
    #[error("the watch ended")]
    Ended,
}
