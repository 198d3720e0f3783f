//! The listener over real sockets on loopback: TLS, both protocols, identities, limits, shutdown.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

use std::{
    convert::Infallible,
    error::Error,
    fs,
    future::pending,
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use milo_apiserver_kit::{
    ServerBuilder,
    body::Body,
    listener::{ConnectionInfo, Limits, Listener},
    pki::{PemPair, Pki},
    testing,
    tls::{Tls, TlsFiles},
};
use milo_core::storage::Memory;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

type AnyError = Box<dyn Error + Send + Sync>;

/// Longer than anything here takes, shorter than any deadline that is not under test.
const SOON: Duration = Duration::from_secs(5);

/// What the test service waits for and tells.
#[derive(Default)]
struct Signals {
    /// A request to /wait has arrived.
    arrived: Notify,
    /// Requests to /wait may be answered.
    release: Notify,
    /// The bytes of a response to /huge or /endless are no longer held.
    freed: Arc<Notify>,
}

/// The bytes of a response, which tell when they are let go.
struct Held(Vec<u8>, Arc<Notify>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.notify_one();
    }
}

impl Signals {
    fn held(&self, length: usize) -> Bytes {
        Bytes::from_owner(Held(vec![0; length], Arc::clone(&self.freed)))
    }
}

/// A watch in which nothing happens between its first event and the last, which is when /wait may
/// be answered.
fn quiet_watch(signals: Arc<Signals>) -> Body {
    Body::stream(futures_util::stream::unfold(0, move |sent| {
        let signals = Arc::clone(&signals);
        async move {
            match sent {
                0 => Some((Ok(Bytes::from("first\n")), 1)),
                1 => {
                    signals.release.notified().await;
                    Some((Ok(Bytes::from("last\n")), 2))
                }
                _ => None,
            }
        }
    }))
}

struct TestServer {
    address: SocketAddr,
    signals: Arc<Signals>,
    stop: Option<oneshot::Sender<()>>,
    done: JoinHandle<()>,
}

impl TestServer {
    async fn start(tls: Tls, limits: Limits) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), tls).await.unwrap();
        let address = listener.local_addr().unwrap();
        let signals = Arc::new(Signals::default());
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&signals);
        let service = tower::service_fn(move |request| answer(Arc::clone(&shared), request));
        let shutdown = async {
            let _ = stopped.await;
        };
        let done = tokio::spawn(listener.with_limits(limits).serve(service, shutdown));
        Self { address, signals, stop: Some(stop), done }
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn ended(self) {
        timeout(SOON, self.done).await.expect("the server did not end").unwrap();
    }
}

/// `/whoami` tells the user of the certificate; `/wait` answers when told to; `/close` asks for the
/// connection to be closed; `/big` is a megabyte; `/huge` is more than any buffer takes, and
/// `/endless` has no end; `/watch` is quiet.
async fn answer(
    signals: Arc<Signals>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let info = request.extensions().get::<ConnectionInfo>().expect("no connection info").clone();
    assert!(info.remote.ip().is_loopback());
    let body = match request.uri().path() {
        "/whoami" => match info.peer.as_deref().and_then(|peer| peer.user()) {
            Some(user) => Body::full(format!("{} {}", user.username, user.groups.join(","))),
            None => Body::full("nobody"),
        },
        "/wait" => {
            signals.arrived.notify_one();
            signals.release.notified().await;
            Body::full("waited")
        }
        "/huge" => Body::full(signals.held(64 << 20)),
        "/endless" => {
            let chunk = signals.held(64 << 10);
            Body::stream(futures_util::stream::repeat_with(move || Ok(chunk.clone())))
        }
        "/watch" => quiet_watch(signals),
        "/big" => Body::full(vec![b'x'; 1 << 20]),
        _ => Body::full("ok"),
    };
    let mut response = Response::new(body);
    if request.uri().path() == "/close" {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn pki() -> Pki {
    Pki::in_memory(&["localhost".into(), "127.0.0.1".into()]).unwrap()
}

fn short() -> Limits {
    let mut limits = Limits::default();
    limits.shutdown_grace = SOON;
    limits
}

async fn start(pki: &Pki) -> TestServer {
    TestServer::start(Tls::from_pki(pki).unwrap(), short()).await
}

/// A TLS client that trusts `ca`, presents `identity` and offers one protocol.
fn connector(ca: &str, identity: Option<&PemPair>, protocol: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(pair) => {
            let chain = CertificateDer::from_pem_slice(pair.certificate().as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key().as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![chain], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    if !protocol.is_empty() {
        config.alpn_protocols = vec![protocol.to_vec()];
    }
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

type End = JoinHandle<Result<(), hyper::Error>>;

/// A client connection of either protocol, and the task that ends when the server closes it.
enum Client {
    Http1(http1::SendRequest<Empty<Bytes>>, End),
    Http2(http2::SendRequest<Empty<Bytes>>, End),
}

impl Client {
    async fn open(connector: &TlsConnector, address: SocketAddr) -> Result<Self, AnyError> {
        let stream = connect(connector, address).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            let end = tokio::spawn(connection);
            return Ok(Self::Http2(sender, end));
        }
        let (sender, connection) = http1::handshake(io).await?;
        let end = tokio::spawn(connection);
        Ok(Self::Http1(sender, end))
    }

    async fn send(&mut self, path: &str) -> Result<Response<Incoming>, AnyError> {
        let request = Request::get(format!("https://localhost{path}"));
        let request = request.header("host", "localhost").body(Empty::new())?;
        Ok(match self {
            Self::Http1(sender, _) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender, _) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }

    async fn get(&mut self, path: &str) -> Result<String, AnyError> {
        let response = timeout(SOON, self.send(path)).await??;
        assert_eq!(response.status(), StatusCode::OK);
        Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?)
    }

    /// Waits for the server to close the connection in good order.
    async fn closed(self) {
        self.ended().await.expect("the connection was not closed in good order");
    }

    async fn ended(self) -> Result<(), hyper::Error> {
        // The sender must live on: without it the client itself closes the connection.
        let (_http1, _http2, end) = match self {
            Self::Http1(sender, end) => (Some(sender), None, end),
            Self::Http2(sender, end) => (None, Some(sender), end),
        };
        timeout(SOON, end).await.expect("the connection stays open").unwrap()
    }
}

async fn get(
    ca: &str,
    identity: Option<&PemPair>,
    address: SocketAddr,
) -> Result<String, AnyError> {
    Client::open(&connector(ca, identity, b"h2"), address).await?.get("/whoami").await
}

const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", b""];

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

/// A server of the hierarchy, and its administrator's connection, which speaks HTTP/1.1.
async fn hierarchy() -> (testing::TestServer, TlsStream<TcpStream>) {
    let storage = Arc::new(Memory::new());
    let server = testing::TestServer::start_on(storage, ServerBuilder::hierarchy).await.unwrap();
    let pki = server.pki();
    let connector = connector(pki.ca_certificate(), Some(pki.admin()), b"http/1.1");
    let stream = connect(&connector, server.address()).await.unwrap();
    (server, stream)
}

const ORGANIZATIONS: &str = "/apis/resourcemanager.miloapis.com/v1alpha1/organizations";

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
