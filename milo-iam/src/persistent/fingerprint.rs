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
        Self::of_parts([id], "", "")
    }

    /// Of a name in a namespace, and of numbers: always as many where fingerprints are compared.
    #[inline]
    pub(crate) fn of_parts<const N: usize>(numbers: [u32; N], namespace: &str, name: &str) -> Self {
        // Of the namespace its length is told, so that nobody can move its end.
        // INVARIANT: what is longer does not fit into memory with another.
        let len = u32::try_from(namespace.len()).unwrap_or(u32::MAX);
        let mut buffer = [0; BUFFER];
        let (head, texts) = buffer.split_at_mut(4 * (N + 1));
        for (place, number) in head.as_chunks_mut().0.iter_mut().zip(numbers.iter().chain([&len])) {
            *place = number.to_le_bytes();
        }
        let Some((first, rest)) = texts.split_at_mut_checked(namespace.len()) else {
            return Self::of_long(head, namespace, name);
        };
        let Some(second) = rest.get_mut(..name.len()) else {
            return Self::of_long(head, namespace, name);
        };
        first.copy_from_slice(namespace.as_bytes());
        second.copy_from_slice(name.as_bytes());
        let len = head.len() + namespace.len() + name.len();
        START.hash(&buffer[..len]).into()
    }

    /// The same of what does not fit into the buffer.
    fn of_long(head: &[u8], namespace: &str, name: &str) -> Self {
        let mut hasher = *START;
        [head, namespace.as_bytes(), name.as_bytes()].iter().for_each(|part| hasher.write(part));
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
                found.push(Fingerprint::of_parts(numbers, namespace, name));
                assert_eq!(found.last(), Some(&Fingerprint::of_parts(numbers, namespace, name)));
            }
        }
        let count = found.len();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), count);
    }
}
