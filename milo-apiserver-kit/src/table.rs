//! The other forms of an object: a row of a `Table`, and metadata alone (`spec/wire.md` 2.9).

use jiff::Timestamp;
use milo_core::{
    definition::{Column, ResourceDefinition},
    object::Object,
    status::StatusError,
};
use serde_json::{Map, Value, json};

use crate::{human, negotiate::MetaVersion};

/// How much of the object a row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    Metadata,
    Object,
}

impl IncludeObject {
    pub(crate) fn parse(text: &str) -> Result<Self, StatusError> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => Err(StatusError::bad_request(format!(
                "unrecognized includeObject value: {other:?}; use None, Metadata or Object"
            ))),
        }
    }
}

/// Builds tables of one kind.
pub(crate) struct TableWriter<'a> {
    definition: &'a ResourceDefinition,
    version: MetaVersion,
    include: IncludeObject,
    now: Timestamp,
}

const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. It is required when \
     creating resources, although some resources may allow a client to request the generation of \
     an appropriate name automatically. Cannot be updated.";

impl<'a> TableWriter<'a> {
    pub(crate) fn new(
        definition: &'a ResourceDefinition,
        version: MetaVersion,
        include: IncludeObject,
    ) -> Self {
        Self { definition, version, include, now: Timestamp::now() }
    }

    /// A table of these objects. `metadata` is the list's.
    pub(crate) fn table(&self, metadata: &Value, objects: &[Object], columns: bool) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object)).collect();
        json!({
            "kind": "Table",
            "apiVersion": self.version.api_version(),
            "metadata": metadata,
            "columnDefinitions": if columns { self.columns() } else { Value::Null },
            "rows": rows,
        })
    }

    /// The columns, as a table defines them.
    pub(crate) fn columns(&self) -> Value {
        let mut columns = vec![json!({
            "name": "Name", "type": "string", "format": "name",
            "description": NAME_DESCRIPTION, "priority": 0,
        })];
        columns.extend(self.definition.columns().iter().map(|column| {
            json!({
                "name": column.name(), "type": column.kind().as_str(), "format": column.format(),
                "description": column.description(), "priority": column.priority(),
            })
        }));
        Value::Array(columns)
    }

    /// One object.
    pub(crate) fn row(&self, object: &Object) -> Value {
        let mut cells = vec![Value::from(object.name())];
        cells.extend(self.definition.columns().iter().map(|column| self.cell(column, object)));
        let mut row = json!({ "cells": cells });
        match self.include {
            IncludeObject::None => {}
            IncludeObject::Metadata => row["object"] = partial(object, self.version),
            IncludeObject::Object => row["object"] = Value::Object(object.fields().clone()),
        }
        row
    }

    fn cell(&self, column: &Column, object: &Object) -> Value {
        let Some(value) = column.json_path().first_in(object.fields()) else { return Value::Null };
        match (column.kind().as_str(), value) {
            ("date", Value::String(time)) => human::age(time, self.now).into(),
            ("integer" | "number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
            ("string", Value::String(_)) => value.clone(),
            ("string", Value::Null) | ("date" | "integer" | "number" | "boolean", _) => Value::Null,
            (_, other) => other.to_string().into(),
        }
    }
}

/// `PartialObjectMetadata`: the metadata, whole.
pub(crate) fn partial(object: &Object, version: MetaVersion) -> Value {
    let metadata: Map<String, Value> = object.metadata().cloned().unwrap_or_default();
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": version.api_version(),
        "metadata": metadata,
    })
}
