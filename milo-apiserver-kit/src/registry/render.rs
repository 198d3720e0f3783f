//! Objects and lists in the form that the client accepts.

use std::iter::Peekable;

use bytes::{BufMut, BytesMut};
use http::{Response, StatusCode};
use milo_core::{object::Object, request::Verb, status::StatusError};
use serde_json::{Value, json};

use super::{Call, Resource};
use crate::{
    body::Body,
    cache::Walk,
    negotiate::{Form, MetaVersion, PartialKind},
    respond,
    table::{IncludeObject, TableWriter, partial},
};

/// Lists up to this size are sent as one block with a known length; larger ones are streamed, so
/// that a list of any size needs no memory of its size.
const ONE_BLOCK: usize = 1024 * 1024;
const BLOCK: usize = 128 * 1024;
/// What comes after the items of a list.
const END: &[u8] = b"]}\n";
/// How many objects are decoded before others get their turn: about a millisecond's worth.
const DECODE_CHUNK: usize = 100;

/// What goes into a list's metadata.
#[derive(Clone, Debug, Default)]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    pub(super) continue_token: Option<String>,
    pub(super) remaining: Option<u64>,
}

impl ListMeta {
    fn to_value(&self) -> Value {
        let mut metadata = json!({ "resourceVersion": self.resource_version });
        if let Some(token) = &self.continue_token {
            metadata["continue"] = token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }
}

impl Resource {
    /// Refuses a form that the answer cannot have, before anything is done.
    pub(crate) fn check_form(&self, call: &Call<'_>) -> Result<(), StatusError> {
        let list = matches!(call.attributes.verb, Verb::List | Verb::DeleteCollection);
        match call.form {
            Form::Table(version) => self.tables(call, version).map(|_| ()),
            Form::Partial(_, PartialKind::List) if !list => Err(self.not_a_list()),
            Form::Partial(_, PartialKind::Object) if list => Err(self.not_an_object()),
            _ => Ok(()),
        }
    }

    fn not_a_list(&self) -> StatusError {
        let kind = self.definition.kind();
        let text = format!(
            "you requested PartialObjectMetadataList, but the requested object is not a list ({kind})"
        );
        StatusError::new(406, "NotAcceptable", text)
    }

    fn not_an_object(&self) -> StatusError {
        let kind = self.definition.list_kind();
        let text = format!(
            "you requested PartialObjectMetadata, but the requested object is a list ({kind})"
        );
        StatusError::new(406, "NotAcceptable", text)
    }

    /// One object, given its served bytes.
    pub(super) fn render_bytes(
        &self,
        call: &Call<'_>,
        code: StatusCode,
        bytes: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        if call.form == Form::Plain && !call.pretty {
            let mut line = BytesMut::with_capacity(bytes.len() + 1);
            line.put_slice(bytes);
            line.put_u8(b'\n');
            return Ok(respond::json(code, Body::full(line.freeze())));
        }
        let object = Object::from_slice(bytes).map_err(StatusError::internal)?;
        self.render_object(call, code, object)
    }

    /// One object, decoded.
    pub(super) fn render_object(
        &self,
        call: &Call<'_>,
        code: StatusCode,
        object: Object,
    ) -> Result<Response<Body>, StatusError> {
        let value = match call.form {
            Form::Plain => object.into_value(),
            Form::Table(version) => {
                let metadata = json!({ "resourceVersion": object.meta("resourceVersion") });
                self.tables(call, version)?.table(&metadata, &[object], true)
            }
            Form::Partial(version, PartialKind::Object) => partial(&object, version),
            Form::Partial(_, PartialKind::List) => return Err(self.not_a_list()),
        };
        Ok(respond::value(code, &value, call.pretty))
    }

    /// A collection.
    pub(super) async fn render_list(
        &self,
        call: &Call<'_>,
        meta: &ListMeta,
        objects: Walk,
    ) -> Result<Response<Body>, StatusError> {
        match call.form {
            Form::Plain if !call.pretty => {
                Ok(respond::json(StatusCode::OK, list_body(self.list_head(meta), objects)))
            }
            Form::Plain => {
                let items = self.decode_all(objects).await?.into_iter().map(Object::into_value);
                let list = json!({
                    "kind": self.definition.list_kind(),
                    "apiVersion": self.definition.api_version(),
                    "metadata": meta.to_value(),
                    "items": items.collect::<Vec<_>>(),
                });
                Ok(respond::value(StatusCode::OK, &list, true))
            }
            Form::Table(version) => {
                let objects = self.decode_all(objects).await?;
                let table = self.tables(call, version)?.table(&meta.to_value(), &objects, true);
                Ok(respond::value(StatusCode::OK, &table, call.pretty))
            }
            Form::Partial(version, PartialKind::List) => {
                let objects = self.decode_all(objects).await?;
                let items: Vec<Value> = objects.iter().map(|o| partial(o, version)).collect();
                let list = json!({
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": version.api_version(),
                    "metadata": meta.to_value(),
                    "items": items,
                });
                Ok(respond::value(StatusCode::OK, &list, call.pretty))
            }
            Form::Partial(_, PartialKind::Object) => Err(self.not_an_object()),
        }
    }

    pub(super) fn tables(
        &self,
        call: &Call<'_>,
        version: MetaVersion,
    ) -> Result<TableWriter<'_>, StatusError> {
        let include = IncludeObject::parse(call.query.first("includeObject"))?;
        Ok(TableWriter::new(&self.definition, version, include))
    }

    /// Decodes a whole list, without keeping others from their turn.
    async fn decode_all(&self, objects: Walk) -> Result<Vec<Object>, StatusError> {
        let mut decoded = Vec::with_capacity(objects.len());
        for (index, object) in objects.enumerate() {
            if index % DECODE_CHUNK == DECODE_CHUNK - 1 {
                tokio::task::yield_now().await;
            }
            decoded.push(object.decode().map_err(|error| self.corrupt(&error))?);
        }
        Ok(decoded)
    }

    /// A list up to where its items begin.
    fn list_head(&self, meta: &ListMeta) -> BytesMut {
        let text = format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
            Value::from(self.definition.list_kind()),
            Value::from(self.definition.api_version()),
            meta.to_value(),
        );
        BytesMut::from(text.as_bytes())
    }
}

fn list_body(mut head: BytesMut, objects: Walk) -> Body {
    let mut writer = ListWriter { objects: objects.peekable(), begun: false };
    if let Some(size) = size_of_block(head.len(), &writer.objects) {
        head.reserve(size - head.len());
        writer.fill(&mut head, usize::MAX);
        return Body::full(head.freeze());
    }
    Body::stream(futures_util::stream::unfold(Some((head, writer)), async |state| {
        let (mut block, mut writer) = state?;
        let done = writer.fill(&mut block, BLOCK);
        let rest = (!done).then(|| (BytesMut::with_capacity(BLOCK + 4096), writer));
        Some((Ok(block.freeze()), rest))
    }))
}

/// The length of a whole list, if it is sent as one block.
fn size_of_block(head: usize, objects: &Peekable<Walk>) -> Option<usize> {
    let mut size = head + END.len();
    for object in objects.clone() {
        size += object.len() + 1;
        if size > ONE_BLOCK {
            return None;
        }
    }
    Some(size)
}

/// Copies objects into blocks, one after the other.
struct ListWriter {
    objects: Peekable<Walk>,
    begun: bool,
}

impl ListWriter {
    /// Appends objects until the block has `size` bytes. True when the list is complete.
    fn fill(&mut self, block: &mut BytesMut, size: usize) -> bool {
        while block.len() < size {
            let Some(object) = self.objects.next() else { break };
            if std::mem::replace(&mut self.begun, true) {
                block.put_u8(b',');
            }
            object.write_to(block);
        }
        let done = self.objects.peek().is_none();
        if done {
            block.put_slice(END);
        }
        done
    }
}
