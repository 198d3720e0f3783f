//! The bytes of a snapshot; the [module](super)'s documentation has the layout.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
};

use bytes::{Buf, Bytes};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use jiff::Timestamp;

use super::{
    Head, Summary,
    source::{Part, SourceError},
    tally::Tally,
};
use crate::{
    key::Key,
    storage::{Record, Revision},
};

const MAGIC: &[u8; 8] = b"milosnap";
/// The version that is written here, and the newest that is read.
const FORMAT: u32 = 1;

const BEGIN: u8 = 1;
const RECORDS: u8 = 2;
const DEFLATED: u8 = 3;
const END: u8 = 4;
const FAILURE: u8 = 5;

const BLOCK_HEADER: usize = 1 + 4 + 4 + 4;
const RECORD_HEADER: usize = 4 + 4 + 8;
/// A block of records is closed when it has so many bytes.
const BLOCK: usize = 1 << 20;
/// A block is never larger, which bounds what damage can make a reader ask for.
const MAX_BLOCK: usize = 256 << 20;

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

/// Writes a snapshot.
#[derive(Debug)]
pub(super) struct Encoder<W> {
    out: W,
    deflate: bool,
    block: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    /// Begins a snapshot, with smaller blocks if it is worth the time.
    pub(super) fn new(mut out: W, deflate: bool) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        Ok(Self { out, deflate, block: Vec::new() })
    }

    pub(super) fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.block.clear();
        let mut content = [0; 24];
        content[..8].copy_from_slice(&head.revision.get().to_le_bytes());
        content[8..16].copy_from_slice(&head.taken.as_millisecond().to_le_bytes());
        content[16..].copy_from_slice(&head.expected.to_le_bytes());
        self.write_block(BEGIN, content.len(), &content)
    }

    pub(super) fn add(&mut self, records: &[Record]) -> io::Result<()> {
        for record in records {
            for part in [record.key.as_bytes(), &record.value] {
                self.block.extend_from_slice(&length(part.len())?);
            }
            self.block.extend_from_slice(&record.revision.get().to_le_bytes());
            self.block.extend_from_slice(record.key.as_bytes());
            self.block.extend_from_slice(&record.value);
            if self.block.len() >= BLOCK {
                self.flush_records()?;
            }
        }
        Ok(())
    }

    pub(super) fn end(mut self, summary: &Summary) -> io::Result<()> {
        self.flush_records()?;
        let mut content = [0; 48];
        content[..8].copy_from_slice(&summary.objects.to_le_bytes());
        content[8..16].copy_from_slice(&summary.bytes.to_le_bytes());
        content[16..].copy_from_slice(summary.digest.as_bytes());
        self.write_block(END, content.len(), &content)?;
        self.out.flush()
    }

    pub(super) fn fail(mut self, text: &str) -> io::Result<()> {
        self.write_block(FAILURE, text.len(), text.as_bytes())?;
        self.out.flush()
    }

    fn flush_records(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.block);
        let small = if self.deflate { Some(deflate(&block)?) } else { None };
        match small.filter(|small| small.len() < block.len()) {
            Some(small) => self.write_block(DEFLATED, block.len(), &small)?,
            None => self.write_block(RECORDS, block.len(), &block)?,
        }
        block.clear();
        self.block = block;
        Ok(())
    }

    fn write_block(&mut self, kind: u8, inflated: usize, content: &[u8]) -> io::Result<()> {
        let mut header = [0; BLOCK_HEADER];
        header[0] = kind;
        header[1..5].copy_from_slice(&length(content.len())?);
        header[5..9].copy_from_slice(&length(inflated)?);
        let sum = checksum(&header, content);
        header[9..].copy_from_slice(&sum.to_le_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(content)
    }
}

fn length(length: usize) -> io::Result<[u8; 4]> {
    let fits = u32::try_from(length).ok().filter(|_| length <= MAX_BLOCK);
    let text = "a value is too large for a snapshot";
    Ok(fits.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, text))?.to_le_bytes())
}

fn checksum(header: &[u8; BLOCK_HEADER], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..9]);
    hasher.update(content);
    hasher.finalize()
}

fn deflate(block: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(block.len() / 4), Compression::fast());
    encoder.write_all(block)?;
    encoder.finish()
}

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
