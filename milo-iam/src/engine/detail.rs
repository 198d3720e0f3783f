//! Details of the entries of rows: what a grant says beside whom or what it is about.

/// What an entry says beside what it is about.
pub(super) trait Detail: Copy + Ord + 'static {
    /// How many words it takes.
    const WORDS: usize;

    fn write(self, to: &mut Vec<u32>);
    fn read(words: &[u32]) -> Self;
}

/// How a grant comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Granted {
    /// The role.
    pub(super) role: u32,
    /// The number of the binding.
    pub(super) binding: u32,
}

impl Detail for Granted {
    const WORDS: usize = 2;

    fn write(self, to: &mut Vec<u32>) {
        to.extend([self.role, self.binding]);
    }

    fn read(words: &[u32]) -> Self {
        let word = |at: usize| words.get(at).copied().unwrap_or(u32::MAX);
        Self { role: word(0), binding: word(1) }
    }
}

/// The role that is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Role(pub(super) u32);

impl Detail for Role {
    const WORDS: usize = 1;

    fn write(self, to: &mut Vec<u32>) {
        to.push(self.0);
    }

    fn read(words: &[u32]) -> Self {
        Self(words.first().copied().unwrap_or(u32::MAX))
    }
}

impl Detail for () {
    const WORDS: usize = 0;

    fn write(self, _: &mut Vec<u32>) {}
    fn read(_: &[u32]) -> Self {}
}
