//! What only the embedded engine has: a directory that outlives it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]
#![cfg(feature = "embedded")]

mod storage_support;

use std::{fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use milo_core::{
    key::KeyRange,
    storage::{
        Cause, Embedded, Event, OpenError, ReadError, Storage,
        conformance::{Capabilities, Harness},
    },
};
use storage_support::*;
use tempfile::TempDir;

const FILE: &str = "milo.redb";
const JOURNAL: [&str; 2] = ["milo.journal-0", "milo.journal-1"];

/// Each store has a directory of its own.
struct Directories;

#[async_trait]
impl Harness for Directories {
    type Store = TempDir;

    async fn create(&self) -> Result<TempDir, Cause> {
        Ok(tempfile::tempdir()?)
    }

    async fn open(&self, directory: &TempDir) -> Result<Arc<dyn Storage>, Cause> {
        Ok(Arc::new(Embedded::open(directory.path())?))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().dense().restarts().max_transaction(2000)
    }
}

mod conformance {
    milo_core::storage_conformance!(super::Directories);
}

fn open(directory: &Path) -> Embedded {
    Embedded::open(directory).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reopening_keeps_every_revision() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let storage = open(directory.path());
    let first = commit(&storage, put(&a, "1")).await;
    let second = commit(&storage, put(&a, "2").put(b.clone(), bytes("2"))).await;
    let third = commit(&storage, delete(&b)).await;
    drop(storage);

    let storage = open(directory.path());
    assert_eq!(storage.revision().await.unwrap(), third);
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, second, "2")));
    assert_eq!(storage.get(&b).await.unwrap(), None);
    let old = storage.list(&KeyRange::all(), all().at(first)).await.unwrap();
    assert_eq!(old.records, [record(&a, first, "1")]);
    let mut watch = storage.watch(&KeyRange::all(), second).await.unwrap();
    let expected = Event::Delete { revision: third, previous: record(&b, second, "2") };
    assert_eq!(next(&mut watch).await.events, [expected]);
    // A compacted log may be empty: the newest revision is kept all the same.
    let fourth = commit(&storage, delete(&a)).await;
    let expected = Event::Delete { revision: fourth, previous: record(&a, second, "2") };
    assert_eq!(next(&mut watch).await.events, [expected]);
    drop(storage);
    assert!(soon(watch.next()).await.is_none(), "dropping the engine ends its watches");

    let storage = open(directory.path());
    assert_eq!(storage.revision().await.unwrap(), fourth);
    storage.compact(fourth).await.unwrap();
    drop(storage);

    let storage = open(directory.path());
    assert_eq!(storage.revision().await.unwrap(), fourth);
    let error = storage.list(&KeyRange::all(), all().at(third)).await.unwrap_err();
    assert!(matches!(error, ReadError::Expired { .. }));
    let page = storage.list(&KeyRange::all(), all().at(fourth)).await.unwrap();
    assert_eq!(page.records, []);
    assert_eq!(commit(&storage, put(&b, "5")).await, fourth.next());
}

/// Old history goes by itself, and with it its place on disk.
#[tokio::test(flavor = "multi_thread")]
async fn history_ends_after_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Embedded::builder()
        .directory(directory.path())
        .retention(Duration::from_millis(20))
        .open()
        .unwrap();
    let (a, keep) = (key("ns", "a"), key("ns", "keep"));
    let kept = commit(&storage, put(&keep, "kept")).await;
    let value = "x".repeat(4096);
    let mut last = kept;
    for _ in 0..500 {
        last = commit(&storage, put(&a, &value)).await;
    }
    let expired = async {
        while storage.list(&KeyRange::all(), all().at(kept)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(expired).await;
    let page = storage.list(&KeyRange::all(), all()).await.unwrap();
    assert_eq!(page.records, [record(&a, last, &value), record(&keep, kept, "kept")]);
    for _ in 0..2000 {
        last = commit(&storage, put(&a, &value)).await;
    }
    drop(storage);
    let size = fs::metadata(directory.path().join(FILE)).unwrap().len();
    assert!(size < 2500 * 4096, "{size} bytes are more than all values ever written");
    let storage = open(directory.path());
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, last, &value)));
    assert_eq!(storage.get(&keep).await.unwrap(), Some(record(&keep, kept, "kept")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains(directory.path().to_str().unwrap()), "{error}");
    let revision = commit(&storage, put(&key("ns", "a"), "1")).await;
    drop(storage);
    assert_eq!(open(directory.path()).revision().await.unwrap(), revision);
}

#[test]
fn a_new_directory_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("some/where");
    drop(open(&directory));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for file in [FILE, JOURNAL[0], JOURNAL[1]] {
            assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
        }
    }
}

#[test]
fn unusable_directories_are_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "text").unwrap();
    for directory in [file.clone(), file.join("below")] {
        let error = Embedded::open(&directory).unwrap_err();
        assert!(matches!(error, OpenError::Directory { .. }), "{error:?}");
        assert!(error.to_string().contains(directory.to_str().unwrap()), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"text");
}

#[test]
fn foreign_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE);
    let other = directory.path().join("other");
    let foreign = redb::Database::create(&other).unwrap();
    drop(foreign);
    for contents in [Vec::new(), b"text".to_vec(), vec![0; 100_000], fs::read(&other).unwrap()] {
        fs::write(&file, &contents).unwrap();
        let error = Embedded::open(directory.path()).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        assert!(fs::read(&file).unwrap() == contents);
    }
}

/// Changes the numbers of a data file; none to remove one.
fn set_numbers(file: &Path, numbers: &[(&str, Option<u64>)]) {
    let database = redb::Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    for (name, number) in numbers {
        let mut meta = transaction.open_table(meta).unwrap();
        match number {
            Some(number) => drop(meta.insert(name, number).unwrap()),
            None => drop(meta.remove(name).unwrap()),
        }
    }
    transaction.commit().unwrap();
}

/// Before there was a journal.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_format_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let a = key("ns", "a");
    let storage = open(directory.path());
    let first = commit(&storage, put(&a, "1")).await;
    drop(storage);
    for name in JOURNAL {
        fs::remove_file(directory.path().join(name)).unwrap();
    }
    let file = directory.path().join(FILE);
    set_numbers(&file, &[("format", Some(1)), ("salt", None), ("journal", None)]);
    let storage = open(directory.path());
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "1")));
    let second = commit(&storage, put(&a, "2")).await;
    assert_eq!(second, first.next());
    drop(storage);
    assert_eq!(open(directory.path()).get(&a).await.unwrap(), Some(record(&a, second, "2")));
}

#[test]
fn newer_formats_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let file = directory.path().join(FILE);
    set_numbers(&file, &[("format", Some(99))]);
    let contents = fs::read(&file).unwrap();
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 99, supported: 2, .. }), "{error:?}");
    assert!(fs::read(&file).unwrap() == contents);
}

/// Wherever a byte is changed: either the file is refused and left alone, or nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    for number in 0..100 {
        let value = format!("{number} ").repeat(200);
        commit(&storage, put(&key("ns", &number.to_string()), &value)).await;
    }
    let expected = storage.list(&KeyRange::all(), all()).await.unwrap();
    drop(storage);
    let file = directory.path().join(FILE);
    let intact = fs::read(&file).unwrap();
    let (mut refused, step) = (0, intact.len() / 300);
    for at in (0..intact.len()).step_by(step.max(1)).chain(0..64) {
        let mut damaged = intact.clone();
        damaged[at] ^= 0x55;
        fs::write(&file, &damaged).unwrap();
        match Embedded::open(directory.path()) {
            Ok(storage) => {
                let found = storage.list(&KeyRange::all(), all()).await.unwrap();
                assert!(found == expected, "byte {at} changed the state unseen");
            }
            Err(OpenError::Damaged { .. } | OpenError::Foreign { .. }) => {
                refused += 1;
                assert!(fs::read(&file).unwrap() == damaged, "byte {at}: the file was touched");
            }
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(refused > 20, "{refused}");
    for length in [9, 100, 4096, intact.len() / 2, intact.len() - 4096] {
        fs::write(&file, &intact[..length]).unwrap();
        let error = Embedded::open(directory.path()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{length}: {error:?}");
    }
    fs::write(&file, &intact).unwrap();
    assert!(open(directory.path()).list(&KeyRange::all(), all()).await.unwrap() == expected);
}

/// A copy of a directory that was not closed: all of it is in the journal.
fn copy_of(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in [FILE, JOURNAL[0], JOURNAL[1]] {
        fs::copy(directory.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_the_journal_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let (mut last, mut before) = (storage.revision().await.unwrap(), Vec::new());
    for number in 0..20 {
        before = storage.list(&KeyRange::all(), all()).await.unwrap().records;
        let value = format!("{number} ").repeat(3000);
        last = commit(&storage, put(&key("ns", &number.to_string()), &value)).await;
    }
    let expected = storage.list(&KeyRange::all(), all()).await.unwrap();
    let (mut refused, mut shorter, mut the_same) = (0, 0, 0);
    let intact = fs::read(directory.path().join(JOURNAL[0])).unwrap();
    let used = intact.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..used).step_by(used / 150) {
        let copy = copy_of(directory.path());
        let file = copy.path().join(JOURNAL[0]);
        let mut damaged = intact.clone();
        damaged[at] ^= 0x55;
        fs::write(&file, &damaged).unwrap();
        match Embedded::open(copy.path()) {
            // Between frames.
            Ok(storage) if storage.revision().await.unwrap() == last => {
                the_same += 1;
                assert!(storage.list(&KeyRange::all(), all()).await.unwrap() == expected);
            }
            // In the last one, which looks as if it had never been completely written.
            Ok(storage) => {
                shorter += 1;
                assert!(storage.list(&KeyRange::all(), all()).await.unwrap().records == before);
            }
            Err(OpenError::Damaged { .. }) => {
                refused += 1;
                assert!(fs::read(&file).unwrap() == damaged, "byte {at}: the file was touched");
            }
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(refused > 100 && shorter < 12, "{refused} {shorter} {the_same}");
    let copy = copy_of(directory.path());
    assert!(open(copy.path()).list(&KeyRange::all(), all()).await.unwrap() == expected);
}

/// One is written to the data file at once, together with all that waits for that.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_may_be_larger_than_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let a = key("ns", "a");
    let first = commit(&storage, put(&a, "1")).await;
    let large = "x".repeat(1_400_000);
    let both = (0..8).fold(put(&a, "2"), |transaction, number| {
        transaction.put(key("large", &number.to_string()), bytes(&large))
    });
    let second = commit(&storage, both).await;
    let third = commit(&storage, put(&a, "3")).await;
    for storage in [storage, open(copy_of(directory.path()).path())] {
        let mut watch = storage.watch(&KeyRange::all(), first).await.unwrap();
        let mut events = Vec::new();
        while events.len() < 10 {
            events.extend(next(&mut watch).await.events);
        }
        assert_eq!(events.iter().filter(|event| event.revision() == second).count(), 9);
        assert_eq!(events.last().unwrap().revision(), third);
        let old = storage.list(&KeyRange::all(), all().at(second)).await.unwrap().records;
        assert!(old.contains(&record(&a, second, "2")));
    }
}
