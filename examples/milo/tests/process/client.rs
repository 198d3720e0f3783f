//! HTTP/1.1 over TLS, one connection at a time: what is sent is what the test says.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::within;

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Whom a client trusts and who it is.
#[derive(Clone)]
pub struct Identity {
    ca: String,
    certificate: Option<(String, String)>,
    token: Option<String>,
}

impl Identity {
    /// Nobody, trusting this authority.
    pub fn trusting(ca: &str) -> Self {
        Self { ca: ca.to_owned(), certificate: None, token: None }
    }

    pub fn with_certificate(mut self, certificate: &str, key: &str) -> Self {
        self.certificate = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    fn connector(&self) -> Result<TlsConnector, Error> {
        let mut roots = RootCertStore::empty();
        for ca in CertificateDer::pem_slice_iter(self.ca.as_bytes()) {
            roots.add(ca?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match &self.certificate {
            Some((certificate, key)) => {
                let chain: Result<_, _> =
                    CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
                builder
                    .with_client_auth_cert(chain?, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// A TLS connection on which nothing has been said.
pub async fn connect_tls(port: u16, identity: &Identity) -> Result<TlsStream<TcpStream>, Error> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("127.0.0.1")?;
    Ok(identity.connector()?.connect(name, stream).await?)
}

/// An answer that has arrived completely.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The object, if this is a success.
    pub fn object(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.json()
    }
}

/// One connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    token: Option<String>,
    connection: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Client {
    pub async fn connect(port: u16, identity: &Identity) -> Result<Self, Error> {
        let stream = connect_tls(port, identity).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(async {
            let _ = connection.await;
        });
        Ok(Self { sender, token: identity.token.clone(), connection })
    }

    /// Sends a request and waits for the head of the answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<http::Response<Incoming>, Error> {
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json");
            bytes = serde_json::to_vec(body)?.into();
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(Full::new(bytes))?).await?)
    }

    /// Sends a request and waits for the whole answer. An error means that it did not arrive.
    pub async fn try_request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let (head, body) = self.send(method, path, body).await?.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Answer { status: head.status, headers: head.headers, text })
    }

    /// As [`Client::try_request`], when an answer must come.
    pub async fn request(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let answer = within(path, self.try_request(method.clone(), path, body)).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.request(Method::GET, path, None).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path, Some(body)).await
    }

    /// Makes a stream of a connection. Returns when the server has accepted the watch.
    pub async fn watch(self, path: &str) -> Watch {
        let watch = within("a watch", self.try_watch(path)).await.unwrap();
        watch.unwrap_or_else(|status| panic!("{path}: {status}"))
    }

    /// As [`Client::watch`]; the status when the server refuses.
    pub async fn try_watch(mut self, path: &str) -> Result<Result<Watch, StatusCode>, Error> {
        let response = self.send(Method::GET, path, None).await?;
        if response.status() != StatusCode::OK {
            return Ok(Err(response.status()));
        }
        let (body, buffer) = (response.into_body(), Vec::new());
        Ok(Ok(Watch { body, buffer, _client: self }))
    }
}

/// An open watch.
pub struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
    _client: Client,
}

impl Watch {
    /// The next event; none when the server has ended the watch in good order, an error when the
    /// connection broke.
    pub async fn try_next(&mut self) -> Result<Option<Value>, Error> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            let Some(frame) = self.body.frame().await else {
                assert!(self.buffer.is_empty(), "the watch ended in the middle of an event");
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// As [`Watch::try_next`], for a server that is well.
    pub async fn next(&mut self) -> Option<Value> {
        within("an event", self.try_next()).await.unwrap()
    }
}
