//! Sets and list maps: duplicates, and which item was which.

use std::{borrow::Cow, collections::HashMap};

use serde_json::{Map, Value};

use super::{
    MOST_PROBLEMS,
    node::{List, Node},
    path::Path,
    view::View,
};
use crate::status::FieldError;

/// Up to this many items, comparing each with each is faster than hashing, and allocates nothing.
const FEW: usize = 16;

/// Finds duplicates in all sets and list maps of a value.
pub(super) fn check(node: &Node, value: View<'_>, path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if !node.lists_below || errors.len() >= MOST_PROBLEMS {
        return;
    }
    match value {
        View::Array(items) => {
            match &node.list {
                List::Atomic => {}
                List::Set => check_set(items, path, errors),
                List::Map(keys) => check_map(keys, items, path, errors),
            }
            for (index, item) in items.iter().enumerate() {
                if let Some(child) = &node.items {
                    check(child, item.into(), &Path::Index(path, index), errors);
                }
            }
        }
        View::Object(fields) => {
            for (name, field) in fields {
                if node.is_meta(name) {
                    continue;
                }
                if let Some(child) = node.properties.get(name) {
                    check(child, field.into(), &Path::Field(path, name), errors);
                } else if let Some(child) = node.field(name) {
                    check(child, field.into(), &Path::Key(path, name), errors);
                }
            }
        }
        _ => {}
    }
}

fn check_set(items: &[Value], path: &Path<'_>, errors: &mut Vec<FieldError>) {
    for index in repeated(items).into_iter().take(MOST_PROBLEMS) {
        let path = Path::Index(path, index).bracketed();
        errors.push(FieldError::duplicate(path, items[index].clone()));
    }
}

fn check_map(keys: &[String], items: &[Value], path: &Path<'_>, errors: &mut Vec<FieldError>) {
    if let Some(index) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        errors.push(FieldError::invalid(
            Path::Index(path, index).bracketed(),
            items[index].clone(),
            "must be an object for an array of list-type map",
        ));
        return;
    }
    let same = |left: &Value, right: &Value| same_key(keys, left, right);
    let repeats = repeats(items, same, |item| key_text(keys, item));
    for index in repeats.into_iter().take(MOST_PROBLEMS) {
        let key = Value::Object(key_of(keys, &items[index]));
        errors.push(FieldError::duplicate(Path::Index(path, index).bracketed(), key));
    }
}

/// The second place of every item that is there more than once.
pub(super) fn repeated(items: &[Value]) -> Vec<usize> {
    repeats(items, |left, right| left == right, Value::to_string)
}

/// `same` and `text` must agree on what is equal.
fn repeats(
    items: &[Value],
    same: impl Fn(&Value, &Value) -> bool,
    text: impl Fn(&Value) -> String,
) -> Vec<usize> {
    if items.len() <= FEW {
        let second = |&index: &usize| {
            let before = items[..index].iter().filter(|item| same(item, &items[index]));
            before.count() == 1
        };
        return (1..items.len()).filter(second).collect();
    }
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(items.len());
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let times = seen.entry(text(item)).or_default();
        *times += 1;
        if *times == 2 {
            found.push(index);
        }
    }
    found
}

fn same_key(keys: &[String], left: &Value, right: &Value) -> bool {
    keys.iter().all(|key| left.get(key) == right.get(key))
}

/// The keys that an item has, as they are shown for a duplicate.
fn key_of(keys: &[String], item: &Value) -> Map<String, Value> {
    let present = |key: &String| Some((key.clone(), item.get(key)?.clone()));
    keys.iter().filter_map(present).collect()
}

fn key_text(keys: &[String], item: &Value) -> String {
    let mut text = String::new();
    for key in keys {
        // An absent key is not a null one.
        text.push_str(&item.get(key).map_or(Cow::Borrowed(""), |value| value.to_string().into()));
        text.push('\0');
    }
    text
}

/// The items of a list map as they were before, to be found by their keys.
pub(super) struct Correlated<'a> {
    keys: &'a [String],
    items: &'a [Value],
    by_key: Option<HashMap<String, &'a Value>>,
}

impl<'a> Correlated<'a> {
    pub(super) fn new(keys: &'a [String], items: &'a [Value]) -> Self {
        let by_key = (items.len() > FEW)
            .then(|| items.iter().map(|item| (key_text(keys, item), item)).collect());
        Self { keys, items, by_key }
    }

    /// The item with the same keys.
    pub(super) fn find(&self, item: &Value) -> Option<&'a Value> {
        match &self.by_key {
            Some(by_key) => by_key.get(&key_text(self.keys, item)).copied(),
            None => self.items.iter().find(|old| same_key(self.keys, old, item)),
        }
    }
}
