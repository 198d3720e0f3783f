//! Subresources that answer HTTP themselves (`spec/wire.md` sections 2.8 and 6.1).

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use milo_core::{admission::Operation, object::Object, status::StatusError, storage::Transaction};
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Call, Place, Resource, admission::Write};
use crate::{
    body::{Body, BoxError},
    kind::Connecting,
    request::Query,
    rest::{ConnectRequest, RestRequest},
    websocket,
};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What a connection is told and asked beside its call.
pub(crate) struct Connection<'a> {
    /// What follows the subresource in the path.
    pub(crate) path: String,
    pub(crate) parts: &'a Parts,
    pub(crate) body: Body,
    /// How long the answer may take; none when it takes as long as it likes.
    pub(crate) limit: Option<Duration>,
    pub(crate) closing: CancellationToken,
}

impl Resource {
    /// Passes a request on to the handler of a subresource, and its answer back.
    pub(crate) async fn connect(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        connecting: &Connecting,
        connection: Connection<'_>,
    ) -> Result<Response<Body>, StatusError> {
        let Connection { path, parts, body, limit, closing } = connection;
        if call.query.has("dryRun") {
            return Err(StatusError::bad_request("dryRun is not supported"));
        }
        websocket::check_origin(&parts.headers)?;
        let deadline = limit.map(|limit| Instant::now() + limit);
        let (target, name) = (call.target, call.target.name.as_str());
        let key = self.key(place, &target.namespace, name)?;
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(StatusError::bad_request("the path holds a segment of dots"));
        }
        if !place.sees_all() {
            // The handler is told where the objects live, not which of them can be seen.
            self.read(call, place, &key, name).await?;
        }
        self.admit_connection(call, &parts.method, &path).await?;
        let request = ConnectRequest {
            resource: RestRequest {
                attributes: call.attributes,
                definition: &self.definition,
                scope: place.scope(),
                namespace: &target.namespace,
                name,
            },
            path: &path,
            http: passed_on(parts, body),
            closing: closing.clone(),
        };
        let mut response = connecting.handler.connect(request).await?;
        if response.body().is_end_stream() {
            return Ok(response);
        }
        response.headers_mut().entry(header::CONTENT_TYPE).or_insert(OCTETS);
        Ok(response.map(|body| bounded(body, deadline, closing)))
    }

    /// Lets every step refuse the connection. What they are shown is what is asked for.
    async fn admit_connection(
        &self,
        call: &mut Call<'_>,
        method: &Method,
        path: &str,
    ) -> Result<(), StatusError> {
        let target = call.target;
        let mut options =
            Object::new(self.definition.api_version(), "ConnectOptions", &target.name);
        options.set_meta("namespace", &target.namespace);
        let fields = options.fields_mut();
        fields.insert("method".into(), method.as_str().into());
        fields.insert("path".into(), path.into());
        fields.insert("query".into(), to_json(call.query));
        let mut write = Write {
            operation: Operation::Connect,
            old: None,
            removes: false,
            dry_run: false,
            transaction: Transaction::new(),
        };
        self.admit(call, &mut write, &options).await
    }
}

fn to_json(query: &Query<'_>) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for (key, value) in query.pairs() {
        let values = fields.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(value.into());
        }
    }
    Value::Object(fields)
}

/// The request as a handler gets it: all of it, but for what the client proved itself with.
fn passed_on(parts: &Parts, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.version_mut() = parts.version;
    *request.headers_mut() = without_credentials(&parts.headers);
    *request.extensions_mut() = parts.extensions.clone();
    request
}

fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    let secret = |name: &HeaderName| {
        [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE].contains(name)
            || ["impersonate-", "x-remote-"].iter().any(|start| name.as_str().starts_with(start))
    };
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !secret(name)) {
        kept.append(name, value.clone());
    }
    websocket::remove_bearer(&mut kept);
    kept
}

/// A body of any kind as the kit's own.
pub(crate) fn body_of<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display + Send,
{
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::stream(
        body.into_data_stream().map(|chunk| chunk.map_err(|e| BoxError::from(e.to_string()))),
    )
}

/// A streamed body, which ends with the server, and is cut off when its time is up.
fn bounded(body: Body, deadline: Option<Instant>, closing: CancellationToken) -> Body {
    if body.as_bytes().is_some() {
        return body;
    }
    let chunks =
        futures_util::stream::unfold(Some(body.into_data_stream()), move |body| async move {
            let mut body = body?;
            let late = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                chunk = body.next() => Some((chunk?, Some(body))),
                () = late => Some((Err("the answer took too long".into()), None)),
            }
        });
    Body::stream(chunks.take_until(Box::pin(closing.cancelled_owned())))
}
