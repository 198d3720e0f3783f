//! A storage that can be made to fail, in front of any engine.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use milo_core::{
    key::{Key, KeyRange},
    storage::{
        CommitError, ListOptions, Page, ReadError, Record, Revision, Storage, Transaction, Watch,
        WatchError, WatchSender,
    },
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

/// What becomes of watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watches {
    /// They tell what happens.
    #[default]
    Flow,
    /// They tell nothing, and nobody is told that they do not.
    Stall,
    /// They end, and none can be had.
    Away,
    /// They end, and so do new ones as soon as they have begun.
    Break,
}

/// What becomes of calls: reads, commits and the beginning of a watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// They are answered.
    #[default]
    Answer,
    /// They fail: the engine is unavailable.
    Fail,
    /// They wait for as long as they are told to, as those on a connection that was cut.
    Hang,
}

/// An engine whose watches and calls can be made to fail, as those of a database across a network
/// do. Until something is to fail it behaves as the engine does.
#[derive(Debug)]
pub struct FaultyStorage {
    engine: Arc<dyn Storage>,
    watches: watch::Sender<Watches>,
    /// How often all running watches have been hushed.
    hushed: watch::Sender<usize>,
    calls: watch::Sender<Calls>,
    /// The kinds whose caches have yet to find that where they were is no longer known.
    forgets: Mutex<Vec<Bytes>>,
    /// The kinds whose caches have watched.
    kinds: Mutex<Vec<Bytes>>,
    lists: AtomicUsize,
    begun: AtomicUsize,
}

impl FaultyStorage {
    /// In front of an engine.
    pub fn new(engine: Arc<dyn Storage>) -> Self {
        Self {
            engine,
            watches: watch::Sender::default(),
            hushed: watch::Sender::default(),
            calls: watch::Sender::default(),
            forgets: Mutex::default(),
            kinds: Mutex::default(),
            lists: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
        }
    }

    /// The engine behind it, which never fails on purpose.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Storage> {
        &self.engine
    }

    /// Says what becomes of watches from now on, those that are running included.
    pub fn watches(&self, are: Watches) {
        self.watches.send_replace(are);
    }

    /// Has the watches that are running tell nothing any more, as those on a connection that was cut
    /// without a word. New ones flow.
    pub fn hush(&self) {
        self.hushed.send_modify(|times| *times += 1);
    }

    /// Says what becomes of calls from now on, those that hang included.
    pub fn calls(&self, are: Calls) {
        self.calls.send_replace(are);
    }

    /// Ends all watches; once they flow again, each cache finds that where it was has been
    /// forgotten, and must list again.
    pub fn forget(&self) {
        self.watches(Watches::Away);
        let kinds = self.kinds.lock().clone();
        *self.forgets.lock() = kinds;
    }

    /// How many lists have been asked of the engine so far.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.lists.load(Ordering::SeqCst)
    }

    /// How many watches have been asked of the engine so far.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Lets a call through; not when calls fail.
    async fn pass(&self) -> Result<(), Away> {
        let mut calls = self.calls.subscribe();
        // INVARIANT: the sender lives as long as this, so waiting cannot fail.
        match calls.wait_for(|calls| *calls != Calls::Hang).await.map(|now| *now) {
            Ok(Calls::Answer) => Ok(()),
            _ => Err(Away),
        }
    }

    /// Whether a watch is of a cache that is to list again.
    fn is_forgotten(&self, range: &KeyRange) -> bool {
        let start = range.start();
        if start.iter().filter(|byte| **byte == b'/').count() != 3 {
            return false;
        }
        let mut kinds = self.kinds.lock();
        if !kinds.contains(start) {
            kinds.push(start.clone());
        }
        let mut forgets = self.forgets.lock();
        let found = forgets.iter().position(|kind| kind == start);
        found.map(|at| forgets.remove(at)).is_some()
    }
}

/// Why a call fails.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the test made it fail")]
struct Away;

impl From<Away> for ReadError {
    fn from(away: Away) -> Self {
        Self::Unavailable(away.into())
    }
}

impl From<Away> for CommitError {
    fn from(away: Away) -> Self {
        Self::Unavailable(away.into())
    }
}

impl From<Away> for WatchError {
    fn from(away: Away) -> Self {
        Self::Unavailable(away.into())
    }
}

/// Passes on what a watch tells, while it may.
async fn pass_on(
    mut inner: Watch,
    to: WatchSender,
    mut requests: mpsc::UnboundedReceiver<()>,
    mut watches: watch::Receiver<Watches>,
    mut hushed: watch::Receiver<usize>,
) {
    loop {
        let now = *watches.borrow_and_update();
        if matches!(now, Watches::Away | Watches::Break) {
            let _ = to.send(Err(Away.into())).await;
            return;
        }
        let told = tokio::select! {
            biased;
            changed = watches.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
            _ = hushed.changed() => {
                to.closed().await;
                return;
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
impl Storage for FaultyStorage {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        self.pass().await?;
        self.engine.get(key).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.pass().await?;
        self.engine.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.pass().await?;
        self.engine.commit(transaction).await
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.pass().await?;
        if *self.watches.borrow() == Watches::Away {
            return Err(Away.into());
        }
        if self.is_forgotten(range) {
            return Err(WatchError::Expired { requested: after, compacted: after.next() });
        }
        let inner = self.engine.watch(range, after).await?;
        let (to, receiver) = mpsc::channel(8);
        let (request, requests) = mpsc::unbounded_channel();
        let (watches, hushed) = (self.watches.subscribe(), self.hushed.subscribe());
        tokio::spawn(pass_on(inner, to, requests, watches, hushed));
        Ok(Watch::new(receiver, move || {
            // A watch that has ended is asked in vain.
            let _ = request.send(());
        }))
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.pass().await?;
        self.engine.revision().await
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        self.pass().await?;
        self.engine.compact(floor).await
    }

    async fn ping(&self) -> Result<(), ReadError> {
        self.pass().await?;
        self.engine.ping().await
    }
}
