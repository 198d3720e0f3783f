//! From a TCP port to HTTP requests: accept, TLS handshake, HTTP/1.1 or HTTP/2, shutdown.
//!
//! [`Listener::serve`] runs any [`tower::Service`] and puts a [`ConnectionInfo`] into the
//! extensions of each request: who is at the other end, parsed once per connection.
//!
//! - Nothing that one peer does stops another from being accepted: handshakes run beside the
//!   accept loop, each with a deadline, and their number is bounded.
//! - The protocol is what ALPN agreed on; without ALPN it is HTTP/1.1.
//! - A connection on which no request is open for [`Limits::idle_timeout`] is closed. The first
//!   request has [`Limits::header_timeout`] to arrive.
//! - A connection whose peer leaves a response unread for [`Limits::write_timeout`] is closed, so
//!   that nobody can make the server keep what it once asked for.
//! - A response with `Connection: close` closes an HTTP/2 connection too (by GOAWAY), once the
//!   requests that are open on it are answered.
//! - On shutdown no connection is accepted any more, idle ones are closed, busy ones are told
//!   (GOAWAY or `Connection: close`) and may finish within [`Limits::shutdown_grace`].

mod activity;
mod bind;
mod connection;
mod outgoing;
mod socket;
mod stall;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tower::Service;

use crate::{authn::PeerIdentity, body::Body, tls::Tls};

pub use bind::BindError;
pub(crate) use bind::take_port;
pub(crate) use connection::Upgrade;
use connection::{Connection, Phase};

/// How long to wait after the system refused to accept, say because no file descriptor is left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(500);
/// How often certificate files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(60);
/// How long handlers that were cut off may take to notice.
const UNWIND_TIME: Duration = Duration::from_secs(5);

/// What a connection is allowed. The defaults are those of kube-apiserver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Time for a TLS handshake: 10 s.
    pub handshake_timeout: Duration,
    /// TLS handshakes at one time; further connections wait in the system's queue: 1024.
    pub handshakes: usize,
    /// Time for the headers of the first request to arrive after the handshake: 32 s.
    pub header_timeout: Duration,
    /// Time that a connection stays open without a request, and for the headers of a further
    /// request to arrive: 90 s.
    pub idle_timeout: Duration,
    /// How long the peer may take nothing of a response that waits to be sent, because it does not
    /// read from the socket or keeps the HTTP/2 window shut: 60 s. Then the connection is closed,
    /// at most a quarter of that time later. One byte taken begins the time anew, and a response
    /// that has nothing to send, such as a watch in which nothing happens, may last for ever.
    pub write_timeout: Duration,
    /// Bytes of all headers of one request: 1 MiB. (HTTP/1.1 also limits their number to 100.)
    pub max_header_bytes: u32,
    /// Requests open at one time on an HTTP/2 connection: 1000.
    pub max_concurrent_streams: u32,
    /// How often a silent HTTP/2 peer is asked whether it is there: 30 s.
    pub ping_interval: Duration,
    /// How long it may take to answer: 15 s.
    pub ping_timeout: Duration,
    /// How often the system asks a silent peer whether it is there (TCP keep-alive): 3 min.
    pub tcp_keep_alive: Duration,
    /// How long open requests may go on after shutdown began: 60 s.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            handshakes: 1024,
            header_timeout: Duration::from_secs(32),
            idle_timeout: Duration::from_secs(90),
            write_timeout: Duration::from_secs(60),
            max_header_bytes: 1 << 20,
            max_concurrent_streams: 1000,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(15),
            tcp_keep_alive: Duration::from_secs(180),
            shutdown_grace: Duration::from_secs(60),
        }
    }
}

/// Who is at the other end of a request's connection: an extension of every request.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The peer's address.
    pub remote: SocketAddr,
    /// The peer's verified client certificate, if it presented one.
    pub peer: Option<Arc<PeerIdentity>>,
}

/// A bound port that speaks HTTPS.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Tls,
    limits: Limits,
}

impl Listener {
    /// Binds a port. Port 0 takes any free one: see [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    ///
    /// [`BindError`], one line that says what to do.
    pub async fn bind(address: SocketAddr, tls: Tls) -> Result<Self, BindError> {
        Ok(Self::new(take_port(address).await?, tls))
    }

    /// Takes a port that is already bound, say by a supervisor.
    #[must_use]
    pub fn new(tcp: TcpListener, tls: Tls) -> Self {
        Self { tcp, tls, limits: Limits::default() }
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The address that was bound.
    ///
    /// # Errors
    ///
    /// When the system does not know it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves requests until `shutdown` completes, then lets open ones finish. Returns when every
    /// connection is gone and every handler has ended, at the latest shortly after
    /// [`Limits::shutdown_grace`]. Dropping the future cuts all connections.
    pub async fn serve<S>(self, service: S, shutdown: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let Self { tcp, tls, limits } = self;
        let limits = Arc::new(limits);
        let (phase, _) = watch::channel(Phase::Serving);
        tokio::select! {
            () = shutdown => {}
            () = accept(&tcp, &tls, &limits, service, &phase) => {}
            () = follow_files(&tls) => {}
        }
        drop(tcp);
        phase.send_replace(Phase::Draining);
        if timeout(limits.shutdown_grace, phase.closed()).await.is_err() {
            let open = phase.receiver_count();
            tracing::warn!("cutting {open} connections that are busy after the shutdown grace");
            phase.send_replace(Phase::Cut);
            let _ = timeout(UNWIND_TIME, phase.closed()).await;
        }
    }
}

/// Accepts for ever.
async fn accept<S>(
    tcp: &TcpListener,
    tls: &Tls,
    limits: &Arc<Limits>,
    service: S,
    phase: &watch::Sender<Phase>,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let handshakes = Arc::new(Semaphore::new(limits.handshakes.max(1)));
    // The semaphore is never closed, so this loop never ends.
    while let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await {
        let (stream, remote) = next(tcp).await;
        set_options(&stream, limits);
        let connection = Connection {
            remote,
            acceptor: tls.acceptor(),
            limits: Arc::clone(limits),
            phase: phase.subscribe(),
        };
        tokio::spawn(connection.run(stream, service.clone(), permit));
    }
}

/// The next connection. What is wrong with one is no reason to stop; what is wrong with the
/// system (no file descriptors, no memory) passes, so it is waited for.
async fn next(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if concerns_one_connection(&error) => {
                tracing::debug!(%error, "a connection was lost before it was accepted");
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again soon");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Options that only make the connection better: one that cannot be set is not missed.
fn set_options(stream: &TcpStream, limits: &Limits) {
    let keep_alive = socket2::TcpKeepalive::new().with_time(limits.tcp_keep_alive);
    let result = stream
        .set_nodelay(true)
        .and_then(|()| socket2::SockRef::from(stream).set_tcp_keepalive(&keep_alive));
    if let Err(error) = result {
        tracing::debug!(%error, "cannot set the options of a connection");
    }
}

/// Looks at the certificate files every minute, for ever.
async fn follow_files(tls: &Tls) {
    if !tls.follows_files() {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval_at(Instant::now() + RELOAD_INTERVAL, RELOAD_INTERVAL);
    loop {
        ticks.tick().await;
        let tls = tls.clone();
        // Reading files blocks.
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(true)) => tracing::info!("new TLS certificates are in service"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!("keeping the last good TLS certificates: {error}"),
            Err(error) => tracing::warn!("cannot look at the TLS certificate files: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn only_lost_connections_are_skipped_without_a_pause() {
        assert!(concerns_one_connection(&Error::from(ErrorKind::ConnectionAborted)));
        assert!(concerns_one_connection(&Error::from(ErrorKind::ConnectionReset)));
        for out_of_descriptors in [23, 24] {
            assert!(!concerns_one_connection(&Error::from_raw_os_error(out_of_descriptors)));
        }
        assert!(!concerns_one_connection(&Error::from(ErrorKind::OutOfMemory)));
    }
}
