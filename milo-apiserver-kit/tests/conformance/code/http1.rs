//! What is on the wire of HTTP/1.1: framing of streams, WebSockets.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::{
    case::{Case, Outcome},
    fixture::Cx,
    support::{self, matches, soon, version},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::code("4.6", "stream-is-chunked", |cx| Box::pin(chunked(cx))),
        Case::code("4.6", "stream-is-one-object-per-line", |cx| Box::pin(lines(cx))),
        Case::code("4.6", "websocket-is-one-message-per-event", |cx| Box::pin(websocket(cx))),
        Case::code("4.6", "websocket-ends-when-the-client-closes", |cx| Box::pin(closing(cx))),
        Case::code("4.6", "websocket-bad-request-is-http", |cx| Box::pin(bad_websocket(cx))),
        Case::code("0.3", "http1-head-has-a-length-and-no-body", |cx| Box::pin(head(cx))),
        Case::code("0.1", "audit-id-is-there-once", |cx| Box::pin(audit_id(cx))),
    ]
}

async fn connect(cx: &Cx) -> TlsStream<TcpStream> {
    let server = &cx.shared.server;
    support::tls(server, Some(server.pki().admin()), b"http/1.1").await
}

async fn send(cx: &Cx, method: &str, url: &str, close: bool) -> TlsStream<TcpStream> {
    let mut stream = connect(cx).await;
    let connection = if close { "connection: close\r\n" } else { "" };
    let head = format!("{method} {} HTTP/1.1\r\nhost: milo\r\n{connection}\r\n", cx.url(url));
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Reads until the text ends as it should.
async fn read_until(stream: &mut TlsStream<TcpStream>, done: impl Fn(&str) -> bool) -> String {
    let mut seen = String::new();
    while !done(&seen) {
        let mut buffer = [0; 4096];
        let count = soon(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(count, 0, "the connection ended after {seen:?}");
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    seen
}

async fn create(cx: &Cx, name: &str) -> Value {
    cx.call("POST", "widgets").json(&json!({"metadata": {"name": name}})).send().await.created()
}

fn expect(pattern: &str, text: &str) -> Outcome {
    if matches(pattern, text) { Ok(()) } else { Err(format!("{text:?} is not {pattern:?}")) }
}

async fn chunked(cx: Cx) -> Outcome {
    let now = version(&cx.call("GET", "widgets").send().await.ok());
    let mut stream =
        send(&cx, "GET", &format!("widgets?watch=true&resourceVersion={now}"), false).await;
    // The headers come although nothing has happened.
    let head = read_until(&mut stream, |seen| seen.ends_with("\r\n\r\n")).await.to_lowercase();
    expect("http/1.1 200 ok\r\n…", &head)?;
    expect("…\r\ntransfer-encoding: chunked\r\n…", &head)?;
    expect("…\r\ncontent-type: application/json\r\n…", &head)
}

async fn lines(cx: Cx) -> Outcome {
    let now = version(&cx.call("GET", "widgets").send().await.ok());
    let mut stream =
        send(&cx, "GET", &format!("widgets?watch=true&pretty=true&resourceVersion={now}"), false)
            .await;
    read_until(&mut stream, |seen| seen.ends_with("\r\n\r\n")).await;
    create(&cx, "a").await;
    let event = read_until(&mut stream, |seen| seen.ends_with("}\n\r\n")).await;
    expect("…\r\n{\"type\":\"ADDED\",\"object\":{…}}\n\r\n", &event)?;
    let lines = event.matches('\n').count();
    // The length of the chunk, the event, the end of the chunk.
    if lines == 3 { Ok(()) } else { Err(format!("{lines} lines in {event:?}")) }
}

async fn websocket(cx: Cx) -> Outcome {
    let url = format!("ws://milo{}", cx.url("widgets?watch=true"));
    create(&cx, "a").await;
    let stream = connect(&cx).await;
    let request = url.into_client_request().unwrap();
    let (mut socket, response) =
        soon(client_async(request, stream)).await.map_err(|e| e.to_string())?;
    if response.status() != 101 {
        return Err(format!("answers {}", response.status()));
    }
    create(&cx, "b").await;
    // What a client says is not listened to.
    socket.send(Message::text("hello")).await.map_err(|error| error.to_string())?;
    for name in ["a", "b"] {
        let message = soon(socket.next()).await.ok_or("it ends")?.map_err(|e| e.to_string())?;
        let Message::Text(text) = message else { return Err(format!("{message:?} is no text")) };
        let event: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if (&event["type"], &event["object"]["metadata"]["name"]) != (&"ADDED".into(), &name.into())
        {
            return Err(format!("{event} is not ADDED {name}"));
        }
    }
    Ok(())
}

async fn closing(cx: Cx) -> Outcome {
    let url = format!("ws://milo{}", cx.url("widgets?watch=true"));
    let stream = connect(&cx).await;
    let (mut socket, _) =
        soon(client_async(url, stream)).await.map_err(|error| error.to_string())?;
    socket.close(None).await.map_err(|error| error.to_string())?;
    match soon(socket.next()).await {
        Some(Ok(Message::Close(_))) => Ok(()),
        other => Err(format!("{other:?} comes instead of the goodbye")),
    }
}

async fn bad_websocket(cx: Cx) -> Outcome {
    let url = format!("ws://milo{}", cx.url("widgets?watch=true&resourceVersion=x"));
    let stream = connect(&cx).await;
    match soon(client_async(url, stream)).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) if response.status() == 400 => {
            Ok(())
        }
        other => Err(format!("the handshake is answered with {:?}", other.map(|_| "success"))),
    }
}

async fn head(cx: Cx) -> Outcome {
    create(&cx, "a").await;
    let mut stream = send(&cx, "HEAD", "widgets/a", true).await;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.map_err(|error| error.to_string())?;
    expect(
        "HTTP/1.1 200 OK\r\n…\r\ncontent-length: …\r\n\r\n",
        &answer.replace("Content-Length", "content-length"),
    )
    .or_else(|_| expect("HTTP/1.1 200 OK\r\n…content-length: …\r\n…\r\n\r\n", &answer))
}

async fn audit_id(cx: Cx) -> Outcome {
    let mut stream = send(&cx, "GET", "widgets", true).await;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.map_err(|error| error.to_string())?;
    let count = answer.to_lowercase().matches("audit-id:").count();
    if count == 1 { Ok(()) } else { Err(format!("{count} times")) }
}
