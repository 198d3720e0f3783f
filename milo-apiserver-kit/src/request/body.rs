//! Reading and decoding request bodies.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use milo_core::status::StatusError;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The largest request body, in bytes, as upstream.
pub(crate) const LIMIT: usize = 3 * 1024 * 1024;

/// Reads a whole body, at most [`LIMIT`] bytes of it.
pub(crate) async fn read<B>(mut body: B) -> Result<Bytes, StatusError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    // A client that declares too much is refused before it sends it.
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(StatusError::too_large(LIMIT));
    }
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            StatusError::bad_request(format!("the body of the request could not be read: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let length = rest.as_ref().map_or(first.len(), BytesMut::len) + data.len();
        if length > LIMIT {
            return Err(StatusError::too_large(LIMIT));
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity(length * 2);
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                rest = Some(joined);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// JSON, and the paths of the keys that it holds twice: `spec.type`.
pub(crate) fn decode_json(body: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value =
        Strict { path: Path::Root, duplicates: &mut duplicates }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, duplicates))
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
struct Strict<'a> {
    path: Path<'a>,
    duplicates: &'a mut Vec<String>,
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
            duplicates: self.duplicates,
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
                self.duplicates.push(path.to_string());
            }
            let value = entries.next_value_seed(Strict { path, duplicates: self.duplicates })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
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
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let deep = "[".repeat(100_000);
        assert!(decode_json(deep.as_bytes()).is_err());
    }

    #[tokio::test]
    async fn bodies_over_the_limit_are_refused() {
        let error = read(Full::new(Bytes::from(vec![b' '; LIMIT + 1]))).await.unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (413, "Request entity too large: limit is 3145728")
        );
        let chunk = || {
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from(vec![
                b' ';
                1 << 20
            ])))
        };
        let chunks = StreamBody::new(futures_util::stream::iter((0..4).map(move |_| chunk())));
        assert_eq!(read(chunks).await.unwrap_err().code(), 413);
        let chunks = StreamBody::new(futures_util::stream::iter((0..3).map(move |_| chunk())));
        assert_eq!(read(chunks).await.unwrap().len(), LIMIT);
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_serde_json(text in "\\PC{0,64}|[\\[\\]{}:,\"a0-9.eE -]{0,64}") {
            let strict = decode_json(text.as_bytes()).ok().map(|(value, _)| value);
            prop_assert_eq!(strict, serde_json::from_str::<Value>(&text).ok());
        }
    }
}
