//! OpenAPI v2: one document of all groups, made of those of v3.
//!
//! Terraform, Argo CD and the aggregation layer read it, and kubectl where it looks for ways of
//! merging.

use prost::Message as _;
use serde_json::{Map, Value, json};

use super::forms::Protobuf;
use crate::version;

mod convert;
mod encode;
mod message;
mod schema;

/// `openapi.v2.Document` of gnostic.
pub(super) const PROTOBUF: Protobuf = Protobuf {
    deprecated: "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    media_type: "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    encode: |document| encode::document(document).encode_to_vec(),
};

const GVK: &str = "x-kubernetes-group-version-kind";

/// The documents of v3 as one of v2.
pub(super) fn document(parts: impl Iterator<Item = Value>) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for mut part in parts {
        let schemas = part.get_mut("components").map(|found| take(found, "schemas"));
        for (name, schema) in schemas.into_iter().flatten() {
            add(&mut definitions, name, schema::convert(schema));
        }
        for (path, item) in take(&mut part, "paths") {
            paths.insert(path, convert::path(item));
        }
    }
    let mut document = json!({
        "swagger": "2.0",
        "info": {"title": "Milo", "version": version::GIT_VERSION},
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer Token authentication",
                "type": "apiKey",
                "name": "authorization",
                "in": "header",
            },
        },
        "security": [{"BearerToken": []}],
    });
    document["paths"] = paths.into();
    document["definitions"] = definitions.into();
    document
}

/// Adds a definition. Where several versions define a type that they share, it is of the kinds of
/// all of them.
fn add(definitions: &mut Map<String, Value>, name: String, mut schema: Value) {
    if let Some(Value::Array(mut kinds)) = definitions.get_mut(&name).map(|found| found[GVK].take())
    {
        let others = schema.get(GVK).and_then(Value::as_array).into_iter().flatten();
        for kind in others {
            if !kinds.contains(kind) {
                kinds.push(kind.clone());
            }
        }
        schema[GVK] = kinds.into();
    }
    definitions.insert(name, schema);
}

/// Takes the object under a key.
fn take(of: &mut Value, key: &str) -> Map<String, Value> {
    match of.get_mut(key).map(Value::take) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
