//! Decisions taken from the bytes of an input.
//!
//! Each decision takes as few bytes as it needs, from the front. So a mutation of a byte is a
//! mutation of one decision, and what follows keeps its meaning. When the bytes are used up every
//! decision is the first one, which every grammar makes its shortest.

use std::borrow::Cow;

/// The bytes of an input that have not been used.
#[derive(Debug)]
pub(crate) struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    pub(crate) fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }

    /// True once in so many times; never when nothing is left.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    /// A few bytes, as text.
    pub(crate) fn text(&mut self) -> Cow<'a, str> {
        let length = self.below(24).min(self.rest.len());
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        String::from_utf8_lossy(text)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}
