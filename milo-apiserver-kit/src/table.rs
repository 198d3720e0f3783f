//! The other forms of an object: a row of a `Table`, and metadata alone (`spec/wire.md` 2.9).

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use milo_core::{
    definition::{Column, ColumnKind, ResourceDefinition},
    object::Object,
    status::StatusError,
};
use serde_json::{Map, Value, json};

use crate::{human, negotiate::MetaVersion, rest::Table};

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

/// What tables of a kind show: the columns of its definition, or a handler's own.
#[derive(Clone)]
pub(crate) struct Layout {
    definition: Arc<ResourceDefinition>,
    own: Option<Arc<dyn Table>>,
}

impl Layout {
    pub(crate) fn new(definition: Arc<ResourceDefinition>, own: Option<Arc<dyn Table>>) -> Self {
        Self { definition, own }
    }

    /// The kind.
    pub(crate) fn definition(&self) -> &ResourceDefinition {
        &self.definition
    }

    /// The columns that follow the name.
    fn columns(&self) -> Vec<Value> {
        let column = |name: &str, kind: ColumnKind, format: &str, description: &str, priority| {
            json!({
                "name": name, "type": kind.as_str(), "format": format,
                "description": description, "priority": priority,
            })
        };
        match &self.own {
            Some(own) => own
                .columns()
                .iter()
                .map(|own| column(&own.name, own.kind, "", &own.description, own.priority))
                .collect(),
            None => (self.definition.columns().iter())
                .map(|own| {
                    let (name, description) = (own.name(), own.description());
                    column(name, own.kind(), own.format(), description, own.priority())
                })
                .collect(),
        }
    }

    /// What these columns show of an object.
    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        match &self.own {
            Some(own) => own.cells(object),
            None => self.definition.columns().iter().map(|own| cell(own, object, now)).collect(),
        }
    }
}

/// Builds tables of one kind.
pub(crate) struct TableWriter<'a> {
    layout: &'a Layout,
    version: MetaVersion,
    include: IncludeObject,
    now: Timestamp,
}

const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. It is required when \
     creating resources, although some resources may allow a client to request the generation of \
     an appropriate name automatically. Cannot be updated.";

impl<'a> TableWriter<'a> {
    pub(crate) fn new(layout: &'a Layout, version: MetaVersion, include: IncludeObject) -> Self {
        Self { layout, version, include, now: Timestamp::now() }
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
        columns.extend(self.layout.columns());
        Value::Array(columns)
    }

    /// One object.
    pub(crate) fn row(&self, object: &Object) -> Value {
        let mut cells = vec![Value::from(object.name())];
        cells.extend(self.layout.cells(object, self.now));
        let mut row = json!({ "cells": cells });
        match self.include {
            IncludeObject::None => {}
            IncludeObject::Metadata => row["object"] = partial(object, self.version),
            IncludeObject::Object => row["object"] = Value::Object(object.fields().clone()),
        }
        row
    }
}

fn cell(column: &Column, object: &Object, now: Timestamp) -> Value {
    let Some(value) = column.json_path().first_in(object.fields()) else { return Value::Null };
    match (column.kind().as_str(), value) {
        ("date", Value::String(time)) => human::age(time, now).into(),
        ("integer" | "number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("string", Value::String(_)) => value.clone(),
        ("string", Value::Null) | ("date" | "integer" | "number" | "boolean", _) => Value::Null,
        (_, other) => other.to_string().into(),
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

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layout").field(&self.columns()).finish()
    }
}
