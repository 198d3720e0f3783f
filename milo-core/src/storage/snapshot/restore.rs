//! Bringing a snapshot into an empty store.

use std::{io, path::Path, time::Duration};

use super::{
    Head, Observer, Summary,
    format::ReadSnapshotError,
    order::{self, Commits, SetAside, SetAsideError},
    source::{Sink, Source, SourceError, blocking},
};
#[cfg(feature = "embedded")]
use crate::storage::embedded::{Import, ImportError};
use crate::{
    key::{Key, KeyRange},
    storage::{
        CommitError, ListOptions, OpenLocationError, Operation, Precondition, ReadError, Record,
        Revision, Storage, StorageLocation, Transaction, unfinished,
    },
};

/// Revisions between a snapshot and what a restored store gives out first, at least.
const GAP: u64 = 1_000_000_000;
/// Revisions that a store may have given out in a second: more than any engine can.
const REVISIONS_PER_SECOND: u64 = 1_000_000;
/// Objects in one transaction: etcd takes 128 operations.
const AT_ONCE: usize = 100;

/// Why a snapshot was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The target cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenLocationError),
    /// Something is in the target, which was left as it is.
    #[error(
        "{target} is not empty: it holds {objects} objects, {example} among them; choose an empty storage"
    )]
    NotEmpty {
        /// Where to.
        target: StorageLocation,
        /// How many objects it holds.
        objects: u64,
        /// The key of one.
        example: String,
    },
    /// The target would forget it at once.
    #[error("a storage in memory is gone with this program: choose another target")]
    Memory,
    /// What should be restored cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The target cannot be written. One in a directory is as it was; in a database is a part.
    #[error("cannot write to {target}: {cause}")]
    Write {
        /// Where to.
        target: StorageLocation,
        /// What went wrong.
        #[source]
        cause: crate::storage::Cause,
    },
    /// The temporary file cannot be written or read.
    #[error("{0}")]
    Temporary(#[source] io::Error),
}

impl From<SetAsideError> for RestoreError {
    fn from(error: SetAsideError) -> Self {
        match error {
            SetAsideError::Source(error) => Self::Source(error),
            error @ SetAsideError::Io { .. } => Self::Temporary(io::Error::other(error)),
        }
    }
}

impl From<ReadSnapshotError> for RestoreError {
    fn from(error: ReadSnapshotError) -> Self {
        Self::Source(error.into())
    }
}

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// What the snapshot holds.
    pub snapshot: Summary,
    /// The newest revision of the restored store.
    pub revision: Revision,
    /// Whether objects have the resource versions that they had. If not they have new ones, in
    /// the same order.
    pub revisions_kept: bool,
}

/// Restores a file into an empty store. What an interrupted restore or copy left there is removed
/// first if `restart` says so.
///
/// # Revisions
/// A resource version that the old store gave out must not mean something else in the new one: a
/// client that comes back with it would miss changes and never know. The snapshot tells the
/// revision that it shows, but the old store may have gone on after that. So the restored store
/// goes on far above: 1,000,000,000 revisions, and as many as a store could give out since the
/// snapshot was taken. All below is forgotten history: reads and watches from there are told that
/// it has expired, and clients list again.
///
/// The embedded engine also keeps the revision of every object. In the others each object gets a
/// new one, in the order of their last changes; objects that were written by one commit are
/// written by one commit again, if they are a hundred at most.
///
/// # Errors
/// See [`RestoreError`].
pub async fn restore(
    file: &Path,
    target: &StorageLocation,
    restart: bool,
    observer: Observer,
) -> Result<Restored, RestoreError> {
    let source = Source::file(file).await?;
    bring(source, &file.display().to_string(), target, restart, observer).await
}

/// Brings a source into an empty store.
pub(super) async fn bring(
    source: Source,
    source_name: &str,
    target: &StorageLocation,
    restart: bool,
    observer: Observer,
) -> Result<Restored, RestoreError> {
    if target.is_memory() {
        return Err(RestoreError::Memory);
    }
    #[cfg(feature = "embedded")]
    if let Some(directory) = target.directory() {
        return import(source, directory.to_owned(), target.clone(), observer).await;
    }
    let storage = open_empty(target, restart).await?;
    let set_aside = order::set_aside(source, observer.clone()).await?;
    let work = Commit { storage: &*storage, target, observer: &observer };
    work.all(source_name, set_aside).await
}

/// The first revision that the old store can not have given out.
fn beyond(snapshot: &Summary) -> Revision {
    let since = jiff::Timestamp::now().duration_since(snapshot.taken);
    let since = Duration::try_from(since).unwrap_or_default().as_secs();
    let gap = GAP.saturating_add(since.saturating_mul(REVISIONS_PER_SECOND));
    Revision::new(snapshot.revision.get().saturating_add(gap))
}

#[cfg(feature = "embedded")]
async fn import(
    source: Source,
    directory: std::path::PathBuf,
    target: StorageLocation,
    observer: Observer,
) -> Result<Restored, RestoreError> {
    let failed = move |error| match error {
        ImportError::Open(error) => RestoreError::Open(error.into()),
        ImportError::NotEmpty { objects, first } => {
            RestoreError::NotEmpty { target: target.clone(), objects, example: first }
        }
        other => RestoreError::Write { target: target.clone(), cause: other.into() },
    };
    let done = blocking(source, move |source| {
        let import = Import::begin(&directory).map_err(&failed)?;
        let mut filling = Filling { import, failed: &failed };
        let snapshot = source.drain(&mut filling, "restoring", &observer)?;
        let revision = filling.import.finish(beyond(&snapshot)).map_err(&failed)?;
        Ok(Restored { snapshot, revision, revisions_kept: true })
    });
    done.await.unwrap_or(Err(RestoreError::Source(SourceError::Stopped)))
}

#[cfg(feature = "embedded")]
struct Filling<'a, F> {
    import: Import,
    failed: &'a F,
}

#[cfg(feature = "embedded")]
impl<F: Fn(ImportError) -> RestoreError> Sink for Filling<'_, F> {
    type Error = RestoreError;

    fn begin(&mut self, _: &Head) -> Result<(), RestoreError> {
        self.import.empty().map_err(self.failed)
    }

    fn add(&mut self, records: Vec<Record>) -> Result<(), RestoreError> {
        self.import.add(records).map_err(self.failed)
    }
}

/// Opens a store and sees to it that nothing is in it.
async fn open_empty(
    target: &StorageLocation,
    restart: bool,
) -> Result<std::sync::Arc<dyn Storage>, RestoreError> {
    let storage = target.connect().await?;
    let unreadable = |error: ReadError| RestoreError::Open(target.unreadable(error));
    if let Some(source_name) = unfinished::find(&*storage).await.map_err(unreadable)? {
        if !restart {
            let error = OpenLocationError::Unfinished { location: target.clone(), source_name };
            return Err(error.into());
        }
        remove_all(&*storage, target).await?;
    }
    let one = ListOptions::default().limit(1);
    let page = storage.list(&KeyRange::all(), one).await.map_err(unreadable)?;
    match page.records.first() {
        None => Ok(storage),
        Some(record) => Err(RestoreError::NotEmpty {
            target: target.clone(),
            objects: page.remaining + 1,
            example: record.key.to_string(),
        }),
    }
}

/// Removes what an unfinished copy left, its mark last.
async fn remove_all(storage: &dyn Storage, target: &StorageLocation) -> Result<(), RestoreError> {
    let mark = mark(target)?;
    let some = ListOptions::default().limit(AT_ONCE);
    loop {
        let page = storage.list(&KeyRange::all(), some).await;
        let page = page.map_err(|error| RestoreError::Open(target.unreadable(error)))?;
        let last = page.remaining == 0;
        let keys = page.records.into_iter().map(|record| record.key);
        let removed =
            keys.filter(|key| last || *key != mark).fold(Transaction::new(), Transaction::delete);
        storage.commit(removed).await.map_err(|error| write_error(target, error))?;
        if last {
            return Ok(());
        }
    }
}

fn write_error(target: &StorageLocation, error: CommitError) -> RestoreError {
    RestoreError::Write { target: target.clone(), cause: error.into() }
}

fn mark(target: &StorageLocation) -> Result<Key, RestoreError> {
    let failed = |error: crate::key::InvalidKey| RestoreError::Write {
        target: target.clone(),
        cause: error.into(),
    };
    unfinished::key().map_err(failed)
}

/// Writing to an engine that numbers commits itself.
struct Commit<'a> {
    storage: &'a dyn Storage,
    target: &'a StorageLocation,
    observer: &'a Observer,
}

impl Commit<'_> {
    async fn all(&self, source: &str, set_aside: SetAside) -> Result<Restored, RestoreError> {
        let snapshot = set_aside.summary;
        let mark = mark(self.target)?;
        let begin = Transaction::new()
            .require(Precondition::Absent(mark.clone()))
            .put(mark.clone(), unfinished::value(source));
        self.commit(begin).await?;
        self.records(set_aside.into_commits(), snapshot.objects).await?;
        let end = Transaction::new().require(Precondition::Exists(mark.clone())).delete(mark);
        let revision = self.commit(end).await?;
        Ok(Restored { snapshot, revision, revisions_kept: false })
    }

    async fn records(&self, mut commits: Commits, expected: u64) -> Result<(), RestoreError> {
        let (mut objects, mut bytes) = (0, 0);
        // Reads of a file that was just written: too short to be worth another thread.
        while let Some(records) = commits.next().map_err(RestoreError::Temporary)? {
            for records in records.chunks(AT_ONCE) {
                let mut transaction = Transaction::new();
                for record in records {
                    objects += 1;
                    bytes += (record.key.as_bytes().len() + record.value.len()) as u64;
                    let Record { key, value, .. } = record.clone();
                    transaction.add_precondition(Precondition::Absent(key.clone()));
                    transaction.add_operation(Operation::Put(key, value));
                }
                self.commit(transaction).await?;
            }
            self.observer.tell("restoring", objects, bytes, expected);
        }
        Ok(())
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, RestoreError> {
        self.storage.commit(transaction).await.map_err(|error| write_error(self.target, error))
    }
}
