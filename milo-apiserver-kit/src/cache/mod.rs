//! The watch cache: one per resource, for all tenants.
//!
//! A task follows the storage's watch and keeps the current objects and the recent changes.
//! Lists and watches are answered from here; a consistent read asks the storage for its revision
//! and waits until the cache has reached it, so that freshness is a promise and never a hope.

mod cached;
mod change;
mod feed;
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
use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

pub(crate) use cached::{Cached, CorruptObject, Shared, encoded};
pub(crate) use change::{Change, EventType, frame};
pub(crate) use state::{Cursor, TooSlow};

use crate::{
    errors,
    request::options::{Freshness, Selection},
};
use state::State;

/// How long a read waits for the cache to catch up, as upstream.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How long a read waits before it has the storage asked again, whose answer may be lost with the
/// watch that it was to come through.
const ASK_AGAIN: Duration = Duration::from_millis(100);

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

    /// Up to `limit` selected objects of a range. Nothing is decoded. With `exactly`, none when
    /// the cache does not show the state at that very revision.
    pub(crate) fn list(
        &self,
        range: &KeyRange,
        whole: &KeyRange,
        selection: &Selection,
        limit: Option<usize>,
        exactly: Option<Revision>,
    ) -> Option<Listing> {
        let state = self.state.read();
        if exactly.is_some_and(|at| at < state.changed || state.revision < at) {
            return None;
        }
        let everything = selection.labels.is_everything() && selection.fields.is_everything();
        let limit = limit.unwrap_or(usize::MAX);
        let mut objects = Vec::with_capacity(limit.min(1024));
        let mut next = None;
        for object in state.objects(range) {
            if objects.len() == limit {
                next = objects.last().map(|last: &Shared| last.key().to_bytes());
                break;
            }
            if everything || object.matches(selection, &self.definition) {
                objects.push(object.clone());
            }
        }
        let remaining = next.as_ref().filter(|_| everything).map(|_| {
            let total = if range == whole {
                state.count(whole)
            } else {
                state.objects(range).count() as u64
            };
            total.saturating_sub(objects.len() as u64)
        });
        Some(Listing { objects, revision: state.revision, next, remaining })
    }

    /// The selected objects of a range, and a place right after them.
    pub(crate) fn join_with_state(
        &self,
        range: &KeyRange,
        selection: &Selection,
    ) -> (Vec<Shared>, Joined) {
        let mut state = self.state.write();
        let objects = state
            .objects(range)
            .filter(|object| object.matches(selection, &self.definition))
            .cloned()
            .collect();
        let revision = state.revision;
        (objects, Joined { cursor: state.cursor(range), revision })
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
