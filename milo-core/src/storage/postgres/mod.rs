//! The engine on PostgreSQL, for several processes at once.
//!
//! # Writing
//! One task of each process writes. It takes whatever arrived while the last batch was written,
//! and makes one transaction of the database of it: the first round trip takes the lock that
//! puts the batches of all replicas into one order, and reads the newest revision and the current
//! values of the keys concerned; then each transaction is checked against what the ones before it
//! leave; the second round trip writes all of them, says so to the other replicas and commits.
//! Only then are they answered. So revisions are dense, and in the order in which commits become
//! visible.
//!
//! When the connection is lost while committing, the engine connects again, waits for the lock,
//! which the old connection's transaction had until its end, and looks into the log for the mark
//! of the batch: its fate is known then. Only if that takes too long the answer is
//! [`CommitError::Uncertain`].
//!
//! # Reading
//! Every read is one statement on the primary, and so of one snapshot. Requests of many share a few
//! connections without waiting for each other's answers.
//!
//! # Watching
//! One task follows the log and tells all watchers of this process. Notifications of the other
//! replicas wake it, but nothing rests on them: it also looks once a second, and reads on from
//! where it was. When the database cannot be reached, all watches end with
//! [`WatchError::Unavailable`].

mod batch;
mod builder;
mod compaction;
mod connection;
mod error;
mod feed;
#[cfg(feature = "snapshot")]
mod import;
mod read;
mod readers;
mod schema;
mod statements;
mod target;
mod tls;
mod writer;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::{sync::mpsc, task::JoinSet};

#[cfg(feature = "snapshot")]
pub(super) use self::import::{Import, ImportError};
pub use self::{builder::PostgresBuilder, error::PostgresConnectError};
use self::{
    error::Failure,
    read::Read,
    readers::Readers,
    writer::{Answer, Intent},
};
use super::{
    CommitError, ListOptions, Operation, Page, ReadError, Record, Revision, Storage, Transaction,
    Watch, WatchError, plan, relay::Relay,
};
use crate::key::{Key, KeyRange};

/// The longest key, in bytes, that PostgreSQL can index. Keys of Kubernetes objects have at most
/// some 900.
const MAX_KEY_BYTES: usize = 2048;

/// An engine in a PostgreSQL database, for as many processes as use that database.
///
/// A commit is as durable as PostgreSQL makes it: written to its disk, and to its synchronous
/// standbys if there are any. All processes see one order of commits, and history is kept for five
/// minutes, or as [`PostgresBuilder::retention`] says.
///
/// When the database cannot be reached, requests fail with `Unavailable` within a few seconds,
/// watches end, and the engine connects again by itself.
///
/// ```no_run
/// # async fn connect() -> Result<(), milo_core::storage::PostgresConnectError> {
/// use milo_core::storage::Postgres;
///
/// let storage = Postgres::connect("postgres://milo:secret@db.example.com/milo").await?;
/// # Ok(()) }
/// ```
pub struct Postgres {
    read: Read,
    readers: Arc<Readers>,
    relay: Arc<Relay>,
    intents: mpsc::UnboundedSender<Intent>,
    /// They end with the engine.
    _tasks: JoinSet<()>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.readers.target();
        f.debug_struct("Postgres")
            .field("server", &target.server)
            .field("schema", &target.schema)
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects to the database that the URL names, with the default options.
    ///
    /// ```text
    /// postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE
    /// ```
    ///
    /// Parameters are those of libpq (several hosts, `application_name`, `options`, ...), and
    /// `schema` for the PostgreSQL schema of the tables. `sslmode` is `disable`, `prefer` (TLS if
    /// the server has it; the default), `require` (TLS, with whomever), `verify-ca` or
    /// `verify-full`; the last two need `sslrootcert`. `sslcert` and `sslkey` are for client
    /// certificates. All files are PEM.
    ///
    /// # Errors
    /// See [`PostgresConnectError`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, PostgresConnectError> {
        Self::builder(url).connect().await
    }

    /// Connects with other options than the default ones.
    pub fn builder(url: impl Into<String>) -> PostgresBuilder {
        PostgresBuilder::new(url.into())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.relay.lose(Failure::Stopped);
    }
}

/// Refuses keys that the database cannot take; one of them would spoil the batch of others.
fn check_keys(transaction: &Transaction) -> Result<(), CommitError> {
    let written = transaction.operations().iter().filter_map(|operation| match operation {
        Operation::Put(key, _) => Some(key.as_bytes().len()),
        Operation::Delete(_) => None,
    });
    match written.max() {
        Some(bytes) if bytes > MAX_KEY_BYTES => {
            Err(CommitError::TooLarge { bytes, limit: MAX_KEY_BYTES })
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl Storage for Postgres {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        self.read.get(key).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        self.read.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        check_keys(&transaction)?;
        let (intent, answer): (_, Answer) = Intent::new(plan::prepare(transaction)?);
        if self.intents.send(intent).is_err() {
            return Err(Failure::Stopped.commit_error());
        }
        answer.get(self.readers.target().patience.operation).await
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        self.relay.watch(&self.read, range, after).await
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.read.revision().await
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        Ok(compaction::raise_floor(&self.readers, floor).await?)
    }

    async fn ping(&self) -> Result<(), ReadError> {
        self.read.revision().await?;
        // Without watches a server is of little use.
        self.relay.lost().map_or(Ok(()), |lost| Err(ReadError::Unavailable(Box::new(lost))))
    }
}
