//! Commits that are on disk but not in the data file yet.
//!
//! A commit is answered when its frame in the journal is on disk: one write to one place, and one
//! sync. The data file, whose pages lie everywhere, takes many of them at once, later, in a
//! [checkpoint](super::checkpoint).
//!
//! The journal has two files, which are used in turn. What is written between two checkpoints is a
//! segment; segments are numbered, and the data file says which is the first that it does not
//! have. So while one file's segment goes to the data file, the next one is written to the other,
//! and nothing ever has to be erased: frames of older segments do not count any more.

mod frame;
mod replay;

use std::{fmt, io};

use redb::StorageBackend;

pub(super) use self::replay::{Found, read};
use super::log::Failure;
use crate::storage::{Revision, plan::Plan};

/// How long a segment may become. Where power fails all the time, segments have to end often too.
pub(super) const SEGMENT_BYTES: u64 = if cfg!(test) { 128 * 1024 } else { 8 * 1024 * 1024 };
/// By how much a file is made longer whenever it is too short: what is overwritten is synced faster
/// than what is appended. As much as it has, but not less nor more than this.
const STEP_BYTES: (u64, u64) = (64 * 1024, 512 * 1024);

/// What tells the frames of a journal from everything else that may be in its files: a number that
/// nobody outside can know. Without it, whoever stores a value could put something into it that
/// looks like a frame, and wait for a power loss to leave it behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(pub(super) u64);

impl Salt {
    pub(super) fn random() -> Self {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        // Six bits of a UUID are fixed; each half has others.
        Self(high ^ low.rotate_left(32))
    }
}

/// The two files.
pub(super) type Files = [Box<dyn StorageBackend>; 2];

/// Where commits are written first.
pub(super) struct Journal {
    files: Files,
    lengths: [u64; 2],
    salt: Salt,
    segment: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("segment", &self.segment)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Goes on at the beginning of a segment of which nothing counts.
    pub(super) fn new(files: Files, salt: Salt, segment: u64) -> io::Result<Self> {
        let lengths = [files[0].len()?, files[1].len()?];
        Ok(Self { files, lengths, salt, segment, offset: 0, buffer: Vec::new() })
    }

    /// The segment that is being written.
    pub(super) fn segment(&self) -> u64 {
        self.segment
    }

    /// How many bytes a batch takes. More than [`SEGMENT_BYTES`] fit into no segment.
    pub(super) fn size(plan: &Plan) -> u64 {
        frame::size(plan)
    }

    /// Whether a batch of that size can be added to this segment.
    pub(super) fn fits(&self, size: u64) -> bool {
        self.offset + size <= SEGMENT_BYTES
    }

    /// Begins the next segment, in the other file.
    pub(super) fn turn(&mut self) {
        self.segment += 1;
        self.offset = 0;
    }

    /// Writes a batch that [fits](Journal::fits), and returns when it is on disk. `before` is the
    /// newest revision before it.
    pub(super) fn append(&mut self, before: Revision, plan: &Plan) -> Result<(), Failure> {
        let stamp = frame::Stamp { salt: self.salt, segment: self.segment };
        frame::encode(&mut self.buffer, stamp, before, plan)
            .ok_or_else(|| Failure::before_commit(redb::Error::ValueTooLarge(usize::MAX)))?;
        let end = self.offset + self.buffer.len() as u64;
        self.lengthen(end).map_err(Failure::before_commit)?;
        let file = self.file();
        // A write that fails leaves less than a frame, and the next one goes to the same place.
        file.write(self.offset, &self.buffer).map_err(Failure::before_commit)?;
        // After a sync that failed nobody knows what is on disk.
        file.sync_data().map_err(Failure::in_doubt)?;
        self.offset = end;
        Ok(())
    }

    fn half(&self) -> usize {
        usize::from(!self.segment.is_multiple_of(2))
    }

    fn file(&self) -> &dyn StorageBackend {
        &*self.files[self.half()]
    }

    /// Makes the file long enough, by writing zeros: space that is only reserved costs each sync
    /// a change of the file system's own notes.
    fn lengthen(&mut self, needed: u64) -> io::Result<()> {
        let half = self.half();
        let length = self.lengths[half];
        if needed <= length {
            return Ok(());
        }
        let longer = length + length.clamp(STEP_BYTES.0, STEP_BYTES.1);
        let wanted = longer.min(SEGMENT_BYTES).max(needed);
        // INVARIANT: no longer than a segment or a frame, which are in memory anyway.
        let zeros = vec![0; usize::try_from(wanted - length).unwrap_or(0)];
        self.file().write(length, &zeros)?;
        self.lengths[half] = wanted;
        Ok(())
    }
}
