//! The server as one `tower::Service`.
//!
//! A request passes these stages, outermost first (`spec/wire.md` section 0.1): audit id and panic
//! guard, scope and request info (400), authentication (401), scope resolution (404), requests in
//! flight (429), authorization (403), the time limit (504), routing. The first error wins.

use std::{
    convert::Infallible,
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts,
};
use http_body::Body as HttpBody;
use milo_core::{
    authorization::Decision,
    identity::{SYSTEM_UNAUTHENTICATED, UserInfo},
    key::GroupResource,
    request::{RequestAttributes, ResourceAttributes, Verb},
    scope::{Scope, ScopeResolver},
    status::StatusError,
};
use tokio_util::sync::CancellationToken;

use crate::{
    authn::{AuthenticationRequest, Union},
    authorizers::Authorizers,
    body::Body,
    compress::compress,
    in_flight::InFlight,
    kind::Connecting,
    listener::ConnectionInfo,
    media::{BodyType, Encoding},
    negotiate::{self, Accepted},
    paths,
    registry::{Call, Connection, PatchType, Registry, Resource, body_of},
    request::{
        Query, RequestInfo, body,
        info::{ResourceTarget, Target},
        path::RequestPath,
    },
    respond, websocket,
};

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// Each of these asks to act as someone else.
const IMPERSONATION: [&str; 3] = ["impersonate-user", "impersonate-group", "impersonate-uid"];
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, private");
/// How long a request may take that is not a watch, as upstream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a write may take, as upstream.
const WRITE_TIMEOUT: Duration = Duration::from_secs(34);

/// A Kubernetes-style API server, without a socket: serve it with the kit's own
/// [listener](crate::listener), nest it in a hyper or axum program, or call it in a test.
///
/// Requests that the kit's listener did not accept carry no [`ConnectionInfo`]: then only bearer
/// tokens authenticate. Cloning is cheap.
#[derive(Clone)]
pub struct ApiService {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) registry: Registry,
    pub(crate) resolver: Arc<dyn ScopeResolver>,
    pub(crate) authenticators: Union,
    pub(crate) authorizers: Authorizers,
    pub(crate) paths: paths::Paths,
    pub(crate) in_flight: InFlight,
    pub(crate) closing: CancellationToken,
}

impl fmt::Debug for ApiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiService").field("registry", &self.inner.registry).finish_non_exhaustive()
    }
}

impl ApiService {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Cancelled when the server shuts down: watches end then.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }
}

impl<B> tower::Service<Request<B>> for ApiService
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: fmt::Display + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move { Ok(inner.answer(request).await) })
    }
}

impl Inner {
    /// Answers every request, whatever happens.
    async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display + Send,
    {
        let (parts, body) = request.into_parts();
        let audit_id = audit_id(&parts);
        let started = tokio::time::Instant::now();
        let handled = AssertUnwindSafe(self.handle(&parts, body)).catch_unwind().await;
        let mut response = match handled {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::debug!(code = error.code(), reason = error.reason(), %error, "refused");
                respond::error(&error, error_encoding(&parts))
            }
            Err(_) => respond::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This request caused apiserver to panic. Look in the logs for details.",
            ),
        };
        tracing::debug!(
            method = %parts.method,
            uri = %parts.uri,
            code = response.status().as_u16(),
            audit_id = ?audit_id,
            elapsed_us = started.elapsed().as_micros(),
            "request"
        );
        response = compress(&parts.headers, response);
        if parts.method == Method::HEAD {
            response = without_body(response);
        }
        let refused = response.status() == StatusCode::UNAUTHORIZED;
        let headers = response.headers_mut();
        if refused && parts.version == Version::HTTP_2 {
            // The listener turns this into GOAWAY: strangers do not keep connections.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.entry(header::CACHE_CONTROL).or_insert(NO_CACHE);
        headers.insert(AUDIT_ID, audit_id);
        response
    }

    async fn handle<B>(&self, parts: &Parts, body: B) -> Result<Response<Body>, StatusError>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display + Send,
    {
        let path = RequestPath::parse(parts.uri.path())?;
        let query = Query::parse(parts.uri.query());
        let info = RequestInfo::parse(&parts.method, &path, &query);
        let user = self.authenticate(parts).await?;
        let scope = self.resolve(&path).await?;
        let attributes = attributes(&info, &path, user, scope);
        let long_running = self.connecting(&info).is_some_and(|found| found.options.long_running);
        let _place = match self.in_flight.enter(&attributes, long_running) {
            Ok(place) => place,
            Err(too_many) => return Ok(too_many.response()),
        };
        authorize(&self.authorizers, &attributes).await?;
        match (&info.target, &attributes.resource) {
            (Target::Resource(target), Some(resource)) => {
                self.resource(parts, &query, target, resource, &attributes, body).await
            }
            _ => self.paths.respond(&parts.method, &attributes, parts, &query).await,
        }
    }

    async fn authenticate(&self, parts: &Parts) -> Result<Arc<UserInfo>, StatusError> {
        if let Some(header) = IMPERSONATION.iter().find(|name| parts.headers.contains_key(**name)) {
            // Whoever asks to act as someone else must not act as themselves instead.
            let why = format!("impersonation is not supported; leave out the {header} header");
            return Err(StatusError::forbidden_path(why));
        }
        let connection = parts.extensions.get::<ConnectionInfo>();
        let peer = connection.and_then(|connection| connection.peer.as_deref());
        let peer = peer.filter(|_| !websocket::needs_token(&parts.headers));
        let headers = websocket::with_bearer(&parts.headers)?;
        let request = AuthenticationRequest::new(&headers, peer);
        match self.authenticators.identify(&request).await {
            Ok(Some(user)) => Ok(user),
            // Anonymous access is off, but for what everybody may ask: whether we are well.
            Ok(None) if paths::is_public(parts.uri.path()) => {
                Ok(Arc::new(UserInfo::new("system:anonymous").with_group(SYSTEM_UNAUTHENTICATED)))
            }
            _ => Err(StatusError::unauthorized()),
        }
    }

    async fn resolve(&self, path: &RequestPath<'_>) -> Result<Scope, StatusError> {
        if path.scope == milo_core::scope::ScopeName::Platform {
            return Ok(Scope::Platform);
        }
        self.resolver.resolve(&path.scope).await?.ok_or_else(StatusError::no_route)
    }

    async fn resource<B>(
        &self,
        parts: &Parts,
        query: &Query<'_>,
        target: &ResourceTarget<'_>,
        named: &ResourceAttributes,
        attributes: &RequestAttributes,
        body: B,
    ) -> Result<Response<Body>, StatusError>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display + Send,
    {
        let found = self.registry.find(target.group, target.version, target.resource);
        let resource = found.ok_or_else(StatusError::no_route)?;
        if let Some(connecting) = resource.connecting(target.subresource) {
            let mut call = Call::new(parts, query, named, attributes, &self.authorizers);
            let request = (parts, body_of(body));
            return self.connect(&mut call, resource, connecting, target, request).await;
        }
        if !target.more.is_empty() {
            return Err(StatusError::no_route());
        }
        let place = resource.place(&attributes.scope).ok_or_else(StatusError::no_route)?;
        check_route(resource, target, &attributes.verb)?;
        if attributes.verb == Verb::Patch {
            PatchType::of(&parts.headers)?;
        }
        let watch = attributes.verb == Verb::Watch;
        let Accepted { form, encoding } = negotiate::accepted(&parts.headers, query, watch)?;
        if query.flag("export") {
            let text = "the export parameter, deprecated since v1.14, is no longer supported";
            return Err(StatusError::bad_request(text));
        }
        // The name in a selector is for authorization; here the selector speaks for itself.
        let mut call = Call::new(parts, query, named, attributes, &self.authorizers);
        (call.form, call.encoding) = (form, encoding);
        call.warnings.extend(resource.definition().deprecation().map(str::to_owned));
        if watch {
            let mut watch = resource.watch(&call, &place, self.closing.clone()).await?;
            respond::add_warnings(&mut watch, &call.warnings);
            return websocket::accept(parts, watch);
        }
        let scaling = resource.scaling(target.subresource);
        match scaling {
            Some(scaling) => scaling.check_form(&call)?,
            None => resource.check_form(&call)?,
        }
        let limit = time_limit(query, &attributes.verb)?;
        let work = async {
            let body = match attributes.verb {
                Verb::Create | Verb::Update => {
                    BodyType::of(&parts.headers)?;
                    body::read(body).await?
                }
                Verb::Delete | Verb::DeleteCollection => {
                    body::read_options(body, &parts.headers).await?
                }
                Verb::Patch => body::read(body).await?,
                _ => Bytes::new(),
            };
            if let Some(scaling) = scaling {
                return scaling.answer(resource, &mut call, &place, &body).await;
            }
            match attributes.verb {
                Verb::Get => resource.get(&call, &place).await,
                Verb::List => resource.list(&call, &place).await,
                Verb::Create => resource.create(&mut call, &place, &body).await,
                Verb::Update => resource.update(&mut call, &place, &body).await,
                Verb::Patch => resource.patch(&mut call, &place, &body).await,
                Verb::Delete => resource.delete(&mut call, &place, &body).await,
                Verb::DeleteCollection => {
                    resource.delete_collection(&mut call, &place, &body).await
                }
                _ => Err(not_allowed(resource, &attributes.verb)),
            }
        };
        let answered = within(limit, &attributes.verb, work).await;
        let mut response =
            answered.unwrap_or_else(|error| respond::error(&error, error_encoding(parts)));
        respond::add_warnings(&mut response, &call.warnings);
        Ok(response)
    }

    /// The subresource that answers HTTP itself, if one is asked for.
    fn connecting(&self, info: &RequestInfo<'_>) -> Option<&Connecting> {
        let Target::Resource(target) = &info.target else { return None };
        let resource = self.registry.find(target.group, target.version, target.resource)?;
        resource.connecting(target.subresource)
    }

    async fn connect(
        &self,
        call: &mut Call<'_>,
        resource: &Resource,
        connecting: &Connecting,
        target: &ResourceTarget<'_>,
        (parts, body): (&Parts, Body),
    ) -> Result<Response<Body>, StatusError> {
        let place = resource.place(&call.attributes.scope).ok_or_else(StatusError::no_route)?;
        check_place(resource, target, &call.attributes.verb)?;
        let options = &connecting.options;
        if target.is_watch_path || !(options.paths || target.more.is_empty()) {
            return Err(StatusError::no_route());
        }
        let verb = &call.attributes.verb;
        if !options.answers(&parts.method) {
            return Err(not_allowed(resource, verb));
        }
        let limit = match options.long_running {
            true => None,
            false => Some(time_limit(call.query, verb)?),
        };
        let (path, closing) = (target.path_below(parts.uri.path()), self.closing.clone());
        let connection = Connection { path, parts, body, limit, closing };
        let connected = resource.connect(call, &place, connecting, connection);
        match limit {
            Some(limit) => within(limit, verb, connected).await,
            None => connected.await,
        }
    }
}

/// What an answer is, unless it takes too long.
async fn within(
    limit: Duration,
    verb: &Verb,
    work: impl Future<Output = Result<Response<Body>, StatusError>>,
) -> Result<Response<Body>, StatusError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let text = match verb.is_write() && limit == WRITE_TIMEOUT {
            true => "request did not complete within requested timeout - context deadline exceeded",
            false => "request did not complete within the allotted timeout",
        };
        Err(StatusError::timeout(text, Duration::ZERO))
    })
}

/// Asks the authorizers: 403 unless they allow.
pub(crate) async fn authorize(
    authorizers: &Authorizers,
    attributes: &RequestAttributes,
) -> Result<(), StatusError> {
    match authorizers.decide(attributes).await {
        Ok(Decision::Allow) => Ok(()),
        Ok(Decision::Deny(reason) | Decision::NoOpinion(reason)) => {
            Err(forbidden(attributes, &reason))
        }
        Ok(_) => Err(forbidden(attributes, "")),
        Err(error) => {
            tracing::error!(%error, "authorization failed; the request is refused");
            Err(StatusError::internal("the request could not be authorized"))
        }
    }
}

/// How the reader of an answer wants to be told of an error.
fn error_encoding(parts: &Parts) -> Encoding {
    negotiate::error_encoding(&parts.headers, parts.uri.query())
}

/// What a HEAD gets: all of the answer but its body, which HTTP/2 does not leave out by itself.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// The client's audit id, or a new one: the same id is told end to end.
fn audit_id(parts: &Parts) -> HeaderValue {
    if let Some(id) = parts.headers.get(AUDIT_ID).filter(|id| !id.is_empty()) {
        return id.clone();
    }
    let mut buffer = uuid::Uuid::encode_buffer();
    let id = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("unknown"))
}

fn attributes(
    info: &RequestInfo<'_>,
    path: &RequestPath<'_>,
    user: Arc<UserInfo>,
    scope: Scope,
) -> RequestAttributes {
    let resource = match &info.target {
        Target::Path => None,
        Target::Resource(target) => Some(ResourceAttributes {
            resource: GroupResource::new(target.group, target.resource),
            version: target.version.to_owned(),
            subresource: target.subresource.to_owned(),
            namespace: target.namespace.to_owned(),
            name: match &target.selected_name {
                Some(name) => name.clone(),
                None => target.name.to_owned(),
            },
        }),
    };
    let path = if resource.is_none() { path.to_path() } else { String::new() };
    RequestAttributes { user, scope, verb: info.verb.clone(), resource, path }
}

/// Which of the routes of `spec/wire.md` section 2.1 a request may take.
fn check_route(
    resource: &Resource,
    target: &ResourceTarget<'_>,
    verb: &Verb,
) -> Result<(), StatusError> {
    let served = resource.served();
    let verbs = match target.subresource {
        "" => served.verbs(),
        name => served.subresource(name).ok_or_else(StatusError::no_route)?.verbs(),
    };
    check_place(resource, target, verb)?;
    let named = !target.name.is_empty();
    let fits = match verb {
        Verb::Create => !named || !target.subresource.is_empty(),
        Verb::Get | Verb::Update | Verb::Patch | Verb::Delete => named,
        // One object is watched by a selector, or by the old path.
        Verb::Watch => target.subresource.is_empty() && (!named || target.is_watch_path),
        Verb::List | Verb::DeleteCollection => !named,
        _ => false,
    };
    if fits && verbs.contains(verb) { Ok(()) } else { Err(not_allowed(resource, verb)) }
}

/// Whether what is named can be where it is named.
fn check_place(
    resource: &Resource,
    target: &ResourceTarget<'_>,
    verb: &Verb,
) -> Result<(), StatusError> {
    let namespaced = resource.definition().is_namespaced();
    // `/api/v1/namespaces/x` names the namespace itself: it is its own namespace.
    let itself = target.resource == "namespaces" && target.namespace == target.name;
    if namespaced && target.namespace.is_empty() {
        if !target.name.is_empty() {
            return Err(StatusError::no_route());
        }
        // Across namespaces one can only look.
        if !matches!(verb, Verb::List | Verb::Watch) {
            return Err(not_allowed(resource, verb));
        }
    }
    if !namespaced && !target.namespace.is_empty() && !itself {
        return Err(StatusError::no_route());
    }
    Ok(())
}

fn not_allowed(resource: &Resource, verb: &Verb) -> StatusError {
    StatusError::method_not_allowed(resource.definition().group_resource(), verb.as_str())
}

/// The time that the client allows, within what the server does.
fn time_limit(query: &Query<'_>, verb: &Verb) -> Result<Duration, StatusError> {
    let most = match verb {
        // Many writes, each of which is bounded by the storage.
        Verb::DeleteCollection => REQUEST_TIMEOUT,
        verb if verb.is_write() => WRITE_TIMEOUT,
        _ => REQUEST_TIMEOUT,
    };
    let text = query.first("timeout");
    if text.is_empty() {
        return Ok(most);
    }
    match crate::duration::parse(text) {
        Some(Duration::ZERO) => Ok(most),
        Some(wanted) => Ok(wanted.min(most)),
        None => Err(StatusError::bad_request(format!(
            "invalid timeout specified in the request URL - {text:?} is not a duration such as 30s or 1m30s"
        ))),
    }
}

/// 403, in upstream's words (`spec/wire.md` section 5.3).
fn forbidden(attributes: &RequestAttributes, reason: &str) -> StatusError {
    let user = &attributes.user.username;
    let verb = &attributes.verb;
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let Some(target) = &attributes.resource else {
        let path = &attributes.path;
        let why = format!("User \"{user}\" cannot {verb} path \"{path}\"{because}");
        return StatusError::forbidden_path(escape(&why));
    };
    let resource = match target.subresource.as_str() {
        "" => target.resource.resource().to_owned(),
        sub => format!("{}/{sub}", target.resource.resource()),
    };
    let whereabouts = match target.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let group = target.resource.group();
    let why = format!(
        "User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {whereabouts}{because}"
    );
    StatusError::forbidden(&target.resource, &target.name, escape(&why))
}

/// Names in refusals may end up in a browser.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
