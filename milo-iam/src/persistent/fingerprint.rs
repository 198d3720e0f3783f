//! Names in 128 bits.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash, Hasher},
    sync::LazyLock,
};

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

/// Most names fit in.
const BUFFER: usize = 256;

/// Gathers the parts of a name: to hash them in one piece takes half the time.
struct Parts {
    hasher: SipHasher13,
    buffer: [u8; BUFFER],
    len: usize,
}

impl Parts {
    fn finish128(mut self) -> Hash128 {
        self.flush();
        self.hasher.finish128()
    }

    fn flush(&mut self) {
        self.hasher.write(self.buffer.get(..self.len).unwrap_or_default());
        self.len = 0;
    }
}

/// Copies as many bytes as there is place for. Names are short: eight at a time, they are copied before
/// a call would have begun.
#[inline]
fn copy(place: &mut [u8], bytes: &[u8]) {
    let ((to, to_rest), (from, rest)) = (place.as_chunks_mut::<8>(), bytes.as_chunks::<8>());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to_rest.get_mut(..4), rest.get(..4)) {
        to.copy_from_slice(from);
        copy_few(&mut to_rest[4..], &rest[4..]);
    } else {
        copy_few(to_rest, rest);
    }
}

/// The same of fewer than four.
#[inline]
fn copy_few(place: &mut [u8], bytes: &[u8]) {
    match (place, bytes) {
        ([a, b, c], [x, y, z]) => (*a, *b, *c) = (*x, *y, *z),
        ([a, b], [x, y]) => (*a, *b) = (*x, *y),
        ([a], [x]) => *a = *x,
        _ => {}
    }
}

impl Hasher for Parts {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.buffer.get_mut(self.len..end) {
            copy(place, bytes);
            self.len = end;
        } else {
            self.flush();
            self.hasher.write(bytes);
        }
    }

    fn finish(&self) -> u64 {
        // Nobody asks: see `finish128`.
        self.hasher.finish()
    }
}

/// Stands for a name, to find it without reading it. From a keyed hash, whose key is random and
/// leaves the process in no form: nobody can make two names that have one fingerprint, and among a
/// hundred million names that two have one by chance is as likely as one in 10^22.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint([u32; 4]);

impl Fingerprint {
    /// Of a name, or what else is told apart by its parts.
    pub(crate) fn of<T: Hash + ?Sized>(name: &T) -> Self {
        static START: LazyLock<SipHasher13> = LazyLock::new(|| {
            // Each has a random key; what they make of nothing is as random.
            let random = || RandomState::new().hash_one(0);
            SipHasher13::new_with_keys(random(), random())
        });
        let mut parts = Parts { hasher: *START, buffer: [0; BUFFER], len: 0 };
        name.hash(&mut parts);
        let found = parts.finish128();
        let halves = |hash: u64| [hash as u32, (hash >> 32) as u32];
        let ([a, b], [c, d]) = (halves(found.h1), halves(found.h2));
        Self([a, b, c, d])
    }

    /// The hash by which a table finds it: what is compared first.
    pub(crate) fn hash(self) -> u32 {
        self.0[0]
    }
}
