//! Names in 128 bits.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    sync::LazyLock,
};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Stands for a name, to find it without reading it. From a keyed hash, whose key is random and
/// leaves the process in no form: nobody can make two names that have one fingerprint, and among a
/// hundred million names that two have one by chance is as likely as one in 10^22.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint([u32; 4]);

impl Fingerprint {
    /// Of a name, or what else is told apart by its parts.
    pub(crate) fn of<T: Hash + ?Sized>(name: &T) -> Self {
        static START: LazyLock<SipHasher13> = LazyLock::new(|| {
            // Each has a random key; what they make of nothing is as random.
            let random = || RandomState::new().hash_one(0);
            SipHasher13::new_with_keys(random(), random())
        });
        let mut hasher = *START;
        name.hash(&mut hasher);
        let found = hasher.finish128();
        let halves = |hash: u64| [hash as u32, (hash >> 32) as u32];
        let ([a, b], [c, d]) = (halves(found.h1), halves(found.h2));
        Self([a, b, c, d])
    }

    /// The hash by which a table finds it: what is compared first.
    pub(crate) fn hash(self) -> u32 {
        self.0[0]
    }
}
