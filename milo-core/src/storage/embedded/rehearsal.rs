//! A data file that can be opened, mended and checked by redb without a byte of it being changed.

use std::{collections::BTreeMap, fs::File, io, path::Path};

use parking_lot::Mutex;
use redb::StorageBackend;

const BLOCK: u64 = 4096;

type Block = [u8; BLOCK as usize];

/// Reads the file; keeps what is written in memory.
#[derive(Debug)]
pub(super) struct Rehearsal {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// How much of the file still counts.
    file_length: u64,
    length: u64,
    written: BTreeMap<u64, Box<Block>>,
}

impl Rehearsal {
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        let file = File::open(file)?;
        let length = file.metadata()?.len();
        let state = State { file, file_length: length, length, written: BTreeMap::new() };
        Ok(Self { state: Mutex::new(state) })
    }
}

#[cfg(unix)]
fn read_at(file: &mut File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(not(unix))]
fn read_at(file: &mut File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(out)
}

impl State {
    fn block(&mut self, number: u64) -> io::Result<Box<Block>> {
        if let Some(block) = self.written.get(&number) {
            return Ok(block.clone());
        }
        let mut block = Box::new([0; BLOCK as usize]);
        let start = number * BLOCK;
        let there = self.file_length.saturating_sub(start).min(BLOCK);
        if there > 0 {
            let part = block.get_mut(..usize::try_from(there).unwrap_or(0)).unwrap_or_default();
            read_at(&mut self.file, start, part)?;
        }
        Ok(block)
    }

    /// Calls `with` for every part of a block in the range: the block's number, where in the
    /// block, and where in the range.
    fn each_part(
        &mut self,
        offset: u64,
        length: usize,
        mut with: impl FnMut(&mut Self, u64, usize, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.length);
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            // INVARIANT: less than a block.
            let within = (at % BLOCK) as usize;
            let part = (length - done).min(BLOCK as usize - within);
            with(self, at / BLOCK, within, done..done + part)?;
            done += part;
        }
        Ok(())
    }
}

impl StorageBackend for Rehearsal {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let untouched =
            state.written.range(offset / BLOCK..).next().is_none_or(|(number, _)| {
                number * BLOCK >= offset.saturating_add(out.len() as u64)
            });
        let in_file = offset.saturating_add(out.len() as u64) <= state.file_length;
        if untouched && in_file {
            return read_at(&mut state.file, offset, out);
        }
        state.each_part(offset, out.len(), |state, number, within, range| {
            let block = state.block(number)?;
            let length = range.len();
            out[range].copy_from_slice(&block[within..within + length]);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let past = length.div_ceil(BLOCK);
        drop(state.written.split_off(&past));
        if !length.is_multiple_of(BLOCK)
            && let Some(block) = state.written.get_mut(&(length / BLOCK))
        {
            // INVARIANT: less than a block.
            block[(length % BLOCK) as usize..].fill(0);
        }
        state.file_length = state.file_length.min(length);
        state.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state.lock().each_part(offset, data.len(), |state, number, within, range| {
            let mut block = state.block(number)?;
            block[within..within + range.len()].copy_from_slice(&data[range]);
            state.written.insert(number, block);
            Ok(())
        })
    }
}
