//! Removing what the schema does not know.

use serde_json::{Map, Value};

use super::{
    node::{Additional, Node},
    path::Path,
};

/// Prunes the fields of an object and notes the paths of what went.
pub(super) fn object(
    node: &Node,
    fields: &mut Map<String, Value>,
    path: &Path<'_>,
    removed: &mut Vec<String>,
) {
    let keeps_all = node.preserve_unknown || matches!(node.additional, Additional::Any);
    fields.retain(|name, value| {
        if node.is_meta(name) {
            return true;
        }
        if let Some(child) = node.field(name) {
            if value.is_object() || value.is_array() {
                self::value(child, value, &Path::Field(path, name), removed);
            }
            return true;
        }
        if !keeps_all {
            removed.push(Path::Field(path, name).dotted());
        }
        keeps_all
    });
}

/// Prunes a value and notes the paths of what went.
pub(super) fn value(node: &Node, value: &mut Value, path: &Path<'_>, removed: &mut Vec<String>) {
    match value {
        Value::Object(fields) => object(node, fields, path, removed),
        Value::Array(values) => match &node.items {
            Some(items) => {
                for (index, value) in values.iter_mut().enumerate() {
                    self::value(items, value, &Path::Index(path, index), removed);
                }
            }
            None if node.preserve_unknown => {}
            // A list where none belongs: nothing in it is known. It will not validate.
            None => values.iter_mut().enumerate().for_each(|(index, value)| {
                empty(value, &Path::Index(path, index), removed);
            }),
        },
        _ => {}
    }
}

/// Removes all fields of whatever is in lists of lists, as upstream does where no schema applies.
fn empty(value: &mut Value, path: &Path<'_>, removed: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            removed.extend(fields.keys().map(|name| Path::Field(path, name).dotted()));
            fields.clear();
        }
        Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                empty(value, &Path::Index(path, index), removed);
            }
        }
        _ => {}
    }
}
