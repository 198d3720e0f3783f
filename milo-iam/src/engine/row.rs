//! The entries of one row of [`Rows`](super::rows::Rows), and how one is found.

use std::marker::PhantomData;

use wide::u32x8;

use crate::persistent::prefetch;

use super::detail::Detail;

/// Up to here, to look at each entry of a row costs less than to search.
const SHORT: usize = 64;

/// So many words of a row are asked for early.
const EARLY: usize = 32;

/// So many entries are compared at once.
pub(super) const BLOCK: usize = 16;

/// So many rows are a few.
const FEW: usize = 7;

/// Is about nothing.
pub(super) const NONE: u32 = u32::MAX;

/// A row: its entries in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a, D> {
    /// From the row on to the end of the chunk: a whole block can be read wherever an entry is.
    words: &'a [u32],
    len: usize,
    detail: PhantomData<D>,
}

impl<D> Default for Row<'_, D> {
    fn default() -> Self {
        Self { words: &[], len: 0, detail: PhantomData }
    }
}

impl<'a, D: Detail> Row<'a, D> {
    /// A row of so many entries, at the beginning of words that go on for a block behind it.
    #[inline]
    pub(super) fn new(words: &'a [u32], len: usize) -> Self {
        Self { words, len, detail: PhantomData }
    }

    /// Whether all entries are looked at together.
    #[inline]
    pub(super) fn is_short(self) -> bool {
        self.len <= SHORT
    }

    /// How many entries there are.
    pub(super) fn len(self) -> usize {
        self.len
    }

    /// All words.
    pub(super) fn all(self) -> &'a [u32] {
        self.words.get(..self.len * (1 + D::WORDS)).unwrap_or_default()
    }

    /// Asks for its memory, which will be read soon.
    #[inline]
    pub(super) fn prefetch(self) {
        let words = EARLY.min(self.len * (1 + D::WORDS));
        prefetch(self.words.get(..words).unwrap_or_default());
    }

    /// What the entries are about, in order.
    #[inline]
    pub(super) fn others(self) -> &'a [u32] {
        self.words.get(..self.len).unwrap_or_default()
    }

    /// The entries.
    pub(super) fn iter(self) -> impl Iterator<Item = (u32, D)> + 'a {
        (0..self.len).map(move |at| self.entry(at))
    }

    fn entry(self, at: usize) -> (u32, D) {
        // INVARIANT: whoever asks knows how many there are.
        let other = self.words.get(at).copied().unwrap_or(NONE);
        let detail = self.words.get(self.len + at * D::WORDS..).unwrap_or_default();
        (other, D::read(detail))
    }

    /// An entry about one of some others for which something holds.
    #[inline]
    pub(super) fn find_about(
        self,
        wanted: &[u32],
        mut holds: impl FnMut(D) -> bool,
    ) -> Option<(u32, D)> {
        let holds_at = |at: usize| {
            let entry = self.entry(at);
            holds(entry.1).then_some(entry)
        };
        if self.is_short() { self.scan(wanted, holds_at) } else { self.search(wanted, holds_at) }
    }

    /// Looks at all entries, a block at once.
    #[inline]
    fn scan<R>(self, wanted: &[u32], mut holds_at: impl FnMut(usize) -> Option<R>) -> Option<R> {
        for start in (0..self.len).step_by(BLOCK) {
            let mut hits = self.hits(start, wanted);
            while hits != 0 {
                let found = holds_at(start + hits.trailing_zeros() as usize);
                if found.is_some() {
                    return found;
                }
                hits &= hits - 1;
            }
        }
        None
    }

    /// Which entries of a block are about one of some others: a bit for each.
    #[inline]
    fn hits(self, start: usize, wanted: &[u32]) -> u32 {
        let (halves, _) = self.words.get(start..).unwrap_or_default().as_chunks();
        // INVARIANT: there is room for a block behind each row.
        let [first, second, ..] = halves else { return 0 };
        let (first, second) = (u32x8::new(*first), u32x8::new(*second));
        let none = (u32x8::default(), u32x8::default());
        let found = wanted.iter().fold(none, |(a, b), other| {
            let other = u32x8::splat(*other);
            (a | first.simd_eq(other), b | second.simd_eq(other))
        });
        // What comes behind the row is not of it.
        let in_row = (1 << self.len.saturating_sub(start).min(BLOCK)) - 1;
        (found.0.to_bitmask() | found.1.to_bitmask() << 8) & in_row
    }

    /// Looks for each that is wanted.
    fn search<R>(self, wanted: &[u32], mut holds_at: impl FnMut(usize) -> Option<R>) -> Option<R> {
        let others = self.others();
        wanted.iter().find_map(|wanted| {
            let start = others.partition_point(|other| other < wanted);
            let rest = others.get(start..).unwrap_or_default();
            let count = rest.iter().take_while(|other| *other == wanted).count();
            (start..start + count).find_map(&mut holds_at)
        })
    }
}

/// A few rows that were looked up, to look through them later.
#[derive(Clone, Copy, Debug)]
pub(super) struct FewRows<'a, D> {
    rows: [Row<'a, D>; FEW],
    len: usize,
}

impl<D> Default for FewRows<'_, D> {
    fn default() -> Self {
        Self { rows: [const { Row { words: &[], len: 0, detail: PhantomData } }; FEW], len: 0 }
    }
}

impl<'a, D: Detail> FewRows<'a, D> {
    /// Adds rows in which there is something. False when some are left out: there is no room for all,
    /// or one is long.
    #[inline]
    pub(super) fn add_all(&mut self, rows: impl Iterator<Item = Row<'a, D>>) -> bool {
        let mut all = true;
        for row in rows.filter(|row| row.len > 0) {
            match self.rows.get_mut(self.len).filter(|_| row.is_short()) {
                Some(place) => {
                    row.prefetch();
                    *place = row;
                    self.len += 1;
                }
                None => all = false,
            }
        }
        all
    }

    /// Whether there is an entry about one of some others for which something holds.
    #[inline]
    pub(super) fn any_about(&self, wanted: &[u32], mut holds: impl FnMut(D) -> bool) -> bool {
        let rows = self.rows.get(..self.len).unwrap_or_default();
        // Each of them is short.
        rows.iter().any(|row| row.scan(wanted, |at| holds(row.entry(at).1).then_some(())).is_some())
    }
}
