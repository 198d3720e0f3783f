//! Where the objects of a kind are kept, behind one face: reading and writing one object.
//!
//! What is written here is common to all verbs; how a kind lists and watches differs too much.

use std::sync::Arc;

use bytes::Bytes;
use milo_core::{
    definition::ResourceDefinition,
    key::Key,
    object::{Encoded, Object},
    request::{RequestAttributes, Verb},
    scope::Scope,
    status::StatusError,
    storage::{CommitError, Precondition, Record, Revision, Storage, Transaction},
};

use crate::{
    cache::Cache,
    errors,
    rest::{Handlers, List, RestRequest, Table, Watch},
};

/// Where the objects of a kind are kept.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    /// In the server's storage.
    KeyValue(KeyValue),
    /// Wherever handlers keep them.
    Rest(Handlers),
}

/// The server's storage, and the cache of this kind.
#[derive(Clone, Debug)]
pub(crate) struct KeyValue {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) cache: Arc<Cache>,
}

/// The one object that is meant, and who means it.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) attributes: &'a RequestAttributes,
    pub(super) definition: &'a ResourceDefinition,
    pub(super) scope: &'a Scope,
    pub(super) key: &'a Key,
}

/// What becomes of an object.
pub(super) enum Change<'a> {
    /// It is new.
    Insert(&'a Object, &'a Encoded),
    /// It takes the place of what was read.
    Replace(&'a Record, &'a Object, &'a Encoded),
    /// What was read goes away.
    Remove(&'a Record),
}

/// A change that went through.
pub(super) struct Written {
    /// None when nothing was stored: the object was only acted on.
    revision: Option<Revision>,
    /// As it was stored, when that may differ from what was given.
    object: Option<Object>,
}

/// Why a change did not go through.
pub(super) enum WriteError {
    /// The object is not what it was taken for, or no longer absent: as it is, when that is known.
    Changed(Option<Record>),
    /// Something that admission relied on has changed.
    Around,
    /// The answer is final.
    Refused(StatusError),
}

impl Written {
    /// The served form of the object that was written.
    pub(super) fn serve(&self, object: &Object, encoded: &Encoded) -> Bytes {
        match (&self.object, self.revision) {
            (None, Some(revision)) => encoded.at(revision),
            (Some(stored), Some(revision)) => stored.encode().at(revision),
            (stored, None) => unversioned(stored.as_ref().unwrap_or(object)),
        }
    }

    /// The revision of the change.
    pub(super) fn revision(&self) -> Option<Revision> {
        self.revision
    }
}

/// The served form of an object that is not stored and has no revision.
pub(super) fn unversioned(object: &Object) -> Bytes {
    serde_json::to_vec(object.fields()).map(Bytes::from).unwrap_or_default()
}

impl<'a> Target<'a> {
    pub(super) fn name(&self) -> &'a str {
        self.key.segments().map(|segments| segments.name).unwrap_or_default()
    }

    fn request(&self) -> RestRequest<'a> {
        RestRequest {
            attributes: self.attributes,
            definition: self.definition,
            scope: self.scope,
            namespace: self.key.segments().map(|segments| segments.namespace).unwrap_or_default(),
            name: self.name(),
        }
    }

    /// An object that was not asked for may be one that the client must not see.
    fn is_meant(&self, object: &Object) -> Result<(), StatusError> {
        let request = self.request();
        if (object.namespace(), object.name()) == (request.namespace, request.name) {
            return Ok(());
        }
        let plural = self.definition.plural();
        let (namespace, name) = (object.namespace(), object.name());
        tracing::error!(plural, namespace, name, key = %self.key, "a handler read another object");
        let why = format!("the handler of {plural} answered with another object");
        Err(StatusError::internal(why))
    }

    /// 405: there is no handler for this.
    fn unsupported(&self, verb: &Verb) -> StatusError {
        StatusError::method_not_allowed(self.definition.group_resource(), verb.as_str())
    }
}

impl Backend {
    /// The handlers, if they only answer what is created.
    pub(super) fn reviews(&self) -> Option<&Handlers> {
        match self {
            Self::Rest(handlers) if handlers.reviews => Some(handlers),
            _ => None,
        }
    }

    /// How a handler shows the objects, if it does.
    pub(super) fn table(&self) -> Option<Arc<dyn Table>> {
        match self {
            Self::Rest(handlers) => handlers.table.clone(),
            Self::KeyValue(_) => None,
        }
    }

    /// The handler that lists, if one has to be asked.
    pub(super) fn lists(&self) -> Option<&dyn List> {
        match self {
            Self::Rest(handlers) => handlers.list.as_deref(),
            Self::KeyValue(_) => None,
        }
    }

    /// The handler that watches, if one has to be asked.
    pub(super) fn watches(&self) -> Option<Arc<dyn Watch>> {
        match self {
            Self::Rest(handlers) => handlers.watch.clone(),
            Self::KeyValue(_) => None,
        }
    }

    /// The newest state of the object, or none.
    pub(super) async fn read(&self, target: &Target<'_>) -> Result<Option<Record>, StatusError> {
        match self {
            Self::KeyValue(store) => {
                store.storage.get(target.key).await.map_err(|error| errors::read(&error))
            }
            Self::Rest(handlers) => {
                let get = handlers.get.as_ref().ok_or_else(|| target.unsupported(&Verb::Get))?;
                let object = get.get(&target.request()).await?;
                let read = |object| {
                    target
                        .is_meant(&object)
                        .and_then(|()| record(target.key, object, target.definition))
                };
                object.map(read).transpose()
            }
        }
    }

    /// The newest state of the object, or none when there is none or it cannot be read.
    pub(super) async fn find(&self, target: &Target<'_>) -> Result<Option<Record>, StatusError> {
        match self {
            Self::Rest(handlers) if handlers.get.is_none() => Ok(None),
            _ => self.read(target).await,
        }
    }

    /// Makes the change, if the object is still what it was taken for and `transaction` holds.
    pub(super) async fn commit(
        &self,
        target: &Target<'_>,
        change: Change<'_>,
        transaction: Transaction,
    ) -> Result<Written, WriteError> {
        match self {
            Self::KeyValue(store) => store.commit(target, &change, transaction).await,
            Self::Rest(handlers) => {
                if !transaction.preconditions().is_empty() || !transaction.operations().is_empty() {
                    let why = "an admission step wants its own writes to commit together with an object that is not in the server's storage";
                    return Err(WriteError::Refused(StatusError::internal(why)));
                }
                commit_rest(handlers, target, change).await
            }
        }
    }
}

impl KeyValue {
    async fn commit(
        &self,
        target: &Target<'_>,
        change: &Change<'_>,
        transaction: Transaction,
    ) -> Result<Written, WriteError> {
        let key = target.key;
        let expected = match change {
            Change::Insert(..) => Precondition::Absent(key.clone()),
            Change::Replace(old, ..) | Change::Remove(old) => {
                Precondition::RevisionIs(key.clone(), old.revision)
            }
        };
        let transaction = transaction.require(expected.clone());
        let transaction = match change {
            Change::Insert(_, encoded) | Change::Replace(_, _, encoded) => {
                transaction.put(key.clone(), encoded.bytes().clone())
            }
            Change::Remove(_) => transaction.delete(key.clone()),
        };
        match self.storage.commit(transaction).await {
            Ok(revision) => Ok(Written { revision: Some(revision), object: None }),
            Err(CommitError::Conflict { failed, current }) if failed == expected => {
                Err(WriteError::Changed(current))
            }
            Err(CommitError::Conflict { .. }) => Err(WriteError::Around),
            Err(error) => {
                let resource = target.definition.group_resource();
                Err(WriteError::Refused(errors::commit(&error, resource, target.name())))
            }
        }
    }
}

async fn commit_rest(
    handlers: &Handlers,
    target: &Target<'_>,
    change: Change<'_>,
) -> Result<Written, WriteError> {
    let request = target.request();
    let missing = |verb: Verb| WriteError::Refused(target.unsupported(&verb));
    let stored = match change {
        Change::Insert(object, _) => {
            let create = handlers.create.as_ref().ok_or_else(|| missing(Verb::Create))?;
            create.create(&request, object.clone()).await
        }
        Change::Replace(old, object, _) => {
            let update = handlers.update.as_ref().ok_or_else(|| missing(Verb::Update))?;
            update.update(&request, object.clone(), old.revision).await
        }
        Change::Remove(old) => {
            let delete = handlers.delete.as_ref().ok_or_else(|| missing(Verb::Delete))?;
            return match delete.delete(&request, old.revision).await {
                Ok(revision) => Ok(Written { revision: Some(revision), object: None }),
                Err(error) => Err(raced(error)),
            };
        }
    };
    let stored = stored.map_err(raced)?;
    let revision = revision_of(&stored).filter(|revision| *revision > Revision::ZERO);
    Ok(Written { revision, object: Some(stored) })
}

/// What a handler says when someone else was faster.
fn raced(error: StatusError) -> WriteError {
    match error.reason() {
        "Conflict" | "AlreadyExists" | "NotFound" => WriteError::Changed(None),
        _ => WriteError::Refused(error),
    }
}

/// An object of a handler as a record, so that everything above is the same for all kinds.
pub(super) fn record(
    key: &Key,
    mut object: Object,
    definition: &ResourceDefinition,
) -> Result<Record, StatusError> {
    let revision = revision_of(&object).ok_or_else(|| {
        StatusError::internal(format!("the handler of {key} answered without a resourceVersion"))
    })?;
    object.set_type(definition.api_version(), definition.kind());
    Ok(Record { key: key.clone(), revision, value: object.encode().bytes().clone() })
}

fn revision_of(object: &Object) -> Option<Revision> {
    object.meta("resourceVersion").parse().ok().map(Revision::new)
}
