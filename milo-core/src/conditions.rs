//! Helpers for `status.conditions`.
//!
//! Conditions say what is true of an object, one entry per type. They come in two forms: as a
//! list of `Condition` in typed code, and inside an [`Object`] (the functions ending in `_in`).
//! Times have whole seconds, or comparing what was written with what was read would never end.
//!
//! ```
//! use milo_core::{conditions, object::Object};
//!
//! let mut object = Object::new("example.com/v1", "Widget", "a");
//! let ready = conditions::new("Ready", true, "Provisioned", "All parts run");
//! assert!(conditions::set_in(&mut object, ready.clone()));
//! assert!(conditions::is_true_in(&object, "Ready"));
//! assert!(!conditions::set_in(&mut object, ready), "nothing changed");
//! ```

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{meta, object::Object};

/// A condition that is `True` or `False` as of now.
#[must_use]
pub fn new(
    type_: impl Into<String>,
    holds: bool,
    reason: impl Into<String>,
    message: impl Into<String>,
) -> Condition {
    Condition {
        type_: type_.into(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: Time(meta::now_in_seconds()),
        observed_generation: None,
    }
}

/// The condition of a type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition is there and `True`.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// Adds a condition or replaces the one of its type. True when that changed anything.
///
/// `lastTransitionTime` moves only when `status` changes: to the time given, or to now when that
/// is the epoch, which stands for "not set".
pub fn set(conditions: &mut Vec<Condition>, condition: Condition) -> bool {
    let known = conditions.iter_mut().find(|known| known.type_ == condition.type_);
    let next = settled(condition, known.as_deref());
    match known {
        Some(known) if *known == next => return false,
        Some(known) => *known = next,
        None => conditions.push(next),
    }
    true
}

/// Removes the condition of a type. True when it was there.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != type_);
    conditions.len() != before
}

/// The conditions of an object. Entries that are not conditions are left out.
#[must_use]
pub fn list_in(object: &Object) -> Vec<Condition> {
    entries(object).filter_map(decode).collect()
}

/// The condition of a type in an object.
#[must_use]
pub fn find_in(object: &Object, type_: &str) -> Option<Condition> {
    entries(object).find(|entry| text(entry, "type") == type_).and_then(decode)
}

/// The status of a condition in an object: `True`, `False` or `Unknown`. Does not allocate.
#[must_use]
pub fn status_in<'a>(object: &'a Object, type_: &str) -> Option<&'a str> {
    entries(object).find(|entry| text(entry, "type") == type_).map(|entry| text(entry, "status"))
}

/// Whether the condition is there and `True` in an object. Does not allocate.
#[must_use]
pub fn is_true_in(object: &Object, type_: &str) -> bool {
    status_in(object, type_) == Some("True")
}

/// As [`set`], in an object; `status.conditions` is made when it is missing or is not a list.
/// Other entries stay as they are.
pub fn set_in(object: &mut Object, condition: Condition) -> bool {
    let known = find_in(object, &condition.type_);
    let next = settled(condition, known.as_ref());
    if known.as_ref() == Some(&next) {
        return false;
    }
    let encoded = encode(&next);
    let entries = entries_mut(object);
    match entries.iter_mut().find(|entry| text(entry, "type") == next.type_) {
        Some(entry) => *entry = encoded,
        None => entries.push(encoded),
    }
    true
}

/// As [`remove`], in an object.
pub fn remove_in(object: &mut Object, type_: &str) -> bool {
    if status_in(object, type_).is_none() {
        return false;
    }
    entries_mut(object).retain(|entry| text(entry, "type") != type_);
    true
}

/// The condition with the time that it must have in the place of another.
fn settled(mut condition: Condition, known: Option<&Condition>) -> Condition {
    condition.last_transition_time = match known {
        Some(known) if known.status == condition.status => known.last_transition_time.clone(),
        _ if condition.last_transition_time.0 == Timestamp::UNIX_EPOCH => {
            Time(meta::now_in_seconds())
        }
        _ => Time(meta::in_seconds(condition.last_transition_time.0)),
    };
    condition
}

fn entries(object: &Object) -> impl Iterator<Item = &Value> {
    let status = object.fields().get("status");
    let conditions = status.and_then(|status| status.get("conditions"));
    conditions.and_then(Value::as_array).into_iter().flatten()
}

fn entries_mut(object: &mut Object) -> &mut Vec<Value> {
    let status = object.fields_mut().entry("status").or_insert(Value::Null);
    if !status.is_object() {
        *status = Value::Object(Map::new());
    }
    let conditions = &mut status["conditions"];
    if !conditions.is_array() {
        *conditions = Value::Array(Vec::new());
    }
    match conditions {
        Value::Array(entries) => entries,
        // INVARIANT: made a list three lines above.
        _ => unreachable!("conditions are a list"),
    }
}

fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn decode(entry: &Value) -> Option<Condition> {
    serde::Deserialize::deserialize(entry).ok()
}

fn encode(condition: &Condition) -> Value {
    // INVARIANT: a struct of strings, a number and a time always becomes JSON.
    serde_json::to_value(condition).unwrap_or_default()
}
