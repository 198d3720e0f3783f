//! Recording writes that are not applied.

use std::iter;

use serde_json::{Map, Value};

use super::{
    compare::{self, Changes},
    entry::{self, Entry, Operation},
    manager::{Manager, ResetFields},
};
use crate::{
    object::Object,
    schema::{Schema, shape::MapShape},
};

pub(super) const FIELD: &str = "managedFields";

/// Why it cannot be said what a write changed: items of a list cannot be told apart. Such an
/// object does not validate either.
#[derive(Debug, thiserror::Error)]
#[error("failed to update ManagedFields: {0}")]
pub struct TrackError(String);

/// Records a create, update or patch: sets `new.metadata.managedFields` from what is stored and
/// what changed. `live` is none on create. Fields that changed belong to the manager alone;
/// nothing is ever refused.
///
/// What `new` holds as `managedFields` is what the client sent. If it can be read it replaces what
/// is stored, except through a subresource; an empty list, or a list of one empty entry, stops
/// tracking until the next [`apply`](super::apply).
///
/// # Errors
/// When items of a list with keys lack theirs. Then `new` has what is stored; go on, validation
/// will find the same.
pub fn track_update(
    schema: &Schema,
    live: Option<&Object>,
    new: &mut Object,
    manager: &Manager<'_>,
    reset: &ResetFields,
) -> Result<(), TrackError> {
    let sent = new.metadata_mut().remove(FIELD);
    let stored = live.and_then(managed_fields);
    let is_main = manager.in_subresource().is_empty();
    let sent = sent.as_ref().filter(|_| is_main);
    let entries = match sent {
        Some(sent) if is_reset(sent) => Vec::new(),
        // Most clients send what they got, and what is stored can be read.
        Some(sent) if Some(sent) == stored => entry::decode(stored).unwrap_or_default(),
        sent => entry::decode_whole(sent)
            .filter(|entries| !entries.is_empty())
            .or_else(|| entry::decode(stored))
            .unwrap_or_default(),
    };
    if entries.is_empty() && live.is_some_and(|live| !is_owned_by_nobody(live)) {
        return Ok(());
    }
    let tracked = track(schema.shape(), live, new.fields(), entries, manager, reset);
    let (managed_fields, result) = match tracked {
        Ok(managed_fields) => (managed_fields, Ok(())),
        Err(error) => (stored.cloned(), Err(error)),
    };
    if let Some(managed_fields) = managed_fields {
        new.metadata_mut().insert(FIELD.to_owned(), managed_fields);
    }
    result
}

pub(super) fn managed_fields(object: &Object) -> Option<&Value> {
    object.metadata()?.get(FIELD)
}

/// Whether an object is tracked although nobody owns anything of it, which only an empty list
/// says: the view that a subresource gives of a tracked object. None at all is not tracked.
pub(super) fn is_owned_by_nobody(live: &Object) -> bool {
    managed_fields(live).and_then(Value::as_array).is_some_and(Vec::is_empty)
}

/// Whether a client asks to forget who owns what.
fn is_reset(sent: &Value) -> bool {
    let nothing = |value: &Value| value.is_null() || value.as_str() == Some("");
    match sent.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(entry)]) => entry.values().all(nothing),
        _ => false,
    }
}

fn track<'a>(
    shape: &'a MapShape,
    live: Option<&'a Object>,
    new: &'a Map<String, Value>,
    mut entries: Vec<Entry<'a>>,
    manager: &Manager<'a>,
    reset: &ResetFields,
) -> Result<Option<Value>, TrackError> {
    let live = live.map(Object::fields);
    let mut changes = compare::objects(shape, live, Some(new))
        .map_err(|problem| TrackError(problem.to_string()))?;
    exclude(reset, &mut changes);
    record(shape, &mut entries, changes, manager);
    Ok(entry::encode(entries))
}

pub(super) fn exclude(reset: &ResetFields, changes: &mut Changes<'_>) {
    reset.filter(&mut changes.set);
    reset.filter(&mut changes.removed);
}

/// Gives what changed to the manager, and takes it from all others.
pub(super) fn record<'a>(
    shape: &MapShape,
    entries: &mut Vec<Entry<'a>>,
    changes: Changes<'a>,
    manager: &Manager<'a>,
) {
    if !changes.is_empty() {
        for entry in entries.iter_mut().filter(|e| e.api_version == manager.api_version()) {
            let set = entry.set(shape);
            set.remove(&changes.set);
            set.remove(&changes.removed);
        }
    }
    if !changes.set.is_empty() {
        own(shape, entries, changes, manager);
    }
    entry::cap(shape, entries);
}

fn own<'a>(
    shape: &MapShape,
    entries: &mut Vec<Entry<'a>>,
    changes: Changes<'a>,
    manager: &Manager<'a>,
) {
    let (name, version) = (manager.name(), manager.api_version());
    let subresource = manager.in_subresource();
    let own = entries.iter_mut().find(|entry| {
        entry.is(name, Operation::Update, subresource) && entry.api_version == version
    });
    if let Some(own) = own {
        let set = own.set(shape).union(&changes.set);
        own.own(set);
        own.touch(manager.time());
    } else {
        let mut own = Entry::new(name, Operation::Update, version, subresource, changes.set);
        own.touch(manager.time());
        entries.push(own);
    }
}

/// Keeps the stored times if they are all that a write would change, so that a write which changes
/// nothing stores nothing.
pub fn keep_timestamps(live: &Object, new: &mut Object) {
    let (Some(stored), Some(written)) = (managed_fields(live), managed_fields(new)) else { return };
    if stored != written && same_otherwise(live, new) && differ_in_time_only(stored, written) {
        let stored = stored.clone();
        new.metadata_mut().insert(FIELD.to_owned(), stored);
    }
}

fn differ_in_time_only(stored: &Value, written: &Value) -> bool {
    let (Some(stored), Some(written)) = (by_identity(stored), by_identity(written)) else {
        return false;
    };
    let timeless = |(left, right)| same_but(left, right, "time");
    stored.len() == written.len() && iter::zip(stored, written).all(timeless)
}

/// Times decide the order of entries, so another one is needed to find them again.
fn by_identity(managed_fields: &Value) -> Option<Vec<&Map<String, Value>>> {
    let entries = managed_fields.as_array()?.iter().map(Value::as_object);
    let mut entries: Vec<&Map<String, Value>> = entries.collect::<Option<_>>()?;
    entries.sort_by_cached_key(|entry| {
        ["manager", "operation", "subresource", "apiVersion"]
            .map(|name| entry.get(name).and_then(Value::as_str).unwrap_or_default())
    });
    Some(entries)
}

fn same_otherwise(live: &Object, new: &Object) -> bool {
    let metadata = match (live.metadata(), new.metadata()) {
        (Some(live), Some(new)) => same_but(live, new, FIELD),
        _ => false,
    };
    metadata && same_but(live.fields(), new.fields(), "metadata")
}

/// Whether two objects are the same but for one field, which either may lack.
fn same_but(left: &Map<String, Value>, right: &Map<String, Value>, but: &str) -> bool {
    let count = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key(but));
    count(left) == count(right)
        && left.iter().all(|(name, value)| name == but || right.get(name) == Some(value))
}
