//! A client that calls a server without a socket, and sees every byte of the answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use milo_core::identity::{SYSTEM_MASTERS, UserInfo};
use serde_json::Value;
use tower::Service as _;

use crate::{
    authn::{StaticTokens, Union},
    body::{Body, BoxError},
    service::ApiService,
};

/// JSON merge patch (RFC 7386).
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// Server-side apply; JSON is YAML.
pub const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// Longer than anything takes that a test waits for: it bounds a broken one.
const SOON: Duration = Duration::from_secs(20);
const TOKEN: &str = "administrator";

/// What let a server know the [`Client`]: a token of an administrator's. For tests only.
#[must_use]
pub fn administrator() -> Union {
    let user = UserInfo::new("admin").with_group(SYSTEM_MASTERS);
    Union::new().static_tokens(StaticTokens::single(TOKEN, user))
}

/// Calls a server that knows the [`administrator`]. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Client {
    service: ApiService,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The method and the URL.
    asked: String,
}

/// One event of a watch.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub kind: String,
    /// The object, or the `Status` of an error.
    pub object: Value,
}

/// The events of a watch.
#[derive(Debug)]
pub struct Events {
    body: Body,
    buffer: BytesMut,
    url: String,
}

/// What a server must not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The request cannot be sent.
    #[error("the request is none: {0}")]
    Request(#[from] http::Error),
    /// The body broke off.
    #[error("the body broke off: {0}")]
    Body(#[source] BoxError),
    /// What must come did not.
    #[error("nothing came within {} s", SOON.as_secs())]
    Silence,
    /// An answer other than the expected one.
    #[error("{asked}: {found}, not {expected}")]
    Unexpected {
        /// What was sent to where.
        asked: String,
        /// What came.
        found: String,
        /// What should have come.
        expected: String,
    },
    /// A watch whose lines are no events, or that ends inside one.
    #[error("the watch is not made of events: {0:?}")]
    Garbled(Bytes),
    /// A watch has ended that should not have.
    #[error("the watch ended")]
    Ended,
}

impl Client {
    /// A client of a server, which must know the [`administrator`].
    #[must_use]
    pub fn new(service: ApiService) -> Self {
        Self { service }
    }

    /// `GET`.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn get(&self, url: &str) -> Result<Answer, WireError> {
        self.send(Method::GET, url, "", Bytes::new()).await
    }

    /// `POST` of a JSON document.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post(&self, url: &str, body: &Value) -> Result<Answer, WireError> {
        self.send(Method::POST, url, "application/json", body.to_string()).await
    }

    /// `PUT` of a JSON document.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn put(&self, url: &str, body: &Value) -> Result<Answer, WireError> {
        self.send(Method::PUT, url, "application/json", body.to_string()).await
    }

    /// `PATCH`: a [merge patch](MERGE_PATCH), for example.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn patch(&self, url: &str, form: &str, body: &Value) -> Result<Answer, WireError> {
        self.send(Method::PATCH, url, form, body.to_string()).await
    }

    /// `DELETE`, with options when they are not null.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self, url: &str, options: &Value) -> Result<Answer, WireError> {
        if options.is_null() {
            return self.send(Method::DELETE, url, "", Bytes::new()).await;
        }
        self.send(Method::DELETE, url, "application/json", options.to_string()).await
    }

    /// A watch; `url` says so.
    ///
    /// # Errors
    /// When the server does not agree to it.
    pub async fn watch(&self, url: &str) -> Result<Events, WireError> {
        let response = self.respond(Method::GET, url, "", Bytes::new()).await?;
        if response.status() != 200 {
            let answer = collect(format!("GET {url}"), response).await?;
            return Err(answer.unexpected("200"));
        }
        let url = url.to_owned();
        Ok(Events { body: response.into_body(), buffer: BytesMut::new(), url })
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        form: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, WireError> {
        let asked = format!("{method} {url}");
        collect(asked, self.respond(method, url, form, body.into()).await?).await
    }

    async fn respond(
        &self,
        method: Method,
        url: &str,
        form: &str,
        body: Bytes,
    ) -> Result<http::Response<Body>, WireError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        if !form.is_empty() {
            request = request.header(header::CONTENT_TYPE, form);
        }
        let request = request.body(Full::new(body))?;
        Ok(self.service.clone().call(request).await.unwrap_or_else(|never| match never {}))
    }
}

async fn collect(asked: String, response: http::Response<Body>) -> Result<Answer, WireError> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(WireError::Body)?.to_bytes();
    Ok(Answer { code: parts.status.as_u16(), headers: parts.headers, body, asked })
}

impl Answer {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What is expected: 200 or 201.
    ///
    /// # Errors
    /// When it is another answer.
    pub fn ok(&self) -> Result<Value, WireError> {
        match self.code {
            200 | 201 => Ok(self.json()),
            _ => Err(self.unexpected("200 or 201")),
        }
    }

    /// What is expected: this refusal, whose message contains `text`. The `Status`.
    ///
    /// # Errors
    /// When it is another answer.
    pub fn refused(&self, code: u16, reason: &str, text: &str) -> Result<Value, WireError> {
        let status = self.json();
        let message = status["message"].as_str().unwrap_or_default();
        if self.code == code && status["reason"] == reason && message.contains(text) {
            return Ok(status);
        }
        Err(self.unexpected(&format!("{code} {reason} {text:?}")))
    }

    fn unexpected(&self, expected: &str) -> WireError {
        let (asked, expected) = (self.asked.clone(), expected.to_owned());
        let found = format!("{} {}", self.code, String::from_utf8_lossy(&self.body));
        WireError::Unexpected { asked, found, expected }
    }
}

impl Events {
    /// The next event; none when the watch has ended.
    ///
    /// # Errors
    /// When neither comes.
    pub async fn next(&mut self) -> Result<Option<Event>, WireError> {
        tokio::time::timeout(SOON, self.read()).await.unwrap_or(Err(WireError::Silence))
    }

    async fn read(&mut self) -> Result<Option<Event>, WireError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return parse(self.buffer.split_to(end + 1).freeze()).map(Some);
            }
            match self.body.frame().await {
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(WireError::Garbled(self.buffer.split().freeze())),
                Some(frame) => {
                    let frame = frame.map_err(WireError::Body)?;
                    self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
            }
        }
    }

    /// The object of the next event, which must be of this type.
    ///
    /// # Errors
    /// When it is not, or the watch has ended.
    pub async fn expect(&mut self, kind: &str) -> Result<Value, WireError> {
        let event = self.next().await?.ok_or(WireError::Ended)?;
        if event.kind == kind {
            return Ok(event.object);
        }
        let found = format!("{} {}", event.kind, event.object);
        let (asked, expected) = (self.url.clone(), kind.to_owned());
        Err(WireError::Unexpected { asked, found, expected })
    }

    /// All that is left of a watch that ends.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn rest(&mut self) -> Result<Vec<Event>, WireError> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }
}

fn parse(line: Bytes) -> Result<Event, WireError> {
    let mut event: Value =
        serde_json::from_slice(&line).map_err(|_| WireError::Garbled(line.clone()))?;
    let kind = event["type"].as_str().ok_or(WireError::Garbled(line))?.to_owned();
    Ok(Event { kind, object: event["object"].take() })
}
