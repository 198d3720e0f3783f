//! The evaluator: one immutable snapshot that all readers see, and one writer that replaces it.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    engine::{Difference, Snapshot, Writer},
    publication::Publication,
    world::{Change, World},
};

/// Answers questions about stored objects in process, as of a revision that it knows.
///
/// Feed it what a list says with [`relist`](Self::relist) and what a watch says with
/// [`apply`](Self::apply); both publish a whole new state at once. Readers take a
/// [`snapshot`](Self::snapshot), which never waits. No answer is remembered: with the commit that
/// revokes access, access is gone.
///
/// ```
/// use milo_iam::{Evaluator, Principal, Question, world::WorldBuilder};
///
/// let evaluator = Evaluator::new();
/// evaluator.relist(7, WorldBuilder::new().organization("acme").build())?;
/// let snapshot = evaluator.snapshot();
/// let question = Question::new(
///     Principal::new("ada"),
///     "resourcemanager.miloapis.com/organizations.list".parse()?,
/// );
/// assert!(!snapshot.check(&question));
/// assert_eq!(snapshot.revision(), 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Evaluator {
    states: Publication<Option<Writer>, Snapshot>,
    revision: watch::Sender<u64>,
}

/// Why facts were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// Changes must come in order: what is older than what is known would undo it.
    #[error("revision {offered} does not come after {known}: feed changes in order, or relist")]
    OutOfOrder {
        /// The revision that was offered.
        offered: u64,
        /// The revision that is known.
        known: u64,
    },
    /// Changes are about a state that was never listed.
    #[error("nothing has been listed yet: feed a list first, and then what changed since")]
    NotListed,
}

/// The evaluator does not know a revision yet. Nobody should be let in on what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision {wanted} was not there in time: {known} is the newest known")]
pub struct Stale {
    /// The revision that was asked for.
    pub wanted: u64,
    /// The newest revision that is known.
    pub known: u64,
}

impl Default for Evaluator {
    fn default() -> Self {
        Self::new()
    }
}

impl Evaluator {
    /// An evaluator that knows nothing yet, and denies everything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            states: Publication::new(None, Snapshot::of(World::new())),
            revision: watch::Sender::new(0),
        }
    }

    /// The facts and indexes as of the newest known revision.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.states.load()
    }

    /// Applies changes that take the facts to a revision, all at once.
    ///
    /// # Errors
    /// When the revision does not come after the known one, or nothing was listed. Nothing is
    /// changed then.
    pub fn apply(
        &self,
        revision: u64,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<(), FeedError> {
        self.publish(|held, known| {
            let writer = held.as_mut().ok_or(FeedError::NotListed)?;
            if revision <= known {
                return Err(FeedError::OutOfOrder { offered: revision, known });
            }
            writer.apply(revision, changes);
            Ok(writer.snapshot())
        })
    }

    /// Tells that nothing changed up to a revision, as a watch's bookmark does.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn bookmark(&self, revision: u64) -> Result<(), FeedError> {
        self.apply(revision, [])
    }

    /// Replaces all facts by those of a revision, as after a list. The new state is built aside
    /// while the old one answers, and takes its place at once.
    ///
    /// # Errors
    /// When the known revision is newer.
    pub fn relist(&self, revision: u64, world: World) -> Result<(), FeedError> {
        self.publish(|held, known| {
            if revision < known {
                return Err(FeedError::OutOfOrder { offered: revision, known });
            }
            Ok(held.insert(Writer::new(revision, world)).snapshot())
        })
    }

    /// What changes would change, exactly. Nothing is changed, and nobody waits; see
    /// [`Snapshot::what_if`].
    ///
    /// # Errors
    /// When nothing was listed.
    pub fn what_if(
        &self,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Difference, FeedError> {
        let is_listed = self.states.with_writer(|held| held.is_some());
        if !is_listed {
            return Err(FeedError::NotListed);
        }
        Ok(self.snapshot().what_if(changes))
    }

    /// Revisions are published, and told of, in order.
    fn publish(
        &self,
        make: impl FnOnce(&mut Option<Writer>, u64) -> Result<Snapshot, FeedError>,
    ) -> Result<(), FeedError> {
        let make = |held: &mut Option<Writer>, known: &Snapshot| make(held, known.revision());
        self.states.publish(make, |published| {
            self.revision.send_replace(published.revision());
        })
    }

    /// Follows how access changes from now on.
    #[must_use]
    pub fn decision_changes(&self) -> DecisionChanges<'_> {
        // First the subscription, so that nothing falls in between.
        let revision = self.revision.subscribe();
        DecisionChanges { evaluator: self, revision, last: self.snapshot() }
    }

    /// The snapshot of a revision or of a later one, once it is there. With the revision of one's
    /// own write, an answer takes the write into account.
    ///
    /// # Errors
    /// When the revision is not there in time. Deny then.
    pub async fn at_least(&self, revision: u64, wait: Duration) -> Result<Arc<Snapshot>, Stale> {
        let mut known = self.revision.subscribe();
        let arrived = known.wait_for(|known| *known >= revision);
        let arrived = tokio::time::timeout(wait, arrived).await;
        if matches!(arrived, Ok(Ok(_))) {
            return Ok(self.snapshot());
        }
        Err(Stale { wanted: revision, known: self.snapshot().revision() })
    }
}

/// How access changes, from one state to the next that is looked at; see
/// [`Evaluator::decision_changes`].
#[derive(Debug)]
pub struct DecisionChanges<'a> {
    evaluator: &'a Evaluator,
    revision: watch::Receiver<u64>,
    last: Arc<Snapshot>,
}

/// How access changed between two revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionChange {
    /// The revision before.
    pub from: u64,
    /// The revision after.
    pub to: u64,
    /// What changed.
    pub difference: Difference,
}

impl DecisionChanges<'_> {
    /// Waits until access changes. Revisions that change nobody's access are passed over; those
    /// that came while nobody waited are told together. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> DecisionChange {
        loop {
            // The sender lives as long as the evaluator, which is borrowed.
            let _ = self.revision.changed().await;
            let newest = self.evaluator.snapshot();
            let difference = Difference::between(&self.last, &newest);
            let from = self.last.revision();
            self.last = newest;
            if !difference.is_empty() {
                return DecisionChange { from, to: self.last.revision(), difference };
            }
        }
    }
}
