//! Defaults, and nulls where none are allowed.

use serde_json::{Map, Value};

use super::node::Node;

/// Applies the defaults below a schema to the fields of an object.
pub(super) fn object(node: &Node, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| {
        let drops = |child: &Node| !child.nullable && child.default.is_none();
        !(value.is_null() && !node.is_meta(name) && node.field(name).is_some_and(drops))
    });
    for (name, child) in &node.properties {
        let Some(default) = &child.default else { continue };
        match fields.get_mut(name) {
            None => drop(fields.insert(name.clone(), default.clone())),
            Some(value) => replace_null(child, value),
        }
    }
    for (name, value) in fields.iter_mut() {
        if !node.is_meta(name)
            && let Some(child) = node.field(name)
        {
            replace_null(child, value);
            apply(child, value);
        }
    }
}

/// Applies the defaults below a schema to a value.
pub(super) fn apply(node: &Node, value: &mut Value) {
    match (value, &node.items) {
        (Value::Object(fields), _) => object(node, fields),
        (Value::Array(values), Some(items)) => {
            for value in values {
                replace_null(items, value);
                apply(items, value);
            }
        }
        _ => {}
    }
}

fn replace_null(node: &Node, value: &mut Value) {
    if let Some(default) = &node.default
        && value.is_null()
        && !node.nullable
    {
        *value = default.clone();
    }
}
