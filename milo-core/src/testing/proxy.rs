//! A connection that can be cut.

use std::{io, net::Ipv4Addr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A TCP proxy on loopback, with which a test cuts a client off from its server.
///
/// Dropping it closes all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    running: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Connections are closed, and new ones as soon as they are made.
    Cut,
    /// Nothing passes, and nobody is told: as when a cable is pulled, or a firewall forgets.
    Silent,
}

impl Proxy {
    /// A proxy on a free port, to a port of the same machine.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(target: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let state = watch::Sender::new(State::Open);
        let running = tokio::spawn(accept(listener, target, state.subscribe()));
        Ok(Self { port, state, running })
    }

    /// The port to connect to, of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections, and those that are made from now on.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets nothing pass any more, without closing anything.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Lets everything pass again. Connections that were [silent](Self::silence) go on with what was
    /// held back.
    pub fn heal(&self) {
        self.state.send_replace(State::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn accept(listener: TcpListener, target: u16, state: watch::Receiver<State>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(forward(client, target, state.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(client: TcpStream, target: u16, mut state: watch::Receiver<State>) {
    let mut cut = state.clone();
    let passed = async {
        open(&mut state).await?;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await.ok()?;
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        tokio::join!(
            pass(client_reads, server_writes, state.clone()),
            pass(server_reads, client_writes, state),
        );
        Some(())
    };
    tokio::select! {
        _ = passed => {}
        // Both ends are dropped, and so closed.
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
}

/// Waits until bytes may pass; none when the proxy is gone.
async fn open(state: &mut watch::Receiver<State>) -> Option<()> {
    state.wait_for(|state| *state == State::Open).await.ok().map(drop)
}

async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        open(&mut state).await?;
        to.write_all(buffer.get(..read)?).await.ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passes_holds_back_and_cuts() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap().port()).await.unwrap();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()));
        let mut client = connect().await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"one").await.unwrap();
        let mut three = [0; 3];
        server.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"one");
        proxy.silence();
        client.write_all(b"two").await.unwrap();
        assert!(server.try_read(&mut three).is_err());
        proxy.heal();
        server.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"two");
        proxy.cut();
        assert_eq!(server.read(&mut three).await.unwrap(), 0);
        assert_eq!(client.read(&mut three).await.unwrap_or(0), 0);
        let mut refused = connect().await.unwrap();
        assert_eq!(refused.read(&mut three).await.unwrap_or(0), 0);
    }
}
