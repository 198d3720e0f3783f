//! Filling an empty database with records that keep the revisions that they had elsewhere.
//!
//! All is one transaction of the database, which holds the lock that commits take: the store is
//! filled completely or is as it was, and nobody writes to it meanwhile.

use tokio_postgres::types::ToSql;

use super::{
    builder::PATIENCE,
    connection::Connection,
    error::{Failure, PostgresConnectError},
    read::number,
    schema, statements,
    target::Target,
};
use crate::storage::{Cause, Record, Revision};

/// Records that are sent together, at most.
const BATCH: usize = 2000;
/// Bytes of values that are sent together, unless a single one has more.
const BATCH_BYTES: usize = 4 << 20;

/// Why a database was not filled. It is as it was.
#[derive(Debug, thiserror::Error)]
pub(in crate::storage) enum ImportError {
    #[error(transparent)]
    Connect(#[from] PostgresConnectError),
    #[error("it holds {objects} objects, {first} among them")]
    NotEmpty { objects: u64, first: String },
    #[error("{0}")]
    Write(#[source] Cause),
}

impl From<tokio_postgres::Error> for ImportError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Write(Failure::from(error).into())
    }
}

/// A database that is being filled.
#[derive(Debug)]
pub(in crate::storage) struct Import {
    connection: Connection,
    waiting: Vec<Row>,
    waiting_bytes: usize,
    /// The newest revision that the database had given out before.
    given_out: i64,
}

#[derive(Debug)]
struct Row {
    index: i32,
    record: Record,
}

impl Import {
    /// Makes the tables if they are not there, keeps everybody else from writing, and sees to it
    /// that nothing is in them.
    pub(in crate::storage) async fn begin(url: &str) -> Result<Self, ImportError> {
        let target = Target::new(url, None, PATIENCE)?;
        schema::migrate(&target).await?;
        let connection = Connection::open(&target).await?;
        let client = connection.client();
        client.batch_execute(statements::BEGIN).await?;
        client.batch_execute(statements::WITHOUT_HASTE).await?;
        let found = client.query_one(statements::CONTENT, &[]).await?;
        let objects: i64 = found.try_get(0)?;
        if objects > 0 {
            let first: Vec<u8> = found.try_get(1)?;
            let first = first.escape_ascii().to_string();
            return Err(ImportError::NotEmpty { objects: objects.unsigned_abs(), first });
        }
        let given_out = found.try_get(2)?;
        // History of what is no longer there, which would be in the way.
        client.batch_execute(statements::FORGET).await?;
        Ok(Self { connection, waiting: Vec::new(), waiting_bytes: 0, given_out })
    }

    /// Adds all records of one revision, which comes once.
    pub(in crate::storage) async fn add(
        &mut self,
        records: Vec<Record>,
    ) -> Result<(), ImportError> {
        for (index, record) in records.into_iter().enumerate() {
            self.waiting_bytes += record.value.len();
            // INVARIANT: a commit does not make 2^31 changes.
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            self.waiting.push(Row { index, record });
            if self.waiting.len() >= BATCH || self.waiting_bytes >= BATCH_BYTES {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Commits what was added, as a store that has forgotten its history and whose next revision
    /// is the one after `revision`, or after one that the database itself has not given out yet.
    /// Returns which.
    pub(in crate::storage) async fn finish(
        mut self,
        revision: Revision,
    ) -> Result<Revision, ImportError> {
        self.write().await?;
        let newest = number(revision).max(self.given_out.saturating_add(1));
        let client = self.connection.client();
        client.execute(statements::NEWEST_IS, &[&newest]).await?;
        client.execute(statements::FLOOR_IS, &[&newest]).await?;
        client.batch_execute("COMMIT").await?;
        Ok(Revision::new(newest.unsigned_abs()))
    }

    async fn write(&mut self) -> Result<(), ImportError> {
        let rows = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let mut revisions: Vec<i64> = Vec::with_capacity(rows.len());
        let mut indexes: Vec<i32> = Vec::with_capacity(rows.len());
        let mut keys: Vec<&[u8]> = Vec::with_capacity(rows.len());
        let mut values: Vec<&[u8]> = Vec::with_capacity(rows.len());
        for Row { index, record } in &rows {
            revisions.push(number(record.revision));
            indexes.push(*index);
            keys.push(record.key.as_bytes());
            values.push(&record.value);
        }
        let parameters: [&(dyn ToSql + Sync); 4] = [&revisions, &indexes, &keys, &values];
        self.connection.client().execute(statements::IMPORT, &parameters).await?;
        Ok(())
    }
}
