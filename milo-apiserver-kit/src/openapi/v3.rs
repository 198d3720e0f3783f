//! OpenAPI v3: an index, and one document per group version.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, EXPIRES, LOCATION},
};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use milo_core::status::StatusError;
use serde_json::{Map, Value, json};

use super::{paths, schemas};
use crate::{
    discovery::{Group, GroupVersion, ServedResource, by_group},
    document::{Document, Negotiated, header_value},
    version,
};

/// Where the index lives. Documents live below.
pub const ROOT: &str = "/openapi/v3";

/// The OpenAPI v3 documents of one kind of control plane.
#[derive(Clone, Debug)]
pub struct OpenApi {
    index: Document,
    /// By key: `apis/{group}/{version}`, `api/v1`.
    documents: BTreeMap<String, Versioned>,
}

/// A document and its content hash.
#[derive(Clone, Debug)]
struct Versioned {
    hash: String,
    forms: Negotiated,
}

impl OpenApi {
    /// Renders the documents of `resources`.
    ///
    /// `patch_types` are the media types of the patches that the server takes, such as
    /// `application/merge-patch+json`: clients choose their way of patching by them.
    #[must_use]
    pub fn new(resources: &[ServedResource], patch_types: &[&str]) -> Self {
        let groups = by_group(resources);
        let versions = groups.iter().flat_map(Group::versions);
        let documents: BTreeMap<String, Versioned> = versions
            .map(|version| {
                let key = version.path().trim_start_matches('/').to_owned();
                let document = Document::json(&document(version, patch_types));
                let hash = document.hash().to_owned();
                (key, Versioned { hash, forms: Negotiated::json(document) })
            })
            .collect();
        Self { index: index(&documents), documents }
    }

    /// Answers `GET path?query`: [`ROOT`] or a path below it.
    ///
    /// A reader that names the document's hash may keep it for ever; one that names another is
    /// redirected. The redirect is relative, so that it holds under any prefix.
    ///
    /// # Errors
    /// 404 for a path without a document, 406 when `Accept` does not allow JSON.
    pub fn respond(
        &self,
        path: &str,
        query: Option<&str>,
        request: &HeaderMap,
    ) -> Result<Response<Bytes>, StatusError> {
        let below = path.strip_prefix(ROOT).ok_or_else(StatusError::no_route)?;
        let key = below.strip_suffix('/').unwrap_or(below);
        if key.is_empty() {
            return Ok(self.index.respond(request));
        }
        let found = key.strip_prefix('/').and_then(|key| self.documents.get(key));
        let found = found.ok_or_else(StatusError::no_route)?;
        let document = found.forms.choose(request)?;
        Ok(match hash_of(query) {
            None => document.respond(request),
            Some(hash) if hash == found.hash => immutable(document.respond(request)),
            Some(_) => moved(&found.hash),
        })
    }

    /// The paths that have a document, for the server's index.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        let below = self.documents.keys().map(|key| format!("{ROOT}/{key}"));
        std::iter::once(ROOT.to_owned()).chain(below)
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
    let expires = Timestamp::now().saturating_add(year).ok();
    let expires = expires
        .and_then(|at| rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    if let Some(expires) = expires {
        headers.insert(EXPIRES, header_value(expires));
    }
    response
}

fn moved(hash: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, header_value(format!("?hash={hash}")));
    response
}

fn index(documents: &BTreeMap<String, Versioned>) -> Document {
    let entries: Map<String, Value> = documents
        .iter()
        .map(|(key, found)| {
            let url = format!("{ROOT}/{key}?hash={}", found.hash);
            (key.clone(), json!({ "serverRelativeURL": url }))
        })
        .collect();
    Document::json(&json!({ "paths": entries }))
}

fn document(version: &GroupVersion<'_>, patch_types: &[&str]) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Milo", "version": version::GIT_VERSION},
        "paths": paths::of_version(version, patch_types),
        "components": {
            "schemas": schemas::of_version(version),
            "securitySchemes": {
                "BearerToken": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"BearerToken": []}],
    })
}
