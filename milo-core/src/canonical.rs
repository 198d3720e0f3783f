//! Canonical JSON: one text for one value, whatever features of serde_json a program has on.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Map, Value};

/// A JSON value that is written with the fields of its objects in the order of their names.
///
/// By itself serde_json keeps them so. But any crate of a program may switch on its feature
/// `preserve_order`, and then the order is whatever was done to the value: two that are equal would be
/// stored as different bytes, and a request that changes nothing would be a write.
///
/// ```
/// use milo_core::canonical::Canonical;
/// use serde_json::json;
///
/// let value = json!({"b": 1, "a": {"d": [], "c": null}});
/// let text = serde_json::to_string(&Canonical(&value))?;
/// assert_eq!(text, r#"{"a":{"c":null,"d":[]},"b":1}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Canonical<'a>(pub &'a Value);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut map = to.serialize_map(Some(fields.len()))?;
                for_each_in_order(fields, |name, value| {
                    map.serialize_entry(name, &Canonical(value))
                })?;
                map.end()
            }
            Value::Array(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Canonical(item))?;
                }
                list.end()
            }
            plain => plain.serialize(to),
        }
    }
}

/// Calls a function with each field, in the order of their names.
pub(crate) fn for_each_in_order<E>(
    fields: &Map<String, Value>,
    mut call: impl FnMut(&str, &Value) -> Result<(), E>,
) -> Result<(), E> {
    if fields.keys().is_sorted() {
        return fields.iter().try_for_each(|(name, value)| call(name, value));
    }
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    sorted.into_iter().try_for_each(|(name, value)| call(name, value))
}
