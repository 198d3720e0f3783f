//! Objects as the server handles them: JSON with metadata that can be trusted to be an object.
//!
//! The encoded form is canonical: `apiVersion`, `kind` and `metadata` first, everything else in
//! key order. So equal objects have equal bytes, and the place where `resourceVersion` belongs is
//! known without looking: stored bytes never hold it, replies splice it in.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

use crate::{
    canonical::{Canonical, for_each_in_order},
    storage::Revision,
};

/// A JSON object with `apiVersion`, `kind` and `metadata`.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    fields: Map<String, Value>,
}

/// Why bytes or JSON are not an [`Object`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Not a JSON object, or its metadata is not one.
    #[error("{0} must be an object")]
    NotAnObject(&'static str),
}

impl Object {
    /// An object of a kind, with nothing but a name.
    #[must_use]
    pub fn new(api_version: &str, kind: &str, name: &str) -> Self {
        let mut object = Self { fields: Map::new() };
        object.set_type(api_version, kind);
        object.fields.insert("metadata".into(), Value::Object(Map::new()));
        object.set_meta("name", name);
        object
    }

    /// From JSON. Missing metadata becomes empty metadata.
    ///
    /// # Errors
    /// When the value, or its `metadata`, is not a JSON object.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        let Value::Object(mut fields) = value else {
            return Err(DecodeError::NotAnObject("the body"));
        };
        match fields.get("metadata") {
            Some(Value::Object(_)) => {}
            None | Some(Value::Null) => {
                fields.insert("metadata".into(), Value::Object(Map::new()));
            }
            Some(_) => return Err(DecodeError::NotAnObject("metadata")),
        }
        Ok(Self { fields })
    }

    /// From the bytes of one JSON object.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_value(serde_json::from_slice(bytes)?)
    }

    /// From any serializable Kubernetes type.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn from_typed<K: serde::Serialize>(object: &K) -> Result<Self, DecodeError> {
        Self::from_value(serde_json::to_value(object)?)
    }

    /// Decodes into a Rust type.
    ///
    /// # Errors
    /// When the object does not fit the type.
    pub fn to_typed<K: serde::de::DeserializeOwned>(&self) -> Result<K, serde_json::Error> {
        K::deserialize(Value::Object(self.fields.clone()))
    }

    /// The whole object.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The whole object, to change. Removing `metadata` loses nothing but what was in it.
    pub fn fields_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.fields
    }

    /// The whole object as a JSON value.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.fields)
    }

    /// `apiVersion`; empty when missing.
    #[must_use]
    pub fn api_version(&self) -> &str {
        text(self.fields.get("apiVersion"))
    }

    /// `kind`; empty when missing.
    #[must_use]
    pub fn kind(&self) -> &str {
        text(self.fields.get("kind"))
    }

    /// Sets `apiVersion` and `kind`.
    pub fn set_type(&mut self, api_version: &str, kind: &str) {
        self.fields.insert("apiVersion".into(), api_version.into());
        self.fields.insert("kind".into(), kind.into());
    }

    /// `metadata`.
    #[must_use]
    pub fn metadata(&self) -> Option<&Map<String, Value>> {
        self.fields.get("metadata").and_then(Value::as_object)
    }

    /// `metadata`, to change.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        let metadata = self.fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if !metadata.is_object() {
            *metadata = Value::Object(Map::new());
        }
        match metadata {
            Value::Object(map) => map,
            // INVARIANT: made an object two lines above.
            _ => unreachable!("metadata is an object"),
        }
    }

    /// A string field of `metadata`; empty when missing.
    #[must_use]
    pub fn meta(&self, field: &str) -> &str {
        text(self.metadata().and_then(|metadata| metadata.get(field)))
    }

    /// Sets a field of `metadata`; an empty string removes it.
    pub fn set_meta(&mut self, field: &str, value: &str) {
        if value.is_empty() {
            self.metadata_mut().remove(field);
        } else {
            self.metadata_mut().insert(field.to_owned(), value.into());
        }
    }

    /// `metadata.name`; empty when missing.
    #[must_use]
    pub fn name(&self) -> &str {
        self.meta("name")
    }

    /// `metadata.namespace`; empty when missing.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.meta("namespace")
    }

    /// `metadata.uid`; empty when missing.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.meta("uid")
    }

    /// `metadata.generation`; zero when missing.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.metadata().and_then(|m| m.get("generation")).and_then(Value::as_i64).unwrap_or(0)
    }

    /// Whether `metadata.deletionTimestamp` is set.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        !self.meta("deletionTimestamp").is_empty()
    }

    /// `metadata.finalizers`.
    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.metadata()
            .and_then(|metadata| metadata.get("finalizers"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    /// `metadata.labels`.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.string_map("labels")
    }

    /// `metadata.annotations`.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.string_map("annotations")
    }

    fn string_map(&self, field: &str) -> impl Iterator<Item = (&str, &str)> {
        self.metadata()
            .and_then(|metadata| metadata.get(field))
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// The canonical bytes, without `resourceVersion`.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        let mut buffer = BytesMut::with_capacity(1024).writer();
        let head = Head::new(self.api_version(), self.kind());
        buffer.get_mut().put_slice(&head.0);
        if let Some(metadata) = self.metadata() {
            write_fields(&mut buffer, metadata, true, &["resourceVersion"]);
        }
        buffer.get_mut().put_slice(b"}");
        write_fields(&mut buffer, &self.fields, false, &["apiVersion", "kind", "metadata"]);
        buffer.get_mut().put_slice(b"}");
        Encoded { bytes: buffer.into_inner().freeze(), splice: head.0.len() }
    }
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// How the canonical bytes of every object of a kind begin: everything up to the first field of
/// `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head(Box<[u8]>);

impl Head {
    /// The head of a kind.
    #[must_use]
    pub fn new(api_version: &str, kind: &str) -> Self {
        let head = format!(
            "{{\"apiVersion\":{},\"kind\":{},\"metadata\":{{",
            Value::from(api_version),
            Value::from(kind)
        );
        Self(head.into_bytes().into())
    }
}

/// Writes fields, but for some; `first` tells whether nothing stands before them.
fn write_fields(
    buffer: &mut bytes::buf::Writer<BytesMut>,
    fields: &Map<String, Value>,
    mut first: bool,
    without: &[&str],
) {
    // INVARIANT: writing JSON values with string keys to memory cannot fail.
    let written: Result<(), serde_json::Error> = for_each_in_order(fields, |name, value| {
        if without.contains(&name) {
            return Ok(());
        }
        if !std::mem::take(&mut first) {
            buffer.get_mut().put_u8(b',');
        }
        serde_json::to_writer(&mut *buffer, name)?;
        buffer.get_mut().put_u8(b':');
        serde_json::to_writer(&mut *buffer, &Canonical(value))
    });
    debug_assert!(written.is_ok(), "JSON values always encode");
}

/// Canonical bytes, and where `resourceVersion` is spliced into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    bytes: Bytes,
    splice: usize,
}

impl Encoded {
    /// Bytes as [`Object::encode`] wrote them for the kind of `head`; none when they were written
    /// by someone else.
    #[must_use]
    pub fn from_storage(bytes: Bytes, head: &Head) -> Option<Self> {
        // Metadata is never empty in a stored object, so a quote follows.
        let known = bytes.starts_with(&head.0) && bytes.get(head.0.len()) == Some(&b'"');
        known.then_some(Self { bytes, splice: head.0.len() })
    }

    /// The bytes as stored: without a resource version.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Length of the served form.
    #[must_use]
    pub fn len_at(&self, revision: Revision) -> usize {
        let digits = revision.get().checked_ilog10().unwrap_or(0) as usize + 1;
        self.bytes.len() + RESOURCE_VERSION.len() + digits + 2
    }

    /// Appends the served form: the object with its resource version.
    pub fn write_at(&self, revision: Revision, out: &mut BytesMut) {
        out.reserve(self.len_at(revision));
        out.put_slice(&self.bytes[..self.splice]);
        out.put_slice(RESOURCE_VERSION);
        put_decimal(revision.get(), out);
        out.put_slice(b"\",");
        out.put_slice(&self.bytes[self.splice..]);
    }

    /// The served form.
    #[must_use]
    pub fn at(&self, revision: Revision) -> Bytes {
        let mut out = BytesMut::new();
        self.write_at(revision, &mut out);
        out.freeze()
    }
}

const RESOURCE_VERSION: &[u8] = b"\"resourceVersion\":\"";

fn put_decimal(mut number: u64, out: &mut BytesMut) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A remainder of ten fits a byte.
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn encoding_is_canonical_and_spliced() {
        let object = Object::from_value(json!({
            "data": 1, "kind": "Widget", "spec": {"b": 1, "a": "é\"\n"},
            "metadata": {"uid": "u", "name": "n", "resourceVersion": "7"}, "apiVersion": "g/v1",
        }))
        .unwrap();
        let encoded = object.encode();
        let text = std::str::from_utf8(encoded.bytes()).unwrap();
        assert!(
            text.starts_with(r#"{"apiVersion":"g/v1","kind":"Widget","metadata":{"name":"n","#)
        );
        assert!(!text.contains("resourceVersion"));
        let again =
            Encoded::from_storage(encoded.bytes().clone(), &Head::new("g/v1", "Widget")).unwrap();
        assert_eq!(again, encoded);
        for revision in [1, 10, 99, 12_345, u64::MAX] {
            let served = encoded.at(Revision::new(revision));
            assert_eq!(served.len(), encoded.len_at(Revision::new(revision)));
            let mut decoded = Object::from_slice(&served).unwrap();
            assert_eq!(decoded.meta("resourceVersion"), revision.to_string());
            decoded.set_meta("resourceVersion", "7");
            assert_eq!(decoded, object);
        }
        assert!(
            Encoded::from_storage(encoded.bytes().clone(), &Head::new("g/v1", "Other")).is_none()
        );
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for bad in ["[]", "1", "null", "{\"metadata\":1}", "{\"metadata\":[]}", "{"] {
            assert!(Object::from_slice(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
