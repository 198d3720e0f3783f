//! The database: one file, one connection, and the counter of revisions.

use std::{path::Path, sync::Arc};

use milo_core::{scope::Scope, status::StatusError, storage::Revision};
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::watch;

/// How many changes are remembered.
const REMEMBERED: i64 = 10_000;

/// A library's database. Clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    /// The revision of the last change, for those who wait for the next one.
    progress: Arc<watch::Sender<i64>>,
    remembered: i64,
}

/// Why work in the database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What the client is told.
    #[error("{0}")]
    Refused(#[from] StatusError),
    /// The database cannot do it.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// A row is not what it should be.
    #[error("{0}")]
    Row(#[from] serde_json::Error),
}

impl Database {
    /// Opens the database in a file, which is made if it is missing.
    ///
    /// # Errors
    /// When the file is no such database, or cannot be written.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(file)?;
        // What has been answered is on the disk.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(include_str!("schema.sql"))?;
        let revision =
            connection.query_row("SELECT revision FROM counter", [], |row| row.get(0))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            progress: Arc::new(watch::Sender::new(revision)),
            remembered: REMEMBERED,
        })
    }

    /// Remembers so many changes instead of ten thousand.
    #[must_use]
    pub fn remembering(mut self, changes: u32) -> Self {
        self.remembered = changes.into();
        self
    }

    /// Tells when there are changes after those that are known.
    pub(crate) fn progress(&self) -> watch::Receiver<i64> {
        self.progress.subscribe()
    }

    /// Reads from one snapshot. Waiting for the disk blocks no other request.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StatusError> {
        self.run(TransactionBehavior::Deferred, work).await
    }

    /// Makes one change, numbered by the next revision: all of it or nothing.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>, i64) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StatusError> {
        let remembered = self.remembered;
        let work = move |transaction: &Transaction<'_>| {
            let next = "UPDATE counter SET revision = revision + 1 RETURNING revision";
            let revision: i64 = transaction.query_row(next, [], |row| row.get(0))?;
            let done = work(transaction, revision)?;
            forget(transaction, revision - remembered)?;
            Ok((done, revision))
        };
        let (done, revision) = self.run(TransactionBehavior::Immediate, work).await?;
        // Changes may get here in another order than they were made in.
        self.progress.send_if_modified(|known| {
            let newer = revision > *known;
            *known = revision.max(*known);
            newer
        });
        Ok(done)
    }

    async fn run<T: Send + 'static>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StatusError> {
        let connection = self.connection.clone();
        let work = move || -> Result<T, Failure> {
            let mut connection = connection.lock();
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        let done = tokio::task::spawn_blocking(work).await.map_err(StatusError::internal)?;
        done.map_err(|failure| match failure {
            Failure::Refused(error) => error,
            failure => {
                tracing::error!(%failure, "the database failed");
                StatusError::internal("the database failed")
            }
        })
    }
}

/// Forgets changes up to a revision.
fn forget(transaction: &Transaction<'_>, floor: i64) -> Result<(), Failure> {
    if floor > 0 {
        transaction.execute("DELETE FROM changes WHERE revision <= ?", [floor])?;
        transaction.execute("UPDATE counter SET floor = MAX(floor, ?)", [floor])?;
    }
    Ok(())
}

/// The revision of the last change, and the last one that may have been forgotten.
pub(crate) fn counter(transaction: &Transaction<'_>) -> Result<(i64, i64), Failure> {
    let counter = "SELECT revision, floor FROM counter";
    Ok(transaction.query_row(counter, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Refuses what would need changes that may have been forgotten.
pub(crate) fn require_remembered(transaction: &Transaction<'_>, after: i64) -> Result<(), Failure> {
    let (_, floor) = counter(transaction)?;
    if after < floor {
        let text = format!("too old resource version: {after} ({floor})");
        return Err(StatusError::expired(text).into());
    }
    Ok(())
}

/// What keeps tenants apart: a tenant's UID, because names are used again.
pub(crate) fn scope_key(scope: &Scope) -> String {
    scope.tenant().map(|tenant| tenant.uid().to_owned()).unwrap_or_default()
}

/// A revision as SQL counts it.
pub(crate) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX)
}

/// A revision as the kit counts it.
pub(crate) fn revision(number: i64) -> Revision {
    Revision::new(u64::try_from(number).unwrap_or_default())
}
