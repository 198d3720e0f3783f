//! Everything in a store at one revision, part by part.

use std::{
    fmt,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::mpsc, task};

use super::{
    Head, Observer, Summary, decode::Decoder, format::ReadSnapshotError, pages, tally::Tally,
};
use crate::storage::{OpenLocationError, ReadError, Record, Storage, StorageLocation};

/// Parts that may wait to be taken: the next one is read while this one is worked on.
const AHEAD: usize = 2;

/// A part of a snapshot.
#[derive(Debug)]
pub(super) enum Part {
    /// What comes first. When it comes again, all before it does not count.
    Begin(Head),
    /// Records in key order.
    Records(Vec<Record>),
    /// All is there; with what it is, if that is known.
    End(Option<Summary>),
}

/// What the parts of a source are given to.
pub(super) trait Sink {
    type Error: From<SourceError>;

    /// Begins. Called again when the reading has started again: then nothing before counts.
    fn begin(&mut self, head: &Head) -> Result<(), Self::Error>;

    /// Takes records, in key order.
    fn add(&mut self, records: Vec<Record>) -> Result<(), Self::Error>;
}

/// Why not everything could be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The storage cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenLocationError),
    /// The storage cannot be read.
    #[error(transparent)]
    Storage(#[from] ReadError),
    /// The storage forgot the revision while it was read, several times.
    #[error(
        "the storage forgot its past {attempts} times before all of it was read: let it keep its history for longer, or write less meanwhile"
    )]
    TooSlow {
        /// How often it was tried.
        attempts: u32,
    },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ReadSnapshotError),
    /// The directory is in use by a program that gives no snapshots of it.
    #[error(
        "{} is in use by another process, which gives no snapshots: try again when it has started, or stop it",
        directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The running server could not go on.
    #[error("the running server said: {0}")]
    Server(String),
    /// Whoever was reading has stopped.
    #[error("the reading was broken off")]
    Stopped,
}

/// Where a [`Source`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A storage that this process has opened.
    Storage,
    /// The embedded storage of a running server, which goes on serving.
    Server,
    /// A file.
    File,
}

/// Everything in a store at one revision. See the [module](super)'s documentation.
pub struct Source {
    parts: mpsc::Receiver<Result<Part, SourceError>>,
    origin: Origin,
    /// Set when nobody waits for what is made of it.
    unwanted: Arc<AtomicBool>,
}

/// The other end of a [`Source`].
pub(super) type Sender = mpsc::Sender<Result<Part, SourceError>>;

impl Source {
    /// What the storage holds now. To be called within a tokio runtime.
    #[must_use]
    pub fn storage(storage: Arc<dyn Storage>) -> Self {
        let (sender, parts) = mpsc::channel(AHEAD);
        task::spawn(async move {
            let read = pages::read(&*storage, &sender).await;
            // First, so that who has the end can open the same directory.
            drop(storage);
            let end = match read {
                Ok(()) => Ok(Part::End(None)),
                Err(error) => Err(error),
            };
            let _gone = sender.send(end).await;
        });
        Self::new(parts, Origin::Storage)
    }

    /// What a storage holds that is there already. If it is in a directory that a running server
    /// has open, the server is asked.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn at(location: &StorageLocation) -> Result<Self, SourceError> {
        #[cfg(unix)]
        if let Some(directory) = location.directory() {
            return Self::in_directory(location, directory).await;
        }
        Ok(Self::storage(location.open_existing().await?))
    }

    #[cfg(unix)]
    async fn in_directory(
        location: &StorageLocation,
        directory: &Path,
    ) -> Result<Self, SourceError> {
        use super::online;

        if let Some(stream) = online::connect(directory).await {
            return online::read(stream, directory.to_owned()).await;
        }
        match location.open_existing().await {
            Ok(storage) => Ok(Self::storage(storage)),
            Err(error) if is_locked(&error) => match online::connect(directory).await {
                // It has just started.
                Some(stream) => online::read(stream, directory.to_owned()).await,
                None => Err(SourceError::InUse { directory: directory.to_owned() }),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// What is in a file.
    ///
    /// # Errors
    /// When the file cannot be opened or does not begin as a snapshot. What is wrong further on is
    /// found while it is read.
    pub async fn file(file: impl Into<PathBuf>) -> Result<Self, ReadSnapshotError> {
        let file = file.into();
        let failed = |cause| ReadSnapshotError::Io { file: file.clone(), cause };
        let opened = open_file(&file).map_err(failed)?;
        let decoder = Decoder::new(BufReader::new(opened), file)?;
        Ok(Self::decoder(decoder, Origin::File))
    }

    pub(super) fn decoder<R: std::io::Read + Send + 'static>(
        mut decoder: Decoder<R>,
        origin: Origin,
    ) -> Self {
        let (sender, parts) = mpsc::channel(AHEAD);
        task::spawn_blocking(move || {
            loop {
                let part = match decoder.next() {
                    Ok(Some(part)) => Ok(part),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let over = part.is_err();
                if sender.blocking_send(part).is_err() || over {
                    return;
                }
            }
        });
        Self::new(parts, origin)
    }

    fn new(parts: mpsc::Receiver<Result<Part, SourceError>>, origin: Origin) -> Self {
        Self { parts, origin, unwanted: Arc::default() }
    }

    /// Where it reads.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Gives all parts to a sink, blocking. Returns what they were.
    pub(super) fn drain<S: Sink>(
        &mut self,
        sink: &mut S,
        step: &'static str,
        observer: &Observer,
    ) -> Result<Summary, S::Error> {
        let mut begun: Option<(Head, Count)> = None;
        loop {
            match (self.next()?, &mut begun) {
                (Part::Begin(head), _) => {
                    sink.begin(&head)?;
                    begun = Some((head, Count::new(self.origin)));
                }
                (Part::Records(records), Some((head, count))) => {
                    count.add(&records);
                    sink.add(records)?;
                    observer.tell(step, count.objects, count.bytes, head.expected);
                }
                (Part::End(Some(summary)), Some(_)) => return Ok(summary),
                (Part::End(None), Some((head, Count { tally: Some(tally), .. }))) => {
                    return Ok(tally.summary(head));
                }
                (Part::Records(_) | Part::End(_), _) => return Err(SourceError::Stopped.into()),
            }
        }
    }

    fn next(&mut self) -> Result<Part, SourceError> {
        if self.unwanted.load(Ordering::Relaxed) {
            return Err(SourceError::Stopped);
        }
        self.parts.blocking_recv().unwrap_or(Err(SourceError::Stopped))
    }
}

/// What has gone by. Who reads a snapshot knows its digest.
struct Count {
    objects: u64,
    bytes: u64,
    tally: Option<Tally>,
}

impl Count {
    fn new(origin: Origin) -> Self {
        let tally = (origin == Origin::Storage).then(Tally::default);
        Self { objects: 0, bytes: 0, tally }
    }

    fn add(&mut self, records: &[Record]) {
        for record in records {
            self.objects += 1;
            self.bytes += (record.key.as_bytes().len() + record.value.len()) as u64;
            if let Some(tally) = &mut self.tally {
                tally.add(record);
            }
        }
    }
}

/// Works on a source where it may block. When the future is dropped the source ends, and so the
/// work fails. None when the work has panicked.
pub(super) async fn blocking<T: Send + 'static>(
    mut source: Source,
    work: impl FnOnce(&mut Source) -> T + Send + 'static,
) -> Option<T> {
    let _unwanted = Unwanted(Arc::clone(&source.unwanted));
    task::spawn_blocking(move || work(&mut source)).await.ok()
}

struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens what is a file, and not a directory or a pipe that would never end.
fn open_file(file: &Path) -> std::io::Result<File> {
    let opened = File::open(file)?;
    if opened.metadata()?.is_file() {
        Ok(opened)
    } else {
        Err(std::io::Error::other("it is not a file"))
    }
}

#[cfg(unix)]
fn is_locked(error: &OpenLocationError) -> bool {
    #[cfg(feature = "embedded")]
    return matches!(error, OpenLocationError::Embedded(crate::storage::OpenError::Locked { .. }));
    #[cfg(not(feature = "embedded"))]
    {
        let _ = error;
        false
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("origin", &self.origin).finish_non_exhaustive()
    }
}
