//! What gnostic's protobuf of OpenAPI v2 and v3 have in common, and how it is read from JSON.
//!
//! gnostic declares a message per type of entry and per map; on the wire they are all alike, so
//! here they are generic. Only what the server says is declared.

use std::fmt::Debug;

use prost::Message;
use serde_json::Value;

/// A value of any type, as YAML. JSON is YAML.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "2")]
    pub(super) yaml: String,
}

/// An entry of a map.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named<T: Debug + Message + Default> {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<T>,
}

/// A map.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entries<T: Debug + Message + Default> {
    #[prost(message, repeated, tag = "1")]
    pub(super) additional_properties: Vec<Named<T>>,
}

/// `StringArray` and `TypeItem`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Strings {
    #[prost(string, repeated, tag = "1")]
    pub(super) value: Vec<String>,
}

/// `JsonReference` and `Reference`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Reference {
    #[prost(string, tag = "1")]
    pub(super) reference: String,
}

impl Strings {
    /// A list, or a single text.
    pub(super) fn of(value: &Value) -> Self {
        let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        Self { value: texts.iter().filter_map(Value::as_str).map(str::to_owned).collect() }
    }
}

impl Reference {
    /// A reference, if the value is one.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let reference = value.get("$ref")?.as_str()?.to_owned();
        Some(Self { reference })
    }
}

/// The text under a key; empty when there is none, as protobuf has it.
pub(super) fn text(of: &Value, key: &str) -> String {
    of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn texts(of: &Value, key: &str) -> Vec<String> {
    list(of, key, |value| value.as_str().unwrap_or_default().to_owned())
}

pub(super) fn flag(of: &Value, key: &str) -> bool {
    of.get(key).and_then(Value::as_bool).unwrap_or_default()
}

pub(super) fn number(of: &Value, key: &str) -> f64 {
    of.get(key).and_then(Value::as_f64).unwrap_or_default()
}

pub(super) fn integer(of: &Value, key: &str) -> i64 {
    of.get(key).and_then(Value::as_i64).unwrap_or_default()
}

pub(super) fn any(value: &Value) -> Any {
    // gnostic's writer of YAML ends every value with a line break.
    Any { yaml: format!("{value}\n") }
}

/// What `read` makes of the value under a key.
pub(super) fn field<T>(of: &Value, key: &str, read: impl Fn(&Value) -> T) -> Option<T> {
    of.get(key).map(read)
}

/// What `read` makes of each value of the list under a key.
pub(super) fn list<T>(of: &Value, key: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
    of.get(key).and_then(Value::as_array).into_iter().flatten().map(read).collect()
}

/// What `read` makes of the map under a key.
pub(super) fn map<T: Debug + Message + Default>(
    of: &Value,
    key: &str,
    read: impl Fn(&Value) -> T,
) -> Option<Entries<T>> {
    of.get(key).map(|value| entries(value, read))
}

pub(super) fn entries<T: Debug + Message + Default>(
    of: &Value,
    read: impl Fn(&Value) -> T,
) -> Entries<T> {
    Entries { additional_properties: named(of, |_| true, read) }
}

/// What `read` makes of the values whose keys are `wanted`.
pub(super) fn named<T: Debug + Message + Default>(
    of: &Value,
    wanted: impl Fn(&str) -> bool,
    read: impl Fn(&Value) -> T,
) -> Vec<Named<T>> {
    let entries = of.as_object().into_iter().flatten().filter(|(name, _)| wanted(name));
    entries.map(|(name, value)| Named { name: name.clone(), value: Some(read(value)) }).collect()
}

/// The extensions of an object.
pub(super) fn extensions(of: &Value) -> Vec<Named<Any>> {
    named(of, is_extension, any)
}

pub(super) fn is_extension(key: &str) -> bool {
    key.starts_with("x-")
}
