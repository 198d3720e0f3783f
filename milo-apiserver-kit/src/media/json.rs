//! Values out of JSON and YAML events, with the paths of the keys that are there twice.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How many duplicate keys are told of. Whoever has more is helped by the first ones.
const DUPLICATES: usize = 100;
/// How much of the path to a duplicate key is told, in bytes.
const PATH: usize = 1024;

/// JSON, and the paths of the keys that it holds twice: `spec.type`.
pub(crate) fn decode_json(body: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let mut notes = Notes::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Strict::new(&mut notes).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, notes.duplicates))
}

/// What was noticed on the way.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) duplicates: Vec<String>,
    /// Whether a key looks like a number: YAML readers may take several spellings for one.
    pub(super) numeric_keys: bool,
}

impl Notes {
    fn duplicate(&mut self, path: Path<'_>) {
        if self.duplicates.len() < DUPLICATES {
            let mut text = Shortened { text: String::new() };
            // Fails when there is enough.
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{path}"));
            self.duplicates.push(text.text);
        }
    }
}

/// Takes the beginning of a path: with long keys the paths to many duplicates could be far larger
/// than the body.
struct Shortened {
    text: String,
}

impl fmt::Write for Shortened {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = PATH - self.text.len();
        let fitting = part.floor_char_boundary(room);
        self.text.push_str(part.get(..fitting).unwrap_or_default());
        if fitting < part.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Where the decoder is; rendered only when a key is there twice.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Path::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Builds a [`Value`] while noting keys that come twice. The last one wins, as in Go.
pub(super) struct Strict<'a> {
    path: Path<'a>,
    notes: &'a mut Notes,
}

impl<'a> Strict<'a> {
    pub(super) fn new(notes: &'a mut Notes) -> Self {
        Self { path: Path::Root, notes }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict {
            path: Path::Index(&self.path, list.len()),
            notes: self.notes,
        })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = Path::Field(&self.path, &key);
            if map.contains_key(&key) {
                self.notes.duplicate(path);
            }
            self.notes.numeric_keys |=
                key.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c));
            let value = entries.next_value_seed(Strict { path, notes: self.notes })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn duplicates_are_noted_and_the_last_wins() {
        let (value, duplicates) =
            decode_json(br#"{"a":1,"b":{"c":[{"d":1,"d":2}]},"a":3}"#).unwrap();
        assert_eq!(duplicates, ["b.c[0].d", "a"]);
        assert_eq!(value, serde_json::json!({"a": 3, "b": {"c": [{"d": 2}]}}));
    }

    #[test]
    fn many_duplicates_below_a_long_key_cost_little() {
        let long = "é".repeat(100_000);
        let body = format!("{{\"{long}\":{{{}\"a\":1}}}}", "\"a\":1,".repeat(100_000));
        let (_, duplicates) = decode_json(body.as_bytes()).unwrap();
        assert_eq!(duplicates.len(), DUPLICATES);
        assert!(duplicates.iter().all(|path| path.len() <= PATH && path.starts_with('é')));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let deep = "[".repeat(100_000);
        assert!(decode_json(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_serde_json(text in "\\PC{0,64}|[\\[\\]{}:,\"a0-9.eE -]{0,64}") {
            let strict = decode_json(text.as_bytes()).ok().map(|(value, _)| value);
            prop_assert_eq!(strict, serde_json::from_str::<Value>(&text).ok());
        }
    }
}
