//! The kinds that a server serves, and what can be done with them.

mod admission;
mod continue_token;
mod create;
mod decode;
mod delete;
mod list;
mod patch;
mod render;
mod resource;
mod update;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use milo_core::{
    admission::{ObjectReader, StoredObject},
    key::{GroupResource, Key},
    object::Object,
    scope::Scope,
    status::StatusError,
    storage::Storage,
};

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
        let Some(record) = record else { return Ok(None) };
        let object = Object::from_slice(&record.value).map_err(StatusError::internal)?;
        Ok(Some(StoredObject { key, revision: record.revision, object }))
    }
}
