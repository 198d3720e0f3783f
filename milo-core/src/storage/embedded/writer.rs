//! The one thread that commits: it gathers what arrives, and says when it is time for a checkpoint.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    checkpoint::{Checkpoint, Checkpointer, Stored},
    journal::{Journal, SEGMENT_BYTES},
    log::Failure,
};
use crate::storage::{
    Cause, CommitError, Operation, ReadError, Revision, Transaction,
    engine::Engine,
    plan::{Plan, Planner},
    retention::Retention,
};

/// Transactions that share one write to disk, at most.
const BATCH: usize = 1024;
/// Bytes of values that share one write to disk, unless a single transaction has more.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Changes whose old values are erased by one checkpoint, at most.
const ERASED: usize = 4096;
/// How often to look, without anything else to do, whether a checkpoint has ended.
const GLANCE: Duration = Duration::from_millis(5);

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
    engine: Arc<Engine<Stored>>,
    journal: Journal,
    checkpointer: Checkpointer,
    checkpoints: Checkpoints,
    retention: Retention,
    /// A batch of which nobody knows whether it is on disk. Nothing else is committed before it.
    in_doubt: Option<Arc<Plan>>,
    /// The floor that is wanted. Nobody is told of it before it is in the file.
    floor: Revision,
    /// How many transactions the last batch had.
    expected: usize,
}

/// How it stands with the data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checkpoints {
    /// It has all older segments of the journal.
    Settled,
    /// It is being given the segment before this one.
    Running,
    /// It could not be written. It needs the segment before this one.
    Failed,
    /// It has to be written before the journal: it needs whatever is in both files.
    Due,
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
        engine: Arc<Engine<Stored>>,
        journal: Journal,
        mut retention: Retention,
    ) -> std::io::Result<Self> {
        retention.observe(Instant::now(), engine.revision());
        let checkpoints =
            if engine.values().is_waiting() { Checkpoints::Due } else { Checkpoints::Settled };
        Ok(Self {
            intents,
            journal,
            checkpointer: Checkpointer::start(Arc::clone(&engine))?,
            checkpoints,
            engine,
            retention,
            in_doubt: None,
            floor: Revision::ZERO,
            expected: 0,
        })
    }

    /// Works until nobody can send intents any more.
    pub(super) fn run(mut self) {
        // If that cannot be, the first commit will be told why.
        let _tried_again = self.recover();
        loop {
            match self.next() {
                Next::Intent(first) => self.work(first),
                // What cannot be done will be tried again.
                Next::Idle => _ = self.recover(),
                Next::Closed => break,
            }
            self.compact();
        }
        self.finish();
        self.engine.hub().close();
        self.engine.values().close();
    }

    /// Waits for an intent: not for long while a checkpoint is written, not for ever while there
    /// is history that will have to go.
    fn next(&self) -> Next {
        let patience = if self.checkpoints == Checkpoints::Running {
            GLANCE
        } else if self.engine.index().read().has_changes() {
            self.retention.interval()
        } else {
            return self.intents.recv().map_or(Next::Closed, Next::Intent);
        };
        match self.intents.recv_timeout(patience) {
            Ok(intent) => Next::Intent(intent),
            Err(RecvTimeoutError::Timeout) => Next::Idle,
            Err(RecvTimeoutError::Disconnected) => Next::Closed,
        }
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
        if self.in_doubt.is_some()
            && let Err(outage) = self.recover()
        {
            for (_, sender) in commits {
                let _gone = sender.send(Err(outage.commit_error()));
            }
            return;
        }
        let (plan, answers) = self.plan(commits);
        let written =
            if plan.revision > self.engine.revision() { self.write(plan.into()) } else { Ok(()) };
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

    fn write(&mut self, plan: Arc<Plan>) -> Result<(), Outage> {
        let Err(failure) = self.append(&plan) else {
            self.engine.publish(&plan);
            return Ok(());
        };
        tracing::error!(error = %failure, "writing to the storage directory failed");
        if !failure.in_doubt {
            return Err(Outage::NotWritten(Arc::new(failure)));
        }
        self.in_doubt = Some(plan);
        self.recover().map_err(|_| Outage::InDoubt(Arc::new(failure)))
    }

    /// Brings a batch to disk.
    fn append(&mut self, plan: &Arc<Plan>) -> Result<(), Failure> {
        if self.checkpoints == Checkpoints::Due {
            self.checkpoint(None)?;
        }
        let size = Journal::size(plan);
        if size > SEGMENT_BYTES {
            return self.checkpoint(Some(plan));
        }
        if !self.journal.fits(size) {
            self.turn()?;
        }
        self.journal.append(self.engine.revision(), plan)?;
        self.engine.values().push(Arc::clone(plan));
        Ok(())
    }

    /// Begins a new segment of the journal.
    fn turn(&mut self) -> Result<(), Failure> {
        self.settle();
        if self.checkpoints == Checkpoints::Failed {
            return self.checkpoint(None);
        }
        self.begin_checkpoint();
        Ok(())
    }

    /// After a batch of which nobody knows whether it is on disk, sees to it that it is. After
    /// anything else that failed, tries again.
    fn recover(&mut self) -> Result<(), Outage> {
        let in_doubt = self.in_doubt.take();
        let behind = matches!(self.checkpoints, Checkpoints::Failed | Checkpoints::Due);
        if in_doubt.is_none() && !behind {
            return Ok(());
        }
        if let Err(failure) = self.checkpoint(in_doubt.as_ref()) {
            self.in_doubt = in_doubt;
            return Err(Outage::NotWritten(Arc::new(failure)));
        }
        tracing::debug!("the data file has what was in the journal");
        if let Some(plan) = in_doubt {
            self.engine.publish(&plan);
        }
        Ok(())
    }

    /// What the data file lacks, and `more`, which is not in the journal.
    fn next_checkpoint(&self, more: Option<&Arc<Plan>>) -> Checkpoint {
        let mut plans = self.engine.values().waiting();
        plans.extend(more.cloned());
        let index = self.engine.index().read();
        let mut erase = Vec::new();
        let mut erased = 0;
        for change in index.expired(ERASED) {
            erased += 1;
            erase.extend(change.previous());
            erase.extend(change.deleted().then_some(change.position()));
        }
        let last = plans.last().map_or(index.revision(), |plan| plan.revision);
        let journal = self.journal.segment() + 1;
        let (found, floor) = (self.engine.values().found(), index.floor().max(self.floor));
        Checkpoint { found, plans, erase, erased, floor, last, journal }
    }

    /// Writes a checkpoint, and waits for it. Nothing of the journal is needed then.
    fn checkpoint(&mut self, more: Option<&Arc<Plan>>) -> Result<(), Failure> {
        self.settle();
        let checkpoint = self.next_checkpoint(more);
        let result = self.engine.values().write(&checkpoint);
        if result.is_ok() {
            self.journal.turn();
        }
        self.end_checkpoint(&checkpoint, &result);
        result
    }

    /// Begins a checkpoint, and goes on in the other file of the journal.
    fn begin_checkpoint(&mut self) {
        self.checkpointer.begin(self.next_checkpoint(None));
        self.checkpoints = Checkpoints::Running;
        self.journal.turn();
    }

    fn end_checkpoint(&mut self, checkpoint: &Checkpoint, result: &Result<(), Failure>) {
        match result {
            Ok(()) => {
                let mut index = self.engine.index().write();
                index.forget(checkpoint.erased);
                // What is below it is erased by the next one: nobody reads it any more then.
                index.raise_floor(checkpoint.floor);
                self.checkpoints = Checkpoints::Settled;
            }
            Err(error) => {
                tracing::error!(%error, "a checkpoint of the storage could not be written");
                if self.checkpoints != Checkpoints::Due {
                    self.checkpoints = Checkpoints::Failed;
                }
            }
        }
    }

    /// Takes note of a checkpoint that has ended.
    fn glance(&mut self) {
        if self.checkpoints == Checkpoints::Running
            && let Some((checkpoint, result)) = self.checkpointer.ended()
        {
            self.end_checkpoint(&checkpoint, &result);
        }
    }

    /// Waits for the checkpoint that is being written, if any.
    fn settle(&mut self) {
        if self.checkpoints != Checkpoints::Running {
            return;
        }
        match self.checkpointer.wait() {
            Ok((checkpoint, result)) => self.end_checkpoint(&checkpoint, &result),
            Err(error) => {
                tracing::error!(%error, "the thread that writes checkpoints is gone");
                self.checkpoints = Checkpoints::Failed;
            }
        }
    }

    fn compact_to(&mut self, floor: Revision) -> Result<(), Outage> {
        self.recover()?;
        self.floor = self.floor.max(floor.min(self.engine.revision()));
        if self.floor_is_due() {
            self.checkpoint(None).map_err(|failure| Outage::NotWritten(Arc::new(failure)))?;
        }
        Ok(())
    }

    /// Raises the floor when it is time, and has a part of what is below it erased.
    fn compact(&mut self) {
        self.glance();
        let now = Instant::now();
        self.retention.observe(now, self.engine.revision());
        if let Some(floor) = self.retention.floor(now) {
            let floor = floor.min(self.engine.revision());
            if self.engine.index().read().has_changes_until(floor) {
                self.floor = self.floor.max(floor);
            }
        }
        // After a failure the next commit, or whoever asks, tries again.
        if self.in_doubt.is_some() || self.checkpoints != Checkpoints::Settled {
            return;
        }
        let expired = self.engine.index().read().expired(1).next().is_some();
        if expired || self.floor_is_due() {
            self.begin_checkpoint();
        }
    }

    fn floor_is_due(&self) -> bool {
        self.floor > self.engine.index().read().floor()
    }

    /// Leaves nothing in the journal, if that can be.
    fn finish(&mut self) {
        self.settle();
        if self.in_doubt.is_none() && self.engine.values().is_waiting() {
            let _in_the_journal = self.checkpoint(None);
        }
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
