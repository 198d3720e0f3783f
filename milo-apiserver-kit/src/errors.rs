//! How storage errors are told to clients (`spec/wire.md` section 9.1).

use std::time::Duration;

use milo_core::{
    key::GroupResource,
    status::StatusError,
    storage::{CommitError, ReadError, WatchError},
};

const RETRY: Duration = Duration::from_secs(1);

/// A failed read.
pub(crate) fn read(error: &ReadError) -> StatusError {
    match error {
        ReadError::Expired { .. } => {
            StatusError::expired("The resourceVersion for the provided list is too old.")
        }
        ReadError::Future { requested, current } => {
            StatusError::resource_version_too_large(requested.get(), current.get())
        }
        ReadError::Unavailable(_) => {
            tracing::error!(%error, "storage cannot be read");
            StatusError::unavailable("the storage is unavailable, please try again", RETRY)
        }
        _ => {
            tracing::error!(%error, "storage cannot be read");
            StatusError::internal(error)
        }
    }
}

/// A storage that does not answer.
pub(crate) fn silent() -> StatusError {
    tracing::error!("the storage does not answer");
    StatusError::unavailable("the storage does not answer, please try again", RETRY)
}

/// A failed commit, other than a conflict: conflicts are decided by the update loops.
pub(crate) fn commit(error: &CommitError, resource: &GroupResource, name: &str) -> StatusError {
    match error {
        CommitError::Conflict { .. } => StatusError::conflict(resource, name, MODIFIED),
        CommitError::TooLarge { limit, .. } => StatusError::too_large(*limit),
        CommitError::Unavailable(_) => {
            tracing::error!(%error, "storage cannot be written");
            StatusError::unavailable(
                "the storage cannot be written now; nothing was changed, please try again",
                RETRY,
            )
        }
        CommitError::Uncertain(_) => {
            tracing::error!(%error, "a commit may or may not have happened");
            StatusError::timeout("the storage did not confirm the change in time", RETRY)
        }
        _ => {
            tracing::error!(%error, "storage cannot be written");
            StatusError::internal(error)
        }
    }
}

/// A watch that could not start.
pub(crate) fn watch(error: &WatchError) -> StatusError {
    match error {
        WatchError::Expired { requested, compacted } => {
            StatusError::expired(format!("too old resource version: {requested} ({compacted})"))
        }
        WatchError::Future { requested, current } => {
            StatusError::resource_version_too_large(requested.get(), current.get())
        }
        WatchError::Unavailable(_) | WatchError::Lagged => {
            StatusError::unavailable("the storage is unavailable, please try again", RETRY)
        }
        _ => StatusError::internal(error),
    }
}

/// The text of a lost race.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";
