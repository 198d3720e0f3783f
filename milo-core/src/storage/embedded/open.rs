//! Opening a directory: making it, locking it, and finding out what is in it before anything is
//! written.

use std::{
    cell::Cell,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    panic,
    path::{Path, PathBuf},
    rc::Rc,
};

use redb::{Database, DatabaseError, StorageBackend, backends::FileBackend};

use super::{
    journal::{self, Found, Journal, SEGMENT_BYTES, Salt},
    log::{self, FORMAT, LoadError, Log},
    rehearsal::Rehearsal,
};
use crate::storage::{Revision, index::Index};

/// The data.
const FILE: &str = "milo.redb";
/// The data while they are first made; never anything worth keeping.
const NEW_FILE: &str = "milo.redb.new";
/// What was committed since the last checkpoint.
const JOURNAL: [&str; 2] = ["milo.journal-0", "milo.journal-1"];
/// Locked by the process that has the directory open.
const LOCK: &str = "lock";
/// What every redb file begins with.
const REDB_MAGIC: &[u8] = b"redb\x1a\n\xa9\r\n";
/// redb's page cache: values are read from it only for history, so it need not hold much.
const CACHE_BYTES: usize = 16 * 1024 * 1024;
/// The same while the file is read from beginning to end. Pages lie between the values that stay,
/// so what is used here is not given back to the system.
const REHEARSAL_CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Why a directory could not be opened. What is in it was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another engine of this process, has the directory open.
    #[error(
        "{} is in use by another process: stop that one, or choose another directory",
        directory.display()
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory is not there and cannot be made, or nothing can be written in it.
    #[error(
        "{} cannot be used to store data: {cause}; check that it is a directory that this user may write to, with space left",
        directory.display()
    )]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What went wrong.
        #[source]
        cause: io::Error,
    },
    /// The data file was not written by this engine.
    #[error("{} is not a Milo data file: move it away, or choose another directory", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// The data file was written by a newer version of this engine.
    #[error(
        "{} has format {found}, but this version reads up to {supported}: run the newer version that wrote it",
        file.display()
    )]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The format of the file.
        found: u64,
        /// The newest format known here.
        supported: u64,
    },
    /// The data file is damaged. It is left as it is.
    #[error(
        "{} is damaged ({cause}): restore the directory from a backup, and check the disk",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        cause: String,
    },
    /// The data file could not be read or prepared, by an error that may pass.
    #[error("{} cannot be opened: {cause}", file.display())]
    Unavailable {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        #[source]
        cause: super::Cause,
    },
}

/// A directory that is open and locked.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) log: Log,
    pub(super) journal: Journal,
    /// What is in the journal but not in the log. If anything is, the journal is full until the log
    /// has it.
    pub(super) found: Found,
    pub(super) index: Index,
}

/// What a data file is on. Tests put it on a disk that fails.
pub(super) trait Disk: Send + Sync + 'static {
    /// Opens for writing a data file that is known to be good.
    fn open(&self, file: &Path) -> Result<Database, DatabaseError>;

    /// Makes a redb file of `empty`, which is at `file`.
    fn create(&self, file: &Path, empty: File) -> Result<Database, DatabaseError>;

    /// Opens for writing a file of the journal, which is made if it is not there.
    fn journal(&self, file: &Path) -> io::Result<Box<dyn StorageBackend>>;
}

/// The one that the directory is on.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, file: &Path) -> Result<Database, DatabaseError> {
        redb::Builder::new().set_cache_size(CACHE_BYTES).open(file)
    }

    fn create(&self, _: &Path, empty: File) -> Result<Database, DatabaseError> {
        redb::Builder::new().set_cache_size(CACHE_BYTES).create_file(empty)
    }

    fn journal(&self, file: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let file = options().create(true).open(file)?;
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }
}

/// Whether an engine has data in the directory.
pub(in crate::storage) fn is_in(directory: &Path) -> bool {
    // What cannot be looked at is there: opening it will say what is wrong.
    !is_missing(&directory.join(FILE)).unwrap_or(false)
}

pub(super) fn open(directory: &Path, disk: impl Disk) -> Result<Opened, OpenError> {
    let unusable = |cause| OpenError::Directory { directory: directory.to_owned(), cause };
    let lock = prepare(directory)?;
    let file = directory.join(FILE);
    if is_missing(&file).map_err(unusable)? {
        create(directory, &disk)?;
    }
    let State { index, database, found, journal: (salt, segment) } = read(&file, &disk)?;
    let journal = open_journal(directory, &disk, salt, segment).map_err(unusable)?;
    let log = Log::new(database, Box::new(move || disk.open(&file)));
    Ok(Opened { lock, log, journal, found, index })
}

/// Opens the journal's files, made if they are not there.
fn open_journal(
    directory: &Path,
    disk: &impl Disk,
    salt: Salt,
    segment: u64,
) -> io::Result<Journal> {
    let [one, other] = JOURNAL.map(|name| disk.journal(&directory.join(name)));
    let files = [one?, other?];
    sync_directory(directory)?;
    Journal::new(files, salt, segment)
}

/// Makes the directory if it is not there, and locks it.
pub(super) fn prepare(directory: &Path) -> Result<File, OpenError> {
    let made = make_directory(directory);
    made.map_err(|cause| OpenError::Directory { directory: directory.to_owned(), cause })?;
    lock(directory)
}

/// Makes the directory for this user alone. One that is there already keeps its permissions.
fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let unusable = |cause| OpenError::Directory { directory: directory.to_owned(), cause };
    let file = options().create(true).open(directory.join(LOCK)).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(unusable(cause)),
    }
}

/// Read and write, for this user alone if the file is made.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn is_missing(file: &Path) -> io::Result<bool> {
    match fs::metadata(file) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Makes an empty data file: under another name first, so that there is never half a one.
fn create(directory: &Path, disk: &impl Disk) -> Result<(), OpenError> {
    drop(create_new(directory, disk)?);
    let put = put_in_place(directory);
    put.map_err(|cause| OpenError::Directory { directory: directory.to_owned(), cause })
}

/// Makes an empty data file under the name that it has until it is complete.
pub(super) fn create_new(directory: &Path, disk: &impl Disk) -> Result<Database, OpenError> {
    let unusable = |cause| OpenError::Directory { directory: directory.to_owned(), cause };
    let new = new_file(directory);
    let empty = options().create(true).truncate(true).open(&new).map_err(unusable)?;
    let made = disk
        .create(&new, empty)
        .map_err(redb::Error::from)
        .and_then(|database| log::initialize(&database).map(|()| database));
    made.map_err(|error| match error {
        redb::Error::Io(cause) => unusable(cause),
        other => OpenError::Unavailable { file: new.clone(), cause: other.into() },
    })
}

/// Where a data file is until it is complete.
pub(super) fn new_file(directory: &Path) -> PathBuf {
    directory.join(NEW_FILE)
}

/// Makes the complete new file the data file.
pub(super) fn put_in_place(directory: &Path) -> io::Result<()> {
    fs::rename(new_file(directory), directory.join(FILE))?;
    sync_directory(directory)
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What a directory has, open for writing.
struct State {
    index: Index,
    database: Database,
    found: Found,
    /// Where to go on in the journal.
    journal: (Salt, u64),
}

/// Reads the state and opens the file for writing. All is rehearsed first, so that a file that is
/// refused is not touched.
fn read(file: &Path, disk: &impl Disk) -> Result<State, OpenError> {
    if !is_redb(file).map_err(|cause| unavailable(file, cause.into()))? {
        return Err(OpenError::Foreign { file: file.to_owned() });
    }
    // redb checks sums, but some damage makes it panic all the same.
    let rehearsed = panic::catch_unwind(|| rehearse(file)).unwrap_or_else(|_| {
        let cause = "redb cannot make sense of it".to_owned();
        Err(OpenError::Damaged { file: file.to_owned(), cause })
    })?;
    let Rehearsed { index, last, found, journal } = rehearsed;
    let opened = disk.open(file).map_err(redb::Error::from).and_then(|database| {
        let last = log::last_revision(&database)?;
        Ok((database, last))
    });
    let (database, now) = opened.map_err(|error| refusal(file, error))?;
    if now != last {
        let cause = format!("it ends at revision {now} instead of {last}");
        return Err(OpenError::Damaged { file: file.to_owned(), cause });
    }
    let journal = match journal {
        Some(journal) if !found.begun => journal,
        // Both segments may be in use.
        Some((salt, segment)) => (salt, segment + 1),
        None => {
            let salt = Salt::random();
            let begun = log::begin_journal(&database, salt);
            begun.map_err(|error| refusal(file, error))?;
            (salt, 0)
        }
    };
    Ok(State { index, database, found, journal })
}

/// What a directory has, as far as can be said without touching it.
struct Rehearsed {
    index: Index,
    /// The newest revision in the data file.
    last: Revision,
    found: Found,
    journal: Option<(Salt, u64)>,
}

/// Opens, checks and reads the file and its journal without changing them.
fn rehearse(file: &Path) -> Result<Rehearsed, OpenError> {
    let refused = |error| refusal(file, error);
    let backend = Rehearsal::open(file).map_err(|cause| unavailable(file, cause.into()))?;
    let mended = Rc::new(Cell::new(false));
    let mending = Rc::clone(&mended);
    let mut database = redb::Builder::new()
        .set_cache_size(REHEARSAL_CACHE_BYTES)
        .set_repair_callback(move |_| mending.set(true))
        .create_with_backend(backend)
        .map_err(|error| refused(error.into()))?;
    let loaded = log::load(&database).map_err(|error| load_refusal(file, error))?;
    let rehearsed = replay(file, loaded)?;
    // After a crash redb has just checked all of it. After the state: of a foreign file only its
    // tables are looked at.
    if mended.get() || database.check_integrity().map_err(|error| refused(error.into()))? {
        return Ok(rehearsed);
    }
    Err(refused(redb::Error::Corrupted("its checksums do not fit".to_owned())))
}

/// Goes on with the journal beside the data file.
fn replay(file: &Path, loaded: log::Loaded) -> Result<Rehearsed, OpenError> {
    let log::Loaded { mut restoring, last, journal } = loaded;
    let mut found = Found { revision: last, ..Found::default() };
    if let Some((salt, segment)) = journal {
        let [one, other] = JOURNAL.map(|name| journal_contents(&file.with_file_name(name)));
        let contents = [one?, other?];
        found = journal::read(&contents, salt, segment, last)
            .map_err(|cause| OpenError::Damaged { file: file.to_owned(), cause })?;
    }
    for (position, row) in &found.changes {
        let restored = log::restore(&mut restoring, *position, row);
        restored.map_err(|error| load_refusal(file, error))?;
    }
    Ok(Rehearsed { index: restoring.finish(found.revision), last, found, journal })
}

fn journal_contents(file: &Path) -> Result<Vec<u8>, OpenError> {
    let mut contents = Vec::new();
    let read = match File::open(file) {
        Ok(file) => file.take(SEGMENT_BYTES).read_to_end(&mut contents).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    read.map_err(|cause| unavailable(file, cause.into()))?;
    Ok(contents)
}

fn is_redb(file: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(file)?.take(REDB_MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == REDB_MAGIC)
}

fn unavailable(file: &Path, cause: super::Cause) -> OpenError {
    OpenError::Unavailable { file: file.to_owned(), cause }
}

fn load_refusal(file: &Path, error: LoadError) -> OpenError {
    let file = file.to_owned();
    match error {
        LoadError::Foreign => OpenError::Foreign { file },
        LoadError::Newer(found) => OpenError::NewerFormat { file, found, supported: FORMAT },
        LoadError::Damaged(cause) => OpenError::Damaged { file, cause },
        LoadError::Storage(error) => refusal(&file, error),
    }
}

fn refusal(file: &Path, error: redb::Error) -> OpenError {
    let damaged = |cause| OpenError::Damaged { file: file.to_owned(), cause };
    match error {
        redb::Error::Corrupted(text) => damaged(text),
        redb::Error::DatabaseAlreadyOpen => {
            OpenError::Locked { directory: file.parent().unwrap_or(file).to_owned() }
        }
        redb::Error::UpgradeRequired(version) => {
            damaged(format!("its redb file format is {version}"))
        }
        // A file that is cut short.
        redb::Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            ) =>
        {
            damaged(error.to_string())
        }
        other => unavailable(file, other.into()),
    }
}
