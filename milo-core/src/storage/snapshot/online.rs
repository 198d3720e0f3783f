//! Snapshots of an embedded storage while a server has it open: over a Unix socket in its
//! directory, which nobody but the directory's owner may use.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::{
            fs::{MetadataExt as _, PermissionsExt as _},
            net::UnixStream as BlockingStream,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    net::{UnixListener, UnixStream},
    task::{self, JoinHandle},
};

use super::{
    Head, Observer,
    decode::Decoder,
    encode::Encoder,
    source::{Origin, Sink, Source, SourceError},
};
use crate::storage::{Record, Storage};

/// The socket.
const SOCKET: &str = "snapshot.sock";
/// The socket until nobody else may use it.
const NEW_SOCKET: &str = "snapshot.sock.new";
/// What a client says first.
const REQUEST: &[u8; 11] = b"snapshot 1\n";
/// The longest that either side waits for the other one.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest path that every system takes for a socket.
const PATH_LENGTH: usize = 100;

/// Gives snapshots of a storage to other processes of the same user, until it is dropped.
///
/// Whoever opens an [`Embedded`](crate::storage::Embedded) storage keeps all others out of its
/// directory. With this beside it `milo storage snapshot` and [`Source::at`] work all the same:
/// they ask the process that has it open.
#[derive(Debug)]
pub struct OnlineSnapshots {
    directory: PathBuf,
    accepting: JoinHandle<()>,
    clients: Arc<Clients>,
}

/// Connections that are being written to.
#[derive(Debug, Default)]
struct Clients {
    /// By the number of their file.
    streams: Mutex<HashMap<RawFd, BlockingStream>>,
}

impl OnlineSnapshots {
    /// Gives snapshots of `storage`, which is open in `directory`. To be called within a tokio
    /// runtime, by the process that has the storage open: it takes the place of a socket that is
    /// there already.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(directory: impl Into<PathBuf>, storage: Arc<dyn Storage>) -> io::Result<Self> {
        let directory = directory.into();
        let listener = listen(&directory)?;
        let owner = fs::metadata(directory.join(SOCKET))?.uid();
        let clients = Arc::new(Clients::default());
        let accepting = task::spawn(accept(listener, owner, storage, Arc::clone(&clients)));
        Ok(Self { directory, accepting, clients })
    }
}

impl Drop for OnlineSnapshots {
    fn drop(&mut self) {
        self.accepting.abort();
        let _gone = fs::remove_file(self.directory.join(SOCKET));
        // Their threads find out, and end.
        for stream in self.clients.streams.lock().values() {
            let _closed = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn listen(directory: &Path) -> io::Result<UnixListener> {
    let (new, _open) = short_path(directory, NEW_SOCKET)?;
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(directory.join(NEW_SOCKET), directory.join(SOCKET))?;
    Ok(listener)
}

/// A path of a file in the directory that is short enough for a socket, and what must stay open
/// for it to be of use.
fn short_path(directory: &Path, file: &str) -> io::Result<(PathBuf, Option<File>)> {
    let path = directory.join(file);
    if path.as_os_str().len() <= PATH_LENGTH || !cfg!(target_os = "linux") {
        return Ok((path, None));
    }
    let open = File::open(directory)?;
    let number = open.as_raw_fd();
    Ok((PathBuf::from(format!("/proc/self/fd/{number}/{file}")), Some(open)))
}

async fn accept(
    listener: UnixListener,
    owner: u32,
    storage: Arc<dyn Storage>,
    clients: Arc<Clients>,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a request for a snapshot could not be accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let allowed = stream.peer_cred().is_ok_and(|peer| [0, owner].contains(&peer.uid()));
        if !allowed {
            tracing::warn!("another user's request for a snapshot was refused");
            continue;
        }
        let source = Source::storage(Arc::clone(&storage));
        if let Err(error) = serve(stream, source, &clients) {
            tracing::warn!(%error, "a snapshot could not be begun");
        }
    }
}

/// Sends a snapshot, from a thread of its own: the process may end while the client is slow.
fn serve(stream: UnixStream, source: Source, clients: &Arc<Clients>) -> io::Result<()> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let guard = clients.add(stream.try_clone()?);
    let work = move || {
        match send(&stream, source) {
            Ok(objects) => tracing::info!(objects, "gave a snapshot"),
            Err(error) => tracing::warn!(%error, "a snapshot was broken off"),
        }
        drop(guard);
    };
    std::thread::Builder::new().name("milo-snapshot".to_owned()).spawn(work).map(drop)
}

impl Clients {
    fn add(self: &Arc<Self>, stream: BlockingStream) -> Registered {
        let number = stream.as_raw_fd();
        self.streams.lock().insert(number, stream);
        Registered { clients: Arc::clone(self), number }
    }
}

/// Keeps a connection among the clients.
struct Registered {
    clients: Arc<Clients>,
    number: RawFd,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.clients.streams.lock().remove(&self.number);
    }
}

fn send(stream: &BlockingStream, mut source: Source) -> io::Result<u64> {
    let mut request = [0; REQUEST.len()];
    let mut input = stream;
    input.read_exact(&mut request)?;
    if request != *REQUEST {
        return Err(io::Error::other("what was asked for is unknown"));
    }
    let mut output = Output(Encoder::new(BufWriter::new(stream), false)?);
    match source.drain(&mut output, "sending", &Observer::none()) {
        Ok(summary) => output.0.end(&summary).map(|()| summary.objects),
        Err(SendError::Client(error)) => Err(error),
        Err(SendError::Source(error)) => {
            output.0.fail(&error.to_string())?;
            Err(io::Error::other(error))
        }
    }
}

struct Output<'a>(Encoder<BufWriter<&'a BlockingStream>>);

enum SendError {
    Client(io::Error),
    Source(SourceError),
}

impl From<SourceError> for SendError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl Sink for Output<'_> {
    type Error = SendError;

    fn begin(&mut self, head: &Head) -> Result<(), SendError> {
        self.0.begin(head).map_err(SendError::Client)
    }

    fn add(&mut self, records: Vec<Record>) -> Result<(), SendError> {
        self.0.add(&records).map_err(SendError::Client)
    }
}

/// Connects to the process that has the directory open, if there is one that gives snapshots.
pub(super) async fn connect(directory: &Path) -> Option<UnixStream> {
    let (path, _open) = short_path(directory, SOCKET).ok()?;
    UnixStream::connect(path).await.ok()
}

/// Asks for a snapshot.
pub(super) async fn read(stream: UnixStream, directory: PathBuf) -> Result<Source, SourceError> {
    let begin = move || {
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        (&stream).write_all(REQUEST)?;
        Ok(stream)
    };
    let place = directory.join(SOCKET);
    let broken =
        |error: io::Error| SourceError::Server(format!("nothing that makes sense: {error}"));
    let begun = task::spawn_blocking(move || {
        let stream = begin().map_err(broken)?;
        Ok::<_, SourceError>(Decoder::new(BufReader::new(stream), place)?.with_restarts())
    });
    let decoder = begun.await.map_err(|_| SourceError::Stopped)??;
    Ok(Source::decoder(decoder, Origin::Server))
}
