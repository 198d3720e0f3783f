//! All objects of a store at one revision: in a file, from a running server, into another store.
//!
//! A [`Source`] tells everything that a store held at one revision, whatever engine it is of.
//! [`write`](write()) makes a file of it, [`check`](check()) looks at every object in it,
//! [`restore`](restore()) brings it into an empty store, and [`copy`](copy()) does all that
//! between two stores. Each takes the memory of a few thousand records, however many there are,
//! and [`Observer`] tells how far it is.
//!
//! # Consistent, while others write
//! The revision is taken first, and the store is then read in pages *at* that revision: what was
//! acknowledged before the source was made is in it, and of each transaction all or nothing. If
//! the store forgets the revision before all is read, the reading starts again at a newer one, a
//! few times; then it is an error. It is never a mixture.
//!
//! # The file
//! All numbers are little endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `milosnap` |
//! | 4 | version of the format: 1 |
//! | ... | blocks |
//!
//! | bytes of a block | what |
//! |---|---|
//! | 1 | kind: 1 beginning, 2 records, 3 records in deflate's form, 4 end, 5 failure |
//! | 4 | length of the content |
//! | 4 | length of the content when inflated |
//! | 4 | CRC-32 of these nine bytes and the content |
//! | ... | the content |
//!
//! The beginning has the revision (8 bytes), when it was taken (milliseconds since 1970, 8 bytes)
//! and how many records are to come (8 bytes). A record is the length of its key and of its value
//! (4 bytes each), the revision that wrote it (8 bytes), its key and its value; records are in key
//! order. The end has the number of records and of their bytes (8 bytes each), and the SHA-256 of
//! all keys and values, each with its length (4 bytes) before it. Nothing follows the end.
//!
//! The same blocks go over the socket of a running server, where a reading that starts again is
//! another beginning, and one that fails tells why in a failure.

mod check;
mod commit;
mod copy;
#[cfg(feature = "postgres")]
mod database;
mod decode;
mod encode;
mod file;
mod format;
#[cfg(unix)]
mod online;
mod order;
mod pages;
mod progress;
mod restore;
mod source;
mod tally;

use crate::storage::Revision;

pub use self::{
    check::{Problem, Report, check},
    copy::{CopyError, copy},
    file::{WriteError, WriteOptions, write},
    format::ReadSnapshotError,
    progress::{Observer, Progress},
    restore::{RestoreError, Restored, restore},
    source::{Origin, Source, SourceError},
    tally::Digest,
};
#[cfg(unix)]
pub use online::OnlineSnapshots;

/// What is known of a snapshot before its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The revision of the store that it shows.
    pub revision: Revision,
    /// When it was taken, by the clock of the machine that took it.
    pub taken: jiff::Timestamp,
    /// How many objects are in it.
    pub expected: u64,
}

/// What is known of a snapshot after its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The revision of the store that it shows.
    pub revision: Revision,
    /// When it was taken.
    pub taken: jiff::Timestamp,
    /// How many objects are in it.
    pub objects: u64,
    /// How many bytes their keys and values have.
    pub bytes: u64,
    /// Of all keys and values. Equal for stores with equal contents, whatever their revisions.
    pub digest: Digest,
}
