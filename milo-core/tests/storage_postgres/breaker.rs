//! A cable between client and server that breaks at a commit.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch::{Receiver, Sender, channel},
    task::JoinHandle,
};

/// What the cable does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cable {
    /// Carries everything.
    Whole,
    /// Carries nothing: connections end, new ones at once.
    Cut,
    /// A commit does not get through; its connection ends.
    BreakBeforeCommit,
    /// A commit gets through, but its connection ends before the answer.
    BreakAfterCommit,
    /// A commit gets through, its connection ends before the answer, and nothing else does.
    BreakForGood,
}

/// A proxy on a random port. What it does applies to connections that are there already.
pub(crate) struct Breaker {
    port: u16,
    state: Arc<Sender<Cable>>,
    task: JoinHandle<()>,
}

impl Drop for Breaker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Breaker {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(channel(Cable::Whole).0);
        let task = tokio::spawn(accept(listener, server, Arc::clone(&state)));
        Self { port, state, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, cable: Cable) {
        self.state.send_replace(cable);
    }
}

async fn accept(listener: TcpListener, server: u16, state: Arc<Sender<Cable>>) {
    while let Ok((client, _)) = listener.accept().await {
        if *state.borrow() == Cable::Cut {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (own, ended) = channel(false);
        let own = Arc::new(own);
        tokio::spawn(forward(from_client, to_server, Arc::clone(&state), Arc::clone(&own)));
        tokio::spawn(back(from_server, to_client, state.subscribe(), ended));
    }
}

/// From the client to the server.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: Arc<Sender<Cable>>,
    end: Arc<Sender<bool>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut watched = state.subscribe();
    while let Some(read) = carry(&mut from, &mut buffer, &mut watched).await {
        let bytes = &buffer[..read];
        let commits = bytes.windows(7).any(|window| window == b"COMMIT\0");
        let cable = *state.borrow();
        let after = match cable {
            Cable::BreakBeforeCommit | Cable::BreakAfterCommit if commits => Some(Cable::Whole),
            Cable::BreakForGood if commits => Some(Cable::Cut),
            _ => None,
        };
        if cable == Cable::BreakBeforeCommit && commits {
            end.send_replace(true);
            state.send_replace(Cable::Whole);
            return;
        }
        if after == Some(Cable::Cut) {
            // However soon the answer comes, nobody hears it.
            state.send_replace(Cable::Cut);
            end.send_replace(true);
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
        if let Some(after) = after {
            end.send_replace(true);
            // The server completes what it got: its end of the connection stays open meanwhile.
            state.send_replace(after);
            std::future::pending::<()>().await;
        }
    }
}

/// From the server to the client, until the connection is ended.
async fn back(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: Receiver<Cable>,
    mut ended: Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => None,
            read = carry(&mut from, &mut buffer, &mut state) => read,
        };
        match read {
            Some(read) if to.write_all(&buffer[..read]).await.is_ok() => {}
            _ => break,
        }
    }
    drop(to);
    // What the server still says is heard by nobody.
    while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// The next bytes; none when the connection is over.
async fn carry(
    from: &mut OwnedReadHalf,
    buffer: &mut [u8],
    state: &mut Receiver<Cable>,
) -> Option<usize> {
    tokio::select! {
        biased;
        _ = state.wait_for(|cable| *cable == Cable::Cut) => None,
        read = from.read(buffer) => read.ok().filter(|read| *read > 0),
    }
}
