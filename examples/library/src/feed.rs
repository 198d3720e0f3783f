//! The change feed: what a write tells, and how a watch follows it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use milo_apiserver_kit::rest::{EventStream, RestRequest, Watch, WatchEvent, WatchQuery};
use milo_core::{meta, object::Object, status::StatusError};
use rusqlite::{Row, Transaction, params};

use crate::{
    books::Books,
    database::{Database, Failure, counter, number, require_remembered, revision, scope_key},
    row::Id,
};

/// How many changes are read at once.
const BATCH: usize = 256;

/// A change of a book.
pub(crate) struct Change {
    pub(crate) revision: i64,
    /// Who made it.
    pub(crate) maker: String,
    /// The book afterwards; none when it was removed.
    pub(crate) book: Option<Object>,
    /// The book before; none when it was new.
    pub(crate) previous: Option<Object>,
}

/// Whose changes are followed.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub(crate) database: Database,
    pub(crate) scope: String,
    /// Empty for all namespaces.
    pub(crate) namespace: String,
    /// Empty for all books.
    pub(crate) name: String,
}

/// Some changes, and how far they go.
pub(crate) struct Batch {
    /// Each with the time at which it was made.
    pub(crate) changes: Vec<(String, Change)>,
    /// There is nothing else up to here.
    pub(crate) reached: i64,
}

/// Tells of a change, in the transaction that makes it.
pub(crate) fn tell(transaction: &Transaction<'_>, id: &Id, change: &Change) -> Result<(), Failure> {
    let json = |object: &Option<Object>| {
        object.as_ref().map(|object| serde_json::to_string(object.fields())).transpose()
    };
    let (book, previous) = (json(&change.book)?, json(&change.previous)?);
    let insert = "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    transaction.prepare_cached(insert)?.execute(params![
        change.revision,
        id.scope,
        id.namespace,
        id.name,
        meta::now(),
        change.maker,
        book,
        previous,
    ])?;
    Ok(())
}

/// The books that have changed after a revision, as they were then.
pub(crate) fn before(
    transaction: &Transaction<'_>,
    scope: &str,
    at: i64,
) -> Result<BTreeMap<(String, String), Option<Object>>, Failure> {
    // With MIN, the other columns are those of the row that has it.
    let mut statement = transaction.prepare_cached(
        "SELECT namespace, name, previous, MIN(revision) FROM changes \
         WHERE scope = ? AND revision > ? GROUP BY namespace, name",
    )?;
    let mut rows = statement.query(params![scope, at])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        found.insert((row.get(0)?, row.get(1)?), object(row.get(2)?)?);
    }
    Ok(found)
}

impl Feed {
    /// The next changes after a revision; waits until there is something to tell.
    pub(crate) async fn next(&self, after: i64) -> Result<Batch, StatusError> {
        let mut progress = self.database.progress();
        // The database lives as long as this does, so that waiting cannot fail.
        let _ = progress.wait_for(|reached| *reached > after).await;
        self.read(after).await
    }

    /// The changes after a revision, as far as there are any.
    pub(crate) async fn read(&self, after: i64) -> Result<Batch, StatusError> {
        let feed = self.clone();
        self.database.read(move |transaction| feed.batch(transaction, after)).await
    }

    fn batch(&self, transaction: &Transaction<'_>, after: i64) -> Result<Batch, Failure> {
        require_remembered(transaction, after)?;
        let (now, _) = counter(transaction)?;
        let mut statement = transaction.prepare_cached(
            "SELECT made, revision, maker, book, previous FROM changes \
             WHERE revision > ?1 AND scope = ?2 AND ?3 IN ('', namespace) AND ?4 IN ('', name) \
             ORDER BY revision LIMIT ?5",
        )?;
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let mut rows =
            statement.query(params![after, self.scope, self.namespace, self.name, limit])?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            changes.push((row.get(0)?, change(row)?));
        }
        let full = changes.len() == BATCH;
        let reached = changes.last().filter(|_| full).map_or(now, |(_, last)| last.revision);
        Ok(Batch { changes, reached })
    }
}

fn change(row: &Row<'_>) -> Result<Change, Failure> {
    let (book, previous) = (object(row.get("book")?)?, object(row.get("previous")?)?);
    Ok(Change { revision: row.get("revision")?, maker: row.get("maker")?, book, previous })
}

fn object(json: Option<String>) -> Result<Option<Object>, Failure> {
    let object = json.map(|json| Object::from_slice(json.as_bytes())).transpose();
    Ok(object.map_err(StatusError::internal)?)
}

impl Change {
    fn into_event(self) -> Option<WatchEvent> {
        let revision = revision(self.revision);
        match (self.book, self.previous) {
            (Some(object), previous) => Some(WatchEvent::Put { object, previous }),
            (None, Some(object)) => Some(WatchEvent::Deleted { object, revision }),
            (None, None) => None,
        }
    }
}

#[async_trait]
impl Watch for Books {
    async fn watch(
        &self,
        request: &RestRequest<'_>,
        query: &WatchQuery,
    ) -> Result<EventStream, StatusError> {
        let after = number(query.after);
        self.0.read(move |transaction| require_remembered(transaction, after)).await?;
        let feed = Feed {
            database: self.0.clone(),
            scope: scope_key(request.scope()),
            namespace: request.namespace().to_owned(),
            name: String::new(),
        };
        let batches = stream::unfold(Some((feed, after)), async |state| {
            let (feed, after) = state?;
            Some(match feed.next(after).await {
                Ok(Batch { changes, reached }) => {
                    let changes = changes.into_iter().filter_map(|(_, change)| change.into_event());
                    let progress = WatchEvent::Progress(revision(reached));
                    let events: Vec<_> = changes.chain([progress]).map(Ok).collect();
                    (events, Some((feed, reached)))
                }
                Err(error) => (vec![Err(error)], None),
            })
        });
        Ok(batches.flat_map(stream::iter).boxed())
    }
}
