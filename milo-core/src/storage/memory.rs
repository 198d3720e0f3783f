//! A storage engine in memory, for tests and demos.

use std::{collections::HashMap, sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::{
    CommitError, ListOptions, Page, ReadError, Record, Revision, Storage, Transaction, Watch,
    WatchError,
    engine::{Engine, Values},
    index::{Index, Position},
    plan::{self, Plan, Planner},
    retention::{DEFAULT_RETENTION, Retention},
};
use crate::key::{Key, KeyRange};

/// How many old values a commit erases at most, so that none takes long.
const ERASED_PER_COMMIT: usize = 64;

/// An engine that forgets everything when it is dropped. Clones share one store.
///
/// Keeps the contract of [`Storage`] but for durability. Like [`Embedded`](super::Embedded) it
/// keeps history for five minutes; older history goes with the commits that follow.
#[derive(Clone, Debug)]
pub struct Memory {
    engine: Arc<Engine<MemoryValues>>,
    /// Held while writing.
    retention: Arc<Mutex<Retention>>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let mut retention = Retention::new(DEFAULT_RETENTION);
        retention.observe(Instant::now(), Revision::ZERO);
        Self {
            engine: Arc::new(Engine::new(Index::default(), MemoryValues::default())),
            retention: Arc::new(Mutex::new(retention)),
        }
    }

    fn write(&self, plan: &Plan, retention: &mut Retention) {
        self.engine.values().add(plan);
        self.engine.publish(plan);
        let now = Instant::now();
        retention.observe(now, plan.revision);
        if let Some(floor) = retention.floor(now) {
            self.engine.index().write().raise_floor(floor);
        }
        self.erase(ERASED_PER_COMMIT);
    }

    /// Erases old values. Only while writing, so that nobody else erases the same ones.
    fn erase(&self, limit: usize) -> usize {
        let expired: Vec<_> = self.engine.index().read().expired(limit).cloned().collect();
        if !expired.is_empty() {
            let old = expired.iter().filter_map(super::index::Change::previous);
            self.engine.values().remove(old);
            self.engine.index().write().forget(expired.len());
        }
        expired.len()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Storage for Memory {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        Ok(self.engine.get(key))
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        self.engine.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        let transaction = plan::prepare(transaction)?;
        // Nothing here ever waits, so say when it is others' turn.
        tokio::task::consume_budget().await;
        let mut retention = self.retention.lock();
        let (plan, revision) = {
            let index = self.engine.index().read();
            let mut planner = Planner::new(&*index);
            let revision = planner.add(transaction)?;
            (planner.finish(), revision)
        };
        if plan.revision > self.engine.revision() {
            self.write(&plan, &mut retention);
        }
        Ok(revision)
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        self.engine.watch(range, after)
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        Ok(self.engine.revision())
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        let _writing = self.retention.lock();
        self.engine.index().write().raise_floor(floor);
        while self.erase(usize::MAX) > 0 {}
        Ok(())
    }

    async fn ping(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

/// Every value that a kept revision needs.
#[derive(Debug, Default)]
struct MemoryValues {
    values: RwLock<HashMap<Position, Bytes, foldhash::fast::RandomState>>,
}

impl MemoryValues {
    fn add(&self, plan: &Plan) {
        let mut values = self.values.write();
        for row in &plan.rows {
            if let Some(value) = &row.value {
                values.insert(row.position, value.clone());
            }
        }
    }

    fn remove(&self, positions: impl Iterator<Item = Position>) {
        let mut values = self.values.write();
        for position in positions {
            values.remove(&position);
        }
    }
}

impl Values for MemoryValues {
    fn read(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError> {
        let values = self.values.read();
        Ok(positions.iter().map(|position| values.get(position).cloned()).collect())
    }
}
