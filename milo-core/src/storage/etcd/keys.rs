//! Where keys of the storage are in etcd: below a prefix.

use bytes::{BufMut, Bytes, BytesMut};

use crate::key::{Key, KeyRange};

/// Follows the prefix where no [`Key`] can be: keys begin with a byte below it, and
/// [`KeyRange::all`] ends before it.
const RESERVED: u8 = 0xff;

/// The part of etcd's key space that belongs to one storage.
#[derive(Clone, Debug)]
pub(super) struct Prefix(Bytes);

impl Prefix {
    /// `prefix` ends in `/`.
    pub(super) fn new(prefix: &str) -> Self {
        Self(Bytes::copy_from_slice(prefix.as_bytes()))
    }

    #[cfg(test)]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What etcd calls a key.
    pub(super) fn outer(&self, key: &[u8]) -> Bytes {
        let mut outer = BytesMut::with_capacity(self.0.len() + key.len());
        outer.put_slice(&self.0);
        outer.put_slice(key);
        outer.freeze()
    }

    /// What the storage calls a key, in a buffer of exactly its size. None for what is no key of
    /// the storage.
    pub(super) fn inner(&self, outer: &[u8]) -> Option<Key> {
        let inner = outer.strip_prefix(&self.0[..])?;
        (inner.first() != Some(&RESERVED)).then(|| Key::from_storage(Bytes::copy_from_slice(inner)))
    }

    /// Start and end of a range, in etcd's terms.
    pub(super) fn range(&self, range: &KeyRange) -> (Bytes, Bytes) {
        (self.outer(range.start()), self.outer(range.end()))
    }

    /// Everything below the prefix, what is reserved included.
    pub(super) fn everything(&self) -> (Bytes, Bytes) {
        let mut end = self.0.to_vec();
        if let Some(last) = end.last_mut() {
            // INVARIANT: the prefix ends in `/`.
            *last += 1;
        }
        (self.0.clone(), end.into())
    }

    /// The key that says how many revisions are skipped: see [`numbering`](super::numbering).
    pub(super) fn skipped(&self) -> Bytes {
        self.outer(&[&[RESERVED], &b"skipped"[..]].concat())
    }

    /// The key that is written to see its event: then everything before it has come.
    pub(super) fn marker(&self) -> Bytes {
        self.outer(&[&[RESERVED], &b"progress"[..]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_watched_but_is_no_key() {
        let prefix = Prefix::new("/milo/");
        let marker = prefix.marker();
        let (start, end) = prefix.everything();
        assert!(start < marker && marker < end);
        assert_eq!(prefix.inner(&marker), None);
        let (start, end) = prefix.range(&KeyRange::all());
        assert!(start <= prefix.outer(b"") && marker >= end);
        assert_eq!(prefix.inner(b"/milo//g/r").unwrap().as_bytes(), b"/g/r");
        assert_eq!(prefix.inner(b"/other/g"), None);
    }
}
