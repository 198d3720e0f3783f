//! Removing what the schema does not know.

use serde_json::{Map, Value};

use super::{
    MOST_PROBLEMS,
    node::{Additional, Node},
    path::Path,
};

/// The paths of what went.
#[derive(Default)]
pub(super) struct Removed(Vec<String>);

impl Removed {
    fn note(&mut self, path: &Path<'_>) {
        if self.0.len() < MOST_PROBLEMS {
            self.0.push(path.dotted());
        }
    }

    /// In the order of the alphabet.
    pub(super) fn into_paths(mut self) -> Vec<String> {
        self.0.sort_unstable();
        self.0
    }
}

/// Prunes the fields of an object and notes the paths of what went.
pub(super) fn object(
    node: &Node,
    fields: &mut Map<String, Value>,
    path: &Path<'_>,
    removed: &mut Removed,
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
            removed.note(&Path::Field(path, name));
        }
        keeps_all
    });
}

/// Prunes a value and notes the paths of what went.
pub(super) fn value(node: &Node, value: &mut Value, path: &Path<'_>, removed: &mut Removed) {
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
fn empty(value: &mut Value, path: &Path<'_>, removed: &mut Removed) {
    match value {
        Value::Object(fields) => {
            fields.keys().for_each(|name| removed.note(&Path::Field(path, name)));
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
