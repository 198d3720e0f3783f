//! Reading and writing one book. Each write compares, writes, counts and tells in one transaction.

use async_trait::async_trait;
use milo_apiserver_kit::rest::{Create, Delete, Get, RestRequest, Update};
use milo_core::{object::Object, status::StatusError, storage::Revision};
use rusqlite::Transaction;

use crate::{
    database::{Database, Failure, number, revision, scope_key},
    feed::{self, Change},
    row::{self, Id},
};

/// Serves the books of a database.
pub(crate) struct Books(pub(crate) Database);

impl Id {
    pub(crate) fn of(request: &RestRequest<'_>) -> Self {
        Self {
            scope: scope_key(request.scope()),
            namespace: request.namespace().to_owned(),
            name: request.name().to_owned(),
        }
    }
}

#[async_trait]
impl Get for Books {
    async fn get(&self, request: &RestRequest<'_>) -> Result<Option<Object>, StatusError> {
        let id = Id::of(request);
        self.0.read(move |transaction| row::find(transaction, &id)).await
    }
}

#[async_trait]
impl Create for Books {
    async fn create(
        &self,
        request: &RestRequest<'_>,
        object: Object,
    ) -> Result<Object, StatusError> {
        let (id, maker) = (Id::of(request), request.user().username.clone());
        let taken = StatusError::already_exists(request.definition().group_resource(), &id.name);
        let create = move |transaction: &Transaction<'_>, revision| {
            if row::find(transaction, &id)?.is_some() {
                return Err(taken.into());
            }
            put(transaction, &id, &object, None, maker, revision)
        };
        self.0.change(create).await
    }
}

#[async_trait]
impl Update for Books {
    async fn update(
        &self,
        request: &RestRequest<'_>,
        object: Object,
        expected: Revision,
    ) -> Result<Object, StatusError> {
        let (check, maker) = (Expected::new(request, expected), request.user().username.clone());
        let update = move |transaction: &Transaction<'_>, revision| {
            let previous = check.find(transaction)?;
            put(transaction, &check.id, &object, Some(previous), maker, revision)
        };
        self.0.change(update).await
    }
}

#[async_trait]
impl Delete for Books {
    async fn delete(
        &self,
        request: &RestRequest<'_>,
        expected: Revision,
    ) -> Result<Revision, StatusError> {
        let (check, maker) = (Expected::new(request, expected), request.user().username.clone());
        let delete = move |transaction: &Transaction<'_>, number| {
            let previous = Some(check.find(transaction)?);
            row::remove(transaction, &check.id)?;
            let change = Change { revision: number, maker, book: None, previous };
            feed::tell(transaction, &check.id, &change)?;
            Ok(revision(number))
        };
        self.0.change(delete).await
    }
}

/// Writes a book, tells of it, and says how it is stored.
fn put(
    transaction: &Transaction<'_>,
    id: &Id,
    object: &Object,
    previous: Option<Object>,
    maker: String,
    revision: i64,
) -> Result<Object, Failure> {
    row::write(transaction, id, object, revision)?;
    let stored = row::find(transaction, id)?;
    let stored =
        stored.ok_or_else(|| StatusError::internal("a row was written and is not there"))?;
    let change = Change { revision, maker, book: Some(stored.clone()), previous };
    feed::tell(transaction, id, &change)?;
    Ok(stored)
}

/// A book as it must still be.
struct Expected {
    id: Id,
    revision: i64,
    gone: StatusError,
    changed: StatusError,
}

impl Expected {
    fn new(request: &RestRequest<'_>, revision: Revision) -> Self {
        let (resource, name) = (request.definition().group_resource(), request.name());
        Self {
            id: Id::of(request),
            revision: number(revision),
            gone: StatusError::not_found(resource, name),
            changed: StatusError::conflict(resource, name, "the book has changed"),
        }
    }

    fn find(&self, transaction: &Transaction<'_>) -> Result<Object, Failure> {
        let object = row::find(transaction, &self.id)?.ok_or_else(|| self.gone.clone())?;
        if object.meta("resourceVersion") == self.revision.to_string() {
            Ok(object)
        } else {
            Err(self.changed.clone().into())
        }
    }
}
