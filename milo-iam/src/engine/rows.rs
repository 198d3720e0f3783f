//! Who is granted what, as offset arrays: for each row, its entries in one piece and in order.
//!
//! Rows are kept in chunks, so that a change copies one chunk and readers keep the past. How long
//! that takes is bounded by the chunk, not by the organization that the change is about.

use std::ops::Range;

use crate::persistent::Array;

/// How many rows a chunk has.
const CHUNK: usize = 128;

/// Up to here, to look at each entry of a row costs less than to search.
const SHORT: usize = 16;

/// So many entries are compared at once.
const BLOCK: usize = 8;

/// Is about nothing.
const NONE: u32 = u32::MAX;

/// What an entry says beside what it is about.
pub(super) trait Detail: Copy + Ord {}

impl<T: Copy + Ord> Detail for T {}

/// How a grant comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Granted {
    /// The role.
    pub(super) role: u32,
    /// The number of the binding.
    pub(super) binding: u32,
}

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
#[derive(Clone, Debug)]
pub(super) struct Rows<D> {
    chunks: Array<Chunk<D>>,
}

impl<D: Detail> Default for Rows<D> {
    fn default() -> Self {
        Self { chunks: Array::default() }
    }
}

#[derive(Clone, Debug)]
struct Chunk<D> {
    /// Where each row ends.
    ends: [u32; CHUNK],
    others: Box<[u32]>,
    details: Box<[D]>,
    /// Bits that say what is not in a long row: a word for two entries.
    filters: Box<[u32]>,
}

impl<D> Default for Chunk<D> {
    fn default() -> Self {
        Self {
            ends: [0; CHUNK],
            others: Box::default(),
            details: Box::default(),
            filters: Box::default(),
        }
    }
}

impl<D: Detail> Chunk<D> {
    fn range(&self, row: usize) -> Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        start..self.ends[row] as usize
    }

    fn row(&self, row: usize) -> Row<'_, D> {
        let range = self.range(row);
        let filter = self.filters.get(range.start.div_ceil(2)..range.end / 2);
        Row {
            others: &self.others[range.clone()],
            details: &self.details[range],
            filter: filter.unwrap_or_default(),
        }
    }
}

/// A row: its entries in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a, D> {
    others: &'a [u32],
    details: &'a [D],
    filter: &'a [u32],
}

impl<D> Default for Row<'_, D> {
    fn default() -> Self {
        Self { others: &[], details: &[], filter: &[] }
    }
}

impl<D: Detail> Rows<D> {
    /// The entries of a row, in order. An entry may be there more than once.
    pub(super) fn row(&self, row: u32) -> Row<'_, D> {
        let row = row as usize;
        self.chunks.get(row / CHUNK).map_or_else(Row::default, |chunk| chunk.row(row % CHUNK))
    }

    /// Makes edits. What is added twice must be taken out twice.
    pub(super) fn apply(&mut self, mut edits: Vec<Edit<D>>) {
        edits.sort_unstable();
        for these in edits.chunk_by(|a, b| a.row as usize / CHUNK == b.row as usize / CHUNK) {
            let chunk = these.first().map_or(0, |edit| edit.row as usize / CHUNK);
            while self.chunks.len() <= chunk {
                self.chunks.push(Chunk::default());
            }
            if let Some(old) = self.chunks.get(chunk) {
                let new = edited(old, these);
                self.chunks.set(chunk, new);
            }
        }
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        let entry = size_of::<u32>() + size_of::<D>() + size_of::<u32>() / 2;
        self.chunks.memory() + self.chunks.iter().map(|c| c.others.len() * entry).sum::<usize>()
    }
}

/// The chunk after edits, which are in order.
fn edited<D: Detail>(chunk: &Chunk<D>, edits: &[Edit<D>]) -> Chunk<D> {
    let size = chunk.others.len() + edits.len();
    let mut ends = [0; CHUNK];
    let (mut others, mut details) = (Vec::with_capacity(size), Vec::with_capacity(size));
    let mut rest = edits;
    for (row, end) in ends.iter_mut().enumerate() {
        let of_row = rest.partition_point(|edit| edit.row as usize % CHUNK == row);
        let (these, others_rows) = rest.split_at(of_row);
        rest = others_rows;
        merge(chunk.row(row), these, |(other, detail)| {
            others.push(other);
            details.push(detail);
        });
        // INVARIANT: there are fewer than 2^32 grants in a chunk: they do not fit into memory.
        *end = u32::try_from(others.len()).unwrap_or(u32::MAX);
    }
    let mut chunk = Chunk {
        ends,
        filters: vec![0; others.len() / 2].into(),
        others: others.into(),
        details: details.into(),
    };
    (0..CHUNK).for_each(|row| fill_filter(&mut chunk, row));
    chunk
}

/// Notes what is in a row, if it is long.
fn fill_filter<D: Detail>(chunk: &mut Chunk<D>, row: usize) {
    let range = chunk.range(row);
    if range.len() <= SHORT {
        return;
    }
    let Some(filter) = chunk.filters.get_mut(range.start.div_ceil(2)..range.end / 2) else {
        return;
    };
    for other in &chunk.others[range] {
        let (word, bit) = place_in(filter, *other);
        filter[word] |= bit;
    }
}

/// The word and the bit of a filter that stand for an entry.
fn place_in(filter: &[u32], other: u32) -> (usize, u32) {
    let scattered = u64::from(other.wrapping_mul(0x9e37_79b1));
    let at = (scattered * (filter.len() as u64 * 32)) >> 32;
    // INVARIANT: less than the bits of the filter.
    ((at / 32) as usize, 1 << (at % 32))
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

impl<'a, D: Detail> Row<'a, D> {
    /// What the entries are about, in order.
    pub(super) fn others(self) -> &'a [u32] {
        self.others
    }

    /// The entries.
    pub(super) fn iter(self) -> impl Iterator<Item = (u32, D)> + 'a {
        self.others.iter().copied().zip(self.details.iter().copied())
    }

    /// The first entry about one of some others for which something holds.
    pub(super) fn find_about(
        self,
        wanted: &[u32],
        mut holds: impl FnMut(D) -> bool,
    ) -> Option<(u32, D)> {
        let holds_at = |at: usize| {
            let entry = (*self.others.get(at)?, *self.details.get(at)?);
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
    /// evenly in most rows, which tells about where to look.
    fn search<R>(self, wanted: &[u32], mut holds_at: impl FnMut(usize) -> Option<R>) -> Option<R> {
        let (first, last) = (*self.others.first()?, *self.others.last()?);
        let spread = u64::from(last - first).max(1);
        let may_be_there = |wanted: &&u32| {
            let (word, bit) = place_in(self.filter, **wanted);
            self.filter.get(word).is_some_and(|word| word & bit != 0)
                && (first..=last).contains(*wanted)
        };
        wanted.iter().filter(may_be_there).find_map(|wanted| {
            let guess = u64::from(wanted - first) * (self.others.len() as u64 - 1) / spread;
            // INVARIANT: less than the length.
            let start = first_not_below(self.others, *wanted, guess as usize);
            let rest = self.others.get(start..).unwrap_or_default();
            let count = rest.iter().take_while(|other| *other == wanted).count();
            (start..start + count).find_map(&mut holds_at)
        })
    }
}

/// The first place in a sorted list that is not below a number, about where it is guessed to be.
fn first_not_below(list: &[u32], wanted: u32, guess: usize) -> usize {
    let is_below = |at: usize| list.get(at).is_some_and(|other| *other < wanted);
    let (mut low, mut high, mut step) = (guess, guess, 8);
    while low > 0 && !is_below(low) {
        (high, low, step) = (low, low.saturating_sub(step), 4 * step);
    }
    step = 8;
    while is_below(high) {
        (low, high, step) = (high, (high + step).min(list.len()), 4 * step);
    }
    low + list.get(low..high).unwrap_or_default().partition_point(|other| *other < wanted)
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
            let mut rows = Rows::default();
            let mut expected = BTreeMap::<(u32, u32, u32), usize>::new();
            let mut batches = batches;
            // A long row.
            batches.push((0..many).map(|other| (7, other, true)).collect());
            for batch in batches {
                let mut edits = Vec::new();
                for (row, other, add) in batch {
                    let detail = other % 3;
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
                        let about = rows.row(row).find_about(&[3, 7, 30, 300], |d| d == detail);
                        let mut wanted = wanted.iter().filter(|(other, d)| {
                            [3, 7, 30, 300].contains(other) && *d == detail
                        });
                        prop_assert_eq!(about, wanted.next().copied());
                    }
                }
            }
        }

        #[test]
        fn places_are_found_from_any_guess(
            mut list in prop::collection::vec(0u32..500, 0..300),
            wanted in 0u32..510,
            guess in 0usize..300,
        ) {
            list.sort_unstable();
            let expected = list.partition_point(|other| *other < wanted);
            prop_assert_eq!(first_not_below(&list, wanted, guess % list.len().max(1)), expected);
        }
    }
}
