//! Reading a snapshot.

use std::{io::Read, path::PathBuf};

use bytes::{Buf, Bytes};
use flate2::read::DeflateDecoder;
use jiff::Timestamp;

use super::{
    Head,
    format::{
        BEGIN, BLOCK, BLOCK_HEADER, DEFLATED, END, FAILURE, FORMAT, MAGIC, MAX_BLOCK,
        RECORD_HEADER, RECORDS, ReadSnapshotError, checksum,
    },
    source::{Part, SourceError},
    tally::Tally,
};
use crate::{
    key::Key,
    storage::{Record, Revision},
};

/// Reads a snapshot, checking all of it.
#[derive(Debug)]
pub(super) struct Decoder<R> {
    input: R,
    /// Named in errors.
    file: PathBuf,
    offset: u64,
    head: Option<Head>,
    last: Option<Key>,
    tally: Tally,
    ended: bool,
    restarts: bool,
}

impl<R: Read> Decoder<R> {
    pub(super) fn new(input: R, file: PathBuf) -> Result<Self, ReadSnapshotError> {
        let mut decoder = Self {
            input,
            file,
            offset: 0,
            head: None,
            last: None,
            tally: Tally::default(),
            ended: false,
            restarts: false,
        };
        let start = decoder.read_up_to(MAGIC.len() + 4)?;
        let file = decoder.file.clone();
        let Some((magic, version)) = start.split_at_checked(MAGIC.len()) else {
            let ours = !start.is_empty() && MAGIC.starts_with(&start);
            return Err(if ours {
                decoder.truncated()
            } else {
                ReadSnapshotError::Foreign { file }
            });
        };
        if magic != MAGIC {
            return Err(ReadSnapshotError::Foreign { file });
        }
        let Ok(version) = version.try_into().map(u32::from_le_bytes) else {
            return Err(decoder.truncated());
        };
        match version {
            FORMAT => Ok(decoder),
            found if found > FORMAT => Err(ReadSnapshotError::NewerFormat { file, found }),
            _ => Err(decoder.damaged("its format is unknown")),
        }
    }

    /// Allows that the reading starts again, as it may over a socket.
    pub(super) fn with_restarts(mut self) -> Self {
        self.restarts = true;
        self
    }

    /// The next part; none after the end. The end is returned only if everything before it is as
    /// it was written.
    pub(super) fn next(&mut self) -> Result<Option<Part>, SourceError> {
        if self.ended {
            return Ok(None);
        }
        let (kind, content) = self.read_block()?;
        let part = match (kind, self.head) {
            (BEGIN, None) => self.begin(&content),
            (BEGIN, Some(_)) if self.restarts => self.begin(&content),
            (RECORDS | DEFLATED, Some(head)) => self.records(content, &head),
            (END, Some(head)) => self.end(&content, &head),
            (FAILURE, _) if self.restarts => {
                let text = String::from_utf8_lossy(&content).into_owned();
                return Err(SourceError::Server(text));
            }
            _ => Err(self.damaged("a block is not where it belongs")),
        };
        Ok(Some(part?))
    }

    fn begin(&mut self, mut content: &[u8]) -> Result<Part, ReadSnapshotError> {
        if content.len() != 24 {
            return Err(self.damaged("its beginning has another length"));
        }
        let revision = Revision::new(content.get_u64_le());
        let Ok(taken) = Timestamp::from_millisecond(content.get_i64_le()) else {
            return Err(self.damaged("its time is impossible"));
        };
        let head = Head { revision, taken, expected: content.get_u64_le() };
        self.head = Some(head);
        self.tally = Tally::default();
        self.last = None;
        Ok(Part::Begin(head))
    }

    fn records(&mut self, mut content: Bytes, head: &Head) -> Result<Part, ReadSnapshotError> {
        let mut records = Vec::new();
        while !content.is_empty() {
            let Some(record) = take_record(&mut content) else {
                return Err(self.damaged("a record is cut short"));
            };
            if self.last.as_ref().is_some_and(|last| *last >= record.key) {
                return Err(self.damaged("its keys are not in order"));
            }
            if record.revision > head.revision {
                return Err(self.damaged("a record is newer than the snapshot"));
            }
            self.tally.add(&record);
            self.last = Some(record.key.clone());
            records.push(record);
        }
        Ok(Part::Records(records))
    }

    fn end(&mut self, content: &Bytes, head: &Head) -> Result<Part, ReadSnapshotError> {
        let mut counts = content.clone();
        let objects = counts.try_get_u64_le().unwrap_or_default();
        let bytes = counts.try_get_u64_le().unwrap_or_default();
        let found = self.tally.summary(head);
        if objects != found.objects || objects != head.expected {
            return Err(self.damaged("its number of objects is another one"));
        }
        if bytes != found.bytes || counts != found.digest.as_bytes().as_slice() {
            return Err(self.damaged("its SHA-256 is another one"));
        }
        self.ended = true;
        if !self.read_up_to(1)?.is_empty() {
            return Err(self.damaged("something follows its end"));
        }
        Ok(Part::End(Some(found)))
    }

    /// The kind of the next block and its content, inflated.
    fn read_block(&mut self) -> Result<(u8, Bytes), ReadSnapshotError> {
        let header = self.read_up_to(BLOCK_HEADER)?;
        let Ok(header) = <[u8; BLOCK_HEADER]>::try_from(header.as_slice()) else {
            return Err(self.truncated());
        };
        let mut fields = &header[1..];
        let (length, inflated, sum) =
            (fields.get_u32_le() as usize, fields.get_u32_le() as usize, fields.get_u32_le());
        if length > MAX_BLOCK || inflated > MAX_BLOCK {
            return Err(self.damaged("a block is impossibly large"));
        }
        let content = self.read_up_to(length)?;
        if content.len() < length {
            return Err(self.truncated());
        }
        if checksum(&header, &content) != sum {
            return Err(self.damaged("a checksum does not fit"));
        }
        let content = match header[0] {
            DEFLATED => self.inflate(&content, inflated)?,
            _ => content,
        };
        if content.len() != inflated {
            return Err(self.damaged("a block has another length"));
        }
        Ok((header[0], content.into()))
    }

    fn inflate(&self, content: &[u8], inflated: usize) -> Result<Vec<u8>, ReadSnapshotError> {
        let mut found = Vec::with_capacity(inflated);
        // One byte more, to see that it has more.
        let mut decoder = DeflateDecoder::new(content).take(inflated as u64 + 1);
        match decoder.read_to_end(&mut found) {
            Ok(_) => Ok(found),
            Err(_) => Err(self.damaged("a block cannot be inflated")),
        }
    }

    /// So many bytes, or fewer where the input ends.
    fn read_up_to(&mut self, length: usize) -> Result<Vec<u8>, ReadSnapshotError> {
        // Not more room than there are bytes: the length may be a lie.
        let mut found = Vec::with_capacity(length.min(2 * BLOCK));
        let read = self.input.by_ref().take(length as u64).read_to_end(&mut found);
        self.offset += found.len() as u64;
        match read {
            Ok(_) => Ok(found),
            Err(cause) => Err(ReadSnapshotError::Io { file: self.file.clone(), cause }),
        }
    }

    fn truncated(&self) -> ReadSnapshotError {
        ReadSnapshotError::Truncated { file: self.file.clone(), objects: self.tally.objects() }
    }

    fn damaged(&self, cause: &'static str) -> ReadSnapshotError {
        ReadSnapshotError::Damaged { file: self.file.clone(), offset: self.offset, cause }
    }
}

/// Takes a record off the front; its key and value share the buffer.
fn take_record(content: &mut Bytes) -> Option<Record> {
    if content.len() < RECORD_HEADER {
        return None;
    }
    let key = content.get_u32_le() as usize;
    let value = content.get_u32_le() as usize;
    let revision = Revision::new(content.get_u64_le());
    if content.len() < key.checked_add(value)? {
        return None;
    }
    let key = Key::from_storage(content.split_to(key));
    Some(Record { key, revision, value: content.split_to(value) })
}
