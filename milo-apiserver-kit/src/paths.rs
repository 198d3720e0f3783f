//! Everything that is not a resource: discovery, OpenAPI, the version, health.

use std::{collections::HashMap, sync::Arc};

use http::{Method, Response, StatusCode, header::HOST, request::Parts, uri::Authority};
use milo_core::{request::RequestAttributes, scope::ScopeKind, status::StatusError};

use crate::{
    body::Body,
    discovery::{Discovery, ServedResource},
    document::Document,
    health::Health,
    openapi::OpenApi,
    registry::PATCH_TYPES,
    request::Query,
    version,
};

/// The documents of each kind of control plane, rendered once, and the health checks.
pub(crate) struct Paths {
    /// Shared by those that serve the same.
    documents: HashMap<ScopeKind, Arc<Documents>>,
    version: Document,
    health: Health,
}

struct Documents {
    served: Vec<ServedResource>,
    discovery: Discovery,
    openapi: OpenApi,
    index: Document,
}

type Answer = Result<Response<bytes::Bytes>, StatusError>;

const SCOPES: [ScopeKind; 4] =
    [ScopeKind::Platform, ScopeKind::Organization, ScopeKind::Project, ScopeKind::User];

/// What anybody may ask, known or not.
pub(crate) fn is_public(path: &str) -> bool {
    matches!(path, "/healthz" | "/livez" | "/readyz")
}

impl Paths {
    pub(crate) fn new(resources: &[ServedResource], health: Health) -> Self {
        let mut documents: HashMap<_, Arc<Documents>> = HashMap::new();
        for scope in SCOPES {
            let served = crate::discovery::served_in(resources, scope);
            let same = documents.values().find(|found| found.are_of(&served)).cloned();
            let found = same.unwrap_or_else(|| Arc::new(Documents::new(served, &documents)));
            documents.insert(scope, found);
        }
        Self { documents, version: version::document(), health }
    }

    pub(crate) async fn respond(
        &self,
        method: &Method,
        attributes: &RequestAttributes,
        parts: &Parts,
        query: &Query<'_>,
    ) -> Result<Response<Body>, StatusError> {
        let path = attributes.path.as_str();
        let documents =
            self.documents.get(&attributes.scope.kind()).ok_or_else(StatusError::no_route)?;
        let answer = match documents.respond(path, parts) {
            Some(answer) => Some(answer.map(full)),
            None if path == "/version" || path == "/version/" => {
                Some(Ok(full(self.version.respond(&parts.headers))))
            }
            None => self.health.respond(path, query).await.map(Ok),
        };
        match answer {
            // What lives below a group is told apart from an object that is missing.
            None if is_api(path) => Err(StatusError::no_route()),
            None => Ok(full(documents.index.with_status(StatusCode::NOT_FOUND))),
            Some(answer) if matches!(*method, Method::GET | Method::HEAD) => answer,
            Some(_) => Err(StatusError::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )),
        }
    }
}

impl Documents {
    /// What `others` have in common with these is kept once.
    fn new(served: Vec<ServedResource>, others: &HashMap<ScopeKind, Arc<Self>>) -> Self {
        let discovery = Discovery::new(&served);
        let openapi = OpenApi::new(&served, &PATCH_TYPES);
        let openapi =
            others.values().fold(openapi, |openapi, other| openapi.sharing(&other.openapi));
        let paths: Vec<String> = openapi.paths().collect();
        let others = ["/healthz", "/livez", "/readyz", "/version"].into_iter();
        let index = discovery.index(others.chain(paths.iter().map(String::as_str)));
        Self { served, discovery, openapi, index }
    }

    fn are_of(&self, served: &[ServedResource]) -> bool {
        let mut pairs = self.served.iter().zip(served);
        self.served.len() == served.len() && pairs.all(|(one, other)| one.is_same_as(other))
    }

    fn respond(&self, path: &str, parts: &Parts) -> Option<Answer> {
        if path == "/" {
            return Some(Ok(self.index.respond(&parts.headers)));
        }
        let discovery = self.discovery.respond(path, address(parts), &parts.headers);
        discovery.or_else(|| self.openapi.respond(path, parts.uri.query(), &parts.headers))
    }
}

/// Where the client believes the server to be.
fn address(parts: &Parts) -> &str {
    let host = || parts.headers.get(HOST)?.to_str().ok();
    parts.uri.authority().map(Authority::as_str).or_else(host).unwrap_or_default()
}

/// Whether resources live below the path.
fn is_api(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    matches!(segments.next(), Some("api" | "apis"))
}

fn full(response: Response<bytes::Bytes>) -> Response<Body> {
    response.map(Body::full)
}
