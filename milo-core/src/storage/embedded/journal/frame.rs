//! How a batch of commits is written in the journal.
//!
//! A frame begins at a multiple of 4096 bytes, so that no two share a page: what a torn write
//! leaves of one does not touch the one before it.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the journal's salt, little endian like all numbers here |
//! | 8 | the segment |
//! | 8 | the newest revision before the batch |
//! | 8 | the newest revision of the batch |
//! | 4 | length of the changes |
//! | 4 | CRC-32 of the changes |
//! | 4 | CRC-32 of all of the above |
//! | ... | the changes |
//! | ... | zeros, or anything, up to the end of the page |
//!
//! A change is the length of its row (4 bytes), its revision (8), its index in it (4) and the
//! [row](crate::storage::embedded::row).

use super::Salt;
use crate::storage::{Revision, embedded::row::NewRow, index::Position, plan::Plan};

/// Where frames begin.
pub(super) const PAGE: usize = 4096;
const SUMMED: usize = 8 * 4 + 4 + 4;
const HEADER: usize = SUMMED + 4;
const CHANGE: usize = 4 + 8 + 4;

/// What all frames of a segment have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage::embedded) struct Stamp {
    pub(super) salt: Salt,
    pub(super) segment: u64,
}

/// How many bytes the frame of a batch takes.
pub(super) fn size(plan: &Plan) -> u64 {
    let changes = plan.rows.iter().map(|row| (CHANGE + NewRow::of(row).size()) as u64).sum::<u64>();
    (HEADER as u64 + changes).next_multiple_of(PAGE as u64)
}

/// Fills the buffer with the frame of a batch. None when it is longer than 4 GiB.
pub(super) fn encode(
    buffer: &mut Vec<u8>,
    stamp: Stamp,
    before: Revision,
    plan: &Plan,
) -> Option<()> {
    buffer.clear();
    buffer.resize(HEADER, 0);
    for row in &plan.rows {
        let new = NewRow::of(row);
        buffer.extend(u32::try_from(new.size()).ok()?.to_le_bytes());
        buffer.extend(row.position.revision.get().to_le_bytes());
        buffer.extend(row.position.index.to_le_bytes());
        let start = buffer.len();
        buffer.resize(start + new.size(), 0);
        new.encode(buffer.get_mut(start..)?)?;
    }
    let (header, changes) = buffer.split_first_chunk_mut::<HEADER>()?;
    let length = u32::try_from(changes.len()).ok()?;
    let numbers = [stamp.salt.0, stamp.segment, before.get(), plan.revision.get()];
    let mut place = header.as_mut_slice();
    for number in numbers {
        place.split_off_mut(..8)?.copy_from_slice(&number.to_le_bytes());
    }
    place.split_off_mut(..4)?.copy_from_slice(&length.to_le_bytes());
    place.split_off_mut(..4)?.copy_from_slice(&crc32fast::hash(changes).to_le_bytes());
    let sum = crc32fast::hash(header.get(..SUMMED)?);
    header.get_mut(SUMMED..)?.copy_from_slice(&sum.to_le_bytes());
    buffer.resize(buffer.len().next_multiple_of(PAGE), 0);
    Some(())
}

/// The beginning of a frame, as read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) stamp: Stamp,
    pub(super) before: Revision,
    pub(super) revision: Revision,
    length: usize,
    sum: u32,
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    bytes.split_off(..count)
}

fn long(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?))
}

fn short(bytes: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?))
}

impl Header {
    /// None when no frame begins here.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.get(..HEADER)?;
        let sum = crc32fast::hash(rest.get(..SUMMED)?);
        let header = Self {
            stamp: Stamp { salt: Salt(long(&mut rest)?), segment: long(&mut rest)? },
            before: Revision::new(long(&mut rest)?),
            revision: Revision::new(long(&mut rest)?),
            length: usize::try_from(short(&mut rest)?).ok()?,
            sum: short(&mut rest)?,
        };
        (short(&mut rest)? == sum).then_some(header)
    }

    /// The changes of the frame that begins with these bytes. None when they are not as they were
    /// written.
    pub(super) fn changes<'a>(&self, frame: &'a [u8]) -> Option<Changes<'a>> {
        let changes = frame.get(HEADER..HEADER.checked_add(self.length)?)?;
        (crc32fast::hash(changes) == self.sum).then_some(Changes(changes))
    }

    /// How many bytes the frame takes.
    pub(super) fn size(&self) -> usize {
        (HEADER + self.length).next_multiple_of(PAGE)
    }
}

/// Where each change was made, and its encoded row.
#[derive(Debug)]
pub(super) struct Changes<'a>(&'a [u8]);

impl<'a> Iterator for Changes<'a> {
    type Item = (Position, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let size = usize::try_from(short(&mut self.0)?).ok()?;
        let revision = Revision::new(long(&mut self.0)?);
        let index = short(&mut self.0)?;
        Some((Position { revision, index }, take(&mut self.0, size)?))
    }
}
