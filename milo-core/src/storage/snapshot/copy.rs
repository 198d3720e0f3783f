//! From one store to another.

use super::{
    Digest, Observer, Restored, check,
    restore::{self, RestoreError},
    source::{Source, SourceError},
};
use crate::storage::StorageLocation;

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// From and to are the same.
    #[error("{0} cannot be copied to itself")]
    Itself(StorageLocation),
    /// The source cannot be read.
    #[error("cannot copy from {location}: {cause}")]
    Source {
        /// Where from.
        location: StorageLocation,
        /// What went wrong.
        #[source]
        cause: SourceError,
    },
    /// The copy could not be made.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// What was copied cannot be read again.
    #[error("the copy could not be checked: {0}")]
    Check(#[source] SourceError),
    /// What was copied is not what was read.
    #[error(
        "the copy in {target} differs from what was copied: {found} objects with digest {found_digest} instead of {expected} with {expected_digest}; do not use it"
    )]
    Differs {
        /// Where to.
        target: StorageLocation,
        /// How many objects there are.
        found: u64,
        /// Of their keys and values.
        found_digest: Digest,
        /// How many there should be.
        expected: u64,
        /// Of theirs.
        expected_digest: Digest,
    },
}

/// Copies everything that `from` holds at one revision to `to`, which must be empty, and compares
/// the two afterwards. What an interrupted copy left there is removed first if `restart` says so.
/// What happens to revisions is said at [`restore`](super::restore()).
///
/// A store that others write to meanwhile is copied as it was when the copy began: what is
/// written later is not in the copy.
///
/// # Errors
/// See [`CopyError`].
pub async fn copy(
    from: &StorageLocation,
    to: &StorageLocation,
    restart: bool,
    observer: Observer,
) -> Result<Restored, CopyError> {
    if from == to {
        return Err(CopyError::Itself(from.clone()));
    }
    let failed = |cause| CopyError::Source { location: from.clone(), cause };
    let source = Source::at(from).await.map_err(failed)?;
    let copied = restore::bring(source, &from.to_string(), to, restart, observer.clone()).await;
    let copied = copied.map_err(|error| match error {
        RestoreError::Source(cause) => failed(cause),
        other => other.into(),
    })?;
    compare(&copied, to, observer).await?;
    Ok(copied)
}

async fn compare(
    copied: &Restored,
    target: &StorageLocation,
    observer: Observer,
) -> Result<(), CopyError> {
    let source = Source::at(target).await.map_err(CopyError::Check)?;
    let found = check(source, observer).await.map_err(CopyError::Check)?.summary;
    let expected = &copied.snapshot;
    if (found.objects, found.digest) == (expected.objects, expected.digest) {
        return Ok(());
    }
    Err(CopyError::Differs {
        target: target.clone(),
        found: found.objects,
        found_digest: found.digest,
        expected: expected.objects,
        expected_digest: expected.digest,
    })
}
