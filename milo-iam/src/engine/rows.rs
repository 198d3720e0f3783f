//! Who is granted what, as offset arrays: for each row, its entries in one piece and in order.
//!
//! Rows are kept in chunks, so that a change copies one chunk and readers keep the past. How long
//! that takes is bounded by the chunk, not by the organization that the change is about.

use std::{marker::PhantomData, sync::Arc};

use crate::persistent::{Array, sort_by_bucket};

use super::{
    detail::Detail,
    row::{BLOCK, NONE, Row},
};

/// How many rows a chunk has: so many that the list of chunks stays in the processor's cache, so few
/// that a chunk is copied in no time.
const CHUNK: usize = 256;

/// Above so many edits they are sorted by chunk first.
const MANY: usize = 1 << 16;

/// An entry that comes into a row or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edit<D> {
    /// The row.
    pub(super) row: u32,
    /// What the entry is about: the id of another row's subject.
    pub(super) other: u32,
    /// What else it says.
    pub(super) detail: D,
    /// Whether it comes.
    pub(super) add: bool,
}

/// See the module.
///
/// A chunk is one piece of memory: where each row ends, the rows, and room for one block. A row is
/// what its entries are about, and their details.
#[derive(Clone, Debug)]
pub(super) struct Rows<D> {
    chunks: Array<[u32]>,
    details: PhantomData<D>,
}

impl<D> Default for Rows<D> {
    fn default() -> Self {
        Self { chunks: Array::default(), details: PhantomData }
    }
}

impl<D: Detail> Rows<D> {
    /// The entries of a row, in order. An entry may be there more than once.
    #[inline]
    pub(super) fn row(&self, row: u32) -> Row<'_, D> {
        let row = row as usize;
        self.chunks.get(row / CHUNK).map_or_else(Row::default, |chunk| row_of(chunk, row % CHUNK))
    }

    /// Makes edits. What is added twice must be taken out twice.
    pub(super) fn apply(&mut self, mut edits: Vec<Edit<D>>) {
        let chunk_of = |edit: &Edit<D>| edit.row as usize / CHUNK;
        if edits.len() > MANY {
            let chunks = edits.iter().map(chunk_of).max().unwrap_or_default() + 1;
            sort_by_bucket(&mut edits, chunks, chunk_of);
        } else {
            edits.sort_unstable();
        }
        for these in edits.chunk_by(|a, b| chunk_of(a) == chunk_of(b)) {
            let chunk = these.first().map_or(0, chunk_of);
            while self.chunks.len() <= chunk {
                self.chunks.push(Arc::new([0; CHUNK + BLOCK]));
            }
            if let Some(old) = self.chunks.get(chunk) {
                let new = edited(old, these);
                self.chunks.set(chunk, new);
            }
        }
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        self.chunks.memory() + self.chunks.iter().map(size_of_val).sum::<usize>()
    }
}

/// A row of a chunk.
#[inline]
fn row_of<D: Detail>(chunk: &[u32], row: usize) -> Row<'_, D> {
    let Some((ends, rows)) = chunk.split_at_checked(CHUNK) else { return Row::default() };
    let (start, end) = (if row == 0 { 0 } else { ends[row - 1] }, ends[row]);
    let words = rows.get(start as usize..).unwrap_or_default();
    Row::new(words, (end - start) as usize / (1 + D::WORDS))
}

/// The chunk after edits, which are in order.
fn edited<D: Detail>(chunk: &[u32], edits: &[Edit<D>]) -> Arc<[u32]> {
    let mut new = Vec::with_capacity(chunk.len() + edits.len() * (1 + D::WORDS));
    new.resize(CHUNK, 0);
    let mut details = Vec::new();
    let mut rest = edits;
    for row in 0..CHUNK {
        let of_row = rest.partition_point(|edit| edit.row as usize % CHUNK == row);
        let (these, others_rows) = rest.split_at(of_row);
        rest = others_rows;
        let old = row_of(chunk, row);
        if these.is_empty() {
            new.extend_from_slice(old.all());
        } else {
            details.clear();
            merge(old, these, |(other, detail)| {
                new.push(other);
                D::write(detail, &mut details);
            });
            new.extend_from_slice(&details);
        }
        // INVARIANT: there are fewer than 2^32 words in a chunk: they do not fit into memory.
        new[row] = u32::try_from(new.len() - CHUNK).unwrap_or(NONE);
    }
    new.resize(new.len() + BLOCK, NONE);
    new.into()
}

fn merge<D: Detail>(old: Row<'_, D>, edits: &[Edit<D>], mut into: impl FnMut((u32, D))) {
    let mut old = old.iter().peekable();
    for same in edits.chunk_by(|a, b| (a.other, a.detail) == (b.other, b.detail)) {
        let Some(edit) = same.first() else { continue };
        let entry = (edit.other, edit.detail);
        while let Some(kept) = old.next_if(|kept| *kept < entry) {
            into(kept);
        }
        let mut count = 0usize;
        while old.next_if_eq(&entry).is_some() {
            count += 1;
        }
        let added = same.iter().filter(|edit| edit.add).count();
        count = (count + added).saturating_sub(same.len() - added);
        (0..count).for_each(|_| into(entry));
    }
    old.for_each(into);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{super::detail::Granted, *};

    proptest! {
        #[test]
        fn rows_are_sorted_multisets(batches in prop::collection::vec(
            prop::collection::vec((0u32..600, 0u32..40, any::<bool>()), 0..60), 1..8,
        ), many in 0u32..400) {
            let mut rows = Rows::<Granted>::default();
            let mut expected = BTreeMap::<(u32, u32, Granted), usize>::new();
            let mut batches = batches;
            // A long row.
            batches.push((0..many).map(|other| (7, other, true)).collect());
            for batch in batches {
                let mut edits = Vec::new();
                for (row, other, add) in batch {
                    let detail = Granted { role: other % 3, binding: 7 };
                    let count = expected.entry((row, other, detail)).or_default();
                    if add {
                        *count += 1;
                    } else if *count == 0 {
                        continue;
                    } else {
                        *count -= 1;
                    }
                    edits.push(Edit { row, other, detail, add });
                }
                rows.apply(edits);
                for row in 0..700 {
                    let found: Vec<_> = rows.row(row).iter().collect();
                    let of_row = expected.iter().filter(|((r, ..), _)| *r == row);
                    let wanted: Vec<_> = of_row
                        .flat_map(|((_, other, detail), count)| vec![(*other, *detail); *count])
                        .collect();
                    prop_assert_eq!(&found, &wanted);
                    for detail in 0..4 {
                        let about = rows.row(row).find_about(&[3, 7, 30, 300], |d| d.role == detail);
                        let mut wanted = wanted.iter().filter(|(other, d)| {
                            [3, 7, 30, 300].contains(other) && d.role == detail
                        });
                        prop_assert_eq!(about, wanted.next().copied());
                    }
                }
            }
        }
    }
}
