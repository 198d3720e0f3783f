//! The listener and peers that stall: responses that are not read, bodies that trickle, and watches,
//! which are only quiet.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod edge_support;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use edge_support::{
    Client, ORGANIZATIONS, PROTOCOLS, SOON, TestServer, connect, connector, hierarchy, pki, short,
};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use milo_apiserver_kit::{listener::Limits, tls::Tls};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Limits under which a reader has to be quick.
fn impatient() -> Limits {
    let mut limits = short();
    limits.write_timeout = Duration::from_millis(200);
    limits
}

/// Asks for a response, leaves it unread, and waits until the server gives it up.
async fn leave_unread(server: &TestServer, connector: &TlsConnector, path: &str) {
    let mut client = Client::open(connector, server.address).await.unwrap();
    let unread = client.send(path).await.unwrap();
    let freed = timeout(SOON, server.signals.freed.notified()).await;
    assert!(freed.is_ok(), "{path} is held for a client that does not read");
    drop(unread);
}

#[tokio::test]
async fn responses_that_are_not_read_are_given_up() {
    let pki = pki();
    let server = TestServer::start(Tls::from_pki(&pki).unwrap(), impatient()).await;
    for protocol in PROTOCOLS {
        let connector = connector(pki.ca_certificate(), None, protocol);
        for path in ["/huge", "/endless"] {
            leave_unread(&server, &connector, path).await;
        }
    }
}

#[tokio::test]
async fn a_shut_window_closes_the_connection_although_others_are_served_on_it() {
    let pki = pki();
    let server = TestServer::start(Tls::from_pki(&pki).unwrap(), impatient()).await;
    let connector = connector(pki.ca_certificate(), None, b"h2");
    for path in ["/huge", "/endless"] {
        let mut client = Client::open(&connector, server.address).await.unwrap();
        let unread = client.send(path).await.unwrap();
        let busy = async { while client.get("/").await.is_ok() {} };
        timeout(SOON, busy).await.expect("the connection stays open");
        timeout(SOON, server.signals.freed.notified()).await.expect("the response is held");
        drop(unread);
    }
}

/// A stream of which only the first bytes are read, while it stays open.
struct Deaf {
    stream: TlsStream<TcpStream>,
    left: usize,
}

impl AsyncRead for Deaf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        result
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_peer_that_leaves_its_socket_unread_is_cut() {
    let pki = pki();
    let server = TestServer::start(Tls::from_pki(&pki).unwrap(), impatient()).await;
    let connector = |protocol| connector(pki.ca_certificate(), None, protocol);
    let mut stream = connect(&connector(b"http/1.1"), server.address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    timeout(SOON, server.signals.freed.notified()).await.expect("the response is held");

    // The windows of this one are wide open.
    let deaf = connect(&connector(b"h2"), server.address).await.unwrap();
    let deaf = TokioIo::new(Deaf { stream: deaf, left: 64 << 10 });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let (mut sender, connection) = builder.handshake(deaf).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("https://localhost/endless").body(Empty::<Bytes>::new()).unwrap();
    let unread = sender.send_request(request).await.unwrap();
    timeout(SOON, server.signals.freed.notified()).await.expect("the response is held");
    drop((stream, unread, connection));
}

#[tokio::test]
async fn a_watch_in_which_nothing_happens_is_left_alone() {
    let pki = pki();
    let server = TestServer::start(Tls::from_pki(&pki).unwrap(), impatient()).await;
    for protocol in PROTOCOLS {
        let connector = connector(pki.ca_certificate(), None, protocol);
        let mut watcher = Client::open(&connector, server.address).await.unwrap();
        let mut events = watcher.send("/watch").await.unwrap().into_body();
        assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), "first\n");
        // The time limit passes, twice.
        for _ in 0..2 {
            leave_unread(&server, &connector, "/endless").await;
        }
        server.signals.release.notify_one();
        let rest = timeout(SOON, events.collect()).await.unwrap().unwrap();
        assert_eq!(rest.to_bytes(), "last\n");
    }
}

#[tokio::test]
async fn a_request_body_that_trickles_ends_with_its_request() {
    let (_server, mut stream) = hierarchy().await;
    let head = format!(
        "POST {ORGANIZATIONS}?timeout=300ms HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\
         content-type: application/json\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let trickle = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while writer.write_all(b" ").await.is_ok() {
            ticks.tick().await;
        }
    };
    let mut answer = Vec::new();
    let answered = async {
        let _ = timeout(SOON, reader.read_to_end(&mut answer)).await.expect("still open");
    };
    tokio::select! {
        () = answered => {}
        () = trickle => {}
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
}
