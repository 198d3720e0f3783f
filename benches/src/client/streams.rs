//! HTTP/2 connections, on which many answers are under way at once.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::uri::Scheme;
use http::{Uri, header::HOST};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{ApiRequest, Endpoint, Failure, accept};

/// One connection; it lives as long as this or an answer on it.
pub(crate) struct Streams {
    endpoint: Arc<Endpoint>,
    sender: SendRequest<Full<Bytes>>,
}

impl Streams {
    /// # Errors
    ///
    /// When there is no connection to be had.
    pub(crate) async fn connect(endpoint: Arc<Endpoint>) -> Result<Self, Failure> {
        match tokio::time::timeout(endpoint.timeout, Self::connect_unhurried(endpoint)).await {
            Ok(connected) => connected.map_err(|error| Failure::Transport(format!("{error:#}"))),
            Err(_) => Err(Failure::Timeout),
        }
    }

    async fn connect_unhurried(endpoint: Arc<Endpoint>) -> anyhow::Result<Self> {
        let tls = endpoint.handshake(&endpoint.tls_http2).await?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.context("HTTP/2")?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { endpoint, sender })
    }

    /// As [`Connection::open_stream`](super::Connection::open_stream).
    ///
    /// # Errors
    ///
    /// When the answer is not a 2xx, or does not begin in time.
    pub(crate) async fn open(&mut self, mut request: ApiRequest) -> Result<Incoming, Failure> {
        let unusable = |error: http::Error| Failure::Transport(error.to_string());
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = request
            .headers_mut()
            .remove(HOST)
            .map(|host| host.as_bytes().try_into())
            .transpose()
            .map_err(|error: http::uri::InvalidUri| unusable(error.into()))?;
        *request.uri_mut() = Uri::from_parts(parts).map_err(|error| unusable(error.into()))?;
        match tokio::time::timeout(self.endpoint.timeout, self.sender.send_request(request)).await {
            Ok(answered) => accept(answered?).await,
            Err(_) => Err(Failure::Timeout),
        }
    }
}
