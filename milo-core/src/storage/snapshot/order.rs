//! Records by the revision that wrote them: snapshots have them by key.
//!
//! They are set aside in a temporary file that has no name, so that the disk holds them, not
//! memory, which has 16 bytes for each.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    Head, Observer, Summary,
    source::{Sink, Source, SourceError, blocking},
};
use crate::{
    key::Key,
    storage::{Record, Revision},
};

const RECORD_HEADER: usize = 4 + 4;

/// Why records could not be set aside.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetAsideError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(
        "cannot write a temporary file in {}: {cause}; choose another directory with TMPDIR",
        directory.display()
    )]
    Io {
        directory: PathBuf,
        #[source]
        cause: io::Error,
    },
}

/// Records that were set aside, all of them read and checked.
#[derive(Debug)]
pub(super) struct SetAside {
    file: File,
    /// The revision of each record, and where it is.
    order: Vec<(u64, u64)>,
    pub(super) summary: Summary,
}

/// Sets aside all that the source tells.
pub(super) async fn set_aside(
    source: Source,
    observer: Observer,
) -> Result<SetAside, SetAsideError> {
    let directory = std::env::temp_dir();
    let done = blocking(source, move |source| {
        let failed = |cause| SetAsideError::Io { directory: directory.clone(), cause };
        let file = nameless(&directory).map_err(failed)?;
        let out = BufWriter::with_capacity(1 << 16, file);
        let mut spool = Spool { out, length: 0, order: Vec::new(), directory: &directory };
        let summary = source.drain(&mut spool, "reading", &observer)?;
        let Spool { out, mut order, .. } = spool;
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        order.sort_unstable();
        Ok(SetAside { file, order, summary })
    });
    done.await.unwrap_or(Err(SetAsideError::Source(SourceError::Stopped)))
}

struct Spool<'a> {
    out: BufWriter<File>,
    length: u64,
    order: Vec<(u64, u64)>,
    directory: &'a Path,
}

impl Sink for Spool<'_> {
    type Error = SetAsideError;

    fn begin(&mut self, _: &Head) -> Result<(), SetAsideError> {
        self.length = 0;
        self.order.clear();
        // What is behind the end of the new records is never read.
        self.out.rewind().map_err(|cause| self.failed(cause))
    }

    fn add(&mut self, records: Vec<Record>) -> Result<(), SetAsideError> {
        records.iter().try_for_each(|record| self.write(record)).map_err(|cause| self.failed(cause))
    }
}

impl Spool<'_> {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.order.push((record.revision.get(), self.length));
        for part in [record.key.as_bytes(), &record.value] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            self.out.write_all(&length.to_le_bytes())?;
        }
        self.out.write_all(record.key.as_bytes())?;
        self.out.write_all(&record.value)?;
        let bytes = RECORD_HEADER + record.key.as_bytes().len() + record.value.len();
        self.length += bytes as u64;
        Ok(())
    }

    fn failed(&self, cause: io::Error) -> SetAsideError {
        SetAsideError::Io { directory: self.directory.to_owned(), cause }
    }
}

impl SetAside {
    /// The records of one revision after the other, oldest first.
    pub(super) fn into_commits(self) -> Commits {
        let file = BufReader::new(self.file);
        Commits { file, position: None, order: self.order.into_iter().peekable() }
    }
}

/// See [`SetAside::into_commits`].
#[derive(Debug)]
pub(super) struct Commits {
    file: BufReader<File>,
    /// Where the file is read next, when that is known.
    position: Option<u64>,
    order: std::iter::Peekable<std::vec::IntoIter<(u64, u64)>>,
}

impl Commits {
    /// Those that the next revision wrote. None at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<Record>>> {
        let Some((revision, offset)) = self.order.next() else { return Ok(None) };
        let mut records = vec![self.read(revision, offset)?];
        while let Some((_, offset)) = self.order.next_if(|(next, _)| *next == revision) {
            records.push(self.read(revision, offset)?);
        }
        Ok(Some(records))
    }

    fn read(&mut self, revision: u64, offset: u64) -> io::Result<Record> {
        // Records that were written one after the other often lie so, too.
        if self.position.take() != Some(offset) {
            self.file.seek(SeekFrom::Start(offset))?;
        }
        let key = self.length()?;
        let value = self.length()?;
        let mut bytes = vec![0; key + value];
        self.file.read_exact(&mut bytes)?;
        self.position = Some(offset + (RECORD_HEADER + bytes.len()) as u64);
        let mut bytes = Bytes::from(bytes);
        let key = Key::from_storage(bytes.split_to(key));
        Ok(Record { key, revision: Revision::new(revision), value: bytes })
    }

    fn length(&mut self) -> io::Result<usize> {
        let mut length = [0; 4];
        self.file.read_exact(&mut length)?;
        Ok(u32::from_le_bytes(length) as usize)
    }
}

/// A new file for this user alone, whose name is gone already: so is the file when it is closed.
fn nameless(directory: &Path) -> io::Result<File> {
    let path = directory.join(format!("milo-{}.tmp", uuid::Uuid::new_v4()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
