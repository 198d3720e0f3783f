//! HTTPS connections: HTTP/1.1, one request in flight each, kept alive.

mod streams;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) use self::streams::Streams;
use crate::target::{Credentials, Identity};

/// How much of an error's body is kept for the report.
const ERROR_BODY: usize = 2048;

/// A server's address with the credentials to use there.
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    /// Path before every request's path, without a slash at the end.
    prefix: String,
    host_header: HeaderValue,
    authorization: Option<HeaderValue>,
    server_name: ServerName<'static>,
    tls: TlsConnector,
    tls_http2: TlsConnector,
    timeout: Duration,
}

impl Endpoint {
    /// `timeout` applies to connecting and to each request.
    ///
    /// # Errors
    ///
    /// When the address is not `https://host[:port][/prefix]` or a credential is unusable.
    pub(crate) fn new(credentials: &Credentials, timeout: Duration) -> anyhow::Result<Self> {
        let server = &credentials.server;
        let uri: Uri = server.parse().with_context(|| format!("{server:?} is not a URL"))?;
        anyhow::ensure!(uri.scheme_str() == Some("https"), "{server:?} does not begin with https");
        let authority = uri.authority().with_context(|| format!("{server:?} has no host"))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let name = credentials.tls_server_name.as_ref().unwrap_or(&host).clone();
        let authorization = match &credentials.identity {
            Identity::Token(token) => {
                let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                    .context("the token has characters that a header cannot have")?;
                value.set_sensitive(true);
                Some(value)
            }
            Identity::Anonymous | Identity::Certificate(..) => None,
        };
        Ok(Self {
            port: authority.port_u16().unwrap_or(443),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            host_header: HeaderValue::try_from(authority.as_str())?,
            authorization,
            server_name: ServerName::try_from(name).context("unusable server name")?,
            tls: tls::connector(credentials, b"http/1.1")?,
            tls_http2: tls::connector(credentials, b"h2")?,
            host,
            timeout,
        })
    }

    /// A request with the headers that every request has. There is no Accept-Encoding,
    /// so answers are not compressed.
    ///
    /// # Errors
    ///
    /// When `path` is not a path with an optional query.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(HeaderValue, Bytes)>,
    ) -> Result<ApiRequest, http::Error> {
        let uri = if self.prefix.is_empty() {
            Uri::try_from(path)?
        } else {
            Uri::try_from(format!("{}{path}", self.prefix))?
        };
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host_header.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static("milo-bench"));
        headers.insert(http::header::ACCEPT, JSON);
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        if let Some((content_type, body)) = body {
            headers.insert(CONTENT_TYPE, content_type);
            *request.body_mut() = Full::new(body);
        }
        Ok(request)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        match tokio::time::timeout(self.timeout, self.connect_unhurried()).await {
            Ok(connected) => connected.map_err(|error| Failure::Transport(format!("{error:#}"))),
            Err(_) => Err(Failure::Timeout),
        }
    }

    async fn connect_unhurried(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let tls = self.handshake(&self.tls).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.context("HTTP")?;
        // Its end is seen by the sender, which is all that matters.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn handshake(&self, tls: &TlsConnector) -> anyhow::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.context("connect")?;
        tcp.set_nodelay(true)?;
        tls.connect(self.server_name.clone(), tcp).await.context("TLS")
    }
}

/// `application/json`.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// `application/merge-patch+json`.
pub(crate) const MERGE_PATCH: HeaderValue =
    HeaderValue::from_static("application/merge-patch+json");

/// A request that is ready to be sent.
pub(crate) type ApiRequest = Request<Full<Bytes>>;

/// Why a request did not get a 2xx answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another status, with the beginning of the body.
    Status(StatusCode, String),
    /// No complete answer in time.
    Timeout,
    /// The connection could not be made, or broke.
    Transport(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, body) => write!(f, "{status}: {body}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Transport(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for Failure {}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        let error: &dyn std::error::Error = &error;
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Transport(format!("{error}{cause}"))
    }
}

/// One connection, made anew whenever the server has closed it.
pub(crate) struct Connection {
    endpoint: Arc<Endpoint>,
    sender: Option<SendRequest<Full<Bytes>>>,
    connects: u64,
}

impl Connection {
    pub(crate) const fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, sender: None, connects: 0 }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many times the connection was made again.
    pub(crate) const fn reconnects(&self) -> u64 {
        self.connects.saturating_sub(1)
    }

    /// Connects now rather than on the first request.
    ///
    /// # Errors
    ///
    /// When there is no connection to be had.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        self.ready_sender().await.map(drop)
    }

    /// Sends a request and reads the whole answer, handing its data to `on_data` as it
    /// arrives. Returns the length of the body.
    ///
    /// # Errors
    ///
    /// When the answer is not a 2xx, is incomplete, or takes longer than the timeout.
    pub(crate) async fn exchange(
        &mut self,
        request: ApiRequest,
        on_data: impl FnMut(&[u8]),
    ) -> Result<u64, Failure> {
        let timeout = self.endpoint.timeout;
        let result = match tokio::time::timeout(timeout, self.drain(request, on_data)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Timeout),
        };
        if matches!(result, Err(Failure::Timeout | Failure::Transport(_))) {
            self.sender = None;
        }
        result
    }

    /// Sends a request whose answer does not end, and returns it when its headers are here.
    ///
    /// # Errors
    ///
    /// When the answer is not a 2xx, or does not begin in time.
    pub(crate) async fn open_stream(&mut self, request: ApiRequest) -> Result<Incoming, Failure> {
        let timeout = self.endpoint.timeout;
        match tokio::time::timeout(timeout, self.send(request)).await {
            Ok(result) => accept(result?).await,
            Err(_) => Err(Failure::Timeout),
        }
    }

    async fn drain(
        &mut self,
        request: ApiRequest,
        mut on_data: impl FnMut(&[u8]),
    ) -> Result<u64, Failure> {
        let mut body = accept(self.send(request).await?).await?;
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                length += data.len() as u64;
                on_data(data);
            }
        }
        Ok(length)
    }

    /// A request that never left, because the server closed the connection meanwhile, is
    /// sent again on a new one. One that may have arrived is not.
    async fn send(&mut self, request: ApiRequest) -> Result<Response<Incoming>, Failure> {
        match self.ready_sender().await?.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut unsent) => match unsent.take_message() {
                Some(request) => {
                    self.sender = None;
                    Ok(self.ready_sender().await?.send_request(request).await?)
                }
                None => Err(unsent.into_error().into()),
            },
        }
    }

    async fn ready_sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
        let usable = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let sender = match usable {
            Some(sender) => sender,
            None => {
                let sender = self.endpoint.connect().await?;
                self.connects += 1;
                sender
            }
        };
        Ok(self.sender.insert(sender))
    }
}

/// The body of a 2xx answer. Any other answer is read to its end, so that the connection
/// can be used again.
async fn accept(response: Response<Incoming>) -> Result<Incoming, Failure> {
    let (head, mut body) = response.into_parts();
    if head.status.is_success() {
        return Ok(body);
    }
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            let room = ERROR_BODY - text.len();
            text.extend_from_slice(&data[..room.min(data.len())]);
        }
    }
    Err(Failure::Status(head.status, String::from_utf8_lossy(&text).trim_end().to_owned()))
}

/// Asks for /readyz without credentials, over a new connection each time.
pub(crate) struct ReadinessProbe {
    endpoint: Arc<Endpoint>,
}

impl ReadinessProbe {
    /// # Errors
    ///
    /// As [`Endpoint::new`].
    pub(crate) fn new(credentials: &Credentials) -> anyhow::Result<Self> {
        const TIMEOUT: Duration = Duration::from_secs(1);
        Ok(Self { endpoint: Arc::new(Endpoint::new(credentials, TIMEOUT)?) })
    }

    /// Whether the server answers 200.
    pub(crate) async fn is_ready(&self) -> bool {
        let Ok(request) = self.endpoint.request(Method::GET, "/readyz", None) else {
            return false;
        };
        Connection::new(Arc::clone(&self.endpoint)).exchange(request, |_| ()).await.is_ok()
    }
}
