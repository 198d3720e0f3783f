//! Objects and lists in the form and the encoding that the client accepts.

mod list;

use bytes::{BufMut, BytesMut};
use http::{Response, StatusCode};
use milo_core::{object::Object, request::Verb, status::StatusError};
use serde_json::{Value, json};

use super::{Call, Resource};
use crate::{
    body::Body,
    cache::Walk,
    media::Encoding,
    negotiate::{Accepted, Form, MetaVersion, PartialKind},
    respond,
    table::{IncludeObject, TableWriter, partial},
};

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
        if call.copies() {
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
        Ok(respond::value(code, &value, call.encoding))
    }

    /// A collection.
    pub(super) async fn render_list(
        &self,
        call: &Call<'_>,
        meta: &ListMeta,
        objects: Walk,
    ) -> Result<Response<Body>, StatusError> {
        if call.copies() {
            let body = list::copied(self.list_head(meta), objects);
            return Ok(respond::json(StatusCode::OK, body));
        }
        if matches!(call.form, Form::Partial(_, PartialKind::Object)) {
            return Err(self.not_an_object());
        }
        let include = IncludeObject::parse(call.query.first("includeObject"))?;
        let accepted = Accepted { form: call.form, encoding: call.encoding };
        let converter = list::Converter::new(self.layout.clone(), accepted, include, objects);
        let body = converter.body(meta.to_value()).await?;
        Ok(respond::encoded(StatusCode::OK, call.encoding, body))
    }

    pub(super) fn tables(
        &self,
        call: &Call<'_>,
        version: MetaVersion,
    ) -> Result<TableWriter<'_>, StatusError> {
        let include = IncludeObject::parse(call.query.first("includeObject"))?;
        Ok(TableWriter::new(&self.layout, version, include))
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

impl Call<'_> {
    /// Whether the answer is made of stored bytes as they are.
    fn copies(&self) -> bool {
        self.form == Form::Plain && self.encoding == Encoding::Json
    }
}
