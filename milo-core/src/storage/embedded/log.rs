//! The revision log in a redb file: every change once, in commit order, and a few numbers.
//!
//! It is written in [checkpoints](Checkpoint). What is committed between two of them is in the
//! [journal](super::journal).

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, WriteTransaction,
};

use super::{
    checkpoint::Checkpoint,
    journal::Salt,
    restoring::Restoring,
    row::{NewRow, Row},
};
use crate::storage::{Cause, ReadError, Revision, index::Position, plan::Plan};

/// The version of the layout described here, in [`super::row`] and in [`super::journal`]. Files of
/// version 1 had no journal; they are taken over when they are opened.
pub(super) const FORMAT: u64 = 2;
const WITHOUT_JOURNAL: u64 = 1;
/// What is in a redb file of ours, and of nobody else.
const MAGIC: u64 = u64::from_le_bytes(*b"milolog\0");

/// Changes by revision and index.
const LOG: TableDefinition<'static, (u64, u32), &[u8]> = TableDefinition::new("log");
/// The numbers below.
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const META_MAGIC: &str = "magic";
const META_FORMAT: &str = "format";
const META_FLOOR: &str = "floor";
/// The newest revision, where the log itself cannot tell it.
const META_LAST: &str = "last";
/// The first segment of the journal that is not in the log.
const META_JOURNAL: &str = "journal";
/// The journal's [`Salt`].
const META_SALT: &str = "salt";

/// Opens the file again after an I/O error, of which redb does not recover otherwise.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// The open log.
pub(super) struct Log {
    /// None after an I/O error, until the file could be opened again, and after closing.
    database: RwLock<Option<Database>>,
    opener: Opener,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

/// Why a write failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the storage directory could not be written: {cause}")]
pub(super) struct Failure {
    #[source]
    cause: Arc<redb::Error>,
    /// Whether it may have been written all the same.
    pub(super) in_doubt: bool,
}

impl Failure {
    pub(super) fn before_commit(cause: impl Into<redb::Error>) -> Self {
        Self { cause: Arc::new(cause.into()), in_doubt: false }
    }

    pub(super) fn in_doubt(cause: impl Into<redb::Error>) -> Self {
        Self { cause: Arc::new(cause.into()), in_doubt: true }
    }
}

/// Why a file could not be read as a log.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// Not a file of ours.
    #[error("it has no Milo tables")]
    Foreign,
    /// Written by a newer version.
    #[error("format {0} is newer than {FORMAT}")]
    Newer(u64),
    /// Ours, but not as we wrote it.
    #[error("{0}")]
    Damaged(String),
    /// Could not be read.
    #[error(transparent)]
    Storage(#[from] redb::Error),
}

fn unavailable(cause: impl Into<redb::Error>) -> ReadError {
    match cause.into() {
        redb::Error::Corrupted(text) => ReadError::Corrupted(text.into()),
        other => ReadError::Unavailable(Cause::from(other)),
    }
}

fn key_of(position: Position) -> (u64, u32) {
    (position.revision.get(), position.index)
}

fn position_of((revision, index): (u64, u32)) -> Position {
    Position { revision: Revision::new(revision), index }
}

impl Log {
    pub(super) fn new(database: Database, opener: Opener) -> Self {
        Self { database: RwLock::new(Some(database)), opener }
    }

    /// Writes a checkpoint and returns when it is on disk. Either all of it is, or nothing.
    pub(super) fn write(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        if self.database.read().is_none() {
            self.reopen().map_err(Failure::before_commit)?;
        }
        let Err(failure) = self.try_write(checkpoint) else { return Ok(()) };
        // redb does not go on after an error.
        match self.reopen() {
            Ok(journal) if journal == checkpoint.journal => Ok(()),
            Ok(_) => Err(Failure { in_doubt: false, ..failure }),
            Err(_) => Err(failure),
        }
    }

    fn try_write(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let transaction = self.begin()?;
        insert(&transaction, checkpoint).map_err(Failure::before_commit)?;
        transaction.commit().map_err(Failure::in_doubt)
    }

    fn begin(&self) -> Result<WriteTransaction, Failure> {
        let database = self.database.read();
        let Some(database) = database.as_ref() else {
            return Err(Failure::before_commit(redb::Error::DatabaseClosed));
        };
        let mut transaction = database.begin_write().map_err(Failure::before_commit)?;
        transaction.set_durability(Durability::Immediate).map_err(Failure::before_commit)?;
        // What a failed sync leaves behind may look complete while it is in the page cache: with
        // two phases nothing refers to it. (redb's quick repair would save a walk over the file
        // after a crash, but all of it is read then anyway, and it costs every commit a list of
        // all pages: five times the bytes written, in a file of a gigabyte.)
        transaction.set_two_phase_commit(true);
        Ok(transaction)
    }

    fn read_transaction(&self) -> Result<ReadTransaction, ReadError> {
        let database = self.database.read();
        let Some(database) = database.as_ref() else {
            return Err(unavailable(redb::Error::DatabaseClosed));
        };
        database.begin_read().map_err(unavailable)
    }

    /// Closes the file and opens it again. Returns the first segment of the journal that is not in
    /// it.
    fn reopen(&self) -> Result<u64, redb::Error> {
        let mut slot = self.database.write();
        // Closed first: redb holds a lock on the file.
        drop(slot.take());
        let database = (self.opener)()?;
        let transaction = database.begin_read()?;
        let noted = transaction.open_table(META)?.get(META_JOURNAL)?;
        let journal = noted.map_or(0, |number| number.value());
        drop(transaction);
        *slot = Some(database);
        Ok(journal)
    }

    /// Closes the file. Reads and writes fail from now on.
    pub(super) fn close(&self) {
        drop(self.database.write().take());
    }
}

fn insert(transaction: &WriteTransaction, checkpoint: &Checkpoint) -> Result<(), redb::Error> {
    let mut log = transaction.open_table(LOG)?;
    for (position, row) in &checkpoint.found.changes {
        log.insert(key_of(*position), &**row)?;
    }
    for row in checkpoint.plans.iter().flat_map(|plan: &Arc<Plan>| &plan.rows) {
        let new = NewRow::of(row);
        let mut place = log.insert_reserve(key_of(row.position), new.size())?;
        if new.encode(place.as_mut()).is_none() {
            return Err(redb::Error::ValueTooLarge(new.size()));
        }
    }
    for position in &checkpoint.erase {
        log.remove(key_of(*position))?;
    }
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_FLOOR, checkpoint.floor.get())?;
    meta.insert(META_LAST, checkpoint.last.get())?;
    meta.insert(META_JOURNAL, checkpoint.journal)?;
    Ok(())
}

/// Begins a journal beside a file that knows of none.
pub(super) fn begin_journal(database: &Database, salt: Salt) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    let mut meta = transaction.open_table(META)?;
    for (name, number) in [(META_FORMAT, FORMAT), (META_JOURNAL, 0), (META_SALT, salt.0)] {
        meta.insert(name, number)?;
    }
    drop(meta);
    Ok(transaction.commit()?)
}

impl Log {
    /// As [`Values::read`](crate::storage::engine::Values::read), of what is in the file.
    pub(super) fn read(&self, positions: &[Position]) -> Result<Vec<Option<Bytes>>, ReadError> {
        let transaction = self.read_transaction()?;
        let log = transaction.open_table(LOG).map_err(unavailable)?;
        let read_one = |position: &Position| {
            let Some(bytes) = log.get(key_of(*position)).map_err(unavailable)? else {
                return Ok(None);
            };
            let Some(row) = Row::decode(*position, bytes.value()) else {
                return Err(ReadError::Corrupted(damaged_row(*position).into()));
            };
            Ok(row.value())
        };
        positions.iter().map(read_one).collect()
    }
}

fn damaged_row(position: Position) -> String {
    format!("change {} of revision {} is not as it was written", position.index, position.revision)
}

/// Makes a log of a new, empty file.
pub(super) fn initialize(database: &Database) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(LOG)?;
    let mut meta = transaction.open_table(META)?;
    let numbers = [
        (META_MAGIC, MAGIC),
        (META_FORMAT, FORMAT),
        (META_FLOOR, 0),
        (META_JOURNAL, 0),
        (META_SALT, Salt::random().0),
    ];
    for (name, number) in numbers {
        meta.insert(name, number)?;
    }
    drop(meta);
    Ok(transaction.commit()?)
}

/// Writes values as the log of another store would have them. Those of one revision are numbered
/// as they come.
#[cfg(feature = "snapshot")]
pub(super) fn import(
    database: &Database,
    records: &[crate::storage::Record],
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut log = transaction.open_table(LOG)?;
    for record in records {
        let revision = record.revision.get();
        let last = log.range((revision, 0)..=(revision, u32::MAX))?.next_back().transpose()?;
        let index = last.map_or(0, |(key, _)| key.value().1 + 1);
        let position = Position { revision: record.revision, index };
        let value = Some(&*record.value);
        let new = NewRow { position, previous: None, key: &record.key, value };
        let mut place = log.insert_reserve(key_of(position), new.size())?;
        if new.encode(place.as_mut()).is_none() {
            return Err(redb::Error::ValueTooLarge(new.size()));
        }
    }
    drop(log);
    Ok(transaction.commit()?)
}

/// Ends an import: there is no history before `revision`, which is the newest one.
#[cfg(feature = "snapshot")]
pub(super) fn complete_import(database: &Database, revision: Revision) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_FLOOR, revision.get())?;
    meta.insert(META_LAST, revision.get())?;
    drop(meta);
    Ok(transaction.commit()?)
}

/// The newest revision in the log; that of an empty store when nothing is in it.
pub(super) fn last_revision(database: &impl ReadableDatabase) -> Result<Revision, redb::Error> {
    let transaction = database.begin_read()?;
    let noted = transaction.open_table(META)?.get(META_LAST)?.map_or(0, |number| number.value());
    let logged = transaction.open_table(LOG)?.last()?.map_or(0, |(key, _)| key.value().0);
    Ok(Revision::new(noted.max(logged)).max(Revision::FIRST))
}

/// What a data file says: the state, which the journal may go on with, and where that is.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) restoring: Restoring,
    /// The newest revision that is in the file.
    pub(super) last: Revision,
    /// None in a file that knows of no journal.
    pub(super) journal: Option<(Salt, u64)>,
}

/// Rebuilds the state from the log.
pub(super) fn load(database: &impl ReadableDatabase) -> Result<Loaded, LoadError> {
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    let meta = check_meta(&transaction)?;
    let mut restoring = Restoring::new(Revision::new(meta.floor));
    let log = match transaction.open_table(LOG) {
        Ok(log) => log,
        Err(error) => return Err(LoadError::Damaged(error.to_string())),
    };
    for entry in log.iter().map_err(redb::Error::from)? {
        let (key, bytes) = entry.map_err(redb::Error::from)?;
        restore(&mut restoring, position_of(key.value()), bytes.value())?;
    }
    Ok(Loaded { restoring, last: last_revision(database)?, journal: meta.journal })
}

/// Takes in an encoded row.
pub(super) fn restore(
    restoring: &mut Restoring,
    position: Position,
    row: &[u8],
) -> Result<(), LoadError> {
    let row = Row::decode(position, row);
    if !row.is_some_and(|row| restoring.take(position, &row)) {
        return Err(LoadError::Damaged(damaged_row(position)));
    }
    Ok(())
}

/// The numbers of a file of ours.
struct Meta {
    floor: u64,
    journal: Option<(Salt, u64)>,
}

fn check_meta(transaction: &ReadTransaction) -> Result<Meta, LoadError> {
    let Ok(meta) = transaction.open_table(META) else {
        return Err(LoadError::Foreign);
    };
    let number = |name| -> Result<Option<u64>, LoadError> {
        Ok(meta.get(name).map_err(redb::Error::from)?.map(|number| number.value()))
    };
    let required = |name, what| -> Result<u64, LoadError> {
        number(name)?.ok_or_else(|| LoadError::Damaged(format!("it has no {what}")))
    };
    if number(META_MAGIC)? != Some(MAGIC) {
        return Err(LoadError::Foreign);
    }
    let format = number(META_FORMAT)?;
    match format {
        Some(FORMAT | WITHOUT_JOURNAL) => {}
        Some(newer) if newer > FORMAT => return Err(LoadError::Newer(newer)),
        other => return Err(LoadError::Damaged(format!("its format number is {other:?}"))),
    }
    let floor = required(META_FLOOR, "compaction floor")?;
    if format == Some(WITHOUT_JOURNAL) {
        return Ok(Meta { floor, journal: None });
    }
    let salt = Salt(required(META_SALT, "salt of a journal")?);
    let segment = required(META_JOURNAL, "place in its journal")?;
    Ok(Meta { floor, journal: Some((salt, segment)) })
}
