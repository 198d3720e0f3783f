//! Answers: values, bytes that are JSON already, and `Status` errors.

use std::collections::HashSet;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use milo_core::status::StatusError;
use serde::Serialize;

use crate::{body::Body, media::Encoding};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Bytes that are encoded already. Bodies end with a newline, as upstream's do.
pub(crate) fn encoded(code: StatusCode, encoding: Encoding, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, encoding.content_type());
    response
}

/// Bytes that are JSON already.
pub(crate) fn json(code: StatusCode, body: Body) -> Response<Body> {
    encoded(code, Encoding::Json, body)
}

/// Any serializable value.
pub(crate) fn value<T: Serialize>(
    code: StatusCode,
    value: &T,
    encoding: Encoding,
) -> Response<Body> {
    match encoding.encode(value) {
        Ok(bytes) => encoded(code, encoding, Body::full(Bytes::from(bytes))),
        Err(cause) => error(&cause, Encoding::Json),
    }
}

/// An error, with its code and `Retry-After`.
pub(crate) fn error(error: &StatusError, encoding: Encoding) -> Response<Body> {
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = encoding.encode(&error.to_status()).unwrap_or_default();
    let mut response = encoded(code, encoding, Body::full(Bytes::from(bytes)));
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if code == StatusCode::FORBIDDEN {
        let nosniff = HeaderValue::from_static("nosniff");
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    }
    response
}

/// Plain text for people and probes.
pub(crate) fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// The value of a `Warning` header (`spec/wire.md` section 2.10).
pub(crate) fn warning(text: &str) -> Option<HeaderValue> {
    let mut value = String::with_capacity(text.len() + 12);
    value.push_str("299 - \"");
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value.push('"');
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// Adds warnings to an answer: each once, and no more than clients and proxies put up with. When
/// all of them are too long, each is cut, and those that are too many are left out.
pub(crate) fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    const TOTAL: usize = 4096;
    const EACH: usize = 256;
    let total: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    let each = if total > TOTAL { EACH } else { TOTAL };
    let (mut seen, mut written) = (HashSet::new(), 0);
    for warning in warnings {
        let text: String = warning.chars().take(each).collect();
        let length = text.chars().count();
        if written + length > TOTAL {
            break;
        }
        if seen.insert(warning.as_str())
            && let Some(value) = self::warning(&text)
        {
            written += length;
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
