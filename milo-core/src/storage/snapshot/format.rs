//! What the bytes of a snapshot mean; the [module](super)'s documentation has the layout.

use std::{io, path::PathBuf};

pub(super) const MAGIC: &[u8; 8] = b"milosnap";
/// The version that is written here, and the newest that is read.
pub(super) const FORMAT: u32 = 1;

pub(super) const BEGIN: u8 = 1;
pub(super) const RECORDS: u8 = 2;
pub(super) const DEFLATED: u8 = 3;
pub(super) const END: u8 = 4;
pub(super) const FAILURE: u8 = 5;

pub(super) const BLOCK_HEADER: usize = 1 + 4 + 4 + 4;
pub(super) const RECORD_HEADER: usize = 4 + 4 + 8;
/// A block of records is closed when it has so many bytes.
pub(super) const BLOCK: usize = 1 << 20;
/// A block is never larger, which bounds what damage can make a reader ask for.
pub(super) const MAX_BLOCK: usize = 64 << 20;

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadSnapshotError {
    /// It is something else.
    #[error("{} is not a Milo snapshot: check the path", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// It was written by a newer version.
    #[error(
        "{} has format {found}, but this version reads up to {FORMAT}: use the newer version that wrote it",
        file.display()
    )]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The format of the file.
        found: u32,
    },
    /// It ends before its end.
    #[error(
        "{} is cut short after {objects} objects: it was not copied completely; use another snapshot",
        file.display()
    )]
    Truncated {
        /// The file.
        file: PathBuf,
        /// How many objects could be read.
        objects: u64,
    },
    /// It is not as it was written.
    #[error(
        "{} is damaged at byte {offset} ({cause}): use another snapshot, and check the disk",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What was found.
        cause: &'static str,
    },
    /// Reading it failed.
    #[error("cannot read {}: {cause}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        #[source]
        cause: io::Error,
    },
}

/// The checksum of a block, whose header has it last.
pub(super) fn checksum(header: &[u8; BLOCK_HEADER], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..9]);
    hasher.update(content);
    hasher.finalize()
}
