//! A storage in memory whose watches can be made to fail.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use milo_core::{
    key::{Key, KeyRange},
    storage::{
        CommitError, ListOptions, Memory, Page, ReadError, Record, Revision, Storage, Transaction,
        Watch, WatchBatch, WatchError, WatchSender,
    },
};
use tokio::sync::{mpsc, watch};

/// What becomes of watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watches {
    /// They tell what happens.
    Flow,
    /// They tell nothing.
    Stall,
    /// They end, and none can be had.
    Away,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    memory: Memory,
    watches: watch::Sender<Watches>,
    /// The kinds whose caches have yet to find that where they were is no longer known.
    forgets: Mutex<Vec<Bytes>>,
    /// The kinds whose caches have watched.
    kinds: Mutex<Vec<Bytes>>,
}

impl Default for Faulty {
    fn default() -> Self {
        let watches = watch::Sender::new(Watches::Flow);
        Self { memory: Memory::new(), watches, forgets: Mutex::default(), kinds: Mutex::default() }
    }
}

impl Faulty {
    pub(crate) fn watches(&self, are: Watches) {
        self.watches.send_replace(are);
    }

    /// All caches must list again, once the watches flow.
    pub(crate) fn forget(&self) {
        self.watches(Watches::Away);
        *self.forgets.lock().unwrap() = self.kinds.lock().unwrap().clone();
    }

    /// Whether a watch is of a cache that is to list again.
    fn is_forgotten(&self, range: &KeyRange) -> bool {
        let start = range.start();
        if start.iter().filter(|byte| **byte == b'/').count() != 3 {
            return false;
        }
        let mut kinds = self.kinds.lock().unwrap();
        if !kinds.contains(start) {
            kinds.push(start.clone());
        }
        let mut forgets = self.forgets.lock().unwrap();
        let found = forgets.iter().position(|kind| kind == start);
        found.map(|at| forgets.remove(at)).is_some()
    }
}

fn away() -> WatchError {
    WatchError::Unavailable("it is being tested".into())
}

/// Passes on what a watch tells, while it may.
async fn pass_on(
    mut inner: Watch,
    to: WatchSender,
    mut requests: mpsc::UnboundedReceiver<()>,
    mut watches: watch::Receiver<Watches>,
) {
    loop {
        let now = *watches.borrow_and_update();
        if now == Watches::Away {
            let _ = to.send(Err(away())).await;
            return;
        }
        let told: Option<Result<WatchBatch, WatchError>> = tokio::select! {
            biased;
            changed = watches.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
            told = inner.next(), if now == Watches::Flow => told,
            Some(()) = requests.recv() => {
                inner.request_progress();
                continue;
            }
            () = to.closed() => return,
        };
        let Some(told) = told else { return };
        if to.send(told).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl Storage for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        self.memory.get(key).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        self.memory.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.memory.commit(transaction).await
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        if *self.watches.borrow() == Watches::Away {
            return Err(away());
        }
        if self.is_forgotten(range) {
            return Err(WatchError::Expired { requested: after, compacted: after.next() });
        }
        let inner = self.memory.watch(range, after).await?;
        let (to, receiver) = mpsc::channel(8);
        let (request, requests) = mpsc::unbounded_channel();
        tokio::spawn(pass_on(inner, to, requests, self.watches.subscribe()));
        Ok(Watch::new(receiver, move || {
            let _ = request.send(());
        }))
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.memory.revision().await
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        self.memory.compact(floor).await
    }

    async fn ping(&self) -> Result<(), ReadError> {
        self.memory.ping().await
    }
}
