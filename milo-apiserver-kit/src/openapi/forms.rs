//! The two forms in which a document of OpenAPI can be had: JSON, and the protobuf of gnostic.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::VARY};
use jiff::Timestamp;
use serde_json::Value;

use crate::document::{Document, JSON, preferred};

/// How documents of one version of OpenAPI are written in protobuf.
pub(super) struct Protobuf {
    /// The name by which most clients ask for it, though it is not a valid media type.
    pub(super) deprecated: &'static str,
    /// The name by which it is answered.
    pub(super) media_type: &'static str,
    pub(super) encode: fn(&Value) -> Vec<u8>,
}

/// A document in both forms, each made when it is first asked for.
pub(super) struct Forms {
    kind: &'static Protobuf,
    since: Timestamp,
    json: OnceLock<Document>,
    protobuf: OnceLock<Document>,
}

impl Forms {
    pub(super) fn new(kind: &'static Protobuf) -> Self {
        let since = Timestamp::now();
        Self { kind, since, json: OnceLock::new(), protobuf: OnceLock::new() }
    }

    /// The JSON, of which the hash of both forms is taken.
    pub(super) fn json(&self, render: impl FnOnce() -> Value) -> &Document {
        self.json.get_or_init(|| Document::json(&render()).with_last_modified(self.since))
    }

    /// Answers in the form that `Accept` prefers. `render` makes the document, the same each time.
    pub(super) fn respond(
        &self,
        request: &HeaderMap,
        render: impl Fn() -> Value,
    ) -> Response<Bytes> {
        self.choose(request, render).map_or_else(not_acceptable, |found| found.respond(request))
    }

    /// The form that `Accept` prefers; none when it allows neither.
    pub(super) fn choose(
        &self,
        request: &HeaderMap,
        render: impl Fn() -> Value,
    ) -> Option<&Document> {
        let offers = [JSON, self.kind.media_type, self.kind.deprecated];
        if preferred(request, &offers)? == JSON {
            return Some(self.json(render));
        }
        Some(self.protobuf.get_or_init(|| {
            let bytes = (self.kind.encode)(&render());
            self.json(render).encoded(bytes, self.kind.media_type)
        }))
    }
}

/// 406 without a body, as upstream.
pub(super) fn not_acceptable() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}
