//! Reading back what a journal has.

use super::{
    Salt,
    frame::{Header, PAGE, Stamp},
};
use crate::storage::{Revision, index::Position};

/// What was in a journal and is not in the data file.
#[derive(Debug, Default)]
pub(in crate::storage::embedded) struct Found {
    /// Encoded rows, in commit order.
    pub(in crate::storage::embedded) changes: Vec<(Position, Vec<u8>)>,
    /// The newest revision; that of the data file when nothing was found.
    pub(in crate::storage::embedded) revision: Revision,
    /// Whether a frame was begun in either segment, even if not all of it is there. Nothing may be
    /// written to such a segment before the data file says that it does not count any more: what
    /// is left of the frame would be found behind what came after it.
    pub(in crate::storage::embedded) begun: bool,
}

/// Reads the journal whose first segment that counts is `first`; the data file ends at `after`.
/// `contents` has its files.
///
/// The last frame may be there in part, or not: it was not answered. Anything else that is not
/// as it was written is damage.
///
/// # Errors
/// What is damaged.
pub(in crate::storage::embedded) fn read(
    contents: &[Vec<u8>; 2],
    salt: Salt,
    first: u64,
    after: Revision,
) -> Result<Found, String> {
    let mut found = Found { revision: after, ..Found::default() };
    for segment in [first, first.saturating_add(1)] {
        let file = &contents[usize::from(!segment.is_multiple_of(2))];
        read_segment(file, Stamp { salt, segment }, &mut found)?;
    }
    Ok(found)
}

fn read_segment(file: &[u8], stamp: Stamp, found: &mut Found) -> Result<(), String> {
    let mut rest = file;
    while let Some(header) = frame_of(stamp, rest) {
        found.begun = true;
        if header.before != found.revision {
            return Err(missing(&header, found.revision));
        }
        let Some(changes) = header.changes(rest) else { break };
        found.changes.extend(changes.map(|(position, row)| (position, row.to_vec())));
        found.revision = header.revision;
        rest = rest.get(header.size()..).unwrap_or_default();
    }
    // What was answered before is on disk, so nothing can come after what is not.
    let later = rest.chunks(PAGE).skip(1).find_map(|page| frame_of(stamp, page));
    later.map_or(Ok(()), |header| Err(missing(&header, found.revision)))
}

fn frame_of(stamp: Stamp, bytes: &[u8]) -> Option<Header> {
    Header::decode(bytes).filter(|header| header.stamp == stamp)
}

fn missing(header: &Header, after: Revision) -> String {
    let before = header.before;
    format!("what was committed after revision {after} and up to {before} is not in its journal")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use redb::{StorageBackend, backends::InMemoryBackend};

    use super::*;
    use crate::{
        key::{GroupResource, Key},
        scope::Scope,
        storage::{
            embedded::journal::{Journal, frame},
            index::Row,
            plan::Plan,
        },
    };

    const SALT: Salt = Salt(7);

    fn plan(revision: u64, size: usize) -> Plan {
        let widgets = GroupResource::new("demo.example.com", "widgets");
        let key = Key::object(&widgets, &Scope::Platform, "ns", "a").unwrap();
        let position = Position { revision: Revision::new(revision), index: 0 };
        let value = Some(Bytes::from(vec![b'v'; size]));
        let rows = vec![Row { position, key, value, previous: None }];
        Plan { rows, revision: position.revision }
    }

    /// A journal with a commit at each of the revisions after `after`.
    fn written(after: u64, turns: &[u64], until: u64) -> [Vec<u8>; 2] {
        let files: [Box<dyn StorageBackend>; 2] =
            [Box::new(InMemoryBackend::new()), Box::new(InMemoryBackend::new())];
        files.iter().for_each(|file| file.set_len(64 * 1024).unwrap());
        let mut journal = Journal::new(files, SALT, 0).unwrap();
        for revision in after + 1..=until {
            if turns.contains(&revision) {
                journal.turn();
            }
            journal.append(Revision::new(revision - 1), &plan(revision, 5000)).unwrap();
        }
        let contents = |file: &dyn StorageBackend| {
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            file.read(0, &mut bytes).unwrap();
            bytes
        };
        [contents(&*journal.files[0]), contents(&*journal.files[1])]
    }

    fn newest(contents: &[Vec<u8>; 2], first: u64, after: u64) -> Result<u64, String> {
        let found = read(contents, SALT, first, Revision::new(after))?;
        let changes = found.changes.len() as u64;
        assert_eq!(changes, found.revision.get() - after);
        Ok(found.revision.get())
    }

    #[test]
    fn both_segments_are_read_in_their_order() {
        let contents = written(5, &[8], 10);
        assert_eq!(newest(&contents, 0, 5), Ok(10));
        // Its first segment has come to the data file.
        assert_eq!(newest(&contents, 1, 7), Ok(10));
        // Both have.
        assert_eq!(newest(&contents, 2, 10), Ok(10));
    }

    #[test]
    fn older_segments_and_other_journals_do_not_count() {
        let contents = written(5, &[8, 9], 10);
        assert_eq!(newest(&contents, 1, 7), Ok(10));
        assert_eq!(newest(&contents, 3, 10), Ok(10));
        assert!(read(&contents, Salt(8), 1, Revision::new(7)).unwrap().changes.is_empty());
    }

    #[test]
    fn a_torn_end_was_not_answered() {
        let whole = written(1, &[], 4);
        let size = usize::try_from(frame::size(&plan(1, 5000))).unwrap();
        for torn in [2 * size, 2 * size + 1, 3 * size - PAGE, 3 * size - PAGE + 1] {
            let mut contents = whole.clone();
            contents[0][torn..].fill(0);
            assert_eq!(newest(&contents, 0, 1), Ok(3), "{torn}");
        }
        let mut contents = whole;
        contents[0][PAGE..].fill(0);
        let found = read(&contents, SALT, 0, Revision::new(1)).unwrap();
        assert!(found.begun && found.changes.is_empty());
        assert!(!read(&contents, SALT, 1, Revision::new(1)).unwrap().begun);
    }

    #[test]
    fn damage_before_the_end_is_told() {
        let whole = written(1, &[4], 5);
        for (file, at) in [(0, 0), (0, 60), (0, 4096), (0, 8192), (0, 8192 + 60), (1, 20)] {
            let mut contents = whole.clone();
            contents[file][at] ^= 1;
            let error = newest(&contents, 0, 1).unwrap_err();
            assert!(error.contains("is not in its journal"), "{error}");
        }
        assert!(newest(&whole, 0, 2).is_err(), "the data file has what the journal lacks");
    }

    #[test]
    fn values_that_look_like_frames_are_none() {
        let mut forged = Vec::new();
        let stamp = Stamp { salt: Salt(8), segment: 0 };
        frame::encode(&mut forged, stamp, Revision::new(2), &plan(3, 10)).unwrap();
        let mut contents = written(1, &[], 2);
        let end = usize::try_from(frame::size(&plan(1, 5000))).unwrap();
        contents[0][end..end + forged.len()].copy_from_slice(&forged);
        assert_eq!(newest(&contents, 0, 1), Ok(2));
    }
}
