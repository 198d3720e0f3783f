//! `metadata.managedFields` on the write path: who owns which field (`spec/wire.md` section 3.4).

use milo_core::object::Object;
use serde_json::Value;

use super::{
    Call, Resource,
    backend::{WriteError, Written},
};
use crate::request::options::WriteOptions;

impl Resource {
    /// Notes who owns what a create, an update or a patch has written.
    pub(super) fn track(
        &self,
        _call: &Call<'_>,
        _options: &WriteOptions,
        _live: Option<&Object>,
        _object: &mut Object,
    ) {
    }
}

/// Whether a commit failed because the object is larger than the storage takes.
pub(super) fn is_too_large(written: &Result<Written, WriteError>) -> bool {
    matches!(written, Err(WriteError::Refused(error)) if error.code() == 413)
}

/// Takes the managed fields off an object, so that it may fit after all. False if it has none.
pub(super) fn shed(object: &mut Object) -> bool {
    object.metadata_mut().remove("managedFields").is_some()
}

/// An object in which nothing but the times of its managed fields has changed has not changed.
pub(super) fn keep_managed_times(object: &mut Object, current: &Object) {
    let (Some(new), Some(old)) = (entries(object), entries(current)) else { return };
    if new == old || new.len() != old.len() {
        return;
    }
    let same = new.iter().zip(old).all(|(new, old)| match (new.as_object(), old.as_object()) {
        (Some(new), Some(old)) => {
            let timeless = |(name, _): &(&String, &Value)| *name != "time";
            new.iter().filter(timeless).eq(old.iter().filter(timeless))
        }
        _ => false,
    });
    if same && differs_in_managed_fields_alone(object, current) {
        let old = Value::Array(old.clone());
        object.metadata_mut().insert("managedFields".into(), old);
    }
}

fn differs_in_managed_fields_alone(object: &Object, current: &Object) -> bool {
    body(object).eq(body(current)) && metadata(object).eq(metadata(current))
}

fn body(object: &Object) -> impl Iterator<Item = (&String, &Value)> {
    object.fields().iter().filter(|(name, _)| *name != "metadata")
}

fn metadata(object: &Object) -> impl Iterator<Item = (&String, &Value)> {
    let ours = |name: &str| matches!(name, "managedFields" | "resourceVersion");
    object.metadata().into_iter().flatten().filter(move |(name, _)| !ours(name))
}

fn entries(object: &Object) -> Option<&Vec<Value>> {
    object.metadata()?.get("managedFields")?.as_array()
}
