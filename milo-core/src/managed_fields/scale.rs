//! Entries of the subresource `scale`, which shows one field of its parent under another path.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    entry::{self, Entry, Operation},
    set::FieldSet,
    update::{FIELD, managed_fields},
};
use crate::{
    object::Object,
    schema::{Schema, shape::MapShape},
};

/// The version of `Scale`.
const SCALE: &str = "autoscaling/v1";
const IN_SCALE: [&str; 2] = ["spec", "replicas"];

/// Where a kind keeps the number of replicas, such as `spec.replicas`.
#[derive(Clone, Debug)]
pub struct ReplicasPath {
    fields: Vec<String>,
}

impl ReplicasPath {
    /// From the names of nested fields.
    #[must_use]
    pub fn new<S: Into<String>>(fields: impl IntoIterator<Item = S>) -> Self {
        Self { fields: fields.into_iter().map(Into::into).collect() }
    }

    fn steps(&self) -> Vec<&str> {
        self.fields.iter().map(String::as_str).collect()
    }

    fn set(&self) -> FieldSet<'_> {
        let mut set = FieldSet::default();
        set.insert(&self.steps());
        set
    }

    /// The `managedFields` of the `Scale` of an object: who owns the number of replicas. An empty
    /// list if nobody does, and none if the object is not tracked: then no write to its `Scale` is.
    #[must_use]
    pub fn to_scale(&self, schema: &Schema, parent: &Object) -> Option<Value> {
        let mut entries = entry::decode(managed_fields(parent)).unwrap_or_default();
        if entries.is_empty() {
            return None;
        }
        let version = parent.api_version();
        entries.retain_mut(|entry| self.is_owner(schema.shape(), entry, version));
        for entry in &mut entries {
            let mut set = FieldSet::default();
            set.insert(&IN_SCALE);
            entry.own(set);
            entry.api_version = Cow::Borrowed(SCALE);
        }
        Some(entry::encode(entries).unwrap_or_else(|| Value::Array(Vec::new())))
    }

    fn is_owner(&self, shape: &MapShape, entry: &mut Entry<'_>, version: &str) -> bool {
        entry.api_version == version && entry.set(shape).has(&self.steps())
    }

    /// Puts into an object what was recorded of a write to its `Scale`. Who no longer owns the
    /// number of replicas there loses it here.
    pub fn to_parent(&self, schema: &Schema, parent: &mut Object, scale: &Object) {
        let managed_fields = self.merged(schema, parent, scale);
        match managed_fields {
            Some(managed_fields) => {
                parent.metadata_mut().insert(FIELD.to_owned(), managed_fields);
            }
            None => {
                parent.metadata_mut().remove(FIELD);
            }
        }
    }

    fn merged(&self, schema: &Schema, parent: &Object, scale: &Object) -> Option<Value> {
        let shape = schema.shape();
        let version = parent.api_version();
        let mut entries = entry::decode(managed_fields(parent)).unwrap_or_default();
        let mut owners = entry::decode(managed_fields(scale)).unwrap_or_default();
        owners.retain_mut(|owner| owner.set(shape).has(&IN_SCALE));
        for entry in &mut entries {
            if !self.is_owner(shape, entry, version) {
                continue;
            }
            let same =
                |owner: &Entry<'_>| owner.is(&entry.manager, entry.operation, &entry.subresource);
            if let Some(found) = owners.iter().position(same) {
                owners.swap_remove(found);
            } else {
                entry.set(shape).remove(&self.set());
            }
        }
        for owner in &owners {
            let mine = entries.iter_mut().find(|entry| {
                entry.is(&owner.manager, owner.operation, &owner.subresource)
                    && (owner.operation == Operation::Apply || entry.api_version == version)
            });
            if let Some(entry) = mine {
                let set = entry.set(shape).union(&self.set());
                entry.own(set);
                entry.time.clone_from(&owner.time);
            } else {
                let mut entry = owner.clone();
                entry.own(self.set());
                entry.api_version = Cow::Borrowed(version);
                entries.push(entry);
            }
        }
        entry::encode(entries)
    }
}
