//! Writing a snapshot to a file that is there completely or not at all.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use super::{
    Head, Observer, Summary,
    encode::Encoder,
    source::{Sink, Source, SourceError, blocking},
};
use crate::storage::Record;

/// Why a snapshot was not written. There is no new file then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is a file of that name.
    #[error("{} is there already: choose another name, or say --force to replace it", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// Another snapshot of that name is being written.
    #[error("another process is writing {}", file.display())]
    Busy {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be written: the disk is full, or the directory is not for this user.
    #[error("cannot write the snapshot {}: {cause}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        #[source]
        cause: io::Error,
    },
    /// What should be in it cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// How a snapshot is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    replace: bool,
}

impl WriteOptions {
    /// Whether a file of the same name is replaced, once the new one is complete.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }
}

/// Writes everything to a file, for this user alone. It is written under another name, `.partial`
/// after it, brought to the disk, and then renamed: a file of the right name is complete. Dropping
/// the future removes what was written.
///
/// # Errors
/// See [`WriteError`].
pub async fn write(
    source: Source,
    file: impl Into<PathBuf>,
    options: WriteOptions,
    observer: Observer,
) -> Result<Summary, WriteError> {
    let file = file.into();
    let done = blocking(source, move |source| {
        check_absent(&file, options)?;
        let partial = Partial::create(&file)?;
        let mut output = Output { partial: &partial, file: &file, encoder: None };
        let summary = source.drain(&mut output, "writing", &observer)?;
        output.end(&summary)?;
        check_absent(&file, options)?;
        partial.complete(&file).map_err(|cause| WriteError::Io { file: file.clone(), cause })?;
        Ok(summary)
    });
    done.await.unwrap_or(Err(WriteError::Source(SourceError::Stopped)))
}

fn check_absent(file: &Path, options: WriteOptions) -> Result<(), WriteError> {
    if options.replace {
        return Ok(());
    }
    match fs::symlink_metadata(file) {
        Ok(_) => Err(WriteError::Exists { file: file.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(WriteError::Io { file: file.to_owned(), cause }),
    }
}

struct Output<'a> {
    partial: &'a Partial,
    file: &'a Path,
    encoder: Option<Encoder<BufWriter<&'a File>>>,
}

impl Output<'_> {
    fn end(self, summary: &Summary) -> Result<(), WriteError> {
        let file = self.file.to_owned();
        let ended = self.encoder.map_or(Ok(()), |encoder| encoder.end(summary));
        ended.map_err(|cause| WriteError::Io { file, cause })
    }

    fn failed(&self) -> impl Fn(io::Error) -> WriteError + use<> {
        let file = self.file.to_owned();
        move |cause| WriteError::Io { file: file.clone(), cause }
    }
}

impl Sink for Output<'_> {
    type Error = WriteError;

    fn begin(&mut self, head: &Head) -> Result<(), WriteError> {
        let failed = self.failed();
        // First, since it has yet to write what is in its buffer.
        drop(self.encoder.take());
        let out = self.partial.rewind().map_err(&failed)?;
        let mut encoder = Encoder::new(out, true).map_err(&failed)?;
        encoder.begin(head).map_err(failed)?;
        self.encoder = Some(encoder);
        Ok(())
    }

    fn add(&mut self, records: Vec<Record>) -> Result<(), WriteError> {
        let failed = self.failed();
        match &mut self.encoder {
            Some(encoder) => encoder.add(&records).map_err(failed),
            None => Ok(()),
        }
    }
}

/// A file that is removed unless it is completed.
struct Partial {
    file: File,
    path: PathBuf,
    completed: bool,
}

impl Partial {
    fn create(file: &Path) -> Result<Self, WriteError> {
        let mut path = file.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        let failed = |cause| WriteError::Io { file: path.clone(), cause };
        loop {
            let opened = open_private(&path).map_err(failed)?;
            match opened.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(WriteError::Busy { file: file.to_owned() });
                }
                Err(TryLockError::Error(cause)) => return Err(failed(cause)),
            }
            // Another process may have completed it between opening and locking.
            if is_at(&opened, &path).map_err(failed)? {
                return Ok(Self { file: opened, path, completed: false });
            }
        }
    }

    /// Forgets what was written.
    fn rewind(&self) -> io::Result<BufWriter<&File>> {
        use std::io::Seek as _;

        self.file.set_len(0)?;
        (&self.file).rewind()?;
        Ok(BufWriter::with_capacity(1 << 16, &self.file))
    }

    fn complete(mut self, file: &Path) -> io::Result<()> {
        (&self.file).flush()?;
        self.file.sync_all()?;
        fs::rename(&self.path, file)?;
        self.completed = true;
        sync_directory_of(file)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.completed {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

/// Opens for writing, for this user alone.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Whether this is the file at the path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(identity(found) == identity(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(unix)]
fn sync_directory_of(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory_of(_: &Path) -> io::Result<()> {
    Ok(())
}
