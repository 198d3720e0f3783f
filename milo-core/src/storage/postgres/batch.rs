//! One batch of transactions in the database: begun, written, and found out about when the
//! connection was lost.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio_postgres::{Row, Statement, types::ToSql};
use uuid::Uuid;

use super::{
    connection::{Connection, within},
    error::Failure,
    read::{column, corrupted, number, revision},
    statements,
    target::Target,
};
use crate::{
    key::Key,
    storage::{
        ReadError, Revision,
        chunks::Entry,
        index::{Position, Row as Change},
        plan::{Plan, State},
    },
};

/// A connection with the statements of commits.
#[derive(Debug)]
pub(super) struct Pen {
    connection: Connection,
    current: Statement,
    write: Statement,
    outcome: Statement,
    patience: Duration,
}

/// What is stored at the keys that a batch speaks of. Nobody else may change it before the batch
/// has ended.
#[derive(Debug)]
pub(super) struct Current {
    revision: Revision,
    entries: HashMap<Key, Entry>,
}

impl State for Current {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }
}

/// Why a batch was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// It surely was not.
    Refused(Failure),
    /// It may have been.
    InDoubt(Failure),
}

/// By what a batch is known in the log. An identity of the transaction would not do: after a
/// crash of the server, another transaction may have the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    id: Uuid,
    first: Revision,
}

impl Mark {
    /// For a batch that follows `newest`.
    pub(super) fn new(newest: Revision) -> Self {
        Self { id: Uuid::new_v4(), first: newest.next() }
    }
}

impl Pen {
    pub(super) async fn open(target: &Target) -> Result<Self, Failure> {
        let connection = Connection::open(target).await;
        let connection = connection.map_err(|error| Failure::Connect(Arc::new(error)))?;
        let texts = [statements::CURRENT, statements::WRITE, statements::OUTCOME];
        let [current, write, outcome] = connection.prepare(target, texts).await?;
        Ok(Self { connection, current, write, outcome, patience: target.patience.operation })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Begins a batch that speaks of these keys, in one round trip. After an error the connection
    /// is of no use.
    pub(super) async fn begin(&self, keys: &[&Key]) -> Result<Current, ReadError> {
        let client = self.connection.client();
        let bytes: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        let parameters: [&(dyn ToSql + Sync); 1] = [&bytes];
        let answers = async {
            let (begun, rows) = tokio::join!(
                biased;
                client.batch_execute(statements::BEGIN),
                client.query(&self.current, &parameters),
            );
            begun?;
            rows
        };
        current(keys, &within(self.patience, answers).await?)
    }

    /// Ends a batch that changes nothing.
    pub(super) async fn abandon(&self) -> Result<(), Failure> {
        within(self.patience, self.connection.client().batch_execute("ROLLBACK")).await
    }

    /// Writes and commits a batch, in one round trip.
    pub(super) async fn write(
        &self,
        plan: &Plan,
        mark: Mark,
        channel: &str,
        sender: &str,
    ) -> Result<(), WriteError> {
        let client = self.connection.client();
        let columns = Columns::new(&plan.rows, mark);
        let parameters = columns.parameters(&channel, &sender);
        let answers = async {
            tokio::join!(
                biased;
                client.query(&self.write, &parameters),
                client.batch_execute("COMMIT"),
            )
        };
        let answers = tokio::time::timeout(self.patience, answers).await;
        let (written, committed) =
            answers.map_err(|_| WriteError::InDoubt(Failure::TimedOut(self.patience)))?;
        if let Err(error) = written {
            let failure = Failure::from(error);
            // What the server refuses in a transaction makes its end a rollback.
            let refused = failure.is_refusal();
            return Err(if refused {
                WriteError::Refused(failure)
            } else {
                WriteError::InDoubt(failure)
            });
        }
        committed.map_err(|error| WriteError::InDoubt(error.into()))
    }

    /// Whether a batch that was written on another connection has been committed; none when that
    /// can no longer be seen. Waits until that connection's transaction is over.
    pub(super) async fn was_committed(&self, mark: Mark) -> Result<Option<bool>, ReadError> {
        let client = self.connection.client();
        let first = number(mark.first);
        let parameters: [&(dyn ToSql + Sync); 1] = [&first];
        let answers = async {
            let (begun, row, ended) = tokio::join!(
                biased;
                client.batch_execute(statements::BEGIN),
                client.query_one(&self.outcome, &parameters),
                client.batch_execute("ROLLBACK"),
            );
            begun?;
            ended?;
            row
        };
        let row = within(self.patience, answers).await?;
        if revision(column(&row, 0)?)? < mark.first {
            return Ok(Some(false));
        }
        let found = column::<Option<&[u8]>>(&row, 1)?;
        Ok(found.map(|found| found == mark.id.as_bytes()))
    }
}

fn current(keys: &[&Key], rows: &[Row]) -> Result<Current, ReadError> {
    let mut newest = None;
    let mut entries = HashMap::with_capacity(rows.len());
    for row in rows {
        let found = revision(column(row, 1)?)?;
        let place = usize::try_from(column::<i64>(row, 0)?).unwrap_or(usize::MAX);
        let Some(place) = place.checked_sub(1) else {
            newest = Some(found);
            continue;
        };
        let key = keys.get(place).ok_or_else(|| corrupted("an answer has a key too many"))?;
        let value = column::<Option<&[u8]>>(row, 3)?.ok_or_else(|| {
            corrupted(&format!("the log lacks the value of {key} at revision {found}"))
        })?;
        let key = Key::from_storage(Bytes::copy_from_slice(key.as_bytes()));
        let index = u32::try_from(column::<i32>(row, 2)?).unwrap_or_default();
        let position = Position { revision: found, index };
        let value = Bytes::copy_from_slice(value);
        entries.insert(key.clone(), Entry { key, value, position });
    }
    let revision = newest.ok_or_else(|| corrupted("an answer lacks its first row"))?;
    Ok(Current { revision, entries })
}

/// The rows of a batch, column by column, and what they leave of each key.
#[derive(Default)]
struct Columns<'a> {
    revisions: Vec<i64>,
    indexes: Vec<i32>,
    keys: Vec<&'a [u8]>,
    values: Vec<Option<&'a [u8]>>,
    previous_revisions: Vec<Option<i64>>,
    previous_indexes: Vec<Option<i32>>,
    marks: Vec<Option<Vec<u8>>>,
    removed: Vec<&'a [u8]>,
    written: Vec<&'a [u8]>,
    written_revisions: Vec<i64>,
    written_indexes: Vec<i32>,
}

impl<'a> Columns<'a> {
    fn new(changes: &'a [Change], mark: Mark) -> Self {
        let mut columns = Self::default();
        let mut last: HashMap<&Key, &Change> = HashMap::with_capacity(changes.len());
        for change in changes {
            columns.add(change);
            last.insert(&change.key, change);
        }
        columns.marks.resize(changes.len(), None);
        if let Some(first) = columns.marks.first_mut() {
            *first = Some(mark.id.as_bytes().to_vec());
        }
        let mut last: Vec<&Change> = last.into_values().collect();
        // In key order, which the index likes best.
        last.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        for change in last {
            columns.leave(change);
        }
        columns
    }

    fn add(&mut self, change: &'a Change) {
        let (revision, index) = place(change.position);
        let previous = change.previous.as_ref().map(|entry| place(entry.position));
        self.revisions.push(revision);
        self.indexes.push(index);
        self.keys.push(change.key.as_bytes());
        self.values.push(change.value.as_deref());
        self.previous_revisions.push(previous.map(|(revision, _)| revision));
        self.previous_indexes.push(previous.map(|(_, index)| index));
    }

    fn leave(&mut self, change: &'a Change) {
        let key = change.key.as_bytes();
        if change.value.is_none() {
            return self.removed.push(key);
        }
        let (revision, index) = place(change.position);
        self.written.push(key);
        self.written_revisions.push(revision);
        self.written_indexes.push(index);
    }

    fn parameters<'b>(
        &'b self,
        channel: &'b &str,
        sender: &'b &str,
    ) -> [&'b (dyn ToSql + Sync); 13] {
        [
            &self.revisions,
            &self.indexes,
            &self.keys,
            &self.values,
            &self.previous_revisions,
            &self.previous_indexes,
            &self.marks,
            &self.removed,
            &self.written,
            &self.written_revisions,
            &self.written_indexes,
            channel,
            sender,
        ]
    }
}

fn place(position: Position) -> (i64, i32) {
    // INVARIANT: a commit does not make 2^31 changes.
    (number(position.revision), i32::try_from(position.index).unwrap_or(i32::MAX))
}
