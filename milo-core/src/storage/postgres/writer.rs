//! The one task of this process that writes: group commit.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{
    batch::{Current, Mark, Pen, WriteError},
    error::Failure,
    target::Target,
};
use crate::{
    key::Key,
    storage::{
        Cause, CommitError, Event, Operation, Precondition, ReadError, Revision, Transaction,
        index::Row,
        plan::{Plan, Planner, State},
        relay::Relay,
    },
};

/// Transactions that share one transaction of the database, at most.
const BATCH: usize = 1024;
/// Bytes of values that share one, unless a single transaction has more.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long to wait before asking again what became of a batch.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A transaction that is to be committed.
#[derive(Debug)]
pub(super) struct Intent {
    transaction: Transaction,
    taken: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<Revision, CommitError>>,
}

/// Where the answer to an [`Intent`] comes.
#[derive(Debug)]
pub(super) struct Answer {
    taken: Arc<AtomicBool>,
    receiver: oneshot::Receiver<Result<Revision, CommitError>>,
}

impl Intent {
    /// The transaction must have been [prepared](crate::storage::plan::prepare).
    pub(super) fn new(transaction: Transaction) -> (Self, Answer) {
        let taken = Arc::new(AtomicBool::new(false));
        let (answer, receiver) = oneshot::channel();
        (Self { transaction, taken: Arc::clone(&taken), answer }, Answer { taken, receiver })
    }

    /// False when nobody waits for it any more.
    fn take(&self) -> bool {
        !self.answer.is_closed() && !self.taken.swap(true, Ordering::AcqRel)
    }
}

impl Answer {
    /// Waits so long for its turn, and then until it is known what became of it.
    pub(super) async fn get(mut self, patience: Duration) -> Result<Revision, CommitError> {
        let answer = match tokio::time::timeout(patience, &mut self.receiver).await {
            Ok(answer) => answer,
            Err(_) if !self.taken.swap(true, Ordering::AcqRel) => {
                return Err(Failure::TimedOut(patience).commit_error());
            }
            Err(_) => self.receiver.await,
        };
        answer.unwrap_or_else(|_| Err(CommitError::Uncertain(Box::new(Failure::Stopped))))
    }
}

/// Intents that are worked on together.
#[derive(Default)]
struct Batch {
    intents: Vec<Intent>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.intents.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, intent: Intent) {
        if intent.take() {
            self.bytes += intent.transaction.operations().iter().map(value_size).sum::<usize>();
            self.intents.push(intent);
        }
    }
}

fn value_size(operation: &Operation) -> usize {
    match operation {
        Operation::Put(_, value) => value.len(),
        Operation::Delete(_) => 0,
    }
}

/// The state of the writing task.
#[derive(Debug)]
pub(super) struct Writer {
    target: Arc<Target>,
    relay: Arc<Relay>,
    /// Told when the relay must read what was committed.
    behind: Arc<Notify>,
    intents: mpsc::UnboundedReceiver<Intent>,
    pen: Option<Pen>,
    channel: String,
    /// What other replicas are told of who commits.
    sender: String,
    /// How many transactions the last batch had.
    expected: usize,
}

impl Writer {
    pub(super) fn new(
        target: Arc<Target>,
        relay: Arc<Relay>,
        behind: Arc<Notify>,
        intents: mpsc::UnboundedReceiver<Intent>,
        sender: String,
    ) -> Self {
        let channel = target.channel();
        Self { target, relay, behind, intents, pen: None, channel, sender, expected: 0 }
    }

    pub(super) async fn run(mut self) {
        while let Some(first) = self.intents.recv().await {
            let batch = self.gather(first).await;
            self.expected = batch.intents.len();
            if !batch.intents.is_empty() {
                self.commit(batch.intents).await;
            }
        }
    }

    /// Takes what has arrived. Those who were just answered may be about to ask again: as long as
    /// more come in, and fewer have come than the last time, they get their turn first. So many
    /// writers do not fall into two groups that wait for each other's writes.
    async fn gather(&mut self, first: Intent) -> Batch {
        let mut batch = Batch::default();
        batch.add(first);
        let mut quiet = 0;
        loop {
            let before = batch.intents.len();
            while !batch.is_full()
                && let Ok(intent) = self.intents.try_recv()
            {
                batch.add(intent);
            }
            let grew = batch.intents.len() > before;
            quiet = if grew { 0 } else { quiet + 1 };
            if batch.is_full() || batch.intents.len() >= self.expected || quiet > 2 {
                return batch;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn commit(&mut self, intents: Vec<Intent>) {
        let (transactions, answers): (Vec<_>, Vec<_>) =
            intents.into_iter().map(|intent| (intent.transaction, intent.answer)).unzip();
        let results = match self.begin(&transactions).await {
            Ok(current) => self.complete(&current, transactions).await,
            Err(error) => {
                let error = Shared(Arc::from(error));
                let unavailable = || Err(CommitError::Unavailable(Box::new(error.clone())));
                transactions.iter().map(|_| unavailable()).collect()
            }
        };
        for (answer, result) in answers.into_iter().zip(results) {
            let _gone = answer.send(result);
        }
    }

    /// Begins a batch. A connection that turns out to be lost is replaced, once: nothing has been
    /// written yet.
    async fn begin(&mut self, transactions: &[Transaction]) -> Result<Current, Cause> {
        let keys = keys(transactions);
        let mut again = self.pen.as_ref().is_some_and(|pen| !pen.is_closed());
        loop {
            match self.pen().await?.begin(&keys).await {
                Ok(current) => return Ok(current),
                Err(error) => {
                    self.pen = None;
                    if !again || !is_cut(&error) {
                        return Err(Box::new(error));
                    }
                    again = false;
                }
            }
        }
    }

    async fn pen(&mut self) -> Result<&Pen, Failure> {
        let pen = match self.pen.take() {
            Some(pen) if !pen.is_closed() => pen,
            _ => {
                let pen = Pen::open(&self.target).await?;
                // The database can be reached again, and others may have written meanwhile.
                self.behind.notify_one();
                pen
            }
        };
        Ok(self.pen.insert(pen))
    }

    async fn complete(
        &mut self,
        current: &Current,
        transactions: Vec<Transaction>,
    ) -> Vec<Result<Revision, CommitError>> {
        let mut planner = Planner::new(current);
        let before = current.revision();
        let results: Vec<_> =
            transactions.into_iter().map(|transaction| planner.add(transaction)).collect();
        let plan = planner.finish();
        // Conflicts too are told only now: they may speak of what has just been written.
        match self.write(&plan, before).await {
            Ok(()) => results,
            Err(error) => results.into_iter().map(|result| error.instead_of(&result)).collect(),
        }
    }

    async fn write(&mut self, plan: &Plan, before: Revision) -> Result<(), WriteError> {
        let Some(pen) = &self.pen else {
            // INVARIANT: there is one, the batch was begun with it.
            return Err(WriteError::Refused(Failure::Stopped));
        };
        if plan.rows.is_empty() {
            if pen.abandon().await.is_err() {
                self.pen = None;
            }
            return Ok(());
        }
        let mark = Mark::new(before);
        let written = match pen.write(plan, mark, &self.channel, &self.sender).await {
            Err(WriteError::InDoubt(failure)) => {
                // With the connection goes the transaction, unless it is at its very end.
                self.pen = None;
                self.find_out(mark, failure).await
            }
            other => other,
        };
        match &written {
            Ok(()) => self.publish(plan, before),
            Err(WriteError::Refused(failure)) if !failure.is_lost() => {}
            Err(_) => {
                self.pen = None;
                self.behind.notify_one();
            }
        }
        written
    }

    /// Asks what became of a batch, until that is known or has taken too long.
    async fn find_out(&mut self, mark: Mark, failure: Failure) -> Result<(), WriteError> {
        tracing::warn!(error = %failure, "the connection was lost while committing");
        let deadline = Instant::now() + self.target.patience.operation;
        loop {
            let asked = async { self.pen().await?.was_committed(mark).await };
            match tokio::time::timeout_at(deadline, asked).await {
                Ok(Ok(Some(true))) => return Ok(()),
                Ok(Ok(Some(false))) => return Err(WriteError::Refused(failure)),
                Ok(Ok(None)) | Err(_) => return Err(WriteError::InDoubt(failure)),
                Ok(Err(error)) => tracing::debug!(%error, "what became of a commit is not known"),
            }
            self.pen = None;
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    fn publish(&self, plan: &Plan, before: Revision) {
        let events: Vec<Event> = plan.rows.iter().filter_map(Row::event).collect();
        if !self.relay.publish(before, &events, plan.revision) {
            self.behind.notify_one();
        }
    }
}

impl WriteError {
    /// What somebody is told whose transaction would have had this result.
    fn instead_of(&self, result: &Result<Revision, CommitError>) -> Result<Revision, CommitError> {
        Err(match self {
            Self::InDoubt(failure) if result.is_ok() => {
                CommitError::Uncertain(Box::new(failure.clone()))
            }
            Self::InDoubt(failure) | Self::Refused(failure) => failure.clone().commit_error(),
        })
    }
}

/// A cause that many are told of.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
struct Shared(#[source] Arc<dyn std::error::Error + Send + Sync>);

fn is_cut(error: &ReadError) -> bool {
    match error {
        ReadError::Unavailable(cause) => {
            cause.downcast_ref::<Failure>().is_some_and(Failure::is_cut)
        }
        _ => false,
    }
}

/// Every key that the transactions speak of, once.
fn keys(transactions: &[Transaction]) -> Vec<&Key> {
    let mut seen = HashSet::new();
    let all = transactions.iter().flat_map(|transaction| {
        let conditions = transaction.preconditions().iter().map(Precondition::key);
        conditions.chain(transaction.operations().iter().map(Operation::key))
    });
    all.filter(|key| seen.insert(*key)).collect()
}
