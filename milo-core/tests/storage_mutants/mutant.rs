//! An engine with one fault.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use milo_core::{
    bytes::Bytes,
    key::{Key, KeyRange},
    storage::{
        Cause, CommitError, Event, ListOptions, Memory, Operation, Page, Precondition, ReadError,
        Record, Revision, Storage, Transaction, Watch, WatchBatch, WatchError, WatchSender,
        conformance::{Capabilities, Harness},
    },
};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// What is wrong with an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    DropsEvents,
    RepeatsEvents,
    ReordersEvents,
    SplitsBatches,
    ForgetsPrevious,
    EndsWatchesInSilence,
    NeverTellsProgress,
    TellsProgressTooEarly,
    WatchesFromNow,
    ReadsTheValueBefore,
    ListsThePast,
    SplitsTransactions,
    IgnoresRevisions,
    TellsTheLastConflict,
    TellsNoCurrentRecord,
    TakesZeroForAbsent,
    TakesRevisionsForNothing,
    TakesKeysForText,
    TakesKeysForPrefixes,
    CutsLargeValues,
    CountsWhatRemainsNow,
    ListsNowForThen,
    ListsNowForExpired,
    ListsNowForTheFuture,
    LagsBehindReplicas,
    ForgetsTheLastCommit,
}

/// Makes engines with a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutants(pub(crate) Fault);

/// A store, and how often it was opened.
pub(crate) struct Store {
    memory: Mutex<Memory>,
    opened: AtomicU64,
}

#[async_trait]
impl Harness for Mutants {
    type Store = Store;

    async fn create(&self) -> Result<Store, Cause> {
        Ok(Store { memory: Mutex::new(Memory::new()), opened: AtomicU64::new(0) })
    }

    async fn open(&self, store: &Store) -> Result<Arc<dyn Storage>, Cause> {
        let opened = store.opened.fetch_add(1, Ordering::SeqCst);
        let mut memory = store.memory.lock().unwrap().clone();
        if self.0 == Fault::ForgetsTheLastCommit && opened > 0 {
            memory = without_last(&memory).await?;
            *store.memory.lock().unwrap() = memory.clone();
        }
        Ok(Arc::new(Mutant { memory, fault: self.0, turn: AtomicU64::new(0), replica: opened > 0 }))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().dense().replicas().restarts()
    }
}

/// A copy that has lived through all commits but the last.
async fn without_last(memory: &Memory) -> Result<Memory, Cause> {
    let (copy, last) = (Memory::new(), memory.revision().await?);
    let mut watch = memory.watch(&KeyRange::all(), Revision::FIRST).await?;
    let mut told = Revision::FIRST;
    watch.request_progress();
    while told < last {
        let batch = watch.next().await.ok_or("the watch is over")??;
        told = batch.revision;
        for commit in batch.events.chunk_by(|a, b| a.revision() == b.revision()) {
            if commit[0].revision() < last {
                copy.commit(commit.iter().fold(Transaction::new(), replay)).await?;
            }
        }
    }
    Ok(copy)
}

fn replay(transaction: Transaction, event: &Event) -> Transaction {
    match event {
        Event::Put { record, .. } => transaction.put(record.key.clone(), record.value.clone()),
        other => transaction.delete(other.key().clone()),
    }
}

#[derive(Debug)]
struct Mutant {
    memory: Memory,
    fault: Fault,
    turn: AtomicU64,
    replica: bool,
}

impl Mutant {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// True once in so many calls.
    fn sometimes(&self, in_turns: u64) -> bool {
        self.turn.fetch_add(1, Ordering::Relaxed) % in_turns == in_turns - 1
    }

    /// The revision before the newest, if there is one.
    async fn before(&self) -> Revision {
        let now = self.memory.revision().await.unwrap();
        Revision::new(now.get() - 1).max(Revision::FIRST)
    }

    fn key(&self, key: &Key) -> Key {
        if self.has(Fault::TakesKeysForText) {
            let text = String::from_utf8_lossy(key.as_bytes()).replace('\0', "");
            return Key::from_storage(text.into_bytes().into());
        }
        key.clone()
    }

    /// What the faults of writing make of a transaction.
    fn distort(&self, transaction: Transaction) -> Transaction {
        let (conditions, operations) = transaction.into_parts();
        let mut distorted = Transaction::new();
        for condition in conditions {
            distorted.add_precondition(match condition {
                Precondition::RevisionIs(key, _) if self.has(Fault::IgnoresRevisions) => {
                    Precondition::Exists(key)
                }
                Precondition::RevisionIs(key, Revision::ZERO)
                    if self.has(Fault::TakesZeroForAbsent) =>
                {
                    Precondition::Absent(key)
                }
                other => other,
            });
        }
        for operation in operations {
            distorted.add_operation(match operation {
                Operation::Put(key, value) => {
                    let cut = self.has(Fault::CutsLargeValues).then_some(1_000_000);
                    let length = cut.unwrap_or(usize::MAX).min(value.len());
                    Operation::Put(self.key(&key), value.slice(..length))
                }
                other => other,
            });
        }
        distorted
    }

    /// Commits the operations one by one.
    async fn split(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        let (conditions, operations) = transaction.into_parts();
        let check = conditions.into_iter().fold(Transaction::new(), Transaction::require);
        let mut revision = self.memory.commit(check).await?;
        for operation in operations {
            let mut single = Transaction::new();
            single.add_operation(operation);
            revision = self.memory.commit(single).await?;
            tokio::task::yield_now().await;
        }
        Ok(revision)
    }

    async fn conflict(
        &self,
        conditions: &[Precondition],
        failed: Precondition,
        current: Option<Record>,
    ) -> CommitError {
        if self.has(Fault::TellsNoCurrentRecord) {
            return CommitError::Conflict { failed, current: None };
        }
        if self.has(Fault::TellsTheLastConflict) {
            for condition in conditions.iter().rev() {
                let current = self.memory.get(condition.key()).await.unwrap();
                if !condition.holds(current.as_ref().map(|record| record.revision)) {
                    return CommitError::Conflict { failed: condition.clone(), current };
                }
            }
        }
        CommitError::Conflict { failed, current }
    }

    async fn list_now(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        let mut now = options;
        now.at = None;
        let page = self.memory.list(range, now).await?;
        Ok(Page { revision: options.at.unwrap_or(page.revision), ..page })
    }

    /// Everything that begins as the range does, without the `/` at its end.
    async fn list_prefix(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        let mut page = self.memory.list(&KeyRange::all(), options).await?;
        let prefix = range.start().strip_suffix(b"/").unwrap_or(range.start());
        page.records.retain(|record| record.key.as_bytes().starts_with(prefix));
        Ok(page)
    }
}

#[async_trait]
impl Storage for Mutant {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        let stale = self.has(Fault::ReadsTheValueBefore) && self.sometimes(5)
            || self.has(Fault::LagsBehindReplicas) && self.replica;
        if stale {
            let at = ListOptions::default().at(self.before().await);
            let page = self.memory.list(&KeyRange::key(key), at).await?;
            return Ok(page.records.into_iter().next());
        }
        self.memory.get(&self.key(key)).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        let page = match (self.fault, options.at) {
            (Fault::ListsThePast, None) if self.sometimes(5) => {
                let old = options.at(self.before().await);
                self.memory.list(range, old).await
            }
            (Fault::ListsNowForThen, Some(_)) => self.list_now(range, options).await,
            (Fault::TakesKeysForPrefixes, _) => self.list_prefix(range, options).await,
            _ => self.memory.list(range, options).await,
        };
        match page {
            Err(ReadError::Expired { .. }) if self.has(Fault::ListsNowForExpired) => {
                self.list_now(range, options).await
            }
            Err(ReadError::Future { .. }) if self.has(Fault::ListsNowForTheFuture) => {
                self.list_now(range, options).await
            }
            Ok(page) if self.has(Fault::CountsWhatRemainsNow) => {
                let now = self.memory.list(range, ListOptions::default()).await?.records.len();
                let remaining = now.saturating_sub(page.records.len()) as u64;
                Ok(Page { remaining, ..page })
            }
            other => other,
        }
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        if self.has(Fault::SplitsTransactions) {
            return self.split(transaction).await;
        }
        let mut transaction = self.distort(transaction);
        if self.has(Fault::TakesRevisionsForNothing) {
            let counter = Key::from_storage(Bytes::from_static(b"\x01counter"));
            transaction = transaction.put(counter, Bytes::new());
        }
        let conditions = transaction.preconditions().to_vec();
        match self.memory.commit(transaction).await {
            Err(CommitError::Conflict { failed, current }) => {
                Err(self.conflict(&conditions, failed, current).await)
            }
            other => other,
        }
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        let now = self.memory.revision().await.unwrap();
        let after = if self.has(Fault::WatchesFromNow) { now } else { after };
        let inner = self.memory.watch(range, after).await?;
        let (to, receiver) = mpsc::channel(4096);
        let (request, requests) = mpsc::unbounded_channel();
        let distorter = Distorter { fault: self.fault, memory: self.memory.clone(), to, turn: 0 };
        tokio::spawn(distorter.run(inner, requests));
        Ok(Watch::new(receiver, move || {
            let _over = request.send(());
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

/// Passes on what a watch tells, with a fault.
struct Distorter {
    fault: Fault,
    memory: Memory,
    to: WatchSender,
    turn: u64,
}

impl Distorter {
    async fn run(mut self, mut inner: Watch, mut requests: UnboundedReceiver<()>) {
        loop {
            let told = tokio::select! {
                told = inner.next() => told,
                request = requests.recv() => {
                    match (request, self.fault) {
                        (None, _) => return,
                        (Some(()), Fault::NeverTellsProgress) => {}
                        (Some(()), Fault::TellsProgressTooEarly) => {
                            let revision = self.memory.revision().await.unwrap();
                            self.send(Vec::new(), revision).await;
                        }
                        (Some(()), _) => inner.request_progress(),
                    }
                    continue;
                }
            };
            let Some(told) = told else { return };
            match told {
                Ok(batch) => {
                    if !batch.events.is_empty() {
                        self.turn += 1;
                    }
                    if self.fault == Fault::EndsWatchesInSilence && self.turn == 5 {
                        return;
                    }
                    self.distort(batch).await;
                }
                Err(error) => drop(self.to.send(Err(error)).await),
            }
        }
    }

    async fn send(&self, events: Vec<Event>, revision: Revision) {
        let _gone = self.to.send(Ok(WatchBatch { events, revision })).await;
    }

    async fn distort(&self, batch: WatchBatch) {
        let WatchBatch { mut events, revision } = batch;
        let now = !events.is_empty() && self.turn % 3 == 1;
        match self.fault {
            Fault::DropsEvents if now => {
                events.remove(0);
            }
            Fault::RepeatsEvents if now => self.send(events.clone(), revision).await,
            Fault::ReordersEvents => events.reverse(),
            Fault::SplitsBatches if events.len() > 1 => {
                let rest = events.split_off(1);
                self.send(events, revision).await;
                events = rest;
            }
            Fault::ForgetsPrevious => {
                for event in &mut events {
                    if let Event::Put { previous, .. } = event {
                        *previous = None;
                    }
                }
            }
            _ => {}
        }
        self.send(events, revision).await;
    }
}
