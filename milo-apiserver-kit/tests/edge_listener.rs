//! The listener over real sockets on loopback: handshakes, certificates, both protocols, limits.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod edge_support;

use std::{fs, future::pending, path::Path, time::Duration};

use bytes::Bytes;
use edge_support::{
    Client, ORGANIZATIONS, PROTOCOLS, SOON, TestServer, connect, connector, get, hierarchy, pki,
    short, start,
};
use http::{Request, Response, Version, header::CONNECTION};
use http_body_util::{BodyExt as _, Empty};
use milo_apiserver_kit::{
    body::Body,
    listener::Listener,
    pki::{PemPair, Pki},
    tls::{Tls, TlsFiles},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn both_protocols_and_their_framing() {
    let pki = pki();
    let server = start(&pki).await;
    for protocol in PROTOCOLS {
        let connector = connector(pki.ca_certificate(), None, protocol);
        let mut client = Client::open(&connector, server.address).await.unwrap();
        for _ in 0..3 {
            let response = client.send("/").await.unwrap();
            let version = if protocol == b"h2" { Version::HTTP_2 } else { Version::HTTP_11 };
            assert_eq!(response.version(), version);
            assert_eq!(response.headers()["content-length"], "2");
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        }
        assert_eq!(client.get("/big").await.unwrap().len(), 1 << 20);
    }
}

#[tokio::test]
async fn the_certificate_says_who_is_calling() {
    let pki = pki();
    let server = start(&pki).await;
    let bob = pki.issue_client("bob", &["dev", "ops"]).unwrap();
    let nameless = pki.issue_client("", &["dev"]).unwrap();
    for protocol in PROTOCOLS {
        for (identity, answer) in [
            (Some(pki.admin()), "admin system:masters,system:authenticated"),
            (Some(&bob), "bob dev,ops,system:authenticated"),
            (Some(&nameless), "nobody"),
            (None, "nobody"),
        ] {
            let connector = connector(pki.ca_certificate(), identity, protocol);
            // The second connection resumes the session of the first, and is the same caller.
            for _ in 0..2 {
                let mut client = Client::open(&connector, server.address).await.unwrap();
                assert_eq!(client.get("/whoami").await.unwrap(), answer);
            }
        }
    }
}

/// A client certificate that was valid yesterday.
fn expired(directory: &Path) -> PemPair {
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let authority = rcgen::KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.crt"), authority).unwrap();
    let key = rcgen::KeyPair::from_pem(&read("admin.key")).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "late");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    fs::write(directory.join("admin.crt"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    PemPair::new(&read("admin.crt"), &read("admin.key"))
}

#[tokio::test]
async fn strangers_and_the_late_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let pki = Pki::open(root.path(), &["localhost".into()]).unwrap();
    let server = start(&pki).await;
    let stranger = self::pki().issue_client("admin", &["system:masters"]).unwrap();
    let serving = pki.issue_serving(&["admin".into()]).unwrap();
    for identity in [&stranger, &serving, &expired(root.path())] {
        get(pki.ca_certificate(), Some(identity), server.address).await.unwrap_err();
    }
    assert_eq!(get(pki.ca_certificate(), None, server.address).await.unwrap(), "nobody");
    // And a client does not take another server for this one.
    get(self::pki().ca_certificate(), None, server.address).await.unwrap_err();
}

#[tokio::test]
async fn without_a_client_authority_certificates_are_not_asked_for() {
    let pki = pki();
    let serving = pki.serving();
    let tls = Tls::from_pem(serving.certificate(), serving.key(), None).unwrap();
    let server = TestServer::start(tls, short()).await;
    let answer = get(pki.ca_certificate(), Some(pki.admin()), server.address).await.unwrap();
    assert_eq!(answer, "nobody");
}

/// Reads to the end; what the server says while hanging up does not matter.
async fn read_to_end(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("not closed");
}

#[tokio::test]
async fn plain_text_does_not_hurt() {
    let pki = pki();
    let server = start(&pki).await;
    for garbage in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], &[0; 64], b"PRI * HTTP/2.0\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        read_to_end(&mut stream).await;
    }
    drop(TcpStream::connect(server.address).await.unwrap());
    assert_eq!(get(pki.ca_certificate(), None, server.address).await.unwrap(), "nobody");
}

#[tokio::test]
async fn half_open_handshakes_block_nobody_and_end() {
    let pki = pki();
    let mut limits = short();
    limits.handshake_timeout = Duration::from_millis(300);
    let server = TestServer::start(Tls::from_pki(&pki).unwrap(), limits).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    silent[0].write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(get(pki.ca_certificate(), None, server.address).await.unwrap(), "nobody");
    for stream in &mut silent {
        read_to_end(stream).await;
    }
}

#[tokio::test]
async fn too_many_handshakes_wait_for_their_turn() {
    let pki = pki();
    let mut limits = short();
    limits.handshakes = 2;
    limits.handshake_timeout = Duration::from_millis(100);
    let server = TestServer::start(Tls::from_pki(&pki).unwrap(), limits).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let start = Instant::now();
    assert_eq!(get(pki.ca_certificate(), None, server.address).await.unwrap(), "nobody");
    assert!(start.elapsed() >= Duration::from_millis(100), "it did not wait");
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let pki = pki();
    let mut limits = short();
    limits.header_timeout = Duration::from_millis(100);
    limits.idle_timeout = Duration::from_millis(200);
    let server = TestServer::start(Tls::from_pki(&pki).unwrap(), limits).await;
    for protocol in PROTOCOLS {
        let connector = connector(pki.ca_certificate(), None, protocol);
        // (hyper's HTTP/1 client calls it an error to be closed before the first request.)
        let _ = Client::open(&connector, server.address).await.unwrap().ended().await;
        let mut used = Client::open(&connector, server.address).await.unwrap();
        used.get("/").await.unwrap();
        used.closed().await;
        // A request that takes longer than the limits is not idleness.
        let mut busy = Client::open(&connector, server.address).await.unwrap();
        let release = async {
            server.signals.arrived.notified().await;
            let mut other = Client::open(&connector, server.address).await.unwrap();
            other.get("/").await.unwrap();
            other.closed().await;
            server.signals.release.notify_one();
        };
        let (answer, ()) = tokio::join!(busy.get("/wait"), release);
        assert_eq!(answer.unwrap(), "waited");
    }
}

#[tokio::test]
async fn headers_are_limited() {
    let pki = pki();
    let mut limits = short();
    limits.max_header_bytes = 16 << 10;
    let server = TestServer::start(Tls::from_pki(&pki).unwrap(), limits).await;
    let mut stream =
        connect(&connector(pki.ca_certificate(), None, b"http/1.1"), server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nlong: ").await.unwrap();
    let _ = stream.write_all(&vec![b'x'; 128 << 10]).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");

    let h2 = connector(pki.ca_certificate(), None, b"h2");
    let Client::Http2(mut sender, _end) = Client::open(&h2, server.address).await.unwrap() else {
        panic!("not HTTP/2")
    };
    let request = Request::get("https://localhost/").header("long", "x".repeat(64 << 10));
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await;
    assert!(response.map_or(true, |response| response.status() == 431));
}

#[tokio::test]
async fn connection_close_closes_either_protocol() {
    let pki = pki();
    let server = start(&pki).await;
    for protocol in PROTOCOLS {
        let connector = connector(pki.ca_certificate(), None, protocol);
        let mut client = Client::open(&connector, server.address).await.unwrap();
        let response = client.send("/close").await.unwrap();
        assert_eq!(response.headers().contains_key(CONNECTION), protocol != b"h2");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        client.closed().await;
    }
}

#[tokio::test]
async fn a_service_need_not_be_sync() {
    let pki = pki();
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Tls::from_pki(&pki).unwrap());
    let listener = listener.await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(async |_| Ok(Response::new(Body::empty())));
    let service = tower::util::BoxCloneService::new(service);
    tokio::spawn(listener.serve(service, pending()));
    assert_eq!(get(pki.ca_certificate(), None, address).await.unwrap(), "");
}

#[test]
fn bad_files_are_named() {
    let root = tempfile::tempdir().unwrap();
    let pki = pki();
    let file = |name: &str, text: &str| {
        fs::write(root.path().join(name), text).unwrap();
        root.path().join(name)
    };
    let (certificate, key) =
        (file("c", pki.serving().certificate()), file("k", pki.serving().key()));
    let (empty, other) = (file("empty", ""), file("other", pki.admin().key()));
    let table = [
        (TlsFiles::new(root.path().join("none"), &key), "/none: "),
        (TlsFiles::new(&empty, &key), "/empty does not hold certificates in PEM: there are none"),
        (TlsFiles::new(&certificate, &empty), "/empty does not hold a private key in PEM"),
        (TlsFiles::new(&key, &key), "/k does not hold certificates"),
        (TlsFiles::new(&certificate, &other), "/other cannot be used together: "),
        (TlsFiles::new(&certificate, &key).with_client_ca(&empty), "/empty does not hold"),
    ];
    for (files, text) in table {
        let error = Tls::from_files(files).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_said_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let tls = Tls::from_pki(&pki()).unwrap();
    let error = Listener::bind(address, tls).await.unwrap_err();
    let text = format!(
        "cannot listen on {address}: address already in use; stop the other process or choose \
         another --secure-port"
    );
    assert_eq!(error.to_string(), text);
}

/// Reads until a text has come; says all that came.
async fn read_until(stream: &mut TlsStream<TcpStream>, text: &str) -> String {
    let mut came = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&came).contains(text) {
            assert!(stream.read_buf(&mut came).await.unwrap() > 0, "{came:?}");
        }
    };
    assert!(timeout(SOON, reading).await.is_ok(), "no {text}");
    String::from_utf8(came).unwrap()
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let (_server, mut stream) = hierarchy().await;
    let body = r#"{"metadata":{"name":"a"},"spec":{"type":"Standard"}}"#;
    let head = format!(
        "POST {ORGANIZATIONS} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let told = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(told, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (_server, mut stream) = hierarchy().await;
    let requests: String = ["/version", "/nothing", "/readyz"]
        .map(|path| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
        .concat();
    stream.write_all(requests.as_bytes()).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nconnection: close\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    let _ = timeout(SOON, stream.read_to_string(&mut answers)).await.expect("not closed");
    let codes: Vec<_> =
        answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(codes, ["200", "404", "200", "200"]);
}
