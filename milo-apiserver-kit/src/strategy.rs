//! What a kind decides for itself on the way to the storage: names, derived fields, rules that a
//! schema cannot express, how it ends.
//!
//! ```
//! use milo_apiserver_kit::strategy::{self, Strategy, WriteContext};
//! use milo_core::{object::Object, status::{FieldError, FieldPath}};
//! use serde_json::Value;
//!
//! /// Disks only ever grow.
//! #[derive(Debug)]
//! struct Disks;
//!
//! impl Strategy for Disks {
//!     fn validate_update(&self, _: &WriteContext<'_>, new: &Object, old: &Object) -> Vec<FieldError> {
//!         let size = |disk: &Object| disk.fields()["spec"]["gigabytes"].as_i64();
//!         if size(new) >= size(old) {
//!             return Vec::new();
//!         }
//!         let path = FieldPath::new("spec").child("gigabytes");
//!         vec![FieldError::invalid(path, size(new), "disks cannot shrink")]
//!     }
//! }
//! ```
//!
//! What concerns several kinds, or other objects than the one that is written, is
//! [admission](milo_core::admission). The order of it all:
//!
//! | # | create | update, patch, apply |
//! |---|---|---|
//! | 1 | decode, prune, defaults, managed fields | the same, on what is stored |
//! | 2 | admission mutates | admission mutates |
//! | 3 | name and UID are made ([`Strategy::generate_name`]) | resource version is checked |
//! | 4 | [`Strategy::prepare_for_create`] | [`Strategy::prepare_for_update`], generation |
//! | 5 | metadata and schema are validated, then [`Strategy::validate`] | then [`Strategy::validate_update`] |
//! | 6 | [`Strategy::warnings_on_create`], [`Strategy::canonicalize`] | the same |
//! | 7 | admission validates | admission validates |
//! | 8 | [`Strategy::begin_create`], commit, [`Strategy::after_create`] | the same for update |

mod hooks;

pub use hooks::Pending;

use milo_core::{
    definition::ResourceDefinition,
    meta,
    object::Object,
    request::RequestAttributes,
    status::{FieldError, FieldPath, StatusError},
};
use serde::{Serialize, de::DeserializeOwned};

/// A write as a [`Strategy`] is told of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WriteContext<'a> {
    /// Who asks, and for what.
    pub attributes: &'a RequestAttributes,
    /// The kind.
    pub definition: &'a ResourceDefinition,
    /// Whether nothing will be written in the end.
    pub dry_run: bool,
}

impl<'a> WriteContext<'a> {
    pub(crate) fn new(
        attributes: &'a RequestAttributes,
        definition: &'a ResourceDefinition,
        dry_run: bool,
    ) -> Self {
        Self { attributes, definition, dry_run }
    }

    /// `status`, for example; empty when the object itself is written.
    #[must_use]
    pub fn subresource(&self) -> &'a str {
        self.attributes.resource.as_ref().map_or("", |resource| resource.subresource.as_str())
    }
}

/// What happens to the dependents of an object that is deleted, unless the client says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GcPolicy {
    /// No garbage collector looks after this kind: its finalizers are never added, because an
    /// object that waited for them would never go away.
    #[default]
    Unsupported,
    /// A garbage collector deletes dependents afterwards.
    DeleteDependents,
    /// A garbage collector takes the owner reference from dependents, and they stay.
    OrphanDependents,
}

/// What a kind decides for itself. Everything has a default: an empty implementation changes
/// nothing.
///
/// Methods are called within a request and must not wait. Those that prepare, validate and
/// canonicalize run again when a concurrent write forces the server to compute the write anew.
/// Validation must not change anything, and preparation must not remove what validation would
/// refuse.
pub trait Strategy: Send + Sync + std::fmt::Debug + 'static {
    /// What is wrong with a name. With `prefix` it is only the beginning of one (`generateName`).
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        meta::dns_subdomain_name(name, prefix)
    }

    /// A name for an object that brings only `generateName`. It may be taken: up to eight are
    /// tried.
    fn generate_name(&self, base: &str) -> String {
        meta::generate_name(base)
    }

    /// Sets what the client does not choose on a new object. Status is already empty, if the kind
    /// has a status subresource.
    fn prepare_for_create(&self, _context: &WriteContext<'_>, _object: &mut Object) {}

    /// Sets what the client does not choose on a changed object. What the other half of the object
    /// holds (status, or all but status) is already the stored one. Changes outside metadata and
    /// status count as a new generation.
    fn prepare_for_update(&self, _context: &WriteContext<'_>, _new: &mut Object, _old: &Object) {}

    /// Which fields [`prepare_for_update`](Self::prepare_for_update) takes back whatever a client
    /// says, as `[["spec", "nodeName"]]`, each with all below it: nobody comes to own them by
    /// writing them. Status is known without being listed.
    fn reset_fields(&self) -> &[&[&'static str]] {
        &[]
    }

    /// What is wrong with a new object. Asked when metadata and schema are sound.
    fn validate(&self, _context: &WriteContext<'_>, _object: &Object) -> Vec<FieldError> {
        Vec::new()
    }

    /// What is wrong with a changed object. Asked when metadata and schema are sound.
    fn validate_update(
        &self,
        _context: &WriteContext<'_>,
        _new: &Object,
        _old: &Object,
    ) -> Vec<FieldError> {
        Vec::new()
    }

    /// Texts for whoever creates a valid object, sent as `Warning` headers.
    fn warnings_on_create(&self, _context: &WriteContext<'_>, _object: &Object) -> Vec<String> {
        Vec::new()
    }

    /// Texts for whoever makes a valid change, sent as `Warning` headers.
    fn warnings_on_update(
        &self,
        _context: &WriteContext<'_>,
        _new: &Object,
        _old: &Object,
    ) -> Vec<String> {
        Vec::new()
    }

    /// Brings a valid object into the one form in which it is stored: sorted sets, for example.
    fn canonicalize(&self, _object: &mut Object) {}

    /// Whether `PUT` of an object that does not exist creates it. The client must be allowed to
    /// create it too.
    fn allows_create_on_update(&self) -> bool {
        false
    }

    /// Whether `PUT` without a `resourceVersion` overwrites whatever is stored. Otherwise it is
    /// refused with 422.
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    /// Whether a garbage collector looks after this kind, and what it does by default.
    fn gc_policy(&self) -> GcPolicy {
        GcPolicy::Unsupported
    }

    /// Whether an object that a client deletes gets time to end, in seconds; `requested` is what
    /// the client asked for. Until then it is marked as being deleted, and whoever ends it deletes
    /// it again with a grace period of zero. With none or zero the object goes away at once.
    fn check_graceful_delete(
        &self,
        _context: &WriteContext<'_>,
        _object: &Object,
        _requested: Option<i64>,
    ) -> Option<i64> {
        None
    }

    /// Whether an update removes the object. By default: it was being deleted, its time is over,
    /// and the update has taken away the last finalizer.
    fn should_delete_during_update(&self, new: &Object, old: &Object) -> bool {
        old.is_deleting()
            && grace_period(old).unwrap_or(0) == 0
            && new.finalizers().next().is_none()
    }

    /// Called right before a new object is committed; may still refuse it. What it does is undone
    /// by the [`Pending`] that it returns, if the object does not come to be. For dry runs it is
    /// called too, and nothing comes to be.
    ///
    /// # Errors
    /// Whatever the client should be told; the write ends.
    fn begin_create(
        &self,
        _context: &WriteContext<'_>,
        _object: &Object,
    ) -> Result<Pending, StatusError> {
        Ok(Pending::nothing())
    }

    /// As [`begin_create`](Self::begin_create), for a change. Not called when nothing changes.
    ///
    /// # Errors
    /// Whatever the client should be told; the write ends.
    fn begin_update(
        &self,
        _context: &WriteContext<'_>,
        _new: &Object,
        _old: &Object,
    ) -> Result<Pending, StatusError> {
        Ok(Pending::nothing())
    }

    /// As [`begin_create`](Self::begin_create), for the removal of an object: by `DELETE`, or by
    /// the update that takes its last finalizer away.
    ///
    /// # Errors
    /// Whatever the client should be told; the removal ends.
    fn begin_delete(
        &self,
        _context: &WriteContext<'_>,
        _object: &Object,
    ) -> Result<Pending, StatusError> {
        Ok(Pending::nothing())
    }

    /// Called with a new object once it is committed. It cannot fail the request.
    fn after_create(&self, _context: &WriteContext<'_>, _object: &Object) {}

    /// Called with a changed object once it is committed.
    fn after_update(&self, _context: &WriteContext<'_>, _new: &Object, _old: &Object) {}

    /// Called with the last state of an object once its removal is committed.
    fn after_delete(&self, _context: &WriteContext<'_>, _object: &Object) {}

    /// Whether objects are [decorated](Self::decorate). Off by default: then stored bytes are
    /// served as they are, and reads decode nothing.
    fn decorates(&self) -> bool {
        false
    }

    /// Adds to an object what is not stored but shown: in every answer, list and watch. It must
    /// depend on nothing but the object, and prepare must take it away again: clients send back
    /// what they read.
    fn decorate(&self, _object: &mut Object) {}

    /// Whether `DELETE` answers with the object that is gone instead of a `Status`.
    fn returns_deleted_object(&self) -> bool {
        false
    }
}

/// The strategy of kinds that have nothing to say.
#[derive(Debug)]
pub(crate) struct Plain;

impl Strategy for Plain {}

/// `metadata.deletionGracePeriodSeconds`. A negative one counts as a second.
pub(crate) fn grace_period(object: &Object) -> Option<i64> {
    let seconds = object.metadata()?.get("deletionGracePeriodSeconds")?.as_i64()?;
    Some(if seconds < 0 { 1 } else { seconds })
}

/// Changes an object through its Rust type. Does nothing when the object does not fit the type:
/// validation will say why. Fields that the type does not know are lost.
pub fn edit<K>(object: &mut Object, change: impl FnOnce(&mut K))
where
    K: Serialize + DeserializeOwned,
{
    let Ok(mut typed) = object.to_typed::<K>() else { return };
    change(&mut typed);
    if let Ok(changed) = Object::from_typed(&typed) {
        *object = changed;
    }
}

/// Checks an object through its Rust type; one that does not fit it is invalid.
pub fn check<K: DeserializeOwned>(
    object: &Object,
    check: impl FnOnce(&K) -> Vec<FieldError>,
) -> Vec<FieldError> {
    match object.to_typed::<K>() {
        Ok(typed) => check(&typed),
        Err(error) => vec![FieldError::invalid(FieldPath::default(), (), error.to_string())],
    }
}
