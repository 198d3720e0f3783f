//! What may change in metadata once an object is stored.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::{at, validate::contents};
use crate::{object::Object, status::FieldError};

/// Whoever set these, nobody changes them.
const IMMUTABLE: [&str; 6] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// What is wrong with the metadata of an object that is about to replace a stored one: the rules
/// for labels, annotations, finalizers, owners and managed fields that [`validate`](super::validate)
/// knows, and what must not change.
///
/// The resource version is not looked at: whether it must be there and be the current one depends
/// on the kind and is the writer's business.
#[must_use]
pub fn validate_update(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Vec::new();
    new_finalizers(new, old, &mut errors);
    if new.generation() < old.generation() {
        let problem = "must not be decremented";
        errors.push(FieldError::invalid(at("generation"), new.generation(), problem));
    }
    let (metadata, stored) = (new.metadata(), old.metadata());
    for field in IMMUTABLE {
        let (now, before) = (value(metadata, field), value(stored, field));
        if now != before {
            let shown = now.cloned().unwrap_or_default();
            errors.push(FieldError::invalid(at(field), shown, "field is immutable"));
        }
    }
    if let Some(metadata) = metadata {
        contents(metadata, &mut errors);
    }
    errors
}

/// Null and the empty text are the same as nothing.
fn value<'a>(metadata: Option<&'a Map<String, Value>>, field: &str) -> Option<&'a Value> {
    let value = metadata?.get(field)?;
    (!value.is_null() && value.as_str() != Some("")).then_some(value)
}

fn new_finalizers(new: &Object, old: &Object, errors: &mut Vec<FieldError>) {
    if !old.is_deleting() {
        return;
    }
    let known: HashSet<&str> = old.finalizers().collect();
    let added: BTreeSet<&str> = new.finalizers().filter(|name| !known.contains(name)).collect();
    if added.is_empty() {
        return;
    }
    let listed = format!("{added:?}");
    let problem = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers \
         []string{{{}}}",
        listed.trim_matches(['{', '}'])
    );
    errors.push(FieldError::forbidden(at("finalizers"), problem));
}
