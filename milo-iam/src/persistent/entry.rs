//! Entries of tables: numbers and things by a hash, or by the fingerprint of a name.

use std::{cmp::Ordering, sync::Arc};

use super::Fingerprint;

/// What a table holds.
pub(crate) trait Entry: Clone + Ord {
    /// By which it is found. The order of entries goes by their hashes first.
    fn hash(&self) -> u32;
}

/// A number, by the hash of something that it leads to: that must be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hashed {
    pub(crate) hash: u32,
    pub(crate) number: u32,
}

impl Entry for Hashed {
    fn hash(&self) -> u32 {
        self.hash
    }
}

/// A number by the fingerprint of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Printed {
    pub(crate) name: Fingerprint,
    pub(crate) number: u32,
}

impl Entry for Printed {
    fn hash(&self) -> u32 {
        self.name.hash()
    }
}

/// A thing by the fingerprint of its name.
#[derive(Debug)]
pub(crate) struct Kept<T: ?Sized> {
    pub(crate) name: Fingerprint,
    pub(crate) thing: Arc<T>,
}

impl<T: ?Sized> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { name: self.name, thing: self.thing.clone() }
    }
}

impl<T: ?Sized> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<T: ?Sized> Eq for Kept<T> {}

impl<T: ?Sized> PartialOrd for Kept<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: ?Sized> Ord for Kept<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl<T: ?Sized> Entry for Kept<T> {
    fn hash(&self) -> u32 {
        self.name.hash()
    }
}
