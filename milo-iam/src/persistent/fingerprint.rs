//! Names in 128 bits.

use std::{
    hash::{BuildHasher, Hasher as _, RandomState},
    sync::LazyLock,
};

use siphasher::sip128::{Hash128, Hasher128 as _, SipHasher13};

/// Most names fit in: to hash one in one piece takes half the time.
const BUFFER: usize = 128;

/// Stands for a name, to find it without reading it. From a keyed hash, whose key is random and
/// leaves the process in no form: nobody can make two names that have one fingerprint, and among a
/// hundred million names that two have one by chance is as likely as one in 10^22.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint([u32; 4]);

/// With a random key; what two of them make of nothing is as random.
static START: LazyLock<SipHasher13> = LazyLock::new(|| {
    let random = || RandomState::new().hash_one(0);
    SipHasher13::new_with_keys(random(), random())
});

impl Fingerprint {
    /// Of a name.
    #[inline]
    pub(crate) fn of(name: &str) -> Self {
        START.hash(name.as_bytes()).into()
    }

    /// Of an id.
    pub(crate) fn of_id(id: u32) -> Self {
        Self::of_parts([id], [])
    }

    /// Of numbers and names: always as many of each where fingerprints are compared.
    #[inline]
    pub(crate) fn of_parts<const N: usize, const M: usize>(
        numbers: [u32; N],
        names: [&str; M],
    ) -> Self {
        let (mut buffer, mut len) = ([0; BUFFER], 0);
        write_parts(numbers, names, |part| {
            let end = len + part.len();
            if let Some(place) = buffer.get_mut(len..end) {
                place.copy_from_slice(part);
            }
            len = end;
        });
        match buffer.get(..len) {
            Some(written) => START.hash(written).into(),
            None => Self::of_long(numbers, names),
        }
    }

    /// The same of what does not fit into the buffer.
    #[cold]
    fn of_long<const N: usize, const M: usize>(numbers: [u32; N], names: [&str; M]) -> Self {
        let mut hasher = *START;
        write_parts(numbers, names, |part| hasher.write(part));
        hasher.finish128().into()
    }

    /// The hash by which a table finds it: what is compared first.
    pub(crate) fn hash(self) -> u32 {
        self.0[0]
    }

    /// All of it.
    pub(crate) fn words(self) -> [u32; 4] {
        self.0
    }
}

/// Writes numbers, the lengths of all names but the last, so that nobody can move where one ends, and
/// the names.
#[inline]
fn write_parts<const N: usize, const M: usize>(
    numbers: [u32; N],
    names: [&str; M],
    mut write: impl FnMut(&[u8]),
) {
    // INVARIANT: of longer names no two fit into memory.
    let len = |name: &&str| u32::try_from(name.len()).unwrap_or(u32::MAX);
    let lengths = names.iter().take(M.saturating_sub(1)).map(len);
    numbers.into_iter().chain(lengths).for_each(|number| write(&number.to_le_bytes()));
    names.into_iter().for_each(|name| write(name.as_bytes()));
}

impl From<Hash128> for Fingerprint {
    #[inline]
    fn from(Hash128 { h1, h2 }: Hash128) -> Self {
        let halves = |hash: u64| [hash as u32, (hash >> 32) as u32];
        let ([a, b], [c, d]) = (halves(h1), halves(h2));
        Self([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let long = "n".repeat(2 * BUFFER);
        let names = ["", "a", "b", "ab", "aab", &long, &long[1..]];
        let mut found = Vec::new();
        for numbers in [[0, 0], [0, 1], [1, 0]] {
            for (namespace, name) in names.iter().flat_map(|a| names.iter().map(move |b| (a, b))) {
                found.push(Fingerprint::of_parts(numbers, [namespace, name]));
                assert_eq!(found.last(), Some(&Fingerprint::of_parts(numbers, [namespace, name])));
            }
        }
        let count = found.len();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), count);
    }
}
