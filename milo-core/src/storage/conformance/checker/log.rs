//! Writes down what a store was asked and what it answered.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    key::{Key, KeyRange},
    storage::{
        CommitError, ListOptions, Page, Precondition, ReadError, Record, Revision, Storage,
        Transaction, Watch, WatchBatch, WatchError,
        conformance::{failure::Failure, vocabulary::soon},
    },
};

/// A moment in the order of all questions and answers.
pub(super) type Tick = u64;

/// What was asked.
#[derive(Debug)]
pub(super) enum Question {
    Commit(Transaction),
    Get(Key),
    List(KeyRange, ListOptions),
    Revision,
    Compact(Revision),
    Watch(KeyRange, Revision),
}

/// What was answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nobody waited for it: it may have happened, now or later.
    Unknown,
    Committed(Revision),
    Conflict(Precondition, Option<Record>),
    Found(Option<Record>),
    Listed(Page),
    At(Revision),
    Expired(Revision),
    Compacted,
    /// Everything that the watch told, and when.
    Told(Vec<(Tick, WatchBatch)>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) invoked: Tick,
    /// Never, when nobody waited for the answer.
    pub(super) returned: Tick,
    pub(super) question: Question,
    pub(super) answer: Answer,
}

#[derive(Debug, Default)]
struct Inner {
    now: Tick,
    entries: Vec<Entry>,
}

/// All that was asked of one store, by whatever handle.
#[derive(Debug, Default)]
pub(in super::super) struct Log {
    inner: Mutex<Inner>,
}

impl Log {
    pub(super) fn begin(&self, question: Question) -> usize {
        let mut inner = self.inner.lock();
        inner.now += 1;
        let (invoked, returned) = (inner.now, Tick::MAX);
        inner.entries.push(Entry { invoked, returned, question, answer: Answer::Unknown });
        inner.entries.len() - 1
    }

    pub(super) fn end(&self, entry: usize, answer: Answer) {
        let mut inner = self.inner.lock();
        inner.now += 1;
        let now = inner.now;
        if let Some(entry) = inner.entries.get_mut(entry) {
            (entry.returned, entry.answer) = (now, answer);
        }
    }

    pub(super) fn tell(&self, entry: usize, batch: WatchBatch) {
        let mut inner = self.inner.lock();
        inner.now += 1;
        let now = inner.now;
        if let Some(Entry { answer: Answer::Told(told), .. }) = inner.entries.get_mut(entry) {
            told.push((now, batch));
        }
    }

    /// The entries in the order in which they were asked.
    pub(super) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.inner.lock().entries)
    }
}

/// A handle on a store that writes everything down.
#[derive(Clone, Debug)]
pub(in super::super) struct Recorder {
    storage: Arc<dyn Storage>,
    log: Arc<Log>,
}

impl Recorder {
    pub(in super::super) fn new(storage: Arc<dyn Storage>, log: Arc<Log>) -> Self {
        Self { storage, log }
    }

    /// Commits, and returns the revision, or the record that was in the way.
    pub(in super::super) async fn commit(
        &self,
        transaction: Transaction,
    ) -> Result<Result<Revision, Option<Record>>, Failure> {
        let entry = self.log.begin(Question::Commit(transaction.clone()));
        match self.storage.commit(transaction).await {
            Ok(revision) => {
                self.log.end(entry, Answer::Committed(revision));
                Ok(Ok(revision))
            }
            Err(CommitError::Conflict { failed, current }) => {
                self.log.end(entry, Answer::Conflict(failed, current.clone()));
                Ok(Err(current))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(in super::super) async fn get(&self, key: Key) -> Result<Option<Record>, Failure> {
        let entry = self.log.begin(Question::Get(key.clone()));
        let found = self.storage.get(&key).await?;
        self.log.end(entry, Answer::Found(found.clone()));
        Ok(found)
    }

    pub(in super::super) async fn revision(&self) -> Result<Revision, Failure> {
        let entry = self.log.begin(Question::Revision);
        let revision = self.storage.revision().await?;
        self.log.end(entry, Answer::At(revision));
        Ok(revision)
    }

    pub(in super::super) async fn list(
        &self,
        range: KeyRange,
        options: ListOptions,
    ) -> Result<(), Failure> {
        let entry = self.log.begin(Question::List(range.clone(), options));
        let answer = match self.storage.list(&range, options).await {
            Ok(page) => Answer::Listed(page),
            Err(ReadError::Expired { compacted, .. }) => Answer::Expired(compacted),
            Err(error) => return Err(error.into()),
        };
        self.log.end(entry, answer);
        Ok(())
    }

    pub(in super::super) async fn compact(&self, floor: Revision) -> Result<(), Failure> {
        let entry = self.log.begin(Question::Compact(floor));
        self.storage.compact(floor).await?;
        self.log.end(entry, Answer::Compacted);
        Ok(())
    }

    /// Starts a watch; none when its beginning is no longer kept.
    pub(in super::super) async fn watch(
        &self,
        range: KeyRange,
        after: Revision,
    ) -> Result<Option<RecordedWatch>, Failure> {
        let entry = self.log.begin(Question::Watch(range.clone(), after));
        match self.storage.watch(&range, after).await {
            Ok(watch) => {
                self.log.end(entry, Answer::Told(Vec::new()));
                let log = Arc::clone(&self.log);
                Ok(Some(RecordedWatch { watch, log, entry, told: after }))
            }
            Err(WatchError::Expired { compacted, .. }) => {
                self.log.end(entry, Answer::Expired(compacted));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The store itself.
    pub(in super::super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }
}

/// A watch whose batches are written down.
#[derive(Debug)]
pub(in super::super) struct RecordedWatch {
    watch: Watch,
    log: Arc<Log>,
    entry: usize,
    told: Revision,
}

impl RecordedWatch {
    /// How far it has come.
    pub(in super::super) fn told(&self) -> Revision {
        self.told
    }

    pub(in super::super) fn request_progress(&self) {
        self.watch.request_progress();
    }

    /// Reads a batch. False when the watch is over and may be resumed: it was too slow, or what
    /// it needs was compacted.
    pub(in super::super) async fn read(&mut self) -> Result<bool, Failure> {
        match soon("a watch batch", self.watch.next()).await? {
            Some(Ok(batch)) => {
                self.told = batch.revision;
                self.log.tell(self.entry, batch);
                Ok(true)
            }
            Some(Err(WatchError::Lagged | WatchError::Expired { .. })) => Ok(false),
            Some(Err(error)) => Err(error.into()),
            None => Err(Failure::new("the watch ended without an error")),
        }
    }
}
