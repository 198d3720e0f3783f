//! Bringing records into PostgreSQL, with the revisions that they have.

use super::{
    Observer, Restored, Source,
    order::{self, Commits},
    restore::{RestoreError, beyond},
};
use crate::storage::{
    StorageLocation,
    postgres::{Import, ImportError},
};

/// Fills an empty database.
pub(super) async fn fill(
    source: Source,
    url: &str,
    target: &StorageLocation,
    observer: Observer,
) -> Result<Restored, RestoreError> {
    let failed = |error| failed(error, target);
    let origin = source.origin();
    // Refused before all is read, and again when the lock is held.
    drop(Import::begin(url).await.map_err(failed)?);
    let set_aside = order::set_aside(source, observer.clone()).await?;
    let snapshot = set_aside.summary;
    let mut import = Import::begin(url).await.map_err(failed)?;
    let mut count = Count { expected: snapshot.objects, observer, objects: 0, bytes: 0 };
    let mut commits: Commits = set_aside.into_commits();
    // Reads of a file that was just written: too short to be worth another thread.
    while let Some(records) = commits.next().map_err(RestoreError::Temporary)? {
        count.add(&records);
        import.add(records).await.map_err(failed)?;
    }
    let revision = import.finish(beyond(&snapshot)).await.map_err(failed)?;
    Ok(Restored { snapshot, revision, origin, revisions_kept: true })
}

fn failed(error: ImportError, target: &StorageLocation) -> RestoreError {
    match error {
        ImportError::Connect(error) => RestoreError::Open(error.into()),
        ImportError::NotEmpty { objects, first } => {
            RestoreError::NotEmpty { target: target.clone(), objects, example: first }
        }
        ImportError::Write(cause) => RestoreError::Write { target: target.clone(), cause },
    }
}

struct Count {
    expected: u64,
    observer: Observer,
    objects: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, records: &[crate::storage::Record]) {
        for record in records {
            self.objects += 1;
            self.bytes += (record.key.as_bytes().len() + record.value.len()) as u64;
        }
        self.observer.tell("restoring", self.objects, self.bytes, self.expected);
    }
}
