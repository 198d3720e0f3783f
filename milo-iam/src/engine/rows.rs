//! Who is granted what, as offset arrays: for each row, its entries in one piece and in order.
//!
//! Rows are kept in chunks, so that a change copies one chunk and readers keep the past. How long
//! that takes is bounded by the chunk, not by the organization that the change is about.

use std::{marker::PhantomData, sync::Arc};

use crate::persistent::{Array, first_not_below, sort_by_bucket};

use super::detail::{Detail, Granted};

/// How many rows a chunk has: so few that they are near to where their ends are.
const CHUNK: usize = 32;

/// Up to here, to look at each entry of a row costs less than to search.
const SHORT: usize = 16;

/// Up to here, to guess where something is in a row costs more than it saves.
const LONG: usize = 256;

/// So many entries are compared at once.
const BLOCK: usize = 8;

/// Is about nothing.
const NONE: u32 = u32::MAX;

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
/// A chunk is one piece of memory: where each row ends, and then the rows. A row is what its entries
/// are about, their details, and, if it is long and searched, its filter.
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

/// A row: its entries in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a, D> {
    others: &'a [u32],
    details: &'a [u32],
    /// Bits that say what is not in a long row: a word for two entries.
    filter: &'a [u32],
    detail: PhantomData<D>,
}

impl<D> Default for Row<'_, D> {
    fn default() -> Self {
        Self { others: &[], details: &[], filter: &[], detail: PhantomData }
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
                self.chunks.push(Arc::new([0; CHUNK]));
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
    let start = if row == 0 { 0 } else { ends[row - 1] as usize };
    let row = rows.get(start..ends[row] as usize).unwrap_or_default();
    // INVARIANT: `edited` has written so many.
    let (others, rest) = row.split_at(entries_in::<D>(row.len()));
    let (details, filter) = rest.split_at(D::WORDS * others.len());
    Row { others, details, filter, detail: PhantomData }
}

/// The words of a filter for so many entries.
fn filter_for<D: Detail>(entries: usize) -> usize {
    if D::SEARCHED && entries > SHORT { entries / 2 } else { 0 }
}

/// How many entries a row has that takes so many words.
#[inline]
fn entries_in<D: Detail>(words: usize) -> usize {
    let entry = 1 + D::WORDS;
    if !D::SEARCHED || words <= SHORT * entry {
        words / entry
    } else {
        // Two entries have one word of the filter; half a word is not there.
        (2 * words + 1) / (2 * entry + 1)
    }
}

/// The chunk after edits, which are in order.
fn edited<D: Detail>(chunk: &[u32], edits: &[Edit<D>]) -> Arc<[u32]> {
    let mut new = Vec::with_capacity(chunk.len() + edits.len() * (2 + D::WORDS));
    new.resize(CHUNK, 0);
    let mut details = Vec::new();
    let mut rest = edits;
    for row in 0..CHUNK {
        let of_row = rest.partition_point(|edit| edit.row as usize % CHUNK == row);
        let (these, others_rows) = rest.split_at(of_row);
        rest = others_rows;
        let start = new.len();
        details.clear();
        merge(row_of(chunk, row), these, |(other, detail)| {
            new.push(other);
            D::write(detail, &mut details);
        });
        let others = start..new.len();
        new.extend_from_slice(&details);
        let filter = new.len();
        new.resize(filter + filter_for::<D>(others.len()), 0);
        fill_filter(&mut new, others, filter);
        // INVARIANT: there are fewer than 2^32 words in a chunk: they do not fit into memory.
        new[row] = u32::try_from(new.len() - CHUNK).unwrap_or(NONE);
    }
    new.into()
}

/// Notes what is in a row, if it is long.
fn fill_filter(row: &mut [u32], others: std::ops::Range<usize>, filter: usize) {
    let (others_part, filter) = row.split_at_mut(filter);
    if filter.is_empty() {
        return;
    }
    for other in &others_part[others] {
        let (word, bits) = place_in(filter, *other);
        filter[word] |= bits;
    }
}

/// The word of a filter, and the bits in it, that stand for an entry. Three bits, so that hardly any
/// other has the same.
#[inline]
fn place_in(filter: &[u32], other: u32) -> (usize, u32) {
    let scattered = u64::from(other).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = ((scattered >> 32) * filter.len() as u64) >> 32;
    let bit = |shift: u32| 1 << ((scattered >> shift) & 31);
    // INVARIANT: less than the length of the filter.
    (word as usize, bit(0) | bit(5) | bit(10))
}

fn merge<D: Detail>(old: Row<'_, D>, edits: &[Edit<D>], mut into: impl FnMut((u32, D))) {
    if edits.is_empty() {
        return old.iter().for_each(into);
    }
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

impl<'a, D: Detail + 'a> Row<'a, D> {
    /// What the entries are about, in order.
    #[inline]
    pub(super) fn others(self) -> &'a [u32] {
        self.others
    }

    /// The entries.
    pub(super) fn iter(self) -> impl Iterator<Item = (u32, D)> + 'a {
        (0..self.others.len()).map(move |at| self.entry(at))
    }

    fn entry(self, at: usize) -> (u32, D) {
        // INVARIANT: whoever asks knows how many there are.
        let other = self.others.get(at).copied().unwrap_or(NONE);
        (other, D::read(self.details.get(at * D::WORDS..).unwrap_or_default()))
    }
}

impl Row<'_, Granted> {
    /// The first entry about one of some others for which something holds.
    #[inline]
    pub(super) fn find_about(
        self,
        wanted: &[u32],
        mut holds: impl FnMut(Granted) -> bool,
    ) -> Option<(u32, Granted)> {
        let holds_at = |at: usize| {
            let entry = self.entry(at);
            holds(entry.1).then_some(entry)
        };
        if self.others.len() <= SHORT {
            self.scan(wanted, holds_at)
        } else {
            self.search(wanted, holds_at)
        }
    }

    /// Looks at all entries.
    fn scan<R>(self, wanted: &[u32], mut holds_at: impl FnMut(usize) -> Option<R>) -> Option<R> {
        for (number, others) in self.others.chunks(BLOCK).enumerate() {
            let mut block = [NONE; BLOCK];
            block[..others.len()].copy_from_slice(others);
            // Without a branch, so that the block is compared at once.
            let has = |found: bool, other: &u32| {
                found | block.iter().fold(false, |found, one| found | (one == other))
            };
            if wanted.iter().fold(false, has) {
                let mut found = (0..others.len()).filter(|at| wanted.contains(&others[*at]));
                let found = found.find_map(|at| holds_at(number * BLOCK + at));
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Looks for each that is wanted, unless the filter says that it is not there. Ids are spread
    /// evenly in most rows, which tells about where to look in a long one.
    fn search<R>(self, wanted: &[u32], mut holds_at: impl FnMut(usize) -> Option<R>) -> Option<R> {
        let (first, last) = (*self.others.first()?, *self.others.last()?);
        let spread = u64::from(last - first).max(1);
        let may_be_there = |wanted: &&u32| {
            let (word, bits) = place_in(self.filter, **wanted);
            self.filter.get(word).is_some_and(|word| word & bits == bits)
                && (first..=last).contains(*wanted)
        };
        wanted.iter().filter(may_be_there).find_map(|wanted| {
            let start = if self.others.len() <= LONG {
                self.others.partition_point(|other| other < wanted)
            } else {
                let guess = u64::from(wanted - first) * (self.others.len() as u64 - 1) / spread;
                // INVARIANT: less than the length.
                first_not_below(self.others, guess as usize, |other| other < wanted)
            };
            let rest = self.others.get(start..).unwrap_or_default();
            let count = rest.iter().take_while(|other| *other == wanted).count();
            (start..start + count).find_map(&mut holds_at)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

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
