//! Bringing a snapshot into an empty store.

use std::{io, path::Path, time::Duration};

#[cfg(feature = "postgres")]
use super::database;
use super::{
    Head, Observer, Summary, commit,
    format::ReadSnapshotError,
    order::{self, SetAsideError},
    source::{Origin, Sink, Source, SourceError, blocking},
};
#[cfg(feature = "embedded")]
use crate::storage::embedded::{Import, ImportError};
use crate::storage::{OpenLocationError, Record, Revision, StorageLocation};

/// Revisions between a snapshot and what a restored store gives out first, at least.
const GAP: u64 = 1_000_000_000;
/// Revisions that a store may have given out in a second: more than any engine can.
const REVISIONS_PER_SECOND: u64 = 1_000_000;

/// Why a snapshot was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The target cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenLocationError),
    /// Something is in the target, which was left as it is.
    #[error(
        "{target} is not empty: there are {objects} objects in it, {example} among them; choose an empty storage"
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
    /// Where it was read.
    pub origin: Origin,
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
/// The embedded engine and PostgreSQL also keep the revision of every object. In etcd each object
/// gets a new one, in the order of their last changes; no server may have the target open then.
/// Objects that were written by one commit are
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
    #[cfg(feature = "postgres")]
    if let Some(url) = target.postgres() {
        return database::fill(source, url, target, observer).await;
    }
    let origin = source.origin();
    commit::empty(target, restart).await?;
    let set_aside = order::set_aside(source, observer.clone()).await?;
    let snapshot = set_aside.summary;
    skip_to(target, beyond(&snapshot)).await?;
    let revision = commit::fill(target, source_name, set_aside, &observer).await?;
    Ok(Restored { snapshot, revision, origin, revisions_kept: false })
}

/// Sees to it that the empty target gives out only later revisions.
#[cfg(feature = "etcd")]
async fn skip_to(target: &StorageLocation, revision: Revision) -> Result<(), RestoreError> {
    let Some(address) = target.etcd() else { return Ok(()) };
    let skipped = crate::storage::Etcd::skip(address, revision).await;
    let failed = |cause| OpenLocationError::Etcd { location: target.clone(), cause };
    Ok(skipped.map_err(failed)?)
}

#[cfg(not(feature = "etcd"))]
async fn skip_to(_: &StorageLocation, _: Revision) -> Result<(), RestoreError> {
    Ok(())
}

/// The first revision that the old store can not have given out.
pub(super) fn beyond(snapshot: &Summary) -> Revision {
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
    let origin = source.origin();
    let done = blocking(source, move |source| {
        let import = Import::begin(&directory).map_err(&failed)?;
        let mut filling = Filling { import, failed: &failed };
        let snapshot = source.drain(&mut filling, "restoring", &observer)?;
        let revision = filling.import.finish(beyond(&snapshot)).map_err(&failed)?;
        Ok(Restored { snapshot, revision, origin, revisions_kept: true })
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
