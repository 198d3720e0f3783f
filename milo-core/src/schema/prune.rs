//! Removing what the schema does not know.

use serde_json::{Map, Value};

use super::{
    node::{Additional, Node},
    path::Path,
};

/// How many paths are noted: whoever has more unknown fields is helped by the first ones.
const NOTED: usize = 100;

fn note(removed: &mut Vec<String>, path: &Path<'_>) {
    if removed.len() < NOTED {
        removed.push(path.dotted());
    }
}

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
            note(removed, &Path::Field(path, name));
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
            fields.keys().for_each(|name| note(removed, &Path::Field(path, name)));
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
