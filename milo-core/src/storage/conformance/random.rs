//! Random choices that can be made again.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use super::failure::Outcome;

/// The variable that says which seed to use.
const SEED: &str = "MILO_STORAGE_SEED";

/// Does random work. Its seed is what the environment says, or another one each time, and is told
/// when the work fails.
pub(super) async fn seeded<O: Future<Output = Outcome>>(work: impl FnOnce(Random) -> O) -> Outcome {
    let said = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
    let seed = said.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let outcome = work(Random(seed)).await;
    outcome.map_err(|failure| failure.again(&format!("with {SEED}={seed}")))
}

/// The generator SplitMix64 (Steele, Lea and Flood, 2014): small, and good enough for tests.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Another generator, for another task.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit, which is above zero.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// An index into that many.
    pub(super) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or_default()
    }

    /// True in so many cases out of a hundred.
    pub(super) fn percent(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }

    /// Between two numbers, both included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }
}
