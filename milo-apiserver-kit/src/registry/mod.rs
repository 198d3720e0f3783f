//! The kinds that a server serves, and what can be done with them.

mod admission;
mod backend;
mod connect;
mod continue_token;
mod create;
mod decode;
mod delete;
mod fields;
mod list;
mod patch;
mod render;
mod resource;
mod rest_list;
mod rest_watch;
mod review;
mod scale;
mod update;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use milo_core::{
    admission::{Found, ObjectReader, StoredObject},
    key::{GroupResource, Key, KeyRange},
    object::Object,
    scope::Scope,
    status::StatusError,
    storage::{ListOptions, Record, Storage},
};

pub(crate) use backend::{Backend, KeyValue};
pub(crate) use connect::{Connection, body_of};
pub(crate) use patch::{PATCH_TYPES, PatchType};
pub(crate) use resource::{Call, Place, Resource};

use crate::errors;

/// All served kinds, by group, version and plural name.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    resources: Vec<Arc<Resource>>,
}

impl Registry {
    pub(crate) fn new(mut resources: Vec<Arc<Resource>>) -> Self {
        resources.sort_by(|a, b| a.id().cmp(&b.id()));
        Self { resources }
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let index = self
            .resources
            .binary_search_by(|resource| resource.id().cmp(&(plural, group, version)));
        index.ok().and_then(|index| self.resources.get(index))
    }
}

/// How many objects are searched at once.
const SEARCH_PAGE: usize = 256;

/// Reads any object from the storage, for admission.
#[derive(Debug)]
pub(crate) struct StorageReader(pub(crate) Arc<dyn Storage>);

#[async_trait]
impl ObjectReader for StorageReader {
    async fn read(
        &self,
        resource: &GroupResource,
        scope: &Scope,
        namespace: &str,
        name: &str,
    ) -> Result<Option<StoredObject>, StatusError> {
        let Ok(key) = Key::object(resource, scope, namespace, name) else { return Ok(None) };
        let record = self.0.get(&key).await.map_err(|error| errors::read(&error))?;
        record.map(stored).transpose()
    }

    async fn find(
        &self,
        resource: &GroupResource,
        scope: &Scope,
        wanted: &(dyn for<'a> Fn(&'a Object) -> bool + Sync),
        limit: usize,
    ) -> Result<Found, StatusError> {
        let mut found = Found::default();
        let mut options = ListOptions::default().limit(SEARCH_PAGE);
        let whole = KeyRange::scope(resource, scope).map_err(StatusError::internal)?;
        let mut rest = Some(whole.clone());
        while let Some(range) = rest.take() {
            let page = self.0.list(&range, options).await.map_err(|error| errors::read(&error))?;
            options = options.at(page.revision);
            if page.remaining > 0
                && let Some(last) = page.records.last()
            {
                rest = whole.starting_at([last.key.as_bytes(), b"\0"].concat().into());
            }
            for record in page.records {
                let object = stored(record)?;
                if wanted(&object.object) {
                    found.total += 1;
                    if found.first.len() < limit {
                        found.first.push(object);
                    }
                }
            }
            // Decoding a page takes a while; others want the thread too.
            tokio::task::yield_now().await;
        }
        Ok(found)
    }
}

fn stored(record: Record) -> Result<StoredObject, StatusError> {
    let object = Object::from_slice(&record.value).map_err(StatusError::internal)?;
    Ok(StoredObject { key: record.key, revision: record.revision, object })
}
