//! Watches over WebSocket: the same URL with an `Upgrade`, one message per event
//! (`spec/wire.md` sections 4.6 and 5.2).
//!
//! A browser can neither read a stream line by line in every case nor send an `Authorization`
//! header with a WebSocket, so the bearer token may come as a subprotocol.

use std::{borrow::Cow, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        AUTHORIZATION, CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    request::Parts,
};
use http_body_util::BodyExt as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use milo_core::status::StatusError;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Message, Role, WebSocketConfig},
    },
};

use crate::{body::Body, listener::Upgrade};

/// What comes before the token in the subprotocol that carries it.
const BEARER: &str = "base64url.bearer.authorization.k8s.io.";
/// How long a peer may take nothing, where the listener does not say.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// What clients say is not listened to, so that little of it is taken.
const MAX_MESSAGE: usize = 64 * 1024;

/// Whether a request asks for a WebSocket.
fn is_wanted(headers: &HeaderMap) -> bool {
    let has =
        |name, wanted: &str| words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted));
    has(CONNECTION, "upgrade") && has(UPGRADE, "websocket")
}

/// The comma-separated values of a header.
fn words(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// The headers of a request, with an `Authorization` header in place of the subprotocol that
/// carries its token.
///
/// # Errors
/// 401 when that token cannot be read, or comes without the subprotocol that is to be agreed on.
pub(crate) fn with_bearer(headers: &HeaderMap) -> Result<Cow<'_, HeaderMap>, StatusError> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) || !is_wanted(headers) {
        return Ok(Cow::Borrowed(headers));
    }
    let mut tokens = words(headers, SEC_WEBSOCKET_PROTOCOL).filter_map(|p| p.strip_prefix(BEARER));
    let Some(token) = tokens.next() else { return Ok(Cow::Borrowed(headers)) };
    if tokens.next().is_some() || protocol(headers).is_none() {
        return Err(StatusError::unauthorized());
    }
    if headers.contains_key(AUTHORIZATION) {
        return Ok(Cow::Borrowed(headers));
    }
    let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| StatusError::unauthorized())?;
    let value = HeaderValue::from_bytes(&[b"Bearer ", token.as_slice()].concat());
    let mut headers = headers.clone();
    headers.insert(AUTHORIZATION, value.map_err(|_| StatusError::unauthorized())?);
    Ok(Cow::Owned(headers))
}

/// The subprotocol that is agreed on: the first one that is no token.
fn protocol(headers: &HeaderMap) -> Option<&str> {
    words(headers, SEC_WEBSOCKET_PROTOCOL).find(|protocol| !protocol.starts_with(BEARER))
}

/// Lets a watch speak WebSocket, if the client asks for it and the connection can be taken over.
///
/// # Errors
/// 400 when the handshake is none, 403 when a page of another origin would borrow the certificate
/// of whoever looks at it.
pub(crate) fn accept(parts: &Parts, watch: Response<Body>) -> Result<Response<Body>, StatusError> {
    let headers = &parts.headers;
    let on_upgrade = parts.extensions.get::<OnUpgrade>();
    let Some(on_upgrade) = on_upgrade.filter(|_| is_wanted(headers)) else { return Ok(watch) };
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let version = headers.get(SEC_WEBSOCKET_VERSION);
    let (Some(key), Some("13")) = (key, version.and_then(|version| version.to_str().ok())) else {
        return Err(StatusError::bad_request(
            "the request is no handshake of WebSocket version 13",
        ));
    };
    check_origin(headers)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accepted = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let protocol = protocol(headers).map(HeaderValue::from_str);
    let to = response.headers_mut();
    to.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    to.insert(UPGRADE, HeaderValue::from_static("websocket"));
    to.extend(accepted.ok().map(|value| (SEC_WEBSOCKET_ACCEPT, value)));
    to.extend(protocol.and_then(Result::ok).map(|value| (SEC_WEBSOCKET_PROTOCOL, value)));
    let upgrade = parts.extensions.get::<Upgrade>().cloned();
    tokio::spawn(run(on_upgrade.clone(), watch.into_body(), upgrade));
    Ok(response)
}

/// Refuses a WebSocket for a page of another origin.
///
/// # Errors
/// 403.
pub(crate) fn check_origin(headers: &HeaderMap) -> Result<(), StatusError> {
    if !is_wanted(headers) || is_same_origin(headers) {
        return Ok(());
    }
    let why = "a WebSocket from another origin takes a bearer token";
    Err(StatusError::forbidden_path(why))
}

/// Whether only a token may say who sent a request: a page of another origin can make up a token,
/// and must not be let in by the certificate that the browser sends along.
pub(crate) fn needs_token(headers: &HeaderMap) -> bool {
    is_wanted(headers) && !is_own_page(headers) && has_token(headers)
}

/// Takes away the subprotocol that carries a token.
pub(crate) fn remove_bearer(headers: &mut HeaderMap) {
    if !words(headers, SEC_WEBSOCKET_PROTOCOL).any(|word| word.starts_with(BEARER)) {
        return;
    }
    let others: Vec<&str> =
        words(headers, SEC_WEBSOCKET_PROTOCOL).filter(|word| !word.starts_with(BEARER)).collect();
    let others = HeaderValue::from_str(&others.join(", "));
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    headers.extend(others.ok().filter(|o| !o.is_empty()).map(|o| (SEC_WEBSOCKET_PROTOCOL, o)));
}

/// A browser sends the client certificate along with whatever page asks for it, and unlike an
/// ordinary answer lets that page read a WebSocket. A token it does not send by itself; where there
/// is one, nothing else was believed (see [`needs_token`]).
fn is_same_origin(headers: &HeaderMap) -> bool {
    is_own_page(headers) || has_token(headers)
}

fn has_token(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
        || words(headers, SEC_WEBSOCKET_PROTOCOL).any(|word| word.starts_with(BEARER))
}

/// Whether no page asks, or one of this very server.
fn is_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin == host)
}

/// Sends the events of a watch until it ends or the client has enough.
async fn run(on_upgrade: OnUpgrade, mut events: Body, upgrade: Option<Upgrade>) {
    let _open = upgrade.as_ref().map(Upgrade::begin);
    let write_timeout = upgrade.as_ref().map_or(WRITE_TIMEOUT, |upgrade| upgrade.write_timeout);
    let Ok(upgraded) = on_upgrade.await else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    loop {
        tokio::select! {
            said = socket.next() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                // A ping has its answer taken before the next one is read: they must not pile up.
                Some(Ok(_)) => {
                    if !matches!(timeout(write_timeout, socket.flush()).await, Ok(Ok(()))) {
                        return;
                    }
                }
            },
            event = events.frame() => {
                let Some(Ok(Ok(lines))) = event.map(|e| e.map(http_body::Frame::into_data)) else {
                    break;
                };
                // A client that takes nothing is not waited for: it resumes from where it was.
                if !matches!(timeout(write_timeout, send(&mut socket, lines)).await, Ok(true)) {
                    return;
                }
            }
        }
    }
    let goodbye = async {
        let _ = socket.close(None).await;
        // Closing is refused when the client has said goodbye first: its answer waits here.
        socket.flush().await
    };
    let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
}

/// Sends each line as a message. Whether that went well.
async fn send(socket: &mut WebSocketStream<TokioIo<Upgraded>>, mut lines: Bytes) -> bool {
    while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
        let mut line = lines.split_to(end + 1);
        line.truncate(end);
        let Ok(text) = line.try_into() else { return false };
        if socket.feed(Message::Text(text)).await.is_err() {
            return false;
        }
    }
    socket.flush().await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let upgrade = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        let pairs = upgrade.iter().chain(pairs);
        let pair = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.map(pair).collect()
    }

    #[test]
    fn the_token_is_a_subprotocol_among_others() {
        let token = format!("{BEARER}{}", URL_SAFE_NO_PAD.encode("s3cr3t"));
        let bearer = |protocols: &str| {
            with_bearer(&headers(&[("sec-websocket-protocol", protocols)]))
                .map(|headers| headers.get(AUTHORIZATION).cloned())
                .map_err(|error| error.code())
        };
        let found = Ok(Some(HeaderValue::from_static("Bearer s3cr3t")));
        assert_eq!(bearer(&format!("{token}, events")), found);
        assert_eq!(bearer(&format!("events,{token}")), found);
        assert_eq!(bearer("events"), Ok(None));
        assert_eq!(bearer(&token), Err(401), "there is nothing to agree on");
        assert_eq!(bearer(&format!("{token}, {token}, events")), Err(401));
        assert_eq!(bearer(&format!("{BEARER}!, events")), Err(401));
        assert_eq!(bearer(&format!("{BEARER}{}, events", URL_SAFE_NO_PAD.encode("\n"))), Err(401));
        let mut plain = HeaderMap::new();
        plain.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&token).unwrap());
        assert!(with_bearer(&plain).unwrap().get(AUTHORIZATION).is_none(), "no WebSocket");
    }

    #[test]
    fn pages_of_others_do_not_borrow_certificates() {
        let token = format!("{BEARER}eA, events");
        for (pairs, same) in [
            (&[("host", "milo:6443")][..], true),
            (&[("host", "milo:6443"), ("origin", "https://milo:6443")], true),
            (&[("host", "milo:6443"), ("origin", "https://evil.example")], false),
            (&[("host", "milo:6443"), ("origin", "null")], false),
            (
                &[("origin", "https://dash.example"), ("sec-websocket-protocol", token.as_str())],
                true,
            ),
            (&[("origin", "https://dash.example"), ("authorization", "Bearer x")], true),
        ] {
            assert_eq!(is_same_origin(&headers(pairs)), same, "{pairs:?}");
        }
    }
}
