//! Counting records, and what they are together.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Head, Summary};
use crate::storage::Record;

/// The SHA-256 of keys and values in key order. Displayed in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// What has gone by so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    objects: u64,
    bytes: u64,
    content: Sha256,
}

impl Tally {
    pub(super) fn add(&mut self, record: &Record) {
        self.objects += 1;
        for part in [record.key.as_bytes(), &record.value] {
            self.bytes += part.len() as u64;
            // INVARIANT: what has more than 4 GiB is in no snapshot: blocks are smaller.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            self.content.update(length.to_le_bytes());
            self.content.update(part);
        }
    }

    pub(super) fn objects(&self) -> u64 {
        self.objects
    }

    pub(super) fn summary(&self, head: &Head) -> Summary {
        Summary {
            revision: head.revision,
            taken: head.taken,
            objects: self.objects,
            bytes: self.bytes,
            digest: Digest(self.content.clone().finalize().into()),
        }
    }
}
