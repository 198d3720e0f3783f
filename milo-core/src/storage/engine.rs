//! Reads and watches, the same for all engines of this process: over the [`Index`] in memory, the [`Hub`] of
//! watchers, and a log that has the values of the past.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::{sync::mpsc, task};

use super::{
    Cause, ListOptions, Page, ReadError, Record, Revision, Watch, WatchError,
    chunks::Entry,
    history::{self, Snapshot},
    index::{Index, Position},
    plan::Plan,
    publish::{CAPACITY, GoLive, Hub},
    replay::Replay,
};
use crate::key::{Key, KeyRange};

/// How many records are copied before other tasks get their turn.
const COPY_CHUNK: usize = 4096;

/// Where the values of the past are read. May block.
pub(super) trait Values: fmt::Debug + Send + Sync + 'static {
    /// The values at the positions, in that order; none for what was erased.
    fn read(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError>;
}

/// The reading half of an engine. Whoever holds the writing half calls [`Engine::publish`].
#[derive(Debug)]
pub(super) struct Engine<V> {
    index: RwLock<Index>,
    hub: Arc<Hub>,
    values: V,
}

impl<V: Values> Engine<V> {
    pub(super) fn new(index: Index, values: V) -> Self {
        let hub = Arc::new(Hub::new(index.revision()));
        Self { index: RwLock::new(index), hub, values }
    }

    /// The state. Locks are to be held for a few microseconds; only the writer writes.
    pub(super) fn index(&self) -> &RwLock<Index> {
        &self.index
    }

    pub(super) fn values(&self) -> &V {
        &self.values
    }

    #[cfg(feature = "embedded")]
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(super) fn revision(&self) -> Revision {
        self.index.read().revision()
    }

    /// Makes a batch visible, to readers and then to watchers.
    pub(super) fn publish(&self, plan: &Plan) {
        let mut hub = self.hub.lock();
        self.index.write().apply(&plan.rows, plan.revision);
        hub.publish(&plan.rows, plan.revision);
    }

    pub(super) fn get(&self, key: &Key) -> Option<Record> {
        self.index.read().get(key).map(Entry::record)
    }

    pub(super) async fn list(
        self: &Arc<Self>,
        range: &KeyRange,
        options: ListOptions,
    ) -> Result<Page, ReadError> {
        let limit = options.limit.unwrap_or(usize::MAX);
        let snapshot = Snapshot::take(&self.index.read(), range, limit, options.at)?;
        if !snapshot.is_current() {
            let (engine, range) = (Arc::clone(self), range.clone());
            return blocking(move || history::list(&engine, &range, limit, &snapshot)).await?;
        }
        let slice = snapshot.live();
        let mut records = Vec::with_capacity(slice.held());
        for entry in slice.iter() {
            if records.len() % COPY_CHUNK == COPY_CHUNK - 1 {
                task::yield_now().await;
            }
            records.push(entry.record());
        }
        let remaining = (slice.total() - slice.held()) as u64;
        Ok(Page { records, revision: snapshot.revision(), remaining })
    }

    pub(super) fn watch(
        self: &Arc<Self>,
        range: &KeyRange,
        after: Revision,
    ) -> Result<Watch, WatchError> {
        let registration = self.hub.register();
        let id = registration.id();
        self.check_start(after)?;
        let (sender, receiver) = mpsc::channel(CAPACITY);
        if let GoLive::Behind = self.hub.go_live(id, range, after, &sender) {
            let (past, hub) = (Arc::clone(self), Arc::clone(&self.hub));
            task::spawn(Replay::new(past, hub, id, range.clone(), sender).run(after));
        }
        Ok(Watch::new(receiver, move || registration.progress()))
    }

    fn check_start(&self, after: Revision) -> Result<(), WatchError> {
        // The hub's lock: a commit that readers see but watchers do not yet is in nobody's future.
        let hub = self.hub.lock();
        let compacted = self.index.read().floor();
        if after > hub.revision() {
            return Err(WatchError::Future { requested: after, current: hub.revision() });
        }
        if after < compacted {
            return Err(WatchError::Expired { requested: after, compacted });
        }
        Ok(())
    }
}

/// Runs what may block where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReadError> {
    let done = task::spawn_blocking(work).await;
    done.map_err(|error| ReadError::Unavailable(Cause::from(error)))
}
