//! Subresources that answer HTTP themselves.

use async_trait::async_trait;
use http::{Method, Request, Response};
use milo_core::status::StatusError;
use tokio_util::sync::CancellationToken;

use super::RestRequest;
use crate::body::Body;

/// Answers requests to a subresource, such as `log`: with one answer, with a stream, or by
/// switching protocols.
///
/// The object need not exist; a handler that needs it reads it. Where a kind is only seen, the kit
/// has looked whether this object can be.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// Answers one request. A body that is a stream is sent as it is produced; it is dropped when
    /// the client goes away.
    ///
    /// # Errors
    /// Whatever the client should be told.
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Response<Body>, StatusError>;
}

/// What a [`Connect`] handler is asked.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectRequest<'a> {
    /// The object and who asks. [`RestRequest::name`] is the name of the object.
    pub resource: RestRequest<'a>,
    /// What follows the name of the subresource in the path, with its leading slash; empty when
    /// nothing does. It is decoded, and holds no segment `.` or `..`.
    pub path: &'a str,
    /// Method, query, headers and body, as the client sent them, without its credentials. The
    /// extensions hold hyper's `OnUpgrade` when the connection can switch protocols.
    pub http: Request<Body>,
    pub(crate) closing: CancellationToken,
}

impl ConnectRequest<'_> {
    /// Completes when the server shuts down. Streams are ended by the kit then; a connection that
    /// speaks another protocol is the handler's to end.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + 'static {
        self.closing.clone().cancelled_owned()
    }
}

/// How a subresource is reached.
#[derive(Clone, Debug)]
#[must_use]
pub struct ConnectOptions {
    pub(crate) methods: Vec<Method>,
    pub(crate) long_running: bool,
    pub(crate) paths: bool,
}

impl ConnectOptions {
    /// Answers `GET`, within the time that other requests have.
    pub fn get() -> Self {
        Self::methods([Method::GET])
    }

    /// Answers these methods, within the time that other requests have.
    pub fn methods(methods: impl IntoIterator<Item = Method>) -> Self {
        Self { methods: methods.into_iter().collect(), long_running: false, paths: false }
    }

    /// Whether a method is answered. `HEAD` is, where `GET` is.
    pub(crate) fn answers(&self, method: &Method) -> bool {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.methods.contains(method)
    }

    /// Has no time limit and is not counted among the requests in flight: for streams.
    pub fn long_running(mut self) -> Self {
        self.long_running = true;
        self
    }

    /// Also answers paths below the subresource.
    pub fn with_paths(mut self) -> Self {
        self.paths = true;
        self
    }
}
