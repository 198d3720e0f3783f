//! The one thread that writes: group commit and compaction.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::Instant,
};

use tokio::sync::oneshot;

use super::log::{Failure, Log};
use crate::storage::{
    Cause, CommitError, Operation, ReadError, Revision, Transaction,
    engine::Engine,
    index::Position,
    plan::{Plan, Planner},
    retention::Retention,
};

/// Transactions that share one write to disk, at most.
const BATCH: usize = 1024;
/// Bytes of values that share one write to disk, unless a single transaction has more.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Changes erased at a time: a few milliseconds between two batches.
const ERASED: usize = 512;

/// What the writer is asked for. Who no longer waits for the answer has dropped the other end.
#[derive(Debug)]
pub(super) enum Intent {
    /// A transaction that was [prepared](crate::storage::plan::prepare).
    Commit(Transaction, oneshot::Sender<Result<Revision, CommitError>>),
    /// Raise the floor.
    Compact(Revision, oneshot::Sender<Result<(), ReadError>>),
    /// Say whether it can write.
    Ping(oneshot::Sender<Result<(), ReadError>>),
}

/// The state of the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    intents: Receiver<Intent>,
    engine: Arc<Engine<Log>>,
    retention: Retention,
    /// Set after a failed write, until the log is open again and agrees with memory.
    broken: Option<Broken>,
    /// A floor that is not in the file yet.
    floor_moved: bool,
    /// How many transactions the last batch had.
    expected: usize,
}

#[derive(Debug)]
struct Broken {
    /// What may have been written all the same.
    in_doubt: Option<Plan>,
}

/// Why a batch failed.
#[derive(Clone, Debug)]
enum Outage {
    /// Nothing of it was written.
    NotWritten(Arc<dyn std::error::Error + Send + Sync>),
    /// It may have been written.
    InDoubt(Arc<dyn std::error::Error + Send + Sync>),
}

/// A cause that many are told of.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Shared(#[source] Arc<dyn std::error::Error + Send + Sync>);

impl Outage {
    fn commit_error(&self) -> CommitError {
        match self {
            Self::NotWritten(cause) => CommitError::Unavailable(Box::new(Shared(cause.clone()))),
            Self::InDoubt(cause) => CommitError::Uncertain(Box::new(Shared(cause.clone()))),
        }
    }

    fn read_error(&self) -> ReadError {
        let (Self::NotWritten(cause) | Self::InDoubt(cause)) = self;
        ReadError::Unavailable(Box::new(Shared(cause.clone())))
    }
}

/// The file does not hold what was written to it.
#[derive(Debug, thiserror::Error)]
#[error("the data file ends at revision {found} instead of {expected}")]
struct Mismatch {
    found: Revision,
    expected: Revision,
}

enum Next {
    Intent(Intent),
    Idle,
    Closed,
}

type Answer<T, E> = (oneshot::Sender<Result<T, E>>, Result<T, E>);

/// Intents that are worked on together.
#[derive(Default)]
struct Batch {
    commits: Vec<(Transaction, oneshot::Sender<Result<Revision, CommitError>>)>,
    compactions: Vec<oneshot::Sender<Result<(), ReadError>>>,
    pings: Vec<oneshot::Sender<Result<(), ReadError>>>,
    floor: Revision,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.commits.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, intent: Intent) {
        match intent {
            Intent::Commit(transaction, answer) => {
                self.bytes += transaction.operations().iter().map(value_size).sum::<usize>();
                self.commits.push((transaction, answer));
            }
            Intent::Compact(floor, answer) => {
                self.floor = self.floor.max(floor);
                self.compactions.push(answer);
            }
            Intent::Ping(answer) => self.pings.push(answer),
        }
    }
}

fn value_size(operation: &Operation) -> usize {
    match operation {
        Operation::Put(_, value) => value.len(),
        Operation::Delete(_) => 0,
    }
}

impl Writer {
    pub(super) fn new(
        intents: Receiver<Intent>,
        engine: Arc<Engine<Log>>,
        mut retention: Retention,
    ) -> Self {
        retention.observe(Instant::now(), engine.revision());
        Self { intents, engine, retention, broken: None, floor_moved: false, expected: 0 }
    }

    /// Works until nobody can send intents any more.
    pub(super) fn run(mut self) {
        let mut erasing = true;
        loop {
            match self.next(erasing) {
                Next::Intent(first) => self.work(first),
                Next::Idle => {}
                Next::Closed => break,
            }
            erasing = self.compact();
        }
        self.engine.hub().close();
        self.engine.values().close();
    }

    /// Waits for an intent: not at all while there is something to erase, not for ever while
    /// there is history that will have to go.
    fn next(&self, erasing: bool) -> Next {
        if erasing {
            return match self.intents.try_recv() {
                Ok(intent) => Next::Intent(intent),
                Err(TryRecvError::Empty) => Next::Idle,
                Err(TryRecvError::Disconnected) => Next::Closed,
            };
        }
        if self.engine.index().read().has_changes() {
            return match self.intents.recv_timeout(self.retention.interval()) {
                Ok(intent) => Next::Intent(intent),
                Err(RecvTimeoutError::Timeout) => Next::Idle,
                Err(RecvTimeoutError::Disconnected) => Next::Closed,
            };
        }
        self.intents.recv().map_or(Next::Closed, Next::Intent)
    }

    /// Handles an intent together with all that arrived while the last ones were handled.
    fn work(&mut self, first: Intent) {
        let batch = self.gather(first);
        self.expected = batch.commits.len();
        if !batch.commits.is_empty() {
            self.commit(batch.commits);
        }
        let compacted =
            if batch.compactions.is_empty() { Ok(()) } else { self.compact_to(batch.floor) };
        reply_all(batch.compactions, &compacted);
        if !batch.pings.is_empty() {
            reply_all(batch.pings, &self.recover());
        }
    }

    /// Takes what has arrived. Those who were just answered may be about to ask again: as long as
    /// more come in, and fewer have come than the last time, they get the processor first. So
    /// many writers do not fall into two groups that wait for each other's writes.
    fn gather(&self, first: Intent) -> Batch {
        let mut batch = Batch::default();
        batch.add(first);
        let mut quiet = 0;
        loop {
            let before = batch.commits.len();
            while !batch.is_full()
                && let Ok(intent) = self.intents.try_recv()
            {
                batch.add(intent);
            }
            let grew = batch.commits.len() > before;
            quiet = if grew { 0 } else { quiet + 1 };
            if batch.is_full() || batch.commits.len() >= self.expected || quiet > 2 {
                return batch;
            }
            std::thread::yield_now();
        }
    }

    fn commit(
        &mut self,
        commits: Vec<(Transaction, oneshot::Sender<Result<Revision, CommitError>>)>,
    ) {
        if let Err(outage) = self.recover() {
            for (_, sender) in commits {
                let _gone = sender.send(Err(outage.commit_error()));
            }
            return;
        }
        let (plan, answers) = self.plan(commits);
        let written =
            if plan.revision > self.engine.revision() { self.write(plan) } else { Ok(()) };
        // Conflicts too are told only now: they may speak of what has just been written.
        for (sender, answer) in answers {
            let answer = match &written {
                Ok(()) => answer,
                Err(outage) => Err(outage.commit_error()),
            };
            let _gone = sender.send(answer);
        }
        self.retention.observe(Instant::now(), self.engine.revision());
    }

    fn plan(
        &self,
        commits: Vec<(Transaction, oneshot::Sender<Result<Revision, CommitError>>)>,
    ) -> (Plan, Vec<Answer<Revision, CommitError>>) {
        let index = self.engine.index().read();
        let mut planner = Planner::new(&*index);
        let answers = commits
            .into_iter()
            .map(|(transaction, sender)| (sender, planner.add(transaction)))
            .collect();
        (planner.finish(), answers)
    }

    fn write(&mut self, plan: Plan) -> Result<(), Outage> {
        let Err(failure) = self.engine.values().append(&plan) else {
            self.engine.publish(&plan);
            return Ok(());
        };
        let expected = plan.revision;
        self.fail(&failure, Some(plan));
        let recovered = self.recover();
        if self.engine.revision() == expected {
            // It was written after all.
            return Ok(());
        }
        let in_doubt = failure.in_doubt && recovered.is_err();
        let cause = Arc::new(failure);
        Err(if in_doubt { Outage::InDoubt(cause) } else { Outage::NotWritten(cause) })
    }

    fn fail(&mut self, failure: &Failure, plan: Option<Plan>) {
        tracing::error!(error = %failure, "writing to the storage directory failed");
        self.broken = Some(Broken { in_doubt: plan.filter(|_| failure.in_doubt) });
    }

    /// Opens the log again after a failure and compares it with memory.
    fn recover(&mut self) -> Result<(), Outage> {
        let Some(broken) = self.broken.take() else { return Ok(()) };
        match self.reopen(&broken) {
            Ok(()) => {
                tracing::info!("the storage directory is open again");
                Ok(())
            }
            Err(cause) => {
                self.broken = Some(broken);
                Err(Outage::NotWritten(cause))
            }
        }
    }

    fn reopen(&self, broken: &Broken) -> Result<(), Arc<dyn std::error::Error + Send + Sync>> {
        let found = match self.engine.values().reopen() {
            Ok(found) => found,
            Err(error) => return Err(Arc::new(error)),
        };
        let expected = self.engine.revision();
        if found == expected {
            return Ok(());
        }
        match &broken.in_doubt {
            Some(plan) if plan.revision == found => {
                self.engine.publish(plan);
                Ok(())
            }
            _ => Err(Arc::new(Mismatch { found, expected })),
        }
    }

    fn compact_to(&mut self, floor: Revision) -> Result<(), Outage> {
        self.recover()?;
        self.floor_moved |= self.engine.index().write().raise_floor(floor);
        if self.floor_moved { self.erase().map(drop) } else { Ok(()) }
    }

    /// Raises the floor when it is time, and erases a part of what is below it. Returns whether
    /// there is more to erase.
    fn compact(&mut self) -> bool {
        let now = Instant::now();
        self.retention.observe(now, self.engine.revision());
        if let Some(floor) = self.retention.floor(now) {
            let mut index = self.engine.index().write();
            if index.has_changes_until(floor) {
                self.floor_moved |= index.raise_floor(floor);
            }
        }
        if self.broken.is_some() {
            return false;
        }
        // After an error, not again before the next wake-up.
        self.erase().unwrap_or(false)
    }

    fn erase(&mut self) -> Result<bool, Outage> {
        let (positions, count, floor, last) = self.expired();
        if count == 0 && !self.floor_moved {
            return Ok(false);
        }
        if !positions.is_empty() || self.floor_moved {
            if let Err(failure) = self.engine.values().erase(&positions, floor, last) {
                self.fail(&failure, None);
                // Erased or not: the state from the floor on is the same.
                let _later = self.recover();
                return Err(Outage::NotWritten(Arc::new(failure)));
            }
            self.floor_moved = false;
        }
        self.engine.index().write().forget(count);
        Ok(count == ERASED)
    }

    /// What the file no longer needs, and of how many changes that is all.
    fn expired(&self) -> (Vec<Position>, usize, Revision, Revision) {
        let index = self.engine.index().read();
        let mut count = 0;
        let mut positions = Vec::new();
        for change in index.expired(ERASED) {
            count += 1;
            positions.extend(change.previous());
            positions.extend(change.deleted().then_some(change.position()));
        }
        (positions, count, index.floor(), index.revision())
    }
}

fn reply_all(senders: Vec<oneshot::Sender<Result<(), ReadError>>>, result: &Result<(), Outage>) {
    for sender in senders {
        let answer = result.as_ref().copied().map_err(Outage::read_error);
        let _gone = sender.send(answer);
    }
}

/// An engine that is being dropped.
#[derive(Debug, thiserror::Error)]
#[error("the storage engine has stopped")]
pub(super) struct Stopped;

impl From<Stopped> for ReadError {
    fn from(stopped: Stopped) -> Self {
        Self::Unavailable(Cause::from(stopped))
    }
}
