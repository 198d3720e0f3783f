//! Who is granted what, as offset arrays: for each row, its entries in one piece and in order.
//!
//! Rows are kept in chunks, so that a change copies one chunk and readers keep the past. How long
//! that takes is bounded by the chunk, not by the organization that the change is about.

use std::{cmp::Ordering, iter, ops::Range, sync::Arc};

/// How many rows a chunk has.
const CHUNK: usize = 256;

/// In the row of a node, a subject that a binding grants a role to; in the row of a subject, a
/// node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    /// The subject, or the node.
    pub(super) other: u32,
    /// The role.
    pub(super) role: u32,
    /// The binding.
    pub(super) binding: u32,
}

/// An entry that comes into a row or goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    /// The row.
    pub(super) row: u32,
    /// The entry.
    pub(super) grant: Grant,
    /// Whether it comes.
    pub(super) add: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    chunks: Vec<Arc<Chunk>>,
}

#[derive(Debug, Default)]
struct Chunk {
    /// Where each row ends. Rows behind the last are empty.
    ends: Vec<u32>,
    grants: Vec<Grant>,
}

impl Chunk {
    fn range(&self, row: usize) -> Range<usize> {
        let end = |row: usize| {
            let end = self.ends.get(row).or(self.ends.last()).copied().unwrap_or_default();
            end as usize
        };
        let start = if row == 0 { 0 } else { end(row - 1) };
        start..end(row)
    }
}

impl Rows {
    /// The entries of a row, in order.
    pub(super) fn row(&self, row: u32) -> &[Grant] {
        let row = row as usize;
        match self.chunks.get(row / CHUNK) {
            Some(chunk) => &chunk.grants[chunk.range(row % CHUNK)],
            None => &[],
        }
    }

    /// Makes edits. Of two for one entry, the later counts.
    pub(super) fn apply(&mut self, mut edits: Vec<Edit>) {
        edits.sort_by_key(|edit| (edit.row, edit.grant));
        let mut rest = &edits[..];
        while let Some(first) = rest.first() {
            let chunk = first.row as usize / CHUNK;
            let (these, others) =
                rest.split_at(rest.partition_point(|edit| edit.row as usize / CHUNK == chunk));
            rest = others;
            if self.chunks.len() <= chunk {
                self.chunks.resize(chunk + 1, Arc::default());
            }
            self.chunks[chunk] = Arc::new(edited(&self.chunks[chunk], these));
        }
    }
}

/// The chunk after edits, which are in order.
fn edited(chunk: &Chunk, edits: &[Edit]) -> Chunk {
    let last = edits.last().map_or(0, |edit| edit.row as usize % CHUNK);
    let rows = chunk.ends.len().max(last + 1);
    let mut ends = Vec::with_capacity(rows);
    let mut grants = Vec::with_capacity(chunk.grants.len() + edits.len());
    let mut rest = edits;
    for row in 0..rows {
        let of_row = rest.partition_point(|edit| edit.row as usize % CHUNK == row);
        let (these, others) = rest.split_at(of_row);
        rest = others;
        merge(&chunk.grants[chunk.range(row)], these, &mut grants);
        // INVARIANT: there are fewer than 2^32 grants in a chunk: each has an id of its own in u32.
        ends.push(u32::try_from(grants.len()).unwrap_or(u32::MAX));
    }
    grants.shrink_to_fit();
    Chunk { ends, grants }
}

fn merge(old: &[Grant], edits: &[Edit], into: &mut Vec<Grant>) {
    let mut old = old.iter().copied().peekable();
    // Of several edits for one entry, the last.
    let mut edits = edits.chunk_by(|a, b| a.grant == b.grant).filter_map(<[Edit]>::last).peekable();
    loop {
        let order = match (old.peek(), edits.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(kept), Some(edit)) => kept.cmp(&edit.grant),
        };
        if order.is_lt() {
            into.extend(old.next());
            continue;
        }
        if order.is_eq() {
            old.next();
        }
        into.extend(edits.next().filter(|edit| edit.add).map(|edit| edit.grant));
    }
}

/// Entries of a row, which is in order, that are about one of some others, which are in order.
pub(super) fn about<'a>(
    row: &'a [Grant],
    others: &'a [u32],
) -> impl Iterator<Item = &'a Grant> + 'a {
    /// Up to here, to look at each entry costs less than to search.
    const SHORT: usize = 24;
    let short = if row.len() <= SHORT { row } else { &[] };
    let long = if row.len() <= SHORT { &[] } else { row };
    let found = short.iter().filter(|grant| others.contains(&grant.other));
    let searched = others.iter().filter(|_| !long.is_empty()).flat_map(move |other| {
        let start = long.partition_point(|grant| grant.other < *other);
        let these = &long[start..];
        let mut rest = these.iter();
        iter::from_fn(move || rest.next().filter(|grant| grant.other == *other))
    });
    found.chain(searched)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_sets(batches in prop::collection::vec(
            prop::collection::vec((0u32..600, 0u32..40, any::<bool>()), 0..60), 1..8,
        )) {
            let mut rows = Rows::default();
            let mut expected = BTreeSet::new();
            for batch in batches {
                let edits = batch.iter().map(|(row, other, add)| {
                    let grant = Grant { other: *other, role: other % 3, binding: 0 };
                    if *add { expected.insert((*row, grant)) } else { expected.remove(&(*row, grant)) };
                    Edit { row: *row, grant, add: *add }
                });
                rows.apply(edits.collect());
                for row in 0..700 {
                    let found: Vec<Grant> = rows.row(row).to_vec();
                    let wanted: Vec<Grant> =
                        expected.iter().filter(|(r, _)| *r == row).map(|(_, g)| *g).collect();
                    prop_assert_eq!(&found, &wanted);
                    let others = [3, 7, 30];
                    let mut some: Vec<Grant> = about(&found, &others).copied().collect();
                    some.sort_unstable();
                    let wanted: Vec<Grant> =
                        wanted.into_iter().filter(|g| others.contains(&g.other)).collect();
                    prop_assert_eq!(some, wanted);
                }
            }
        }
    }
}
