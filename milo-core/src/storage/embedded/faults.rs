//! Tests with a disk that fails.

use std::{
    fs::OpenOptions,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use redb::{Database, DatabaseError, StorageBackend, backends::FileBackend};

use super::*;
use crate::{key::GroupResource, scope::Scope, storage::Event};

/// What is wrong with the disk.
#[derive(Debug)]
struct FaultyDisk {
    /// No file may be longer.
    size: AtomicU64,
    /// So many writes and syncs succeed.
    countdown: AtomicI64,
    /// Whether all fails from then on, opening the file too; or else one operation only.
    gone: AtomicBool,
}

impl FaultyDisk {
    fn good() -> Arc<Self> {
        Arc::new(Self {
            size: AtomicU64::new(u64::MAX),
            countdown: AtomicI64::new(i64::MAX),
            gone: AtomicBool::new(false),
        })
    }

    fn fail_after(&self, operations: i64, gone: bool) {
        self.gone.store(gone, Ordering::SeqCst);
        self.countdown.store(operations, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.countdown.store(i64::MAX, Ordering::SeqCst);
        self.size.store(u64::MAX, Ordering::SeqCst);
    }

    fn check(&self, end: u64) -> io::Result<()> {
        if end > self.size.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let left = self.countdown.fetch_sub(1, Ordering::SeqCst);
        if left == 0 || left < 0 && self.gone.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(())
    }
}

impl FaultyDisk {
    fn file(self: &Arc<Self>, file: &Path) -> Result<Failing, DatabaseError> {
        if self.gone.load(Ordering::SeqCst) && self.countdown.load(Ordering::SeqCst) <= 0 {
            return Err(io::Error::other("the disk is gone").into());
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(file)?;
        Ok(Failing { file: FileBackend::new(file)?, disk: Arc::clone(self) })
    }
}

impl Disk for Arc<FaultyDisk> {
    fn open(&self, file: &Path) -> Result<Database, DatabaseError> {
        redb::Builder::new().create_with_backend(self.file(file)?)
    }

    fn create(&self, file: &Path, _: File) -> Result<Database, DatabaseError> {
        self.open(file)
    }

    fn journal(&self, file: &Path) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.file(file).map_err(io::Error::other)?))
    }
}

#[derive(Debug)]
struct Failing {
    file: FileBackend,
    disk: Arc<FaultyDisk>,
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.check(length)?;
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.check(0)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.check(offset + data.len() as u64)?;
        self.file.write(offset, data)
    }
}

fn open_on(directory: &Path, disk: &Arc<FaultyDisk>) -> Embedded {
    Embedded::builder().directory(directory).open_on(Arc::clone(disk)).unwrap()
}

fn key(name: &str) -> Key {
    let widgets = GroupResource::new("demo.example.com", "widgets");
    Key::object(&widgets, &Scope::Platform, "ns", name).unwrap()
}

fn put(name: &str, size: usize) -> Transaction {
    Transaction::new().put(key(name), vec![b'x'; size].into()).put(key("both"), vec![0; 9].into())
}

async fn state(storage: &Embedded) -> Page {
    storage.list(&KeyRange::all(), ListOptions::default()).await.unwrap()
}

/// Everything that a watch from the beginning tells.
async fn story(watch: &mut Watch, until: Revision) -> Vec<Event> {
    watch.request_progress();
    let mut events = Vec::new();
    loop {
        let batch = watch.next().await.unwrap().unwrap();
        events.extend(batch.events);
        if batch.revision >= until {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::good();
    let storage = open_on(directory.path(), &disk);
    let mut watch = storage.watch(&KeyRange::all(), Revision::ZERO).await.unwrap();
    let mut last = storage.commit(put("a", 1000)).await.unwrap();
    disk.size.store(4_000_000, Ordering::SeqCst);
    let error = loop {
        match storage.commit(put(&format!("k{last}"), 100_000)).await {
            Ok(revision) => {
                assert_eq!(revision, last.next());
                last = revision;
            }
            Err(error) => break error,
        }
    };
    let CommitError::Unavailable(cause) = error else { panic!("{error:?}") };
    assert!(cause.source().is_some(), "the cause is kept: {cause:?}");
    let before = state(&storage).await;
    assert_eq!(before.revision, last);
    for _ in 0..3 {
        let refused = storage.commit(put("refused", 300_000)).await;
        assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
        assert_eq!(state(&storage).await, before, "reads go on");
        let old = ListOptions::default().at(Revision::FIRST.next());
        assert_eq!(storage.list(&KeyRange::all(), old).await.unwrap().records.len(), 2);
    }
    disk.heal();
    storage.ping().await.unwrap();
    assert_eq!(storage.commit(put("healed", 300_000)).await.unwrap(), last.next());
    let events = story(&mut watch, last.next()).await;
    assert_eq!(events.len() as u64, 2 * last.get(), "watchers see what was acknowledged");
    let after = state(&storage).await;
    drop(storage);
    assert_eq!(state(&Embedded::open(directory.path()).unwrap()).await, after);
}

/// Whatever operation is the first to fail, and whether or not files can be opened again at once:
/// memory, watchers and the files agree with each other and with the answer.
#[tokio::test(flavor = "multi_thread")]
async fn any_failure_leaves_one_truth() {
    fail_anywhere(8, 0).await;
}

/// The same of a transaction that is too large for the journal.
#[tokio::test(flavor = "multi_thread")]
async fn any_failure_of_a_large_transaction_leaves_one_truth() {
    fail_anywhere(24, 1).await;
}

/// Lets one of the first `until` operations of a commit fail, which has `large` large values.
async fn fail_anywhere(until: i64, large: usize) {
    let (mut unavailable, mut uncertain, mut written) = (0, 0, 0);
    for (operations, gone) in (0..until).flat_map(|n| [(n, false), (n, true)]) {
        let directory = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::good();
        let storage = open_on(directory.path(), &disk);
        let mut watch = storage.watch(&KeyRange::all(), Revision::ZERO).await.unwrap();
        let first = storage.commit(put("a", 10)).await.unwrap();
        disk.fail_after(operations, gone);
        let value = Bytes::from(vec![7; 200_000]);
        let with_large = (0..large).fold(put("b", 5000), |transaction, number| {
            transaction.put(key(&format!("large-{number}")), value.clone())
        });
        let answer = storage.commit(with_large).await;
        let seen = storage.get(&key("b")).await.unwrap().is_some();
        match &answer {
            Ok(revision) => assert!(seen && *revision == first.next()),
            Err(_) => assert!(!seen, "nobody sees what was not acknowledged"),
        }
        disk.heal();
        let third = storage.commit(put("c", 10)).await.unwrap();
        let found = storage.get(&key("b")).await.unwrap().is_some();
        assert_eq!(third, if found { first.next().next() } else { first.next() });
        match answer {
            Ok(_) => assert!(found),
            Err(CommitError::Unavailable(_)) => {
                unavailable += 1;
                assert!(!found, "after {operations}: it was said not to be written");
            }
            Err(CommitError::Uncertain(_)) => {
                uncertain += 1;
                written += usize::from(found);
            }
            Err(other) => panic!("{other:?}"),
        }
        let events = story(&mut watch, third).await;
        assert_eq!(
            events.iter().filter(|event| *event.key() == key("b")).count(),
            usize::from(found)
        );
        let expected = 2 * (third.get() - Revision::FIRST.get());
        let large = if found { large as u64 } else { 0 };
        assert_eq!(events.len() as u64, expected + large);
        let after = state(&storage).await;
        drop(storage);
        assert_eq!(state(&Embedded::open(directory.path()).unwrap()).await, after);
    }
    println!("{unavailable} unavailable, {uncertain} uncertain of which {written} written");
    assert!(unavailable > 1 && uncertain > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_compactions_are_repeated() {
    for operations in 0..25 {
        let directory = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::good();
        let storage = open_on(directory.path(), &disk);
        let mut last = Revision::ZERO;
        for _ in 0..20 {
            last = storage.commit(put("a", 1000)).await.unwrap();
        }
        let expected = state(&storage).await;
        disk.fail_after(operations, true);
        let compacted = storage.compact(last).await;
        assert_eq!(state(&storage).await, expected);
        let old = ListOptions::default().at(Revision::new(last.get() - 1));
        let expired =
            matches!(storage.list(&KeyRange::all(), old).await, Err(ReadError::Expired { .. }));
        assert_eq!(expired, compacted.is_ok(), "nobody is told of a floor that is not on disk");
        disk.heal();
        storage.compact(last).await.unwrap();
        assert_eq!(state(&storage).await, expected);
        let next = storage.commit(put("b", 1000)).await.unwrap();
        assert_eq!(next, last.next());
        let after = state(&storage).await;
        drop(storage);
        let storage = Embedded::open(directory.path()).unwrap();
        assert_eq!(state(&storage).await, after);
        let error = storage.list(&KeyRange::all(), old).await.unwrap_err();
        assert!(matches!(error, ReadError::Expired { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_watches_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Embedded::open(directory.path()).unwrap();
    storage.commit(put("a", 10)).await.unwrap();
    let mut watches = Vec::new();
    for number in 0..10 {
        let after = Revision::new(number % 2);
        watches.push(storage.watch(&KeyRange::all(), after).await.unwrap());
    }
    assert_eq!(storage.engine.hub().watchers(), 10);
    watches.truncate(3);
    assert_eq!(storage.engine.hub().watchers(), 3);
    watches.clear();
    assert_eq!(storage.engine.hub().watchers(), 0);
}
