//! Names in 128 bits.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    sync::LazyLock,
};

/// Stands for a name, to find it without reading it. From a keyed hash, whose key is random and
/// leaves the process in no form: nobody can make two names that have one fingerprint, and among a
/// hundred million names that two have one by chance is as likely as one in 10^22.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u32; 4]);

impl Fingerprint {
    /// Of a name, or what else is told apart by its parts.
    pub(crate) fn of<T: Hash + ?Sized>(name: &T) -> Self {
        static KEYS: LazyLock<[RandomState; 2]> =
            LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        let [low, high] = &*KEYS;
        let halves = |hash: u64| [hash as u32, (hash >> 32) as u32];
        let ([a, b], [c, d]) = (halves(low.hash_one(name)), halves(high.hash_one(name)));
        Self([a, b, c, d])
    }

    /// The hash by which a table finds it.
    pub(crate) fn hash(self) -> u64 {
        let [a, b, ..] = self.0;
        u64::from(a) | u64::from(b) << 32
    }
}
