//! OpenAPI v3: an index, and documents that clients may keep as long as their hash is the same.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, EXPIRES, LOCATION},
};
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use serde_json::{Map, Value, json};

use super::{V3, forms::Protobuf, part::Part, paths, schemas};
use crate::{
    discovery::GroupVersion,
    document::{Document, header_value, http_date},
    version,
};

mod encode;
mod message;

/// `openapi.v3.Document` of gnostic.
pub(super) const PROTOBUF: Protobuf = Protobuf {
    deprecated: "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    media_type: "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
    encode: |document| encode::document(document).encode_to_vec(),
};

/// The document of a version of a group.
pub(super) fn of_version(version: &GroupVersion<'_>, patch_types: &[String]) -> Value {
    document(paths::of_version(version, patch_types), schemas::of_version(version))
}

/// What all documents have in common.
pub(super) fn document(paths: Map<String, Value>, schemas: Map<String, Value>) -> Value {
    let mut document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Milo", "version": version::GIT_VERSION},
        "components": {
            "securitySchemes": {
                "BearerToken": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"BearerToken": []}],
    });
    document["paths"] = paths.into();
    document["components"]["schemas"] = schemas.into();
    document
}

/// Where the documents are, with their hashes.
pub(super) fn index(parts: &BTreeMap<String, Arc<Part>>) -> Document {
    let entries: Map<String, Value> = parts
        .iter()
        .map(|(key, part)| {
            let url = format!("{V3}/{key}?hash={}", part.hash());
            (key.clone(), json!({ "serverRelativeURL": url }))
        })
        .collect();
    Document::json(&json!({ "paths": entries })).with_last_modified(Timestamp::now())
}

/// Answers with a document, or with where it is under the hash that it has.
pub(super) fn respond(
    document: &Document,
    query: Option<&str>,
    request: &HeaderMap,
) -> Response<Bytes> {
    match hash_of(query) {
        None => document.respond(request),
        Some(hash) if hash == document.hash() => immutable(document.respond(request)),
        Some(_) => moved(document.hash()),
    }
}

/// The value of `hash` in a query; none when it is missing or empty. Content hashes need no
/// decoding.
fn hash_of(query: Option<&str>) -> Option<&str> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, value)| *name == "hash" && !value.is_empty()).map(|(_, value)| value)
}

fn immutable(mut response: Response<Bytes>) -> Response<Bytes> {
    let year = SignedDuration::from_hours(365 * 24);
    let expires = Timestamp::now().saturating_add(year).ok().and_then(http_date);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    if let Some(expires) = expires {
        headers.insert(EXPIRES, expires);
    }
    response
}

fn moved(hash: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, header_value(format!("?hash={hash}")));
    response
}
