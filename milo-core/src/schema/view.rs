//! Borrowed JSON, so that an object's fields can be walked like any other value.

use serde_json::{Map, Number, Value};

/// A JSON value that belongs to someone else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum View<'a> {
    Null,
    Bool(bool),
    Number(&'a Number),
    String(&'a str),
    Array(&'a [Value]),
    Object(&'a Map<String, Value>),
}

impl<'a> From<&'a Value> for View<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => Self::Number(value),
            Value::String(value) => Self::String(value),
            Value::Array(value) => Self::Array(value),
            Value::Object(value) => Self::Object(value),
        }
    }
}

impl<'a> View<'a> {
    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(value) => Value::Number(value.clone()),
            Self::String(value) => Value::String(value.to_owned()),
            Self::Array(value) => Value::Array(value.to_vec()),
            Self::Object(value) => Value::Object(value.clone()),
        }
    }

    /// A field of an object that is not null.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        match self {
            Self::Object(fields) => fields.get(name).map(View::from).filter(|v| *v != Self::Null),
            _ => None,
        }
    }

    pub(super) fn items(self) -> Option<&'a [Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The name of the JSON type in error texts.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(number) if number.is_i64() => "integer",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

/// Whether a number is an integer. A float counts when it is whole and exact: `1.0` does.
pub(super) fn is_integer(number: &Number) -> bool {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    number.is_i64()
        || number.as_f64().is_some_and(|value| value.fract() == 0.0 && value.abs() <= EXACT)
}
