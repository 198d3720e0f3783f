//! The evaluator: one immutable snapshot that all readers see, and one writer that replaces it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    engine::{Difference, Snapshot, Writer},
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
    snapshot: ArcSwap<Snapshot>,
    writer: Mutex<Option<Writer>>,
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
            snapshot: ArcSwap::from_pointee(Snapshot::of(World::new())),
            writer: Mutex::new(None),
            revision: watch::Sender::new(0),
        }
    }

    /// The facts and indexes as of the newest known revision.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
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
        let mut held = self.writer.lock();
        let Some(writer) = held.as_mut() else { return Err(FeedError::NotListed) };
        let known = self.snapshot.load().revision();
        if revision <= known {
            return Err(FeedError::OutOfOrder { offered: revision, known });
        }
        writer.apply(revision, changes);
        let snapshot = writer.snapshot();
        self.publish(snapshot);
        Ok(())
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
        let mut held = self.writer.lock();
        let known = self.snapshot.load().revision();
        if revision < known {
            return Err(FeedError::OutOfOrder { offered: revision, known });
        }
        let writer = Writer::new(revision, world);
        let snapshot = writer.snapshot();
        *held = Some(writer);
        self.publish(snapshot);
        Ok(())
    }

    /// What changes would change, exactly. Nothing is changed; other writers wait meanwhile, readers
    /// do not.
    ///
    /// # Errors
    /// When nothing was listed.
    pub fn what_if(
        &self,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Difference, FeedError> {
        let (before, after) = {
            let mut held = self.writer.lock();
            let writer = held.as_mut().ok_or(FeedError::NotListed)?;
            (writer.snapshot(), writer.pretend(changes))
        };
        Ok(Difference::between(&before, &after))
    }

    /// With the writer held: revisions are published in order.
    fn publish(&self, snapshot: Snapshot) {
        let revision = snapshot.revision();
        self.snapshot.store(Arc::new(snapshot));
        self.revision.send_replace(revision);
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
        Err(Stale { wanted: revision, known: self.snapshot.load().revision() })
    }
}
