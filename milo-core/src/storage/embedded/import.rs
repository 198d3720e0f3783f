//! Filling an empty directory with records that keep the revisions that they had elsewhere.
//!
//! They are written to a file of another name, which only takes its place when all is in it and
//! on disk: a directory is restored completely or is as it was.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use redb::Database;

use super::{
    log,
    open::{self, OpenError, RealDisk},
};
use crate::storage::{Record, Revision};

/// Bytes of values that are brought to the disk together.
const BATCH_BYTES: usize = 16 << 20;

/// Why a directory was not filled. It is as it was.
#[derive(Debug, thiserror::Error)]
pub(in crate::storage) enum ImportError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("it holds {objects} objects, {first} among them")]
    NotEmpty { objects: u64, first: String },
    #[error("{cause}")]
    Write {
        #[source]
        cause: redb::Error,
    },
    #[error("{cause}")]
    Rename {
        #[source]
        cause: std::io::Error,
    },
}

/// A directory that is being filled, and locked meanwhile.
#[derive(Debug)]
pub(in crate::storage) struct Import {
    directory: PathBuf,
    /// None before [`Import::empty`].
    database: Option<Database>,
    waiting: Vec<Record>,
    waiting_bytes: usize,
    /// The newest revision that the directory had given out before.
    given_out: Revision,
    completed: bool,
    _lock: File,
}

impl Import {
    /// Makes the directory if it is not there, locks it, and sees to it that nothing is in it.
    /// [`Import::empty`] comes next.
    pub(in crate::storage) fn begin(directory: &Path) -> Result<Self, ImportError> {
        let (lock, given_out) = if open::is_in(directory) {
            let opened = open::open(directory, RealDisk)?;
            let all = opened.index.slice(&crate::key::KeyRange::all(), 1);
            if let Some(first) = all.iter().next() {
                let (objects, first) = (all.total() as u64, first.key.to_string());
                return Err(ImportError::NotEmpty { objects, first });
            }
            (opened.lock, opened.index.revision())
        } else {
            (open::prepare(directory)?, Revision::FIRST)
        };
        Ok(Self {
            directory: directory.to_owned(),
            database: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            given_out,
            completed: false,
            _lock: lock,
        })
    }

    /// Forgets what was added.
    pub(in crate::storage) fn empty(&mut self) -> Result<(), ImportError> {
        self.waiting.clear();
        self.waiting_bytes = 0;
        // Closed first: redb holds a lock on the file.
        drop(self.database.take());
        self.database = Some(open::create_new(&self.directory, &RealDisk)?);
        Ok(())
    }

    /// Adds records, of any revisions above zero, in any order, each key once.
    pub(in crate::storage) fn add(&mut self, records: Vec<Record>) -> Result<(), ImportError> {
        for record in records {
            self.waiting_bytes += record.value.len();
            self.waiting.push(record);
        }
        if self.waiting_bytes >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    /// Puts what was added in place, as a store that has forgotten its history and whose next
    /// revision is the one after `revision`, or after one that the directory itself has not
    /// given out yet. Returns which.
    pub(in crate::storage) fn finish(
        mut self,
        revision: Revision,
    ) -> Result<Revision, ImportError> {
        self.write()?;
        let revision = revision.max(self.given_out.next());
        if let Some(database) = self.database.take() {
            log::complete_import(&database, revision)
                .map_err(|cause| ImportError::Write { cause })?;
        }
        let put = open::put_in_place(&self.directory);
        put.map_err(|cause| ImportError::Rename { cause })?;
        self.completed = true;
        Ok(revision)
    }

    fn write(&mut self) -> Result<(), ImportError> {
        let records = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let Some(database) = &self.database else { return Ok(()) };
        log::import(database, &records).map_err(|cause| ImportError::Write { cause })
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        if !self.completed {
            drop(self.database.take());
            let _gone = fs::remove_file(open::new_file(&self.directory));
        }
    }
}
