//! How a change is written in the log.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32 of the position and of all that follows, little endian like all numbers here |
//! | 1 | 1: value written, 2: value removed |
//! | 4 | length of the key |
//! | 8 + 4 | revision and index of the change that wrote the previous value; zeros for none |
//! | ... | the key |
//! | ... | the value |

use bytes::Bytes;

use crate::{
    key::Key,
    storage::{
        Revision,
        index::{Position, Row as PlannedRow},
    },
};

const CHECKSUM: usize = 4;
const HEADER: usize = CHECKSUM + 1 + 4 + 8 + 4;
const WRITTEN: u8 = 1;
const REMOVED: u8 = 2;

/// A change to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRow<'a> {
    pub(super) position: Position,
    pub(super) previous: Option<Position>,
    pub(super) key: &'a Key,
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> NewRow<'a> {
    /// A planned change as it is to be written.
    pub(super) fn of(row: &'a PlannedRow) -> Self {
        Self {
            position: row.position,
            previous: row.previous.as_ref().map(|entry| entry.position),
            key: &row.key,
            value: row.value.as_deref(),
        }
    }

    /// How many bytes [`NewRow::encode`] fills.
    pub(super) fn size(&self) -> usize {
        HEADER + self.key.as_bytes().len() + self.value.map_or(0, <[u8]>::len)
    }

    /// Fills `buffer`, which must be of [`NewRow::size`]. None when it is not, or when the key is
    /// longer than 4 GiB.
    pub(super) fn encode(&self, buffer: &mut [u8]) -> Option<()> {
        let key = self.key.as_bytes();
        let value = self.value.unwrap_or_default();
        let none = Position { revision: Revision::ZERO, index: 0 };
        let previous = self.previous.unwrap_or(none);
        let fields: [&[u8]; 6] = [
            &[if self.value.is_some() { WRITTEN } else { REMOVED }],
            &u32::try_from(key.len()).ok()?.to_le_bytes(),
            &previous.revision.get().to_le_bytes(),
            &previous.index.to_le_bytes(),
            key,
            value,
        ];
        let (_, mut rest) = buffer.split_at_mut_checked(CHECKSUM)?;
        for field in fields {
            let (place, after) = rest.split_at_mut_checked(field.len())?;
            place.copy_from_slice(field);
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
        let sum = checksum_of(self.position, buffer.get(CHECKSUM..)?);
        buffer.get_mut(..CHECKSUM)?.copy_from_slice(&sum.to_le_bytes());
        Some(())
    }
}

/// A change as read.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) previous: Option<Position>,
    pub(super) key: &'a [u8],
    /// None when the value was removed.
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> Row<'a> {
    /// None when the bytes are not those that were written.
    pub(super) fn decode(position: Position, bytes: &'a [u8]) -> Option<Self> {
        let (checksum, body) = bytes.split_first_chunk::<CHECKSUM>()?;
        if u32::from_le_bytes(*checksum) != checksum_of(position, body) {
            return None;
        }
        let (kind, rest) = body.split_first()?;
        let (key_length, rest) = rest.split_first_chunk::<4>()?;
        let (revision, rest) = rest.split_first_chunk::<8>()?;
        let (index, rest) = rest.split_first_chunk::<4>()?;
        let key_length = usize::try_from(u32::from_le_bytes(*key_length)).ok()?;
        let (key, value) = rest.split_at_checked(key_length)?;
        let revision = Revision::new(u64::from_le_bytes(*revision));
        let previous = Position { revision, index: u32::from_le_bytes(*index) };
        let value = match *kind {
            WRITTEN => Some(value),
            REMOVED if value.is_empty() => None,
            _ => return None,
        };
        Some(Self { previous: (revision > Revision::ZERO).then_some(previous), key, value })
    }

    /// The value, copied.
    pub(super) fn value(&self) -> Option<Bytes> {
        self.value.map(Bytes::copy_from_slice)
    }
}

fn checksum_of(position: Position, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.revision.get().to_le_bytes());
    hasher.update(&position.index.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = Position> {
        (1_u64.., any::<u32>())
            .prop_map(|(revision, index)| Position { revision: Revision::new(revision), index })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_damage_is_seen(
            position in position(),
            previous in prop::option::of(position()),
            key in prop::collection::vec(any::<u8>(), 0..40),
            value in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            damage in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let key = Key::from_storage(key.into());
            let row = NewRow { position, previous, key: &key, value: value.as_deref() };
            let mut bytes = vec![0; row.size()];
            row.encode(&mut bytes).unwrap();
            let read = Row::decode(position, &bytes).unwrap();
            prop_assert_eq!(read.key, key.as_bytes());
            prop_assert_eq!(read.value, value.as_deref());
            prop_assert_eq!(read.previous, previous);
            let at = damage.index(bytes.len());
            prop_assert!(Row::decode(position, &bytes[..at]).is_none());
            bytes[at] ^= 1 << bit;
            prop_assert!(Row::decode(position, &bytes).is_none());
        }
    }
}
