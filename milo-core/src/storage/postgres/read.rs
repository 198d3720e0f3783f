//! Reads: each is one statement, and so of one snapshot, on the primary.

use std::{pin::pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio_postgres::{Row, Statement, types::ToSql};

use super::{
    connection::within,
    error::Failure,
    readers::{Reader, Readers},
};
use crate::{
    key::{Key, KeyRange},
    storage::{
        Event, ListOptions, Page, ReadError, Record, Revision, WatchBatch, relay::Source,
        replay::Past,
    },
};

/// How many rows are waited for together.
const ROWS: usize = 1024;
/// How many events a watcher is told of the past at a time, if a commit is not larger.
const CHANGES: i64 = 64;
/// How many bytes of values, old and new, end a reading of the past before that.
const CHANGES_BYTES: i64 = 1024 * 1024;
/// How many changes are looked at in one reading of the past.
const SCAN: i64 = 4096;

/// What a statement is given.
type Parameters<'a> = [&'a (dyn ToSql + Sync)];

/// Reads the store.
#[derive(Clone, Debug)]
pub(super) struct Read {
    readers: Arc<Readers>,
}

/// What the first row of an answer says of the store as a whole.
#[derive(Clone, Copy, Debug)]
struct Whole {
    newest: Revision,
    floor: Revision,
    remaining: u64,
}

/// A part of the past.
#[derive(Debug)]
pub(super) struct PastChanges {
    pub(super) batch: WatchBatch,
    /// Nobody may read below.
    pub(super) floor: Revision,
    /// What came after that is all there.
    pub(super) erased: Revision,
    /// The newest revision when it was read.
    pub(super) newest: Revision,
}

impl Read {
    pub(super) fn new(readers: Arc<Readers>) -> Self {
        Self { readers }
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        let rows = self.rows(|reader| &reader.get, &[&key.as_bytes()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(record(key.clone(), column(row, 0)?, column(row, 1)?)?))
    }

    pub(super) async fn list(
        &self,
        range: &KeyRange,
        options: ListOptions,
    ) -> Result<Page, ReadError> {
        let (start, end) = (&range.start()[..], &range.end()[..]);
        let limit = options.limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX - 1));
        let rows = match (limit, options.at) {
            (None, None) => self.rows(|reader| &reader.list, &[&start, &end]).await?,
            (Some(limit), None) => {
                self.rows(|reader| &reader.page, &[&start, &end, &limit]).await?
            }
            (limit, Some(at)) => {
                let at = number(at);
                self.rows(|reader| &reader.past_page, &[&start, &end, &limit, &at]).await?
            }
        };
        page(&rows, options.at)
    }

    /// The newest revision.
    pub(super) async fn revision(&self) -> Result<Revision, ReadError> {
        let rows = self.rows(|reader| &reader.revision, &[]).await?;
        let row = rows.first().ok_or_else(|| corrupted("there is no newest revision"))?;
        revision(column(row, 0)?)
    }

    /// The next changes in `range` after a revision, about `limit` of them, whatever the floor is.
    pub(super) async fn past(
        &self,
        range: &KeyRange,
        after: Revision,
        limit: i64,
    ) -> Result<PastChanges, ReadError> {
        let (start, end, number) = (&range.start()[..], &range.end()[..], number(after));
        let parameters: &Parameters<'_> = &[&number, &start, &end, &limit, &CHANGES_BYTES, &SCAN];
        past(&self.rows(|reader| &reader.changes, parameters).await?)
    }

    /// Asks on a shared connection. A connection that turns out to be closed is replaced, once.
    async fn rows(
        &self,
        statement: impl Fn(&Reader) -> &Statement,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let mut again = true;
        loop {
            let reader = self.readers.get().await?;
            let patience = self.readers.target().patience.operation;
            let failure = match query(&reader, statement(&reader), parameters, patience).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => failure,
            };
            if failure.is_lost() {
                self.readers.retire(&reader);
            }
            if !again || !failure.is_cut() {
                return Err(failure);
            }
            again = false;
        }
    }
}

/// All rows of an answer, which may take long as long as it goes on.
async fn query(
    reader: &Reader,
    statement: &Statement,
    parameters: &Parameters<'_>,
    patience: std::time::Duration,
) -> Result<Vec<Row>, Failure> {
    let parameters = parameters.iter().copied();
    let answer = reader.connection.client().query_raw(statement, parameters);
    let mut answer = pin!(within(patience, answer).await?);
    let mut rows = Vec::new();
    loop {
        let some = answer.by_ref().take(ROWS).try_collect::<Vec<Row>>();
        let mut some = within(patience, some).await?;
        let last = some.len() < ROWS;
        rows.append(&mut some);
        if last {
            return Ok(rows);
        }
    }
}

#[async_trait]
impl Past for Read {
    async fn changes(&self, range: &KeyRange, after: Revision) -> Result<WatchBatch, ReadError> {
        let past = self.past(range, after, CHANGES).await?;
        check(after, past.newest, past.floor)?;
        Ok(past.batch)
    }
}

#[async_trait]
impl Source for Read {
    async fn revision(&self) -> Result<Revision, ReadError> {
        self.revision().await
    }
}

fn page(rows: &[Row], at: Option<Revision>) -> Result<Page, ReadError> {
    let mut whole = None;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        match column::<Option<&[u8]>>(row, 0)? {
            Some(key) => {
                records.push(record(copy_key(key), column(row, 1)?, column(row, 2)?)?);
            }
            None => {
                whole = Some(Whole {
                    newest: revision(column(row, 1)?)?,
                    floor: revision(column(row, 3)?)?,
                    remaining: column::<i64>(row, 4)?.max(0).unsigned_abs(),
                });
            }
        }
    }
    let whole = whole.ok_or_else(|| corrupted("an answer lacks its first row"))?;
    let at = at.unwrap_or(whole.newest);
    check(at, whole.newest, whole.floor)?;
    if !records.is_sorted_by(|a, b| a.key < b.key) {
        records.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    }
    Ok(Page { records, revision: at, remaining: whole.remaining })
}

fn past(rows: &[Row]) -> Result<PastChanges, ReadError> {
    let mut whole = None;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        match column::<Option<&[u8]>>(row, 2)? {
            Some(key) => events.push((column::<i32>(row, 1)?, event(row, copy_key(key))?)),
            None => whole = Some(row),
        }
    }
    let whole = whole.ok_or_else(|| corrupted("an answer lacks its first row"))?;
    events.sort_by_key(|(index, event)| (event.revision(), *index));
    let events = events.into_iter().map(|(_, event)| event).collect();
    Ok(PastChanges {
        batch: WatchBatch { events, revision: revision(column(whole, 0)?)? },
        floor: revision(column(whole, 4)?)?,
        erased: revision(column(whole, 6)?)?,
        newest: revision(column(whole, 7)?)?,
    })
}

fn event(row: &Row, key: Key) -> Result<Event, ReadError> {
    let revision = revision(column(row, 0)?)?;
    let previous = match column::<Option<i64>>(row, 4)? {
        Some(previous) => Some(record(key.clone(), previous, column(row, 5)?)?),
        None => None,
    };
    match (column::<Option<&[u8]>>(row, 3)?, previous) {
        (Some(value), previous) => {
            let value = Bytes::copy_from_slice(value);
            Ok(Event::Put { record: Record { key, revision, value }, previous })
        }
        (None, Some(previous)) => Ok(Event::Delete { revision, previous }),
        (None, None) => Err(corrupted("the log removes what was not there")),
    }
}

fn check(at: Revision, newest: Revision, floor: Revision) -> Result<(), ReadError> {
    if at > newest {
        return Err(ReadError::Future { requested: at, current: newest });
    }
    if at < floor {
        return Err(ReadError::Expired { requested: at, compacted: floor });
    }
    Ok(())
}

/// A value that must be in the log.
fn record(key: Key, number: i64, value: Option<&[u8]>) -> Result<Record, ReadError> {
    let Some(value) = value else {
        return Err(corrupted(&format!("the log lacks the value of {key} at revision {number}")));
    };
    Ok(Record { key, revision: revision(number)?, value: Bytes::copy_from_slice(value) })
}

fn copy_key(bytes: &[u8]) -> Key {
    Key::from_storage(Bytes::copy_from_slice(bytes))
}

pub(super) fn revision(number: i64) -> Result<Revision, ReadError> {
    let number = u64::try_from(number).map_err(|_| corrupted("a revision is negative"))?;
    Ok(Revision::new(number))
}

/// A revision as PostgreSQL knows it; those that it cannot know are all in the future.
pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX)
}

pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    index: usize,
) -> Result<T, ReadError> {
    row.try_get(index).map_err(|error| ReadError::Corrupted(Box::new(error)))
}

pub(super) fn corrupted(text: &str) -> ReadError {
    ReadError::Corrupted(text.into())
}
