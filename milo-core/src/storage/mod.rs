//! The one storage primitive: an ordered key space with one revision counter.
//!
//! Everything else (update loops, pagination, watch caches, finalizers) is written once, above it.
//!
//! # Contract
//! In short; the guide `docs/storage.md` has all of it, with the limits and how to write an engine.
//! With the feature `testing`, the suite in `milo_core::storage::conformance` shows that an engine
//! keeps it.
//!
//! - **One order.** A [`Revision`] names a committed transaction of the whole store. Revisions
//!   increase with every commit that changes something, in the order in which readers and
//!   watchers see commits: whoever has seen `n` can see everything up to `n`. None is ever used
//!   again, not after a crash either. An engine that shares its counter with others may skip
//!   numbers. An empty store is at revision 1 or later, so that the revision of any state is a
//!   resource version that clients can name; [`Revision::ZERO`] is before everything.
//! - **Atomic.** A [`Transaction`] commits with all its operations at one revision, or not at all.
//!   No reader and no watch batch ever shows a part of one.
//! - **Isolated.** Transactions happen one after the other: preconditions hold of exactly the
//!   state that the operations change. A [`Storage::list`] is a snapshot.
//! - **Durable.** A commit that was acknowledged survives `kill -9` and power loss (engines that
//!   say so; [`Memory`] does not). One that was not acknowledged may be there or not, but never
//!   in part.
//! - **Linearizable.** [`Storage::get`], [`Storage::revision`] and a [`Storage::list`] without a
//!   revision see every commit that was acknowledged before they were called, by whichever
//!   replica.
//! - **History.** Reads and watches at revisions above the compaction floor are exact; below it
//!   they fail with an `Expired` error, never with wrong data.
//! - **Watches** tell every change in their range after a revision, once, in order, whole commits
//!   in one batch; or they end with an error and resume from where they were.
//! - **Cancellation.** Dropping a future never corrupts anything; a dropped `commit` may or may
//!   not have happened, or may still happen, whole.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::key::{Key, KeyRange};

mod chunks;
#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "embedded")]
mod embedded;
mod engine;
#[cfg(feature = "etcd")]
mod etcd;
mod history;
mod index;
mod location;
mod memory;
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod publish;
#[cfg(any(feature = "etcd", feature = "postgres"))]
mod relay;
mod replay;
mod retention;
#[cfg(feature = "snapshot")]
pub mod snapshot;
mod unfinished;
mod watch;

#[cfg(feature = "embedded")]
pub use embedded::{Embedded, EmbeddedBuilder, OpenError};
#[cfg(feature = "etcd")]
pub use etcd::{Etcd, EtcdBuilder, EtcdConnectError, EtcdProgress};
pub use location::{OpenLocationError, ParseLocationError, StorageLocation};
pub use memory::Memory;
#[cfg(feature = "postgres")]
pub use postgres::{Postgres, PostgresBuilder, PostgresConnectError};
pub use watch::{Watch, WatchBatch, WatchSender};

/// The largest value that an engine may take, in bytes. Each engine has its own limit up to this
/// and tells it in [`CommitError::TooLarge`]; every engine takes a value of 1.5 MB, which is what
/// an etcd that is not told otherwise takes in one request.
pub const MAX_VALUE_BYTES: usize = 2 * 1024 * 1024;

/// A position in the one order of commits. Zero is before the first. Only the order means
/// something: an engine may skip numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);

    /// The revision of an empty store, in engines that count for themselves.
    pub const FIRST: Self = Self(1);

    /// From its number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number after this one, which need not be the next commit's.
    #[must_use]
    pub const fn next(self) -> Self {
        // INVARIANT: 2^64 commits do not happen.
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored value and the revision that last wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Key,
    /// The commit that wrote this value.
    pub revision: Revision,
    /// The value: opaque to the engine, shared and never copied on the way out.
    pub value: Bytes,
}

/// What a [`Storage::list`] should return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions {
    /// At most so many records; all when none.
    pub limit: Option<usize>,
    /// The state after exactly this revision; the newest state when none.
    pub at: Option<Revision>,
}

impl ListOptions {
    /// At most `limit` records.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The state after exactly `revision`.
    #[must_use]
    pub fn at(mut self, revision: Revision) -> Self {
        self.at = Some(revision);
        self
    }
}

/// The answer of a [`Storage::list`]: records in key order, from one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// The snapshot's revision: of the whole store, not the highest among the records.
    pub revision: Revision,
    /// How many records of the range follow in the same snapshot after the last one returned.
    pub remaining: u64,
}

/// What must hold for a transaction to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// There is no value at the key.
    Absent(Key),
    /// There is a value at the key, of whatever revision.
    Exists(Key),
    /// The value at the key was last written by exactly this commit. Never holds of an absent
    /// key, nor for [`Revision::ZERO`].
    RevisionIs(Key, Revision),
}

impl Precondition {
    /// The key it speaks of.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Exists(key) | Self::RevisionIs(key, _) => key,
        }
    }

    /// Whether it holds, given the revision of the key's current value.
    #[must_use]
    pub fn holds(&self, current: Option<Revision>) -> bool {
        match self {
            Self::Absent(_) => current.is_none(),
            Self::Exists(_) => current.is_some(),
            Self::RevisionIs(_, revision) => current == Some(*revision),
        }
    }
}

/// One change in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Writes a value. A change also when the same value is there already.
    Put(Key, Bytes),
    /// Removes the value; nothing when there is none.
    Delete(Key),
}

impl Operation {
    /// The key it changes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

/// Changes that commit together, if all preconditions hold. A key may be changed once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    preconditions: Vec<Precondition>,
    operations: Vec<Operation>,
}

impl Transaction {
    /// An empty transaction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a precondition.
    #[must_use]
    pub fn require(mut self, precondition: Precondition) -> Self {
        self.add_precondition(precondition);
        self
    }

    /// Adds a write.
    #[must_use]
    pub fn put(mut self, key: Key, value: Bytes) -> Self {
        self.add_operation(Operation::Put(key, value));
        self
    }

    /// Adds a removal.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.add_operation(Operation::Delete(key));
        self
    }

    /// Adds a precondition, in place.
    pub fn add_precondition(&mut self, precondition: Precondition) {
        self.preconditions.push(precondition);
    }

    /// Adds an operation, in place.
    pub fn add_operation(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// What must hold, in the order added.
    #[must_use]
    pub fn preconditions(&self) -> &[Precondition] {
        &self.preconditions
    }

    /// What is changed, in the order added.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Takes the transaction apart.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Precondition>, Vec<Operation>) {
        (self.preconditions, self.operations)
    }
}

/// A change that a watcher is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A value was written.
    Put {
        /// What was written.
        record: Record,
        /// What it replaced; none when the key was absent.
        previous: Option<Record>,
    },
    /// A value was removed.
    Delete {
        /// The commit that removed it.
        revision: Revision,
        /// What was removed.
        previous: Record,
    },
}

impl Event {
    /// The commit that made the change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put { record, .. } => record.revision,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// The key that changed.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { record, .. } => &record.key,
            Self::Delete { previous, .. } => &previous.key,
        }
    }
}

/// A boxed cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The revision asked for is below the compaction floor.
    #[error("revision {requested} is no longer kept: the oldest is {compacted}")]
    Expired {
        /// What was asked for.
        requested: Revision,
        /// The oldest revision that can still be read.
        compacted: Revision,
    },
    /// The revision asked for has not been committed yet.
    #[error("revision {requested} is in the future: the current one is {current}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The newest revision.
        current: Revision,
    },
    /// The engine cannot be reached now; trying again may help.
    #[error("storage is unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// What is stored cannot be understood.
    #[error("storage is corrupted: {0}")]
    Corrupted(#[source] Cause),
}

/// Why a commit failed. Nothing was written, except after [`CommitError::Uncertain`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A precondition did not hold. Holds the first such one and what is stored at its key, so
    /// that an update loop can go on without reading again.
    #[error("precondition {failed:?} does not hold")]
    Conflict {
        /// The first precondition that failed.
        failed: Precondition,
        /// The current value at its key.
        current: Option<Record>,
    },
    /// A value, or all that the transaction writes, is larger than the engine takes.
    #[error("a value of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The transaction has more operations, or preconditions, than the engine takes at once.
    #[error("a transaction of {operations} operations is larger than the limit of {limit}")]
    TooManyOperations {
        /// How many it has.
        operations: usize,
        /// The limit.
        limit: usize,
    },
    /// The transaction changes one key twice.
    #[error("the transaction changes {0} twice")]
    DuplicateKey(Key),
    /// Nothing was written; trying again may help. A full disk, for example.
    #[error("storage is unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// The connection was lost while committing: it may have happened.
    #[error("the outcome of the commit is unknown: {0}")]
    Uncertain(#[source] Cause),
}

/// Why a watch could not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The revision to start after is below the compaction floor.
    #[error("revision {requested} is no longer kept: the oldest is {compacted}")]
    Expired {
        /// What was asked for.
        requested: Revision,
        /// The oldest revision that can still be watched from.
        compacted: Revision,
    },
    /// The revision to start after has not been committed yet.
    #[error("revision {requested} is in the future: the current one is {current}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The newest revision.
        current: Revision,
    },
    /// The watcher did not keep up and was cut off. It resumes from the last revision it got.
    #[error("the watcher was too slow and was cut off")]
    Lagged,
    /// The engine cannot be reached now; the watcher resumes from the last revision it got.
    #[error("storage is unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// What is stored cannot be understood.
    #[error("storage is corrupted: {0}")]
    Corrupted(#[source] Cause),
}

/// An ordered key space with one revision counter. See the [module documentation](self) for the
/// contract that every engine keeps.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a storage engine",
    label = "`Storage` is not implemented for `{Self}`",
    note = "pass an engine such as `milo_core::storage::Embedded`, or an `Arc` of one where that is asked for",
    note = "or implement `milo_core::storage::Storage`: seven methods, with `#[async_trait]`; `docs/storage.md` says how",
    note = "`milo_core::storage_conformance!` (feature `testing`) shows that an engine keeps the contract"
)]
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// The newest value at `key`.
    ///
    /// # Errors
    /// See [`ReadError`]; never `Expired` or `Future`.
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError>;

    /// The records of a range in key order, from one snapshot.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError>;

    /// Commits a transaction and returns its revision. One that changes nothing (it has no
    /// operations, or only removals of absent keys) checks its preconditions, takes no revision
    /// and returns the current one.
    ///
    /// # Errors
    /// See [`CommitError`].
    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError>;

    /// Every change in `range` by commits after `after`, in order, none left out and none twice.
    /// After [`Revision::ZERO`] is `Expired` on a store that does not know its beginning.
    ///
    /// # Errors
    /// See [`WatchError`].
    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError>;

    /// The newest revision.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn revision(&self) -> Result<Revision, ReadError>;

    /// Forgets history before `floor`: afterwards the state at `floor` and later is readable, and
    /// watches may start after `floor` and later. A floor above the current revision, or not above
    /// the last floor, is no error.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn compact(&self, floor: Revision) -> Result<(), ReadError>;

    /// Whether the engine can serve now; for readiness checks.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn ping(&self) -> Result<(), ReadError>;
}
