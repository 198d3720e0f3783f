//! The durable embedded engine, on redb.
//!
//! # Layout
//! One directory with one redb file and a journal. In the redb file every change is written once,
//! in commit order, with its key, its value and the place of the value that it replaced; beside
//! that only a few numbers. Newer changes are in the journal, in two files that are used in turn.
//! The current state is in memory and is rebuilt from both on opening. Of the past, memory only
//! knows which key changed when; values are read from the redb file.
//!
//! # Writing
//! One thread commits. It takes whatever arrived while it was writing the last batch, checks each
//! transaction against the state that the ones before it leave, appends all of them to the journal
//! with one write and one sync, makes them visible, and only then answers. No timer delays a
//! lone commit, and many commits at once share the cost of one. Another thread brings what is in
//! the journal to the redb file, some thousand commits at once.

mod checkpoint;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod faults;
#[cfg(feature = "snapshot")]
mod import;
mod journal;
mod log;
mod open;
#[cfg(test)]
mod power_loss;
mod rehearsal;
mod restoring;
mod row;
mod writer;

use std::{
    fs::File,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::oneshot;

#[cfg(feature = "snapshot")]
pub(super) use self::import::{Import, ImportError};
pub use self::open::OpenError;
pub(super) use self::open::is_in;
use self::{
    checkpoint::Stored,
    open::{Disk, Opened, RealDisk},
    writer::{Intent, Stopped, Writer},
};
use super::{
    Cause, CommitError, ListOptions, Page, ReadError, Record, Revision, Storage, Transaction,
    Watch, WatchError,
    engine::Engine,
    plan,
    retention::{DEFAULT_RETENTION, Retention},
};
use crate::key::{Key, KeyRange};

/// A durable engine in one directory, for one process.
///
/// A commit is on disk before it is answered, and before any reader or watcher sees it. All
/// current values are held in memory; history is kept on disk for five minutes, or as
/// [`EmbeddedBuilder::retention`] says.
///
/// When the disk is full or fails, commits answer [`CommitError::Unavailable`] and reads go on;
/// the engine tries again with the next commit. Dropping it waits for what is being written and
/// ends all watches.
///
/// ```no_run
/// # fn main() -> Result<(), milo_core::storage::OpenError> {
/// use milo_core::storage::Embedded;
///
/// let storage = Embedded::open("./milo-data")?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Embedded {
    engine: Arc<Engine<Stored>>,
    /// None only while being dropped.
    intents: Option<mpsc::Sender<Intent>>,
    thread: Option<JoinHandle<()>>,
    /// Keeps others out of the directory. Released last.
    _lock: File,
}

/// Options for [`Embedded`]. See [`Embedded::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct EmbeddedBuilder {
    directory: PathBuf,
    retention: Duration,
}

impl Default for EmbeddedBuilder {
    fn default() -> Self {
        Self { directory: PathBuf::from("milo-data"), retention: DEFAULT_RETENTION }
    }
}

impl EmbeddedBuilder {
    /// Where the data are; `milo-data` in the working directory when not said. Made, for this
    /// user alone, when it is not there.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// For how long, at least, the past can be read and watched; five minutes when not said. A
    /// restart counts as the beginning of the past.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Opens the directory, checks and reads what is in it. Blocks for as long as that takes: some
    /// seconds per gigabyte, so call it before serving, or where blocking is allowed.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(self) -> Result<Embedded, OpenError> {
        self.open_on(RealDisk)
    }

    fn open_on(self, disk: impl Disk) -> Result<Embedded, OpenError> {
        let Opened { lock, log, journal, found, index } = open::open(&self.directory, disk)?;
        let engine = Arc::new(Engine::new(index, Stored::new(log, found)));
        let (sender, receiver) = mpsc::channel();
        let retention = Retention::new(self.retention);
        let thread = Writer::new(receiver, Arc::clone(&engine), journal, retention)
            .and_then(|writer| {
                let thread = std::thread::Builder::new().name("milo-storage".to_owned());
                thread.spawn(move || writer.run())
            })
            .map_err(|cause| OpenError::Unavailable {
                file: self.directory.clone(),
                cause: cause.into(),
            })?;
        Ok(Embedded { engine, intents: Some(sender), thread: Some(thread), _lock: lock })
    }
}

impl Embedded {
    /// Opens a directory, which is made if it is not there, with the default options.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::builder().directory(directory).open()
    }

    /// Opens a directory with other options than the default ones.
    pub fn builder() -> EmbeddedBuilder {
        EmbeddedBuilder::default()
    }

    /// Asks the writer, and returns where its answer will come. None when it has stopped.
    fn ask<T>(
        &self,
        intent: impl FnOnce(oneshot::Sender<T>) -> Intent,
    ) -> Option<oneshot::Receiver<T>> {
        let (sender, receiver) = oneshot::channel();
        self.intents.as_ref()?.send(intent(sender)).ok()?;
        Some(receiver)
    }

    async fn ask_reading(
        &self,
        intent: impl FnOnce(oneshot::Sender<Result<(), ReadError>>) -> Intent,
    ) -> Result<(), ReadError> {
        self.ask(intent).ok_or(Stopped)?.await.map_err(|_| Stopped)?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.intents.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the storage writer had panicked");
        }
    }
}

#[async_trait]
impl Storage for Embedded {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        Ok(self.engine.get(key))
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        self.engine.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        let transaction = plan::prepare(transaction)?;
        let answer = self
            .ask(|sender| Intent::Commit(transaction, sender))
            .ok_or_else(|| CommitError::Unavailable(Cause::from(Stopped)))?;
        answer.await.map_err(|_| CommitError::Uncertain(Cause::from(Stopped)))?
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        self.engine.watch(range, after)
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        Ok(self.engine.revision())
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        self.ask_reading(|sender| Intent::Compact(floor, sender)).await
    }

    async fn ping(&self) -> Result<(), ReadError> {
        self.ask_reading(Intent::Ping).await
    }
}
