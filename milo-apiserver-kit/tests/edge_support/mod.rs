//! A server on loopback that answers as the tests of the listener ask it to, and a client of either
//! protocol for it.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

use std::{convert::Infallible, error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONNECTION};
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
    tls::Tls,
};
use milo_core::storage::Memory;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Longer than anything here takes, shorter than any deadline that is not under test.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// What the test service waits for and tells.
#[derive(Default)]
pub(crate) struct Signals {
    /// A request to /wait has arrived.
    pub(crate) arrived: Notify,
    /// Requests to /wait may be answered.
    pub(crate) release: Notify,
    /// The bytes of a response to /huge or /endless are no longer held.
    pub(crate) freed: Arc<Notify>,
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

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) signals: Arc<Signals>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) done: JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start(tls: Tls, limits: Limits) -> Self {
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

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn ended(self) {
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

pub(crate) fn pki() -> Pki {
    Pki::in_memory(&["localhost".into(), "127.0.0.1".into()]).unwrap()
}

pub(crate) fn short() -> Limits {
    let mut limits = Limits::default();
    limits.shutdown_grace = SOON;
    limits
}

pub(crate) async fn start(pki: &Pki) -> TestServer {
    TestServer::start(Tls::from_pki(pki).unwrap(), short()).await
}

/// A TLS client that trusts `ca`, presents `identity` and offers one protocol.
pub(crate) fn connector(ca: &str, identity: Option<&PemPair>, protocol: &[u8]) -> TlsConnector {
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

pub(crate) async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

pub(crate) type End = JoinHandle<Result<(), hyper::Error>>;

/// A client connection of either protocol, and the task that ends when the server closes it.
pub(crate) enum Client {
    Http1(http1::SendRequest<Empty<Bytes>>, End),
    Http2(http2::SendRequest<Empty<Bytes>>, End),
}

impl Client {
    pub(crate) async fn open(
        connector: &TlsConnector,
        address: SocketAddr,
    ) -> Result<Self, AnyError> {
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

    pub(crate) async fn send(&mut self, path: &str) -> Result<Response<Incoming>, AnyError> {
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

    pub(crate) async fn get(&mut self, path: &str) -> Result<String, AnyError> {
        let response = timeout(SOON, self.send(path)).await??;
        assert_eq!(response.status(), StatusCode::OK);
        Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?)
    }

    /// Waits for the server to close the connection in good order.
    pub(crate) async fn closed(self) {
        self.ended().await.expect("the connection was not closed in good order");
    }

    pub(crate) async fn ended(self) -> Result<(), hyper::Error> {
        // The sender must live on: without it the client itself closes the connection.
        let (_http1, _http2, end) = match self {
            Self::Http1(sender, end) => (Some(sender), None, end),
            Self::Http2(sender, end) => (None, Some(sender), end),
        };
        timeout(SOON, end).await.expect("the connection stays open").unwrap()
    }
}

pub(crate) async fn get(
    ca: &str,
    identity: Option<&PemPair>,
    address: SocketAddr,
) -> Result<String, AnyError> {
    Client::open(&connector(ca, identity, b"h2"), address).await?.get("/whoami").await
}

pub(crate) const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", b""];

/// A server of the hierarchy, and its administrator's connection, which speaks HTTP/1.1.
pub(crate) async fn hierarchy() -> (testing::TestServer, TlsStream<TcpStream>) {
    let storage = Arc::new(Memory::new());
    let server = testing::TestServer::start_on(storage, ServerBuilder::hierarchy).await.unwrap();
    let pki = server.pki();
    let connector = connector(pki.ca_certificate(), Some(pki.admin()), b"http/1.1");
    let stream = connect(&connector, server.address()).await.unwrap();
    (server, stream)
}

pub(crate) const ORGANIZATIONS: &str = "/apis/resourcemanager.miloapis.com/v1alpha1/organizations";
