//! What crash tests share: writers that never stop, and a ledger of what they were told, which is
//! compared with what is found after the crash.
//!
//! Two tests use it: `power_loss`, beside the engine, in this process; and the integration test
//! `storage_crash`, which includes these files, with processes that are killed.

mod ledger;
mod workload;

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use self::{
    ledger::Ledger,
    workload::{Told, WRITERS, work},
};

/// Random enough, and the same again for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed that `MILO_TEST_SEED` says, or a new one.
    pub(crate) fn seed() -> u64 {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
        std::env::var("MILO_TEST_SEED").map_or_else(|_| now(), |text| text.parse().unwrap())
    }

    pub(crate) fn next(&mut self) -> u64 {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// How often to crash: as the variable says, or `otherwise`.
pub(crate) fn runs(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}
