//! A raw HTTPS client for the tests of the wire: what is sent and what comes back, byte by byte.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

pub(crate) mod watch;
pub(crate) mod widgets;

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header::HeaderName};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use milo_apiserver_kit::{ServerBuilder, pki::PemPair, testing::TestServer};
use milo_core::storage::{Memory, Storage};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) use watch::Events;

/// The group that the tests talk about. URLs that do not begin with a slash are relative to it.
pub(crate) const GROUP: &str = "/apis/resourcemanager.miloapis.com/v1alpha1";
pub(crate) const API_VERSION: &str = "resourcemanager.miloapis.com/v1alpha1";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Longer than anything here takes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What a request is made of.
pub(crate) type Sent = BoxBody<Bytes, Infallible>;

/// A connection, to be used by many.
pub(crate) type Sender = http2::SendRequest<Sent>;

/// Waits for something that must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("nothing came")
}

/// A server of the hierarchy, and an administrator's connection to it.
pub(crate) struct Wire {
    pub(crate) server: TestServer,
    sender: Sender,
}

impl Wire {
    pub(crate) async fn start() -> Self {
        Self::on(Arc::new(Memory::new())).await
    }

    pub(crate) async fn on(storage: Arc<dyn Storage>) -> Self {
        Self::with(storage, ServerBuilder::hierarchy).await
    }

    pub(crate) async fn with(
        storage: Arc<dyn Storage>,
        assemble: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        Self::around(TestServer::start_on(storage, assemble).await.unwrap()).await
    }

    /// An administrator's connection to a server.
    pub(crate) async fn around(server: TestServer) -> Self {
        let sender = connect(&server, Some(server.pki().admin())).await;
        Self { server, sender }
    }

    /// Another connection: as someone else, or as nobody.
    pub(crate) async fn connect_as(&mut self, identity: Option<&PemPair>) {
        self.sender = connect(&self.server, identity).await;
    }

    pub(crate) fn call(&self, method: &str, url: &str) -> Call {
        Call::new(&self.sender, method, url)
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.call("GET", url).send().await
    }

    pub(crate) async fn post(&self, url: &str, body: &Value) -> Answer {
        self.call("POST", url).json(body).send().await
    }

    pub(crate) async fn put(&self, url: &str, body: &Value) -> Answer {
        self.call("PUT", url).json(body).send().await
    }

    pub(crate) async fn merge(&self, url: &str, patch: &Value) -> Answer {
        self.call("PATCH", url).json(patch).header("content-type", MERGE).send().await
    }

    pub(crate) async fn json_patch(&self, url: &str, patch: &Value) -> Answer {
        self.call("PATCH", url).json(patch).header("content-type", JSON_PATCH).send().await
    }

    pub(crate) async fn delete(&self, url: &str) -> Answer {
        self.call("DELETE", url).send().await
    }

    pub(crate) async fn watch(&self, url: &str) -> Events {
        self.call("GET", url).watch().await
    }

    /// A watch on a connection of its own, whose reader may be slow without holding up others.
    pub(crate) async fn watch_apart(&self, url: &str) -> Events {
        let sender = connect(&self.server, Some(self.server.pki().admin())).await;
        Call::new(&sender, "GET", url).watch().await
    }

    /// Creates an organization, and says what it looks like.
    pub(crate) async fn organization(&self, name: &str) -> Value {
        self.post("organizations", &organization(name)).await.created()
    }

    /// An update of an organization that changes it each time. Says its resource version.
    pub(crate) async fn touch(&self, name: &str, mark: &str) -> String {
        let patch = serde_json::json!({"metadata": {"annotations": {"mark": mark}}});
        version(&self.merge(&format!("organizations/{name}"), &patch).await.ok())
    }

    /// A connection on which nothing has been sent yet.
    pub(crate) async fn tls(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        self.tls_as(Some(self.server.pki().admin()), protocol).await
    }

    /// The same, as someone else, or as nobody.
    pub(crate) async fn tls_as(
        &self,
        identity: Option<&PemPair>,
        protocol: &[u8],
    ) -> TlsStream<TcpStream> {
        tls(&self.server, identity, protocol).await
    }
}

pub(crate) fn organization(name: &str) -> Value {
    serde_json::json!({
        "apiVersion": API_VERSION, "kind": "Organization",
        "metadata": {"name": name}, "spec": {"type": "Standard"},
    })
}

pub(crate) fn membership(name: &str, user: &str, organization: &str) -> Value {
    serde_json::json!({
        "metadata": {"name": name},
        "spec": {"organizationRef": {"name": organization}, "userRef": {"name": user}},
    })
}

/// The resource version of an object or a list.
pub(crate) fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().expect("a resource version").to_owned()
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

pub(crate) async fn tls(
    server: &TestServer,
    identity: Option<&PemPair>,
    protocol: &[u8],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let ca = server.pki().ca_certificate().as_bytes();
    roots.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
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
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::from(server.address().ip());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

pub(crate) async fn connect(server: &TestServer, identity: Option<&PemPair>) -> Sender {
    let stream = TokioIo::new(tls(server, identity, b"h2").await);
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), stream).await.expect("a connection");
    tokio::spawn(connection);
    sender
}

/// A request in the making.
pub(crate) struct Call {
    sender: Sender,
    request: Request<Sent>,
}

impl Call {
    pub(crate) fn new(sender: &Sender, method: &str, url: &str) -> Self {
        let url = if url.starts_with('/') { url.to_owned() } else { format!("{GROUP}/{url}") };
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("https://milo{url}"))
            .body(full(Bytes::new()))
            .unwrap();
        Self { sender: sender.clone(), request }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = full(body.into());
        self
    }

    pub(crate) fn stream(mut self, body: Sent) -> Self {
        *self.request.body_mut() = body;
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string()).header("content-type", "application/json")
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self.respond().await;
        let (parts, body) = response.into_parts();
        let body = soon(body.collect()).await.unwrap().to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The answer as soon as its headers are there.
    pub(crate) async fn respond(mut self) -> Response<Incoming> {
        soon(self.sender.send_request(self.request)).await.unwrap()
    }

    /// The stream of a watch that the server agrees to.
    pub(crate) async fn watch(self) -> Events {
        let response = self.respond().await;
        assert_eq!(response.status(), 200);
        Events::new(response.into_body())
    }
}

pub(crate) fn full(body: Bytes) -> Sent {
    Full::new(body).boxed()
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic_with(&format!("{error}: {}", self.text())))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// All values of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.code, 200, "{}", self.text());
        self.json()
    }

    #[track_caller]
    pub(crate) fn created(&self) -> Value {
        assert_eq!(self.code, 201, "{}", self.text());
        self.json()
    }

    /// Checks a refusal: code, reason and message, and that body and headers agree. `…` in the
    /// message stands for any text.
    #[track_caller]
    pub(crate) fn refused(&self, about: &str, code: u16, reason: &str, message: &str) -> Value {
        let status = self.json();
        let got = (self.code, status["reason"].as_str().unwrap_or_default());
        assert_eq!(got, (code, reason), "{about}: {status}");
        assert_eq!(status["code"], code, "{about}");
        assert_eq!(status["status"], "Failure", "{about}");
        assert_eq!((&status["kind"], &status["apiVersion"]), (&"Status".into(), &"v1".into()));
        assert_eq!(self.header("content-type"), "application/json", "{about}");
        let text = status["message"].as_str().unwrap_or_default();
        assert!(matches(message, text), "{about}: {text:?} is not {message:?}");
        status
    }
}

/// Fails the test.
#[track_caller]
pub(crate) fn panic_with(text: &str) -> ! {
    assert!(text.is_empty(), "{text}");
    unreachable!()
}

/// Whether `text` is `pattern`, where `…` stands for any text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A request that is refused, and how: section, method, URL, body, code, reason, message.
pub(crate) type Refusal<'a> = (&'a str, &'a str, &'a str, &'a str, u16, &'a str, &'a str);

/// Sends each request and checks its refusal. Patches are merge patches.
pub(crate) async fn refusals(wire: &Wire, cases: &[Refusal<'_>]) {
    for (section, method, url, body, code, reason, message) in cases {
        let about = format!("{section}: {method} {url} {body}");
        let kind = if *method == "PATCH" { MERGE } else { "application/json" };
        let call = wire.call(method, url).body(body.to_string()).header("content-type", kind);
        call.send().await.refused(&about, *code, reason, message);
    }
}
