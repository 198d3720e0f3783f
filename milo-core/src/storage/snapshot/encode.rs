//! Writing a snapshot.

use std::io::{self, Write};

use flate2::{Compression, write::DeflateEncoder};

use super::{
    Head, Summary,
    format::{
        BEGIN, BLOCK, BLOCK_HEADER, DEFLATED, END, FAILURE, FORMAT, MAGIC, MAX_BLOCK, RECORDS,
        checksum,
    },
};
use crate::storage::Record;

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

fn deflate(block: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(block.len() / 4), Compression::fast());
    encoder.write_all(block)?;
    encoder.finish()
}
