//! Which JSON types metadata is made of, and which fields it has.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::object::Object;

/// What a field must be when it is there. `null` is the same as not being there.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Integer,
    Boolean,
    Time,
    TextMap,
    TextList,
    /// A JSON object whose content is checked elsewhere.
    Free,
    /// A list of objects with known fields.
    Records(fn(&str) -> Option<Shape>),
}

fn metadata_field(name: &str) -> Option<Shape> {
    Some(match name {
        "name" | "generateName" | "namespace" | "selfLink" | "uid" | "resourceVersion" => {
            Shape::Text
        }
        "generation" | "deletionGracePeriodSeconds" => Shape::Integer,
        "creationTimestamp" | "deletionTimestamp" => Shape::Time,
        "labels" | "annotations" => Shape::TextMap,
        "finalizers" => Shape::TextList,
        "ownerReferences" => Shape::Records(owner_field),
        "managedFields" => Shape::Records(managed_field),
        _ => return None,
    })
}

fn owner_field(name: &str) -> Option<Shape> {
    Some(match name {
        "apiVersion" | "kind" | "name" | "uid" => Shape::Text,
        "controller" | "blockOwnerDeletion" => Shape::Boolean,
        _ => return None,
    })
}

fn managed_field(name: &str) -> Option<Shape> {
    Some(match name {
        "manager" | "operation" | "apiVersion" | "fieldsType" | "subresource" => Shape::Text,
        "time" => Shape::Time,
        "fieldsV1" => Shape::Free,
        _ => return None,
    })
}

/// Checks that each known field of `metadata` has the right JSON type.
///
/// # Errors
/// The text of a decode error, which names the first field that is wrong. It belongs in the
/// answer 400.
///
/// ```
/// use milo_core::{meta, object::Object};
///
/// let object = Object::from_slice(br#"{"metadata": {"labels": {"replicas": 3}}}"#)?;
/// assert_eq!(
///     meta::validate_shape(&object).unwrap_err(),
///     "json: cannot unmarshal number into metadata.labels[replicas] of type string"
/// );
/// # Ok::<(), milo_core::object::DecodeError>(())
/// ```
pub fn validate_shape(object: &Object) -> Result<(), String> {
    let Some(metadata) = object.metadata() else { return Ok(()) };
    check_record(metadata_field, metadata).map_err(Wrong::into_text)
}

/// The paths of fields that object metadata does not have, such as `metadata.foo` or
/// `metadata.ownerReferences[0].foo`.
#[must_use]
pub fn unknown_fields(object: &Object) -> Vec<String> {
    let mut unknown = Vec::new();
    for (name, value) in object.metadata().into_iter().flatten() {
        match (metadata_field(name), value) {
            (None, _) => unknown.push(format!("metadata.{name}")),
            (Some(Shape::Records(known)), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let fields = item.as_object().into_iter().flat_map(Map::keys);
                    unknown.extend(
                        fields
                            .filter(|field| known(field).is_none())
                            .map(|field| format!("metadata.{name}[{index}].{field}")),
                    );
                }
            }
            _ => {}
        }
    }
    unknown
}

/// Removes the fields that [`unknown_fields`] names.
pub fn prune_unknown_fields(object: &mut Object) {
    let metadata = object.metadata_mut();
    metadata.retain(|name, _| metadata_field(name).is_some());
    for (name, value) in metadata {
        if let (Some(Shape::Records(known)), Value::Array(items)) = (metadata_field(name), value) {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.retain(|field, _| known(field).is_some());
            }
        }
    }
}

/// Where a value of the wrong type is. The path is put together on the way out, so that it costs
/// nothing when all is well.
struct Wrong {
    path: String,
    what: String,
    wanted: &'static str,
}

impl Wrong {
    fn new(value: &Value, wanted: &'static str) -> Self {
        let what = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if wanted == "int64" => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(text) if wanted == "time" => format!("string {text:?}"),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        Self { path: String::new(), what, wanted }
    }

    fn below(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }

    fn into_text(self) -> String {
        let Self { path, what, wanted } = self;
        format!("json: cannot unmarshal {what} into metadata{path} of type {wanted}")
    }
}

fn check_record(
    known: fn(&str) -> Option<Shape>,
    record: &Map<String, Value>,
) -> Result<(), Wrong> {
    for (name, value) in record {
        if let Some(shape) = known(name)
            && !value.is_null()
        {
            check(shape, value).map_err(|wrong| wrong.below(&format!(".{name}")))?;
        }
    }
    Ok(())
}

fn check(shape: Shape, value: &Value) -> Result<(), Wrong> {
    match (shape, value) {
        (Shape::Text, Value::String(_))
        | (Shape::Boolean, Value::Bool(_))
        | (Shape::Free, Value::Object(_)) => Ok(()),
        (Shape::Integer, Value::Number(number)) if number.is_i64() => Ok(()),
        (Shape::Time, Value::String(text)) if is_rfc3339(text) => Ok(()),
        (Shape::TextMap, Value::Object(entries)) => entries.iter().try_for_each(|(key, value)| {
            check(Shape::Text, value).map_err(|wrong| wrong.below(&format!("[{key}]")))
        }),
        (Shape::TextList, Value::Array(items)) => {
            check_items(items, |item| check(Shape::Text, item))
        }
        (Shape::Records(known), Value::Array(items)) => check_items(items, |item| match item {
            Value::Object(record) => check_record(known, record),
            other => Err(Wrong::new(other, "object")),
        }),
        (shape, value) => Err(Wrong::new(value, shape.name())),
    }
}

fn check_items(items: &[Value], check: impl Fn(&Value) -> Result<(), Wrong>) -> Result<(), Wrong> {
    items.iter().enumerate().try_for_each(|(index, item)| {
        check(item).map_err(|wrong| wrong.below(&format!("[{index}]")))
    })
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "int64",
            Self::Boolean => "bool",
            Self::Time => "time",
            Self::TextMap => "map of strings",
            Self::TextList => "list of strings",
            Self::Free => "object",
            Self::Records(_) => "list of objects",
        }
    }
}

/// `2026-01-02T03:04:05Z`, with any fraction and offset. The parser alone is more generous than
/// the clients that will read the text again.
fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shaped = bytes.len() >= 20
        && bytes[..19].iter().zip(b"0000-00-00T00:00:00").all(|(byte, like)| match like {
            b'0' => byte.is_ascii_digit(),
            sign => byte == sign,
        });
    shaped && has_offset(&bytes[19..]) && text.parse::<Timestamp>().is_ok()
}

fn has_offset(rest: &[u8]) -> bool {
    let offset = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        whole => whole,
    };
    matches!(offset, [b'Z'] | [b'+' | b'-', _, _, b':', _, _])
}
