//! Bringing what is in the journal to the data file, many commits at once and while others go on.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{
    journal::Found,
    log::{Failure, Log},
    row::Row,
};
use crate::storage::{
    Cause, ReadError, Revision,
    engine::{Engine, Values},
    index::Position,
    plan::Plan,
};

/// One write to the data file.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// What was found in the journal when the directory was opened.
    pub(super) found: Arc<Found>,
    /// What was committed since the last one.
    pub(super) plans: Vec<Arc<Plan>>,
    /// Old values that no revision from `floor` on needs.
    pub(super) erase: Vec<Position>,
    /// Of how many changes the old values are erased.
    pub(super) erased: usize,
    pub(super) floor: Revision,
    /// The newest revision after it.
    pub(super) last: Revision,
    /// The first segment of the journal that is needed after it. No two checkpoints have the same.
    pub(super) journal: u64,
}

/// All values that are kept: in the data file, and those that it does not have yet.
#[derive(Debug)]
pub(super) struct Stored {
    log: Log,
    /// What was only in the journal when the directory was opened.
    found: RwLock<Arc<Found>>,
    /// Commits that are only in the journal, in their order.
    waiting: RwLock<VecDeque<Arc<Plan>>>,
}

impl Stored {
    pub(super) fn new(log: Log, found: Found) -> Self {
        Self { log, found: RwLock::new(Arc::new(found)), waiting: RwLock::default() }
    }

    /// What the next checkpoint has to bring to the data file before those.
    pub(super) fn found(&self) -> Arc<Found> {
        Arc::clone(&self.found.read())
    }

    /// Commits that the next checkpoint has to bring to the data file.
    pub(super) fn waiting(&self) -> Vec<Arc<Plan>> {
        self.waiting.read().iter().cloned().collect()
    }

    /// Whether a checkpoint has something to bring to the data file, or to end.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.read().is_empty() || self.found.read().begun
    }

    /// Adds a commit that is in the journal.
    pub(super) fn push(&self, plan: Arc<Plan>) {
        self.waiting.write().push_back(plan);
    }

    /// Returns when all of it is on disk, or nothing.
    pub(super) fn write(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.log.write(checkpoint)?;
        *self.found.write() = Arc::default();
        let mut waiting = self.waiting.write();
        let written = waiting.partition_point(|plan| plan.revision <= checkpoint.last);
        waiting.drain(..written);
        Ok(())
    }

    /// Closes the data file.
    pub(super) fn close(&self) {
        self.log.close();
    }

    /// What is found among what waits; the value itself is none where it was removed.
    fn find(&self, position: Position) -> Option<Option<Bytes>> {
        let found = self.found();
        let changes = &found.changes;
        if let Ok(place) = changes.binary_search_by_key(&position, |change| change.0) {
            return Row::decode(position, &changes.get(place)?.1).map(|row| row.value());
        }
        let waiting = self.waiting.read();
        let plan = waiting.partition_point(|plan| plan.revision < position.revision);
        let rows = &waiting.get(plan)?.rows;
        let row = rows.binary_search_by_key(&position, |row| row.position).ok()?;
        Some(rows.get(row)?.value.clone())
    }
}

impl Values for Stored {
    fn read(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError> {
        // Looked for here first: what leaves meanwhile is in the file then.
        let here: Vec<_> = positions.iter().map(|position| self.find(*position)).collect();
        let pairs = positions.iter().zip(&here);
        let others: Vec<_> =
            pairs.filter(|(_, here)| here.is_none()).map(|(position, _)| *position).collect();
        if others.is_empty() {
            return Ok(here.into_iter().map(Option::flatten).collect());
        }
        let mut others = self.log.read(&others)?.into_iter();
        Ok(here.into_iter().map(|here| here.unwrap_or_else(|| others.next().flatten())).collect())
    }
}

/// The thread that writes checkpoints.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// None only while being dropped.
    jobs: Option<Sender<Checkpoint>>,
    results: Receiver<(Checkpoint, Result<(), Failure>)>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(engine: Arc<Engine<Stored>>) -> std::io::Result<Self> {
        let (jobs, received) = mpsc::channel::<Checkpoint>();
        let (sender, results) = mpsc::channel();
        let work = move || {
            for checkpoint in received {
                let result = engine.values().write(&checkpoint);
                if sender.send((checkpoint, result)).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("milo-checkpoint".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), results, thread: Some(thread) })
    }

    /// Begins a checkpoint.
    pub(super) fn begin(&self, checkpoint: Checkpoint) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only when this is dropped, or when it panicked: then there is no
            // result either.
            let _stopped = jobs.send(checkpoint);
        }
    }

    /// The result of a checkpoint that has ended.
    pub(super) fn ended(&self) -> Option<(Checkpoint, Result<(), Failure>)> {
        self.results.try_recv().ok()
    }

    /// Waits for the result of the checkpoint that was begun.
    pub(super) fn wait(&self) -> Result<(Checkpoint, Result<(), Failure>), Cause> {
        self.results.recv().map_err(Cause::from)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes checkpoints had panicked");
        }
    }
}
