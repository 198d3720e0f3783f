//! The listener while it changes: a graceful shutdown and its end, certificates that are replaced.

mod edge_support;

use std::{convert::Infallible, fs, future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use edge_support::{Client, PROTOCOLS, SOON, TestServer, connector, get, pki, short, start};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use milo_apiserver_kit::{
    body::Body,
    listener::Listener,
    pki::Pki,
    tls::{Tls, TlsFiles},
};
use tokio::{net::TcpStream, sync::oneshot, time::timeout};

#[tokio::test]
async fn shutdown_lets_open_requests_finish_and_closes_idle_connections() {
    for protocol in PROTOCOLS {
        let pki = pki();
        let mut server = start(&pki).await;
        let connector = connector(pki.ca_certificate(), None, protocol);
        let mut idle = Client::open(&connector, server.address).await.unwrap();
        idle.get("/").await.unwrap();
        let half_open = TcpStream::connect(server.address).await.unwrap();
        let mut busy = Client::open(&connector, server.address).await.unwrap();
        let signals = Arc::clone(&server.signals);
        let address = server.address;
        let stop = async {
            signals.arrived.notified().await;
            server.stop();
            idle.closed().await;
            TcpStream::connect(address).await.unwrap_err();
            signals.release.notify_one();
        };
        let (answer, ()) = tokio::join!(busy.get("/wait"), stop);
        assert_eq!(answer.unwrap(), "waited");
        busy.closed().await;
        server.ended().await;
        drop(half_open);
    }
}

#[tokio::test]
async fn what_does_not_finish_within_the_grace_is_cut() {
    for protocol in PROTOCOLS {
        let pki = pki();
        let mut limits = short();
        limits.shutdown_grace = Duration::from_millis(100);
        let mut server = TestServer::start(Tls::from_pki(&pki).unwrap(), limits).await;
        let connector = connector(pki.ca_certificate(), None, protocol);
        let mut busy = Client::open(&connector, server.address).await.unwrap();
        let signals = Arc::clone(&server.signals);
        let stop = async {
            signals.arrived.notified().await;
            server.stop();
        };
        let (answer, ()) = tokio::join!(busy.get("/wait"), stop);
        answer.unwrap_err();
        server.ended().await;
    }
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let pki = pki();
    let server = start(&pki).await;
    let connector = connector(pki.ca_certificate(), None, b"h2");
    let mut client = Client::open(&connector, server.address).await.unwrap();
    client.get("/").await.unwrap();
    server.done.abort();
    let _ = client.ended().await;
}

#[tokio::test]
async fn certificates_are_replaced_without_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
    let (old, new) = (pki(), pki());
    let install = |pki: &Pki| {
        write("tls.crt", pki.serving().certificate());
        write("tls.key", pki.serving().key());
        write("ca.crt", pki.ca_certificate());
    };
    install(&old);
    let file = |name: &str| root.path().join(name);
    let files = TlsFiles::new(file("tls.crt"), file("tls.key")).with_client_ca(file("ca.crt"));
    let tls = Tls::from_files(files).unwrap();
    let server = TestServer::start(tls.clone(), short()).await;
    let admin = "admin system:masters,system:authenticated";
    let ask = async |pki: &Pki| get(pki.ca_certificate(), Some(pki.admin()), server.address).await;
    assert_eq!(ask(&old).await.unwrap(), admin);
    assert!(!tls.reload().unwrap());

    // Half of a replacement: reported once, and the old pair stays.
    write("tls.crt", new.serving().certificate());
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("tls.crt") && error.contains("tls.key"), "{error}");
    assert!(!tls.reload().unwrap());
    assert_eq!(ask(&old).await.unwrap(), admin);
    fs::remove_file(file("tls.key")).unwrap();
    assert!(tls.reload().unwrap_err().to_string().starts_with("cannot read "));

    install(&new);
    assert!(tls.reload().unwrap());
    assert_eq!(ask(&new).await.unwrap(), admin);
    ask(&old).await.unwrap_err();
}

#[tokio::test]
async fn a_response_body_that_never_ends_is_cut_at_shutdown() {
    let pki = pki();
    let mut limits = short();
    limits.shutdown_grace = Duration::from_millis(100);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Tls::from_pki(&pki).unwrap());
    let listener = listener.await.unwrap().with_limits(limits);
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(async |_: Request<Incoming>| {
        let events = futures_util::stream::unfold(0, async |sent| {
            if sent > 0 {
                pending::<()>().await;
            }
            Some((Ok(Bytes::from("event\n")), sent + 1))
        });
        Ok::<_, Infallible>(Response::new(Body::stream(events)))
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(service, async { drop(stopped.await) }));
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let connector = connector(pki.ca_certificate(), None, protocol);
        let mut client = Client::open(&connector, address).await.unwrap();
        let mut body = client.send("/").await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "event\n");
        tokio::spawn(async move { drop((body.frame().await, client)) });
    }
    stop.send(()).unwrap();
    timeout(SOON, serving).await.expect("the server did not end").unwrap();
}
