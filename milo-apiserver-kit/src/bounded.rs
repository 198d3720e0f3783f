//! No call of a storage engine may take for ever: a connection that was cut without a word, or a
//! disk that hangs, must end in an answer that says to come back.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use milo_core::{
    key::{Key, KeyRange},
    storage::{
        CommitError, ListOptions, Page, ReadError, Record, Revision, Storage, Transaction, Watch,
        WatchError,
    },
};
use tokio::time::timeout;

/// How long the engine may take to say something small, or to begin a watch.
const SMALL: Duration = Duration::from_secs(10);
/// How long it may take to read a page, of which the largest hold thousands of objects.
const PAGE: Duration = Duration::from_secs(30);
/// How long a commit may take: less than a write may take as a whole, so that the client learns
/// that nobody knows what became of it.
const COMMIT: Duration = Duration::from_secs(30);
/// How long it may take to forget the past, for which nobody waits.
const COMPACTION: Duration = Duration::from_secs(300);

/// An engine whose calls are given up after a while.
#[derive(Debug)]
pub(crate) struct Bounded(Arc<dyn Storage>);

/// Why a call was given up.
#[derive(Debug, thiserror::Error)]
#[error("the engine did not answer within {} s", .0.as_secs())]
struct Silence(Duration);

impl Bounded {
    pub(crate) fn new(engine: Arc<dyn Storage>) -> Self {
        Self(engine)
    }
}

/// What a read says, if it says something in time.
async fn read<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, ReadError> {
    let silence = |_| ReadError::Unavailable(Silence(limit).into());
    timeout(limit, call).await.map_err(silence)?
}

#[async_trait]
impl Storage for Bounded {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        read(SMALL, self.0.get(key)).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        read(PAGE, self.0.list(range, options)).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        let silence = |_| CommitError::Uncertain(Silence(COMMIT).into());
        timeout(COMMIT, self.0.commit(transaction)).await.map_err(silence)?
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        let silence = |_| WatchError::Unavailable(Silence(SMALL).into());
        timeout(SMALL, self.0.watch(range, after)).await.map_err(silence)?
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        read(SMALL, self.0.revision()).await
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        read(COMPACTION, self.0.compact(floor)).await
    }

    async fn ping(&self) -> Result<(), ReadError> {
        read(SMALL, self.0.ping()).await
    }
}
