//! `spec/wire.md` sections 4.6 and 5.2: watches over WebSocket, with a client of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod support;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use milo_apiserver_kit::{ServerBuilder, authn::StaticTokens, testing::TestServer};
use milo_core::{identity::UserInfo, storage::Memory};
use serde_json::{Value, json};
use support::{GROUP, Wire, soon, version};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};
use tower::ServiceExt as _;

type Socket<S> = WebSocketStream<S>;

async fn open<S>(
    stream: S,
    url: &str,
    headers: &[(&'static str, &str)],
) -> Result<(Socket<S>, http::HeaderMap), tungstenite::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("wss://milo{GROUP}/{url}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let (socket, response) = soon(client_async(request, stream)).await?;
    Ok((socket, response.headers().clone()))
}

/// The next event; none at the end.
async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>) -> Option<Value> {
    loop {
        match soon(socket.next()).await? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

#[tokio::test]
async fn each_event_is_a_message() {
    let wire = Wire::start().await;
    let a = wire.organization("a").await;
    let b = wire.organization("b").await;
    let url = "organizations?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let stream = wire.tls(b"http/1.1").await;
    let (mut socket, headers) =
        open(stream, url, &[("sec-websocket-protocol", "events, others")]).await.unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "events", "one that was offered");
    assert_eq!(next(&mut socket).await.unwrap(), json!({"type": "ADDED", "object": a}), "4.6");
    assert_eq!(next(&mut socket).await.unwrap(), json!({"type": "ADDED", "object": b}), "4.6");
    let bookmark = next(&mut socket).await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK", "4.5");
    assert_eq!(version(&bookmark["object"]), version(&b), "4.5");
    // What the client says is not listened to; a ping is answered.
    socket.send(Message::Text("anything".into())).await.unwrap();
    socket.send(Message::Binary(vec![0; 1000].into())).await.unwrap();
    socket.send(Message::Ping(b"there?".as_slice().into())).await.unwrap();
    let pong = soon(socket.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(b"there?".as_slice().into()));
    let touched = wire.touch("a", "x").await;
    let event = next(&mut socket).await.unwrap();
    assert_eq!((&event["type"], version(&event["object"])), (&"MODIFIED".into(), touched), "4.6");
    // Close ends it, in good form.
    socket.close(None).await.unwrap();
    assert!(next(&mut socket).await.is_none(), "4.6");
}

#[tokio::test]
async fn the_watch_ends_as_any_other() {
    let wire = Wire::start().await;
    let watch = "organizations?watch=true";
    let stream = wire.tls(b"http/1.1").await;
    let url = format!("{watch}&timeoutSeconds=1");
    let (mut timed, _) = open(stream, &url, &[]).await.unwrap();
    let last = soon(timed.next()).await.unwrap().unwrap();
    assert!(matches!(last, Message::Close(_)), "4.6: its time is up: {last:?}");
    // An error is an event, and then nothing.
    let stream = wire.tls(b"http/1.1").await;
    let (mut failing, _) =
        open(stream, &format!("{watch}&resourceVersion=99999"), &[]).await.unwrap();
    let error = next(&mut failing).await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&"ERROR".into(), &504.into()), "4.6");
    assert!(next(&mut failing).await.is_none(), "4.6");
    let stream = wire.tls(b"http/1.1").await;
    let (mut left, _) = open(stream, watch, &[]).await.unwrap();
    let Wire { server, .. } = wire;
    let ends = async {
        let last = soon(left.next()).await.unwrap().unwrap();
        assert!(matches!(last, Message::Close(_)), "4.6: the server stops: {last:?}");
        assert!(next(&mut left).await.is_none());
    };
    tokio::join!(soon(server.stop()), ends);
}

#[tokio::test]
async fn what_is_refused_is_refused_before_the_upgrade() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let watch = "organizations?watch=true";
    for (url, headers, code) in [
        ("organizations?watch=true&resourceVersion=x", &[][..], 400),
        ("nothings?watch=true", &[], 404),
        ("watch/organizations/a?fieldSelector=metadata.name%3Db", &[], 400),
        (watch, &[("sec-websocket-version", "8")], 400),
        (watch, &[("origin", "https://evil.example")], 403),
        // No page can make up for its origin by a token that nobody looks at.
        (
            watch,
            &[
                ("origin", "https://evil.example"),
                ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.eA, events"),
            ],
            401,
        ),
        // These have no stream to speak.
        ("organizations", &[], 200),
        ("organizations/a", &[], 200),
    ] {
        let stream = wire.tls(b"http/1.1").await;
        let error = open(stream, url, headers).await.unwrap_err();
        let tungstenite::Error::Http(response) = error else { panic!("{url}: {error}") };
        assert_eq!(response.status(), code, "4.6: {url} {headers:?}");
    }
    let stream = wire.tls(b"http/1.1").await;
    let (mut socket, _) =
        open(stream, "watch/organizations/a", &[("origin", "https://milo")]).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap()["object"]["metadata"]["name"], "a", "2.1");
}

#[tokio::test]
async fn a_token_may_come_as_a_subprotocol() {
    let tokens = StaticTokens::single("s3cr3t", UserInfo::new("ann").with_group("system:masters"));
    let storage = Arc::new(Memory::new());
    let server =
        TestServer::start_with_tokens(storage, Some(tokens), ServerBuilder::hierarchy).await;
    let mut wire = Wire::around(server.unwrap()).await;
    wire.organization("a").await;
    wire.connect_as(None).await;
    let bearer = |token: &str| {
        format!("base64url.bearer.authorization.k8s.io.{}", URL_SAFE_NO_PAD.encode(token))
    };
    let good = format!("{}, events", bearer("s3cr3t"));
    for (protocols, code) in [
        ("events", 401),
        (&format!("{}, events", bearer("wrong")), 401),
        // There has to be one that can be agreed on.
        (&bearer("s3cr3t"), 401),
    ] {
        let stream = wire.tls_as(None, b"http/1.1").await;
        let headers = [("sec-websocket-protocol", protocols)];
        let error = open(stream, "organizations?watch=true", &headers).await.unwrap_err();
        let tungstenite::Error::Http(response) = error else { panic!("{error}") };
        assert_eq!(response.status(), code, "5.2: {protocols}");
    }
    // A page of another origin has to bring a token, and then may.
    for origin in ["https://milo", "https://dashboard.example"] {
        let stream = wire.tls_as(None, b"http/1.1").await;
        let headers = [("sec-websocket-protocol", good.as_str()), ("origin", origin)];
        let (mut socket, headers) = open(stream, "organizations?watch=1", &headers).await.unwrap();
        assert_eq!(headers["sec-websocket-protocol"], "events", "5.2: never the token");
        assert_eq!(next(&mut socket).await.unwrap()["type"], "ADDED", "5.2");
    }
}

/// Another program's server, which knows nothing of the kit's listener.
async fn nested(server: &TestServer) -> DuplexStream {
    let (client, stream) = tokio::io::duplex(64 * 1024);
    let service = server.service();
    let service = service_fn(move |request: Request<Incoming>| {
        let service = service.clone();
        service.oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn it_works_in_another_programs_server() {
    let tokens = StaticTokens::single("s3cr3t", UserInfo::new("ann").with_group("system:masters"));
    let storage = Arc::new(Memory::new());
    let server =
        TestServer::start_with_tokens(storage, Some(tokens), ServerBuilder::hierarchy).await;
    let wire = Wire::around(server.unwrap()).await;
    wire.organization("a").await;
    let headers = [("authorization", "Bearer s3cr3t")];
    let stream = nested(&wire.server).await;
    let (mut socket, _) = open(stream, "organizations?watch=true", &headers).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap()["object"]["metadata"]["name"], "a");
    wire.organization("b").await;
    assert_eq!(next(&mut socket).await.unwrap()["object"]["metadata"]["name"], "b");
}

/// Pongs that nobody takes would otherwise pile up.
#[tokio::test]
async fn a_client_that_pings_and_does_not_read_is_not_listened_to() {
    let tokens = StaticTokens::single("s3cr3t", UserInfo::new("ann").with_group("system:masters"));
    let storage = Arc::new(Memory::new());
    let server =
        TestServer::start_with_tokens(storage, Some(tokens), ServerBuilder::hierarchy).await;
    let wire = Wire::around(server.unwrap()).await;
    let stream = nested(&wire.server).await;
    let headers = [("authorization", "Bearer s3cr3t")];
    let (mut socket, _) = open(stream, "organizations?watch=true", &headers).await.unwrap();
    let flood = async {
        for _ in 0..100_000 {
            let ping = Message::Ping(vec![0; 125].into());
            // Polls for writing only: what the server answers stays where it is.
            let sent = futures_util::future::poll_fn(|cx| {
                let mut socket = std::pin::Pin::new(&mut socket);
                std::task::ready!(futures_util::Sink::poll_ready(socket.as_mut(), cx))?;
                std::task::Poll::Ready(futures_util::Sink::start_send(socket, ping.clone()))
            });
            sent.await.unwrap();
        }
    };
    tokio::time::pause();
    let accepted = tokio::time::timeout(std::time::Duration::from_secs(5), flood).await;
    assert!(accepted.is_err(), "4.6: all pings were read");
}
