//! Which item of a list is which.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    element::Element,
    problem::Problem,
    text::{write_canonical, write_string},
};
use crate::schema::shape::{Key, ListKind};

/// The step to an item. Atomic lists have none.
pub(super) fn element(kind: &ListKind, item: &Value) -> Result<Element<'static>, Problem> {
    match kind {
        ListKind::Map(keys) => key(keys, item),
        ListKind::Set => value(item),
        ListKind::Atomic => Err(Problem::new("invalid indexing of non-associative list")),
    }
}

/// The steps to all items, in their order.
pub(super) fn elements(kind: &ListKind, items: &[Value]) -> Result<Vec<Element<'static>>, Problem> {
    let at = |(place, item)| element(kind, item).map_err(|problem: Problem| problem.of_item(place));
    items.iter().enumerate().map(at).collect()
}

fn key(keys: &[Key], item: &Value) -> Result<Element<'static>, Problem> {
    let Value::Object(fields) = item else {
        let what = if item.is_null() { "a null element" } else { "non-map elements" };
        return Err(Problem::new(format!("associative list with keys may not have {what}")));
    };
    let mut text = String::with_capacity(32);
    for (place, key) in keys.iter().enumerate() {
        text.push(if place == 0 { '{' } else { ',' });
        // A null means nothing where a default will replace it.
        let given = fields.get(&key.name).filter(|value| !value.is_null() || key.default.is_none());
        let value = given.or(key.default.as_ref()).ok_or_else(|| {
            Problem::new(format!(
                "associative list with keys has an element that omits key field {:?} (and doesn't \
                 have default value)",
                key.name
            ))
        })?;
        write_string(&key.name, &mut text);
        text.push(':');
        write_canonical(value, &mut text);
    }
    text.push('}');
    Ok(Element::Key(Cow::Owned(text)))
}

fn value(item: &Value) -> Result<Element<'static>, Problem> {
    let problem = match item {
        Value::Object(_) => "associative list without keys has an element that's a map type",
        Value::Array(_) => "not supported: associative list with lists as elements",
        Value::Null => "associative list without keys has an element that's an explicit null",
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let mut text = String::new();
            write_canonical(item, &mut text);
            return Ok(Element::Value(Cow::Owned(text)));
        }
    };
    Err(Problem::new(problem))
}
