//! Revisions of the storage, and revisions of etcd.
//!
//! They are the same, unless objects were brought here from another storage: then the numbers
//! that it may have given out are skipped, so that none of them ever means something else. A key
//! below the prefix, which no object can have, holds how many.

use super::{
    messages::{KeyValue, ResponseHeader},
    store::Store,
};
use crate::storage::{ReadError, Revision};

/// How the storage's revisions follow from etcd's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbering {
    skipped: u64,
}

impl Numbering {
    /// As the key of a storage says, if it has one.
    pub(super) fn read(kv: Option<&KeyValue>) -> Result<Self, ReadError> {
        let Some(kv) = kv else { return Ok(Self::default()) };
        let number = std::str::from_utf8(&kv.value).ok().and_then(|text| text.parse().ok());
        match number {
            Some(skipped) => Ok(Self { skipped }),
            None => Err(ReadError::Corrupted("the number of skipped revisions is none".into())),
        }
    }

    /// Skips the revisions up to this one, and never fewer than before.
    #[cfg(feature = "snapshot")]
    pub(super) fn skip(self, revision: Revision) -> Self {
        Self { skipped: self.skipped.max(revision.get()) }
    }

    /// What the key says.
    #[cfg(feature = "snapshot")]
    pub(super) fn text(self) -> String {
        self.skipped.to_string()
    }

    /// A revision of etcd's, which are never negative.
    pub(super) fn revision(self, number: i64) -> Revision {
        Revision::new(self.skipped.saturating_add(u64::try_from(number).unwrap_or(0)))
    }

    pub(super) fn revision_of(
        self,
        header: Option<&ResponseHeader>,
    ) -> Result<Revision, ReadError> {
        match header {
            Some(header) => Ok(self.revision(header.revision)),
            None => Err(ReadError::Unavailable("etcd answered without a revision".into())),
        }
    }

    /// What etcd calls it; zero for one that it never had.
    pub(super) fn number(self, revision: Revision) -> i64 {
        // What etcd cannot count to is in its future.
        i64::try_from(revision.get().saturating_sub(self.skipped)).unwrap_or(i64::MAX)
    }

    /// A state that etcd can be asked for. It has none before the first revision, and nothing is
    /// in that one.
    pub(super) fn start(self, revision: Revision) -> i64 {
        self.number(revision).max(1)
    }

    /// Refuses what was skipped: nobody knows what was there.
    pub(super) fn check(self, requested: Revision) -> Result<(), ReadError> {
        if self.skipped == 0 || self.number(requested) > 0 {
            return Ok(());
        }
        Err(ReadError::Expired { requested, compacted: self.revision(1) })
    }
}

impl Store {
    /// Finds out which revisions are skipped.
    pub(super) async fn find_numbering(&mut self) -> Result<(), ReadError> {
        self.numbering = Numbering::read(self.raw(self.prefix.skipped()).await?.as_ref())?;
        Ok(())
    }

    /// Skips the revisions up to this one: see the module's documentation. Others that use the
    /// storage must connect anew.
    #[cfg(feature = "snapshot")]
    pub(super) async fn skip(&mut self, revision: Revision) -> Result<(), ReadError> {
        self.find_numbering().await?;
        let numbering = self.numbering.skip(revision);
        self.put_raw(self.prefix.skipped(), numbering.text().into()).await?;
        self.numbering = numbering;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_numbers_are_nobodys() {
        let plain = Numbering::default();
        assert_eq!((plain.revision(7), plain.number(Revision::new(7))), (Revision::new(7), 7));
        assert_eq!((plain.start(Revision::ZERO), plain.start(Revision::new(9))), (1, 9));
        assert!(plain.check(Revision::ZERO).is_ok());
        let skipping = Numbering { skipped: 1000 };
        assert_eq!(skipping.revision(7), Revision::new(1007));
        assert_eq!(skipping.number(Revision::new(1007)), 7);
        for old in [0, 1, 7, 1000] {
            assert_eq!(skipping.number(Revision::new(old)), 0);
            let error = skipping.check(Revision::new(old)).unwrap_err();
            assert!(
                matches!(error, ReadError::Expired { compacted, .. } if compacted.get() == 1001)
            );
        }
        assert!(skipping.check(Revision::new(1001)).is_ok());
    }
}
