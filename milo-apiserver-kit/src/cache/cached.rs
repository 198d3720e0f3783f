//! One object as reads see it: the bytes that are served, next to the few facts that reads need.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use milo_core::{
    definition::{ResourceDefinition, View},
    key::Key,
    object::{Encoded, Object},
    storage::{Record, Revision},
};
use serde::Deserialize;

use super::attribute::Attribute;
use crate::request::options::Selection;

/// A stored object, ready to be served.
#[derive(Debug)]
pub(crate) struct Cached {
    key: Key,
    revision: Revision,
    encoded: Encoded,
    facts: Facts,
}

/// Labels and selectable fields. They point into the object's bytes wherever they can, so that
/// an object costs its bytes and little more.
#[derive(Debug, Default)]
struct Facts {
    /// Sorted by key.
    labels: Box<[Label]>,
    fields: Box<[Field]>,
}

#[derive(Debug)]
struct Label {
    key: Span,
    value: Span,
}

#[derive(Debug)]
enum Field {
    Absent,
    Inside(Span),
    Apart(Box<str>),
}

/// A piece of the object's bytes. Objects are far smaller than 4 GiB.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Where `part`, a slice of `whole`, lies in it.
    fn of(part: &str, whole: &[u8]) -> Option<Self> {
        let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        let inside = start.checked_add(part.len())? <= whole.len();
        inside.then_some(())?;
        Some(Self { start: u32::try_from(start).ok()?, length: u32::try_from(part.len()).ok()? })
    }

    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }
}

/// Stored bytes that are not an object of the kind they are filed under.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the object stored at {key} cannot be read: {cause}")]
pub(crate) struct CorruptObject {
    key: Key,
    cause: String,
}

impl CorruptObject {
    pub(crate) fn new(key: &Key, cause: impl std::fmt::Display) -> Self {
        Self { key: key.clone(), cause: cause.to_string() }
    }

    /// Where they are stored.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }
}

impl Cached {
    /// Reads the facts of a stored object.
    pub(crate) fn new(
        record: Record,
        definition: &ResourceDefinition,
    ) -> Result<Self, CorruptObject> {
        let encoded = encoded(&record, definition)?;
        let facts = Facts::read(encoded.bytes(), definition)
            .map_err(|error| CorruptObject::new(&record.key, error))?;
        Ok(Self { key: record.key, revision: record.revision, encoded, facts })
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The bytes as they are stored.
    #[cfg(test)]
    pub(super) fn stored(&self) -> &Bytes {
        self.encoded.bytes()
    }

    pub(crate) fn write_to(&self, out: &mut BytesMut) {
        self.write_at(self.revision, out);
    }

    /// Writes the served form at another revision: what a deletion shows.
    pub(super) fn write_at(&self, revision: Revision, out: &mut BytesMut) {
        self.encoded.write_at(revision, out);
    }

    /// Length of the served form.
    pub(crate) fn len(&self) -> usize {
        self.len_at(self.revision)
    }

    pub(super) fn len_at(&self, revision: Revision) -> usize {
        self.encoded.len_at(revision)
    }

    /// Decodes the object, with its resource version.
    pub(crate) fn decode(&self) -> Result<Object, CorruptObject> {
        let mut object = Object::from_slice(self.encoded.bytes())
            .map_err(|error| CorruptObject::new(&self.key, error))?;
        object.set_meta("resourceVersion", &self.revision.to_string());
        Ok(object)
    }

    /// Whether a selection means this object.
    pub(crate) fn matches(&self, selection: &Selection, definition: &ResourceDefinition) -> bool {
        (selection.labels.is_everything() || selection.labels.matches(|key| self.label(key)))
            && (selection.fields.is_everything()
                || selection
                    .fields
                    .matches(|path| self.value(&Attribute::field(path, definition)?)))
    }

    /// The value of an attribute; none when it is not there or empty.
    pub(super) fn value(&self, attribute: &Attribute) -> Option<&str> {
        let value = match attribute {
            Attribute::Label(key) => self.label(key),
            Attribute::Field(index) => self.selectable(*index),
            Attribute::Name => Some(self.key.segments()?.name),
            Attribute::Namespace => Some(self.key.segments()?.namespace),
        };
        value.filter(|value| !value.is_empty())
    }

    fn label(&self, key: &str) -> Option<&str> {
        let labels = &self.facts.labels;
        let found = labels.binary_search_by(|label| self.bytes(label.key).cmp(key.as_bytes()));
        Some(self.text(labels.get(found.ok()?)?.value))
    }

    /// The tenant that a view says the object belongs to: its name or UID.
    pub(super) fn tenant(&self, view: &View, definition: &ResourceDefinition) -> Option<&str> {
        let tenant = match view {
            View::Label(key) | View::LabelUid(key) => self.label(key),
            View::Field(path) => return self.value(&Attribute::field(path, definition)?),
            _ => None,
        };
        tenant.filter(|tenant| !tenant.is_empty())
    }

    fn selectable(&self, index: usize) -> Option<&str> {
        match self.facts.fields.get(index)? {
            Field::Absent => None,
            Field::Inside(span) => Some(self.text(*span)),
            Field::Apart(text) => Some(text),
        }
    }

    fn text(&self, span: Span) -> &str {
        // Spans were taken from `str` slices of these very bytes.
        std::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.encoded.bytes().get(span.range()).unwrap_or_default()
    }
}

/// The stored bytes, ready to be spliced. Those written by other hands are brought into the
/// canonical form, and those of which more is shown are decorated.
pub(crate) fn encoded(
    record: &Record,
    definition: &ResourceDefinition,
) -> Result<Encoded, CorruptObject> {
    if !definition.is_decorated()
        && let Some(encoded) = Encoded::from_storage(record.value.clone(), definition.head())
    {
        return Ok(encoded);
    }
    let mut object = Object::from_slice(&record.value)
        .map_err(|error| CorruptObject::new(&record.key, error))?;
    definition.decorate(&mut object);
    Ok(object.encode())
}

#[derive(Deserialize)]
struct Labelled<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    labels: Option<std::collections::BTreeMap<&'a str, &'a str>>,
}

impl Facts {
    fn read(bytes: &Bytes, definition: &ResourceDefinition) -> Result<Self, serde_json::Error> {
        // Label keys and values never need escapes in JSON, so they can always be borrowed. The
        // map brings them into order.
        let labelled: Labelled<'_> = serde_json::from_slice(bytes)?;
        let labels = labelled.metadata.labels.unwrap_or_default();
        let labels = labels
            .into_iter()
            .filter_map(|(key, value)| {
                Some(Label { key: Span::of(key, bytes)?, value: Span::of(value, bytes)? })
            })
            .collect();
        let fields = match definition.selectable_fields() {
            [] => Box::default(),
            fields => {
                let object: serde_json::Value = serde_json::from_slice(bytes)?;
                fields
                    .iter()
                    .map(|field| Field::read(field.json_path().first(&object), bytes))
                    .collect()
            }
        };
        Ok(Self { labels, fields })
    }
}

impl Field {
    fn read(value: Option<&serde_json::Value>, bytes: &Bytes) -> Self {
        use serde_json::Value;
        match value {
            Some(Value::String(text)) => {
                // Most values occur in the bytes as they are; point there instead of copying.
                let needle = format!("\"{text}\"");
                let found = std::str::from_utf8(bytes).ok().and_then(|all| {
                    let at = all.find(&needle)? + 1;
                    Span::of(all.get(at..at + text.len())?, bytes)
                });
                found.map_or_else(|| Self::Apart(text.as_str().into()), Self::Inside)
            }
            Some(Value::Bool(flag)) => Self::Apart(flag.to_string().into()),
            Some(Value::Number(number)) => Self::Apart(number.to_string().into()),
            _ => Self::Absent,
        }
    }
}

/// A shared cached object.
pub(crate) type Shared = Arc<Cached>;
