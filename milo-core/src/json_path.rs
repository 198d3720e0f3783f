//! The JSONPath subset that printer columns and selectable fields are written in.
//!
//! ```
//! use milo_core::json_path::JsonPath;
//! use serde_json::json;
//!
//! let ready = JsonPath::parse(".status.conditions[?(@.type=='Ready')].status")?;
//! let object = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
//! assert_eq!(ready.first(&object), Some(&json!("True")));
//! # Ok::<(), milo_core::json_path::InvalidJsonPath>(())
//! ```
//!
//! | form | selects |
//! |---|---|
//! | `.name`, `['name']`, `["name"]` | a field; `\` takes the next character as it is (`.kubernetes\.io`) |
//! | `[2]`, `[-1]` | an item of a list, negative from its end |
//! | `[*]`, `.*` | every item of a list or value of an object |
//! | `[?(@.type=='Ready')]` | the items for which a comparison (`==`, `!=`) with a string, number, boolean or null holds |
//! | `[?(@.type)]` | the items that have a field |
//!
//! A path may stand in braces and begin with `$`, as in `kubectl -o jsonpath`. Slices, unions,
//! recursive descent and ordered comparison are not read: no column of a Kubernetes kind needs
//! them.

use std::fmt;

use serde_json::{Map, Value};

mod parse;

/// A parsed path. Evaluation allocates nothing and cannot fail.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    text: Box<str>,
    steps: Box<[Step]>,
}

/// Why a text is no path that [`JsonPath`] reads.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid JSONPath `{path}` at byte {at}: {why}")]
pub struct InvalidJsonPath {
    path: String,
    at: usize,
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(Box<str>),
    Index(i64),
    Every,
    Filter(Filter),
}

/// `[?(@path == literal)]`; without a test, that the path leads somewhere.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    /// Fields and indices only.
    path: Box<[Step]>,
    test: Option<Test>,
}

#[derive(Clone, Debug, PartialEq)]
struct Test {
    /// `==` rather than `!=`.
    equal: bool,
    literal: Value,
}

impl JsonPath {
    /// Parses a path of at most 1024 bytes.
    ///
    /// # Errors
    /// When the text is not in the subset that the module describes; the error names the byte.
    pub fn parse(text: &str) -> Result<Self, InvalidJsonPath> {
        parse::parse(text)
    }

    /// The first value that the path selects. A missing field selects nothing.
    #[must_use]
    pub fn first<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        first(&self.steps, root)
    }

    /// As [`first`](Self::first), of an object that is at hand as a map.
    #[must_use]
    pub fn first_in<'a>(&self, root: &'a Map<String, Value>) -> Option<&'a Value> {
        let (step, rest) = self.steps.split_first()?;
        first_in_map(step, rest, root)
    }

    /// The names along the path when it is made of fields only, as a selectable field must be.
    #[must_use]
    pub fn fields(&self) -> Option<Vec<&str>> {
        self.steps.iter().map(Step::field).collect()
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Step {
    fn field(&self) -> Option<&str> {
        match self {
            Self::Field(name) => Some(name),
            Self::Index(_) | Self::Every | Self::Filter(_) => None,
        }
    }
}

fn first<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match value {
        Value::Object(map) => first_in_map(step, rest, map),
        Value::Array(items) => match step {
            Step::Field(_) => None,
            Step::Index(index) => first(rest, item(items, *index)?),
            Step::Every => items.iter().find_map(|item| first(rest, item)),
            Step::Filter(filter) => {
                items.iter().filter(|item| filter.accepts(item)).find_map(|item| first(rest, item))
            }
        },
        _ => None,
    }
}

fn first_in_map<'a>(step: &Step, rest: &[Step], map: &'a Map<String, Value>) -> Option<&'a Value> {
    match step {
        Step::Field(name) => first(rest, map.get(&**name)?),
        Step::Every => map.values().find_map(|value| first(rest, value)),
        Step::Index(_) | Step::Filter(_) => None,
    }
}

fn item(items: &[Value], index: i64) -> Option<&Value> {
    let index =
        if index < 0 { i64::try_from(items.len()).ok()?.checked_add(index)? } else { index };
    items.get(usize::try_from(index).ok()?)
}

impl Filter {
    /// An item without the compared field is never taken, not even by `!=`, as upstream.
    fn accepts(&self, item: &Value) -> bool {
        let Some(found) = first(&self.path, item) else { return false };
        self.test.as_ref().is_none_or(|test| equal(found, &test.literal) == test.equal)
    }
}

/// Numbers are compared by value: `1` equals `1.0`.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests;
