//! One step of a path: how a part of a container is named in `fieldsV1`.

use std::{borrow::Cow, fmt};

use serde_json::{Map, Value};

use super::text::{is_canonical_key, is_canonical_scalar, write_canonical, write_path_value};

/// One step of a path. Keys and values are canonical JSON, so equal steps are equal texts; what is
/// stored is mostly canonical already and borrowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element<'a> {
    /// A field of an object.
    Field(Cow<'a, str>),
    /// The item of a list map with these keys.
    Key(Cow<'a, str>),
    /// An item of a set.
    Value(Cow<'a, str>),
    /// An item of a list by its place. Nothing here writes it.
    Index(i64),
}

/// A key of `fieldsV1` that is no step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Element<'a> {
    pub(super) fn field(name: &'a str) -> Self {
        Self::Field(Cow::Borrowed(name))
    }

    /// Reads a key of `fieldsV1`. None for a kind of step that only a later version knows: upstream
    /// leaves such out.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>, Malformed> {
        let (kind, rest) = text.split_at_checked(2).ok_or(Malformed)?;
        Ok(Some(match kind {
            "f:" => Self::field(rest),
            "k:" if is_canonical_key(rest) => Self::Key(Cow::Borrowed(rest)),
            "k:" => {
                let key: Map<String, Value> = serde_json::from_str(rest).map_err(|_| Malformed)?;
                Self::Key(Cow::Owned(canonical(&Value::Object(key))))
            }
            "v:" if is_canonical_scalar(rest) => Self::Value(Cow::Borrowed(rest)),
            "v:" => {
                let value: Value = serde_json::from_str(rest).map_err(|_| Malformed)?;
                Self::Value(Cow::Owned(canonical(&value)))
            }
            "i:" => Self::Index(rest.parse().map_err(|_| Malformed)?),
            _ if kind.ends_with(':') => return Ok(None),
            _ => return Err(Malformed),
        }))
    }

    /// The key in `fieldsV1`.
    pub(super) fn to_key(&self) -> String {
        let (kind, text) = match self {
            Self::Field(text) => ("f:", text),
            Self::Key(text) => ("k:", text),
            Self::Value(text) => ("v:", text),
            Self::Index(index) => return format!("i:{index}"),
        };
        let mut key = String::with_capacity(kind.len() + text.len());
        key.push_str(kind);
        key.push_str(text);
        key
    }

    /// A copy that borrows nothing.
    pub(super) fn into_owned(self) -> Element<'static> {
        match self {
            Self::Field(text) => Element::Field(Cow::Owned(text.into_owned())),
            Self::Key(text) => Element::Key(Cow::Owned(text.into_owned())),
            Self::Value(text) => Element::Value(Cow::Owned(text.into_owned())),
            Self::Index(index) => Element::Index(index),
        }
    }
}

fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

/// As paths are shown to people: `.spec`, `[name="x"]`, `[="x"]`, `[0]`.
impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(text) => {
                let key: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
                f.write_str("[")?;
                for (place, (name, value)) in key.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma}{name}=")?;
                    write_path_value(value, f)?;
                }
                f.write_str("]")
            }
            Self::Value(text) => {
                let value: Value = serde_json::from_str(text).unwrap_or_default();
                f.write_str("[=")?;
                write_path_value(&value, f)?;
                f.write_str("]")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_and_written_alike() {
        for text in ["f:spec", "f:", "f:a:b", "k:{\"name\":\"x\"}", "v:\"a\"", "v:-7", "i:3"] {
            assert_eq!(Element::parse(text).unwrap().unwrap().to_key(), text);
        }
        for (text, canonical) in [
            ("k:{ \"port\": 80, \"name\":\"x\"}", "k:{\"name\":\"x\",\"port\":80}"),
            ("k:{\"n\":1.0}", "k:{\"n\":1}"),
            ("v:\"a<b\"", "v:\"a\\u003cb\""),
            ("v:\"a\\u003cb\"", "v:\"a\\u003cb\""),
            ("v: 1.50", "v:1.5"),
        ] {
            assert_eq!(Element::parse(text).unwrap().unwrap().to_key(), canonical);
        }
        assert_eq!(Element::parse("x:later"), Ok(None));
        for bad in ["", "f", "fx", "spec", "k:[]", "k:{", "v:", "i:x", "é"] {
            assert_eq!(Element::parse(bad), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn steps_are_shown_as_upstream_shows_them() {
        for (text, shown) in [
            ("f:spec", ".spec"),
            ("k:{\"port\":80,\"protocol\":\"TCP\"}", "[port=80,protocol=\"TCP\"]"),
            ("v:\"a\"", "[=\"a\"]"),
            ("v:true", "[=true]"),
            ("i:3", "[3]"),
        ] {
            assert_eq!(Element::parse(text).unwrap().unwrap().to_string(), shown);
        }
    }
}
