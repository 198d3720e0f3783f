//! Everything that is not a resource: discovery, OpenAPI, the version, health.

use std::collections::HashMap;

use http::{Method, Response, StatusCode, request::Parts};
use milo_core::{request::RequestAttributes, scope::ScopeKind, status::StatusError};

use crate::{
    body::Body,
    discovery::{Discovery, ServedResource},
    document::Document,
    health::Health,
    openapi::v3::{self, OpenApi},
    registry::PATCH_TYPES,
    request::Query,
    version,
};

/// The documents of each kind of control plane, rendered once, and the health checks.
pub(crate) struct Paths {
    documents: HashMap<ScopeKind, Documents>,
    version: Document,
    health: Health,
}

struct Documents {
    discovery: Discovery,
    openapi: OpenApi,
    index: Document,
}

const SCOPES: [ScopeKind; 4] =
    [ScopeKind::Platform, ScopeKind::Organization, ScopeKind::Project, ScopeKind::User];

/// What anybody may ask, known or not.
pub(crate) fn is_public(path: &str) -> bool {
    matches!(path, "/healthz" | "/livez" | "/readyz")
}

impl Paths {
    pub(crate) fn new(resources: &[ServedResource], health: Health) -> Self {
        let documents = SCOPES.into_iter().map(|scope| {
            let served = crate::discovery::served_in(resources, scope);
            let discovery = Discovery::new(&served);
            let openapi = OpenApi::new(&served, &PATCH_TYPES);
            let others = ["/healthz", "/livez", "/readyz", "/version"];
            let openapi_paths: Vec<String> = openapi.paths().collect();
            let others = others.into_iter().chain(openapi_paths.iter().map(String::as_str));
            let index = discovery.index(others);
            (scope, Documents { discovery, openapi, index })
        });
        Self { documents: documents.collect(), version: version::document(), health }
    }

    pub(crate) async fn respond(
        &self,
        method: &Method,
        attributes: &RequestAttributes,
        parts: &Parts,
        query: &Query<'_>,
    ) -> Result<Response<Body>, StatusError> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(StatusError::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ));
        }
        let path = attributes.path.as_str();
        let documents =
            self.documents.get(&attributes.scope.kind()).ok_or_else(StatusError::no_route)?;
        if let Some(answer) = documents.discovery.respond(path, &parts.headers) {
            return answer.map(full);
        }
        if path == v3::ROOT || path.starts_with("/openapi/v3/") {
            return documents.openapi.respond(path, parts.uri.query(), &parts.headers).map(full);
        }
        if let Some(answer) = self.health.respond(path, query).await {
            return Ok(answer);
        }
        match path {
            "/version" => Ok(full(self.version.respond(&parts.headers))),
            "/" => Ok(full(documents.index.respond(&parts.headers))),
            // What lives below a group is told apart from an object that is missing.
            _ if path.starts_with("/api") => Err(StatusError::no_route()),
            _ => Ok(full(documents.index.with_status(StatusCode::NOT_FOUND))),
        }
    }
}

fn full(response: Response<bytes::Bytes>) -> Response<Body> {
    response.map(Body::full)
}
