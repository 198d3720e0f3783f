//! One connection, from the handshake to its end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, Request, Response,
    header::{CONNECTION, UPGRADE},
};
use hyper::{
    body::Incoming,
    rt::bounds::Http2ServerConnExec,
    server::conn::{http1, http2},
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, watch},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::{Service, ServiceExt as _};

use super::{
    ConnectionInfo, Limits,
    activity::{Activity, Open},
    outgoing::Outgoing,
    socket::Socket,
};
use crate::{
    authn::PeerIdentity,
    body::{Body, BoxError},
};

/// How long a connection that has been told to close may stay without a request.
const LINGER: Duration = Duration::from_secs(5);
/// Why a connection is closed whose peer leaves a response unread.
const STALLED: &str = "the peer does not read what it is sent";
/// What a peer may send on one HTTP/2 stream, and in one frame, before it is read.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// What may wait to be sent on one HTTP/2 stream.
const SEND_BUFFER: usize = 256 << 10;

/// Where the server is in its life. Every connection watches it, and the server counts the
/// watchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Requests are welcome.
    Serving,
    /// Open requests may finish.
    Draining,
    /// All over.
    Cut,
}

/// What a connection needs to know of the server.
pub(super) struct Connection {
    pub(super) remote: SocketAddr,
    pub(super) acceptor: TlsAcceptor,
    pub(super) limits: Arc<Limits>,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Connection {
    /// Serves a connection to its end. Whatever goes wrong concerns this peer alone, and a server
    /// on the open internet sees much of it, so it is told in the log for debugging.
    pub(super) async fn run<S>(
        mut self,
        stream: TcpStream,
        service: S,
        handshake: OwnedSemaphorePermit,
    ) where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let remote = self.remote;
        let mut phase = self.phase.clone();
        let activity = Activity::new(self.phase.clone());
        let socket = Socket::new(stream, Arc::clone(&activity));
        let stream = tokio::select! {
            // What a handshake needs is not kept for as long as the connection.
            stream = Box::pin(self.handshake(socket)) => stream,
            () = reached(&mut phase, Phase::Draining) => return,
        };
        drop((handshake, phase));
        activity.ready();
        let result = match stream.and_then(|stream| Ok((peer_of(&stream)?, stream))) {
            Ok((peer, stream)) => match self.protocol(stream, peer, &activity, service) {
                Protocol::Http1(connection) => self.drive(connection, &activity).await,
                Protocol::Http2(connection) => self.drive(connection, &activity).await,
            },
            Err(reason) => Err(reason),
        };
        if let Err(reason) = result {
            tracing::debug!(%remote, "connection ended: {reason}");
        }
    }

    async fn handshake(&self, socket: Socket) -> Result<TlsStream<Socket>, String> {
        match timeout(self.limits.handshake_timeout, self.acceptor.accept(socket)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(format!("TLS handshake failed: {error}")),
            Err(_) => Err("TLS handshake timed out".into()),
        }
    }

    /// Speaks what was agreed on. Connections are kept apart from the task that drives them: most
    /// of them wait most of the time, and a task is as large as the largest thing it ever holds.
    fn protocol<S>(
        &self,
        stream: TlsStream<Socket>,
        peer: Option<Arc<PeerIdentity>>,
        activity: &Arc<Activity>,
        service: S,
    ) -> Protocol<impl Driven + use<S>, impl Driven + use<S>>
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let info = ConnectionInfo { remote: self.remote, peer };
        let seen = Arc::clone(activity);
        let write_timeout = self.limits.write_timeout;
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (service, activity) = (service.clone(), Arc::clone(&seen));
            let open = activity.begin();
            request.extensions_mut().insert(info.clone());
            if !is_http2 && request.headers().contains_key(UPGRADE) {
                let upgrade = Upgrade { activity: Arc::clone(&activity), write_timeout };
                request.extensions_mut().insert(upgrade);
            }
            async move {
                let mut response = service.oneshot(request).await?;
                if is_http2 && asks_to_close(response.headers()) {
                    // HTTP/2 has no such header; GOAWAY says it.
                    response.headers_mut().remove(CONNECTION);
                    activity.close();
                }
                Ok::<_, Infallible>(response.map(|body| Outgoing::new(body, open)))
            }
        });
        let io = TokioIo::new(stream);
        if is_http2 {
            Protocol::Http2(Box::pin(http2(&self.limits).serve_connection(io, service)))
        } else {
            let connection = http1(&self.limits).serve_connection(io, service);
            Protocol::Http1(Box::pin(connection.with_upgrades()))
        }
    }

    /// Runs a connection until it ends by itself, or has been told to end and has done so, or
    /// its peer stops reading, or time is up.
    async fn drive(
        &mut self,
        mut connection: Pin<Box<impl Driven>>,
        activity: &Activity,
    ) -> Result<(), String> {
        let mut stalled = pin!(activity.stalled(self.limits.write_timeout));
        tokio::select! {
            biased;
            result = connection.as_mut() => return result.map_err(|error| error.to_string()),
            () = stalled.as_mut() => return Err(STALLED.into()),
            () = activity.closing() => {}
            () = activity.idle(self.limits.header_timeout, self.limits.idle_timeout) => {}
            () = reached(&mut self.phase, Phase::Draining) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            result = connection => result.map_err(|error| error.to_string()),
            () = stalled => Err(STALLED.into()),
            () = lingering(activity) => Err("the peer did not close it".into()),
            () = reached(&mut self.phase, Phase::Cut) => Err("the server stopped".into()),
        }
    }
}

/// A connection that speaks one of the protocols.
enum Protocol<H1, H2> {
    Http1(Pin<Box<H1>>),
    Http2(Pin<Box<H2>>),
}

/// What both protocols can do.
trait Driven: Future<Output = hyper::Result<()>> + Send {
    /// Begins to close the connection: open requests are answered.
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, S> Driven for http1::UpgradeableConnection<I, S>
where
    S: HttpService<Incoming, ResBody = Outgoing> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E> Driven for http2::Connection<I, S, E>
where
    S: HttpService<Incoming, ResBody = Outgoing> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send,
    E: Http2ServerConnExec<S::Future, Outgoing> + Send,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// What a request that may take its connection over needs to know of it: an extension of requests
/// with an `Upgrade` header.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade {
    activity: Arc<Activity>,
    /// How long the peer may take nothing of what it is sent.
    pub(crate) write_timeout: Duration,
}

impl Upgrade {
    /// Keeps the server from believing that the connection is gone, until it is dropped.
    pub(crate) fn begin(&self) -> Open {
        self.activity.begin()
    }
}

/// Completes when a connection that was told to close is still there after some time, without a
/// request. Until then the peer may learn of it: a request that crossed the news is answered.
async fn lingering(activity: &Activity) {
    sleep(LINGER).await;
    activity.idle(LINGER, LINGER).await;
}

/// Completes when the server has reached a phase, or is gone.
async fn reached(current: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ = current.wait_for(|current| *current >= phase).await;
}

/// The verified client certificate, parsed. A session that is resumed skips its verification, so
/// its period of validity is looked at here.
fn peer_of(stream: &TlsStream<Socket>) -> Result<Option<Arc<PeerIdentity>>, String> {
    let chain = stream.get_ref().1.peer_certificates();
    let Some(certificate) = chain.and_then(<[_]>::first) else { return Ok(None) };
    let peer = PeerIdentity::parse(certificate)?;
    if !peer.is_valid_at(SystemTime::now()) {
        return Err("the client certificate has expired or is not yet valid".into());
    }
    Ok(Some(Arc::new(peer)))
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

fn http1(limits: &Limits) -> http1::Builder {
    let max_header_bytes = usize::try_from(limits.max_header_bytes).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Watched by `Activity` instead, for both protocols and without a timer per request.
        .header_read_timeout(None)
        .max_header_size(max_header_bytes)
        .max_buf_size(max_header_bytes.max(64 << 10));
    builder
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .adaptive_window(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(limits.max_header_bytes)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    builder
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_closed_for_idleness_may_still_say_goodbye() {
        let activity = Activity::new(watch::channel(Phase::Serving).1);
        activity.idle(Duration::from_secs(32), Duration::from_secs(90)).await;
        let start = Instant::now();
        lingering(&activity).await;
        assert_eq!(start.elapsed(), LINGER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_told_to_close_is_left_while_a_request_is_open() {
        let activity = Activity::new(watch::channel(Phase::Serving).1);
        let start = Instant::now();
        let open = activity.begin();
        let request = async {
            sleep(Duration::from_secs(60)).await;
            drop(open);
        };
        tokio::join!(lingering(&activity), request);
        assert!(start.elapsed() >= Duration::from_secs(60) + LINGER);
    }
}
