//! The watch cache: one per resource, for all tenants.
//!
//! A task follows the storage's watch and keeps the current objects and the recent changes.
//! Lists and watches are answered from here; a consistent read asks the storage for its revision
//! and waits until the cache has reached it, so that freshness is a promise and never a hope.

mod cached;
mod change;
mod feed;
mod filter;
mod state;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use milo_core::{
    definition::ResourceDefinition,
    key::{InvalidKey, KeyRange},
    status::StatusError,
    storage::{ReadError, Revision, Storage},
};
use parking_lot::{RwLock, RwLockUpgradableReadGuard};
use tokio::sync::{Notify, watch};

pub(crate) use cached::{Cached, CorruptObject, Shared, encoded};
pub(crate) use change::{Change, EventType, frame};
pub(crate) use filter::Filter;
pub(crate) use state::{Cursor, TooSlow};

use crate::{errors, request::options::Freshness};
use state::State;

/// How long a read waits for the cache to catch up, as upstream.
const CATCH_UP: Duration = Duration::from_secs(3);
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
    /// The revision that has been reached; zero until the first listing is complete.
    progress: watch::Sender<Revision>,
    /// Wakes the feed to ask the storage how far it is.
    wanted: Notify,
}

/// Objects in key order, from one snapshot.
pub(crate) struct Listing {
    pub(crate) objects: Vec<Shared>,
    pub(crate) revision: Revision,
    /// Set when the range holds objects after the last one looked at: the key to go on after.
    pub(crate) next: Option<Bytes>,
    /// How many objects of the range follow; only without a selection, and only if it is known at
    /// little cost.
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
            progress: watch::Sender::new(Revision::ZERO),
            wanted: Notify::new(),
        }))
    }

    /// Waits until the cache is as fresh as asked.
    ///
    /// # Errors
    /// 503 when the storage cannot say its revision, 504 when the revision is not reached in time.
    pub(crate) async fn reach(&self, freshness: Freshness) -> Result<(), StatusError> {
        match freshness {
            Freshness::MostRecent => {
                let revision = self.storage.revision().await.map_err(|e| errors::read(&e))?;
                self.wait_for(revision).await
            }
            Freshness::NotOlderThan(revision) | Freshness::Exact(revision) => {
                self.wait_for(revision).await
            }
            Freshness::Any => self.wait_for(Revision::ZERO).await,
        }
    }

    async fn wait_for(&self, revision: Revision) -> Result<(), StatusError> {
        let reached = |progress: &Revision| *progress >= revision && *progress > Revision::ZERO;
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
        if current == Revision::ZERO {
            let text = "storage is (re)initializing";
            return Err(StatusError::too_many_requests(text, Duration::from_secs(1)));
        }
        Err(StatusError::resource_version_too_large(revision.get(), current.get()))
    }

    /// The revision that everything up to has been applied.
    pub(crate) fn revision(&self) -> Revision {
        *self.progress.borrow()
    }

    /// Whether the first listing is complete.
    pub(crate) fn is_filled(&self) -> bool {
        self.revision() > Revision::ZERO
    }

    /// Waits until the first listing is complete.
    pub(crate) async fn filled(&self) {
        // The sender lives in this very cache, so waiting cannot fail.
        let _ = self.progress.subscribe().wait_for(|revision| *revision > Revision::ZERO).await;
    }

    /// Up to `limit` objects of a range that `filter` lets through. Nothing is decoded. With
    /// `exactly`, none when the cache does not show the state at that very revision.
    pub(crate) async fn list(
        &self,
        range: &KeyRange,
        whole: &KeyRange,
        filter: &Filter,
        limit: Option<usize>,
        exactly: Option<Revision>,
    ) -> Option<Listing> {
        let everything = filter.is_everything();
        let limit = limit.unwrap_or(usize::MAX);
        let (objects, revision, total) = {
            let state = self.state.read();
            if exactly.is_some_and(|at| at < state.changed || state.revision < at) {
                return None;
            }
            // One more tells whether the list goes on.
            let wanted = if everything { limit.saturating_add(1) } else { usize::MAX };
            // Later pages would have to count what precedes them.
            let total = (everything && range == whole).then(|| state.count(whole));
            (state.first(range, wanted), state.revision, total)
        };
        let (objects, next) = self.select(objects, filter, limit).await;
        let remaining = total
            .filter(|_| next.is_some())
            .map(|total| total.saturating_sub(objects.len() as u64));
        Some(Listing { objects, revision, next, remaining })
    }

    /// The objects of a range that `filter` lets through, and a place right after them.
    pub(crate) async fn join_with_state(
        &self,
        range: &KeyRange,
        filter: &Filter,
    ) -> (Vec<Shared>, Joined) {
        let (objects, joined) = {
            // Others may read meanwhile; nothing is written before the place is taken.
            let state = self.state.upgradable_read();
            let objects = state.first(range, usize::MAX);
            let mut state = RwLockUpgradableReadGuard::upgrade(state);
            let revision = state.revision;
            (objects, Joined { cursor: state.cursor(range), revision })
        };
        let (objects, _) = self.select(objects, filter, usize::MAX).await;
        (objects, joined)
    }

    /// The first `limit` objects that `filter` lets through, and, if any come after them, the last
    /// one's key. Not under the lock: selectors may be expensive.
    async fn select(
        &self,
        mut objects: Vec<Shared>,
        filter: &Filter,
        limit: usize,
    ) -> (Vec<Shared>, Option<Bytes>) {
        if filter.is_everything() {
            let goes_on = objects.len() > limit;
            objects.truncate(limit);
            let next = objects.last().filter(|_| goes_on).map(|last| last.key().to_bytes());
            return (objects, next);
        }
        let (mut found, mut next) = (Vec::<Shared>::new(), None);
        for (looked, object) in objects.into_iter().enumerate() {
            if looked % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            // The rest is only let go of, which takes its time as well.
            if next.is_some() || !filter.matches(&object, &self.definition) {
                continue;
            }
            if found.len() < limit {
                found.push(object);
            } else {
                // Only what can be seen tells that the list goes on: not whether others have more.
                next = found.last().map(|last| last.key().to_bytes());
            }
        }
        (found, next)
    }

    /// A place right after what is known of a range.
    pub(crate) fn join_now(&self, range: &KeyRange) -> Joined {
        let mut state = self.state.write();
        Joined { cursor: state.cursor(range), revision: state.revision }
    }

    /// A place after what happened in a range up to `revision`; none when what came then is older
    /// than what is kept here.
    pub(crate) fn join_after(&self, range: &KeyRange, revision: Revision) -> Option<Cursor> {
        self.state.write().cursor_after(range, revision)
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
