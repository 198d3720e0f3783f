//! Structural validation: types, fields, and what `checks` and `compose` add.

use serde_json::{Map, Value};

use super::{
    node::{Additional, List, Node, Types},
    path::Path,
    unique,
    view::{View, is_integer},
};
use crate::status::{FieldError, FieldErrorKind};

/// How many errors are told: with fewer an object is as wrong.
const TOLD: usize = 1000;

/// Checks a value. Errors of a value that is the same as before are dropped.
pub(super) fn value(
    node: &Node,
    value: View<'_>,
    old: Option<View<'_>>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    let before = errors.len();
    if before >= TOLD {
        return;
    }
    check(node, value, old, path, errors);
    if errors.len() > before && old == Some(value) {
        errors.truncate(before);
    }
}

fn check(
    node: &Node,
    value: View<'_>,
    old: Option<View<'_>>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    if value == View::Null {
        // Kube's derive leaves null out of the enum of a nullable field: null passes both.
        if node.types != Types::Any && !node.nullable {
            errors.push(type_error(path, node.types.expected(), "null"));
            node.checks.check_enum(value, path, errors);
        }
        return;
    }
    check_type(node, value, path, errors);
    if let Some(compositions) = &node.compositions {
        compositions.check(value, path, errors);
    }
    match value {
        View::String(text) => {
            node.checks.check_string(text, path, errors);
            check_format(node, text, path, errors);
        }
        View::Number(number) => node.checks.check_number(number, path, errors),
        View::Array(items) => check_items(node, items, old, path, errors),
        _ => {}
    }
    node.checks.check_enum(value, path, errors);
    if let View::Object(fields) = value {
        check_fields(node, fields, old, path, errors);
    }
}

fn check_type(node: &Node, value: View<'_>, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if fits(node.types, value) {
        return;
    }
    // Upstream names the format instead of the type, and then the format of what it got.
    let error = match (&node.format, value) {
        (Some(format), View::Number(number)) => {
            type_error(path, format.name(), if number.is_i64() { "int64" } else { "float64" })
        }
        (Some(format), View::Bool(_) | View::Object(_)) => type_error(path, format.name(), ""),
        _ => type_error(path, node.types.expected(), value.type_name()),
    };
    errors.push(error);
}

fn fits(types: Types, value: View<'_>) -> bool {
    match (types, value) {
        (Types::Any, _)
        | (Types::Object, View::Object(_))
        | (Types::Array, View::Array(_))
        | (Types::String | Types::IntOrString, View::String(_))
        | (Types::Number, View::Number(_))
        | (Types::Boolean, View::Bool(_)) => true,
        (Types::Integer | Types::IntOrString, View::Number(number)) => is_integer(number),
        _ => false,
    }
}

fn check_format(node: &Node, text: &str, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if let Some(format) = &node.format
        && !format.accepts(text)
    {
        errors.push(type_error(path, format.name(), text));
    }
}

fn type_error(path: &Path<'_>, expected: &str, actual: &str) -> FieldError {
    let name = path.dotted();
    let detail = format!("{name} in body must be of type {expected}: {actual:?}");
    FieldError::new(FieldErrorKind::TypeInvalid, path.structural(), actual, detail)
}

fn check_items(
    node: &Node,
    items: &[Value],
    old: Option<View<'_>>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    if let Some(child) = &node.items {
        let before = match &node.list {
            // Only list maps say which item was which.
            List::Map(keys) => {
                old.and_then(View::items).map(|old| unique::Correlated::new(keys, old))
            }
            _ => None,
        };
        for (index, item) in items.iter().enumerate() {
            let old = before.as_ref().and_then(|before| before.find(item));
            value(child, item.into(), old.map(View::from), &Path::Index(path, index), errors);
        }
    }
    node.checks.check_list(items, path, errors);
}

fn check_fields(
    node: &Node,
    fields: &Map<String, Value>,
    old: Option<View<'_>>,
    path: &Path<'_>,
    errors: &mut Vec<FieldError>,
) {
    if !node.checks.check_size(fields.len(), path, errors) {
        return;
    }
    let old = match old {
        Some(View::Object(old)) => Some(old),
        _ => None,
    };
    for (name, field) in fields {
        if node.is_meta(name) {
            continue;
        }
        if let Some(child) = node.field(name) {
            let old = old.and_then(|old| old.get(name)).map(View::from);
            value(child, field.into(), old, &Path::Field(path, name), errors);
        } else if matches!(node.additional, Additional::Forbidden) && !node.preserve_unknown {
            let full = Path::Field(path, name).dotted();
            errors.push(FieldError::invalid(
                path.structural(),
                name.as_str(),
                format!("{full} in body is a forbidden property"),
            ));
        }
    }
    for name in &node.required {
        if !fields.contains_key(name) {
            errors.push(FieldError::required(Path::Field(path, name).structural(), ""));
        }
    }
}
