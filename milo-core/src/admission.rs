//! The traits that mutate and check a write before it commits.
//!
//! Admission has no side effects. What must hold together commits together: a step may add
//! preconditions and operations to the transaction that will write the object, and nothing else.
//! So there is no window in which half of it is true, and nothing to clean up when the client goes
//! away.

use async_trait::async_trait;

use crate::{
    definition::ResourceDefinition,
    key::{GroupResource, Key},
    object::Object,
    request::RequestAttributes,
    scope::Scope,
    status::StatusError,
    storage::{Revision, Transaction},
};

/// What a write does. A patch is an update, or a create when the object is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// The object is new.
    Create,
    /// The object changes, its status included.
    Update,
    /// The object is removed, or marked for removal.
    Delete,
    /// A subresource that answers HTTP itself is reached. Steps only [`validate`] it, and nothing is
    /// written. What they are shown is no object of the kind but a `ConnectOptions`: the name and
    /// namespace of the object, and the `method`, `path` and `query` of the request. Which
    /// subresource it is, the [attributes](AdmissionRequest::attributes) say.
    ///
    /// [`validate`]: Admission::validate
    Connect,
}

/// A stored object, read by [`ObjectReader`].
#[derive(Clone, Debug)]
pub struct StoredObject {
    /// Its key, to name it in a precondition.
    pub key: Key,
    /// The commit that last wrote it.
    pub revision: Revision,
    /// Its content.
    pub object: Object,
}

/// What [`ObjectReader::find`] found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The first objects, in the order of their keys.
    pub first: Vec<StoredObject>,
    /// How many there are, those that are not in `first` included.
    pub total: usize,
}

/// Reads objects of any served kind, linearizably.
#[async_trait]
pub trait ObjectReader: Send + Sync {
    /// The object, or none. `namespace` is empty for a cluster-scoped kind.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn read(
        &self,
        resource: &GroupResource,
        scope: &Scope,
        namespace: &str,
        name: &str,
    ) -> Result<Option<StoredObject>, StatusError>;

    /// The objects of a kind in `scope`, in all namespaces, for which `wanted` holds: the first
    /// `limit` of them and their number, from one snapshot. Memory stays bounded, but every object
    /// of the kind in the scope is decoded: this is for rare writes.
    ///
    /// What commits after the snapshot is not seen. A step that must rule it out adds a
    /// precondition on a key that such commits write.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn find(
        &self,
        resource: &GroupResource,
        scope: &Scope,
        wanted: &(dyn for<'a> Fn(&'a Object) -> bool + Sync),
        limit: usize,
    ) -> Result<Found, StatusError>;
}

/// A write on its way to the storage.
pub struct AdmissionRequest<'a> {
    /// Who asks, and for what.
    pub attributes: &'a RequestAttributes,
    /// The kind.
    pub definition: &'a ResourceDefinition,
    /// What the write does.
    pub operation: Operation,
    /// What is stored now; none on create.
    pub old: Option<&'a Object>,
    /// Whether the object is gone once the transaction has committed. A deletion that has to wait
    /// for finalizers only marks the object; the update that takes the last finalizer away removes
    /// it, and is checked as a deletion too. What is to be given back when an object goes away is
    /// given back when this is set, and only then.
    pub removes: bool,
    /// Whether nothing will be written in the end.
    pub dry_run: bool,
    /// Reads other objects.
    pub reader: &'a dyn ObjectReader,
    /// The transaction that will write the object. A step may add to it.
    pub transaction: &'a mut Transaction,
    /// Texts for the client, sent as `Warning` headers.
    pub warnings: &'a mut Vec<String>,
}

impl AdmissionRequest<'_> {
    /// 403 in upstream's words, `widgets.example.com "a" is forbidden: too many`: for a step that
    /// simply will not have it. An object without a name is told by its `generateName`.
    #[must_use]
    pub fn forbidden(&self, object: &Object, why: impl std::fmt::Display) -> StatusError {
        let named = self.attributes.resource.as_ref().map_or("", |target| target.name.as_str());
        let names = [named, object.name(), object.meta("generateName"), "Unknown"];
        let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        StatusError::forbidden(self.definition.group_resource(), name, why)
    }
}

/// A step that every write of every kind passes. Pick the kinds you care for by
/// [`AdmissionRequest::definition`].
///
/// Steps run again when a concurrent write forces the server to compute the write anew. Those that
/// mutate also run a second time, with an empty transaction, when the object was changed after one
/// of them had seen it. So a step must do nothing to an object that it has already changed.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an admission step",
    note = "implement `milo_core::admission::Admission` with `#[async_trait]`"
)]
pub trait Admission: Send + Sync + std::fmt::Debug + 'static {
    /// Changes the object before it is validated. Not called for deletions. A new object may have
    /// no name yet, only `generateName`; it has none of the metadata that the server sets.
    ///
    /// # Errors
    /// Whatever the client should be told; the write ends.
    async fn mutate(
        &self,
        _request: &mut AdmissionRequest<'_>,
        _object: &mut Object,
    ) -> Result<(), StatusError> {
        Ok(())
    }

    /// Checks the final object; for deletions, the stored one.
    ///
    /// # Errors
    /// Whatever the client should be told; the write ends.
    async fn validate(
        &self,
        _request: &mut AdmissionRequest<'_>,
        _object: &Object,
    ) -> Result<(), StatusError> {
        Ok(())
    }
}
