//! How what a watch tells is written.

use bytes::{Bytes, BytesMut};
use milo_core::{object::Object, status::StatusError, storage::Revision};
use serde_json::{Value, json};

use crate::{
    cache::{Cached, Change, EventType, frame},
    negotiate::{Form, MetaVersion},
    registry::Resource,
    table::{IncludeObject, TableWriter, partial},
};

/// How the objects of one watch are written.
pub(in crate::registry) struct Encoder {
    form: Form,
    include: IncludeObject,
    /// Column definitions come with the first table only.
    columns_sent: bool,
}

impl Encoder {
    pub(in crate::registry) fn new(form: Form, include: IncludeObject) -> Self {
        Self { form, include, columns_sent: false }
    }

    /// A change: encoded once for all watchers that take the plain form.
    pub(in crate::registry) fn change(
        &mut self,
        resource: &Resource,
        event: EventType,
        change: &Change,
    ) -> Result<Bytes, StatusError> {
        if self.form == Form::Plain {
            return Ok(change.frame(event));
        }
        let mut line = BytesMut::new();
        if let Some(object) = change.object(event) {
            self.event(resource, event, object, change.revision(), &mut line)?;
        }
        Ok(line.freeze())
    }

    /// Writes the line of an event at the end of `block`.
    pub(in crate::registry) fn event(
        &mut self,
        resource: &Resource,
        event: EventType,
        object: &Cached,
        revision: Revision,
        block: &mut BytesMut,
    ) -> Result<(), StatusError> {
        if self.form == Form::Plain {
            object.write_frame(event, revision, block);
            return Ok(());
        }
        let mut decoded = object.decode().map_err(|error| resource.corrupt(&error))?;
        decoded.set_meta("resourceVersion", &revision.to_string());
        block.extend_from_slice(&value_frame(event.as_str(), &self.value(resource, decoded)));
        Ok(())
    }

    pub(in crate::registry) fn bookmark(
        &mut self,
        resource: &Resource,
        revision: Revision,
        ends_initial_events: bool,
    ) -> Bytes {
        let definition = resource.definition();
        let mut metadata =
            json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if ends_initial_events {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let mut object = Object::new(definition.api_version(), definition.kind(), "");
        object.fields_mut().insert("metadata".into(), metadata);
        let include = self.include;
        if ends_initial_events && include == IncludeObject::None {
            // The annotation is the message, whatever else of objects is not wanted.
            self.include = IncludeObject::Metadata;
        }
        let bookmark = value_frame("BOOKMARK", &self.value(resource, object));
        self.include = include;
        bookmark
    }

    fn value(&mut self, resource: &Resource, object: Object) -> Value {
        match self.form {
            Form::Plain => object.into_value(),
            Form::Partial(version, _) => partial(&object, version),
            Form::Table(version) => self.table(resource, version, &object),
        }
    }

    fn table(&mut self, resource: &Resource, version: MetaVersion, object: &Object) -> Value {
        let writer = TableWriter::new(resource.layout(), version, self.include);
        let metadata = json!({ "resourceVersion": object.meta("resourceVersion") });
        let columns = !std::mem::replace(&mut self.columns_sent, true);
        writer.table(&metadata, std::slice::from_ref(object), columns)
    }
}

fn value_frame(event: &str, object: &Value) -> Bytes {
    frame(event, object.to_string().as_bytes())
}

/// The event that ends a watch with a reason.
pub(in crate::registry) fn error_frame(error: &StatusError) -> Bytes {
    let status = serde_json::to_vec(&error.to_status()).unwrap_or_default();
    frame("ERROR", &status)
}
