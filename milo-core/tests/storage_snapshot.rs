//! Snapshots: what is in them, how they are written and what is said of damaged ones, and what a
//! restored store is like.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]
#![cfg(all(unix, feature = "embedded", feature = "snapshot"))]

mod storage_support;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use milo_core::{
    key::{Key, KeyRange},
    storage::{
        CommitError, Embedded, ListOptions, Memory, OpenError, OpenLocationError, Page, ReadError,
        Record, Revision, Storage, StorageLocation, Transaction, Watch, WatchError,
        snapshot::{
            self, Observer, OnlineSnapshots, Origin, ReadSnapshotError, RestoreError, Restored,
            Source, SourceError, Summary, WriteError, WriteOptions,
        },
    },
};
use proptest::prelude::*;
use storage_support::*;
use tempfile::TempDir;

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn write(source: Source, file: &Path) -> Result<Summary, WriteError> {
    soon(snapshot::write(source, file, WriteOptions::default(), Observer::none())).await
}

async fn write_all(storage: &Arc<dyn Storage>, file: &Path) -> Summary {
    write(Source::storage(Arc::clone(storage)), file).await.unwrap()
}

async fn restore(file: &Path, directory: &Path) -> Result<Restored, RestoreError> {
    let target = StorageLocation::embedded(directory);
    soon(snapshot::restore(file, &target, false, Observer::none())).await
}

async fn everything(storage: &dyn Storage) -> Vec<Record> {
    storage.list(&KeyRange::all(), all()).await.unwrap().records
}

/// Reads all of it, as a check does.
async fn read(file: &Path) -> Result<Summary, SourceError> {
    let source = Source::file(file).await?;
    Ok(soon(snapshot::check(source, Observer::none())).await?.summary)
}

/// A store with a few objects, and its history.
async fn small() -> Arc<dyn Storage> {
    let storage = Memory::new();
    for (name, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")] {
        commit(&storage, put(&key("ns", name), value)).await;
    }
    commit(&storage, delete(&key("ns", "b"))).await;
    commit(&storage, put(&key("ns", "d"), "5").put(key("ns", "e"), bytes(""))).await;
    Arc::new(storage)
}

/// The names in a directory.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[derive(Clone, Debug)]
struct Change {
    name: u8,
    /// The length of the value; none to delete.
    value: Option<usize>,
}

fn commits() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let value = prop::option::weighted(0.8, prop_oneof![9 => 0..100_usize, 1 => 0..200_000_usize]);
    let change = (any::<u8>(), value).prop_map(|(name, value)| Change { name, value });
    prop::collection::vec(prop::collection::vec(change, 1..4), 0..60)
}

async fn apply(storage: &dyn Storage, commits: &[Vec<Change>]) {
    for (number, changes) in commits.iter().enumerate() {
        let mut transaction = Transaction::new();
        let mut changed = Vec::new();
        for change in changes.iter().filter(|change| {
            let new = !changed.contains(&change.name);
            changed.push(change.name);
            new
        }) {
            let key = key("ns", &change.name.to_string());
            transaction = match change.value {
                Some(length) => transaction.put(key, value(number, length)),
                None => transaction.delete(key),
            };
        }
        commit(storage, transaction).await;
    }
}

/// Half of it compresses well.
fn value(seed: usize, length: usize) -> bytes::Bytes {
    let mut state = seed as u32 + 1;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    noise.take(length / 2).chain(std::iter::repeat(b'x')).take(length).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_restored_is_what_was_there(before in commits(), after in commits()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let root = temporary();
            let file = root.path().join("snapshot");
            let memory: Arc<dyn Storage> = Arc::new(Memory::new());
            apply(&*memory, &before).await;
            let expected = everything(&*memory).await;
            let revision = memory.revision().await.unwrap();
            let written = write_all(&memory, &file).await;
            assert_eq!(written.revision, revision);
            assert_eq!(written.objects, expected.len() as u64);
            assert_eq!(read(&file).await.unwrap(), written);

            let directory = root.path().join("restored");
            let restored = restore(&file, &directory).await.unwrap();
            assert_eq!(restored.snapshot, written);
            let storage: Arc<dyn Storage> = Arc::new(Embedded::open(&directory).unwrap());
            assert_eq!(everything(&*storage).await, expected);
            assert_eq!(storage.revision().await.unwrap(), restored.revision);
            assert!(restored.revision.get() >= revision.get() + 1_000_000_000);

            // It goes on as any store does, and so does a snapshot of it.
            apply(&*memory, &after).await;
            apply(&*storage, &after).await;
            let values = |records: Vec<Record>| -> Vec<_> {
                records.into_iter().map(|record| (record.key, record.value)).collect()
            };
            let expected = everything(&*storage).await;
            assert_eq!(values(expected.clone()), values(everything(&*memory).await));
            drop(storage);
            let storage: Arc<dyn Storage> = Arc::new(Embedded::open(&directory).unwrap());
            assert_eq!(everything(&*storage).await, expected);
            let again = root.path().join("again");
            let written = write_all(&storage, &again).await;
            let other = root.path().join("other");
            write_all(&memory, &other).await;
            assert_eq!(read(&other).await.unwrap().digest, written.digest);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bit_and_every_byte_counts() {
    let root = temporary();
    let file = root.path().join("snapshot");
    let written = write_all(&small().await, &file).await;
    assert_eq!(written.objects, 4);
    let good = fs::read(&file).unwrap();
    let damaged = root.path().join("damaged");
    for at in 0..good.len() {
        fs::write(&damaged, &good[..at]).unwrap();
        let error = read(&damaged).await.unwrap_err();
        let SourceError::File(error) = error else { panic!("{error}") };
        let expected = match error {
            ReadSnapshotError::Foreign { .. } => at == 0,
            ReadSnapshotError::Truncated { .. } => at > 0,
            _ => false,
        };
        assert!(expected, "cut at {at}: {error}");
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            fs::write(&damaged, &bad).unwrap();
            let error = read(&damaged).await.unwrap_err();
            assert!(matches!(error, SourceError::File(_)), "bit {bit} of {at}: {error}");
        }
    }
    let more = [good.as_slice(), b"x"].concat();
    fs::write(&damaged, more).unwrap();
    let error = read(&damaged).await.unwrap_err().to_string();
    assert!(error.contains("something follows its end"), "{error}");
    assert!(!root.path().join("restored").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// In large snapshots, too, and wherever it is.
    #[test]
    fn damage_anywhere_is_seen(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let root = temporary();
            let file = root.path().join("snapshot");
            let storage: Arc<dyn Storage> = Arc::new(Memory::new());
            for number in 0..14 {
                let key = key("ns", &number.to_string());
                commit(&*storage, Transaction::new().put(key, value(number, 100_000))).await;
            }
            write_all(&storage, &file).await;
            let mut bytes = fs::read(&file).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs::write(&file, &bytes).unwrap();
            assert!(matches!(read(&file).await, Err(SourceError::File(_))));
            let directory = root.path().join("restored");
            assert!(restore(&file, &directory).await.is_err());
            if directory.exists() {
                assert_eq!(names_in(&directory), ["lock"], "nothing is left of it");
            }
        });
    }
}

#[tokio::test]
async fn what_is_no_snapshot_is_told() {
    let root = temporary();
    let file = root.path().join("file");
    let told = async || read(&file).await.unwrap_err().to_string();
    assert_eq!(
        told().await,
        format!("cannot read {}: No such file or directory (os error 2)", file.display())
    );
    fs::write(&file, "{\"kind\": \"List\"}").unwrap();
    assert_eq!(told().await, format!("{} is not a Milo snapshot: check the path", file.display()));
    let mut newer = b"milosnap".to_vec();
    newer.extend([2, 0, 0, 0]);
    fs::write(&file, &newer).unwrap();
    assert_eq!(
        told().await,
        format!(
            "{} has format 2, but this version reads up to 1: use the newer version that wrote it",
            file.display()
        )
    );
    newer[8] = 0;
    fs::write(&file, &newer).unwrap();
    assert!(told().await.contains("damaged at byte 12 (its format is unknown)"));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(told().await.ends_with("it is not a file"), "{}", told().await);
}

#[tokio::test]
async fn a_file_is_complete_or_not_there() {
    let root = temporary();
    let storage = small().await;
    let file = root.path().join("snapshot");
    fs::write(&file, "mine").unwrap();
    let source = Source::storage(Arc::clone(&storage));
    assert!(matches!(write(source, &file).await, Err(WriteError::Exists { .. })));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(names_in(root.path()), ["snapshot"]);

    // What somebody else is writing is left to them; what was left behind is taken.
    let partial = root.path().join("snapshot.partial");
    fs::write(&partial, "half").unwrap();
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o644)).unwrap();
    let busy = fs::File::open(&partial).unwrap();
    busy.lock().unwrap();
    let replace = async || {
        let source = Source::storage(Arc::clone(&storage));
        let options = WriteOptions::default().replace(true);
        soon(snapshot::write(source, &file, options, Observer::none())).await
    };
    assert!(matches!(replace().await, Err(WriteError::Busy { .. })));
    assert_eq!(fs::read(&partial).unwrap(), b"half");
    drop(busy);
    let written = replace().await.unwrap();
    assert_eq!(read(&file).await.unwrap(), written);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(names_in(root.path()), ["snapshot"]);

    // A directory that is not there, and one that is no directory.
    for file in [root.path().join("none/snapshot"), file.join("snapshot")] {
        let error = write(Source::storage(Arc::clone(&storage)), &file).await.unwrap_err();
        assert!(matches!(error, WriteError::Io { .. }), "{error}");
    }
}

/// A store to which something happens before it is listed.
#[derive(Debug)]
struct Meddled<F> {
    memory: Memory,
    lists: AtomicU64,
    meddle: F,
}

type Meddling = fn(u64) -> (Option<Transaction>, bool);

impl Meddled<Meddling> {
    /// With so many objects that are large enough for several pages. `meddle` says what is
    /// committed before the n-th list, and whether all history is forgotten then.
    async fn new(meddle: Meddling) -> Self {
        let memory = Memory::new();
        for number in 0..300 {
            commit(&memory, put(&key("ns", &format!("object-{number}")), "first")).await;
        }
        Self { memory, lists: AtomicU64::new(0), meddle }
    }
}

#[async_trait]
impl Storage for Meddled<Meddling> {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        self.memory.get(key).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        let (transaction, forget) = (self.meddle)(self.lists.fetch_add(1, Ordering::SeqCst));
        if let Some(transaction) = transaction {
            commit(&self.memory, transaction).await;
        }
        if forget {
            self.memory.compact(self.memory.revision().await?).await?;
        }
        self.memory.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.memory.commit(transaction).await
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        self.memory.watch(range, after).await
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.memory.revision().await
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        self.memory.compact(floor).await
    }

    async fn ping(&self) -> Result<(), ReadError> {
        self.memory.ping().await
    }
}

/// Changes, adds and removes something on every page, in one transaction.
fn change_everywhere(list: u64) -> Transaction {
    let object = |number: u64| key("ns", &format!("object-{number}"));
    Transaction::new()
        .put(object(list % 300), bytes("changed"))
        .put(object(299 - list % 100), bytes("changed"))
        .put(key("ns", &format!("object-9{list}")), bytes("added"))
        .delete(object(150 + list))
}

/// The state that a snapshot shows, which is that of the store at its revision.
async fn shown(storage: &Meddled<Meddling>, file: &Path) -> (Summary, Vec<Record>) {
    let directory = file.with_extension("restored");
    let restored = restore(file, &directory).await.unwrap();
    let records = everything(&Embedded::open(&directory).unwrap()).await;
    let at = all().at(restored.snapshot.revision);
    let expected = storage.memory.list(&KeyRange::all(), at).await.unwrap().records;
    assert_eq!(records, expected);
    (restored.snapshot, records)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_shows_one_revision_whatever_is_written_meanwhile() {
    let root = temporary();
    let storage = Meddled::new(|list| (Some(change_everywhere(list)), false)).await;
    let storage = Arc::new(storage);
    let before = storage.revision().await.unwrap();
    let source = Source::storage(Arc::<Meddled<Meddling>>::clone(&storage));
    let file = root.path().join("snapshot");
    let written = write(source, &file).await.unwrap();
    assert!(storage.lists.load(Ordering::SeqCst) > 2, "there was more than one page");
    assert_eq!(written.revision, before.next(), "the state at the first list");
    let (summary, _) = shown(&storage, &file).await;
    assert_eq!(summary, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_begins_again_when_its_revision_is_forgotten() {
    let root = temporary();
    let file = root.path().join("snapshot");
    // The history goes twice, in the middle of it.
    let storage = Meddled::new(|list| (Some(change_everywhere(list)), [1, 3].contains(&list)));
    let storage = Arc::new(storage.await);
    let before = storage.revision().await.unwrap();
    let source = Source::storage(Arc::<Meddled<Meddling>>::clone(&storage));
    let written = write(source, &file).await.unwrap();
    assert!(written.revision > before.next());
    let (summary, records) = shown(&storage, &file).await;
    assert_eq!((summary, records.len() as u64), (written, written.objects));

    // Always: it gives up, and nothing is left behind.
    let storage = Meddled::new(|list| (Some(change_everywhere(list)), true)).await;
    let other = root.path().join("other");
    let error = write(Source::storage(Arc::new(storage)), &other).await.unwrap_err();
    let WriteError::Source(SourceError::TooSlow { attempts: 5 }) = error else { panic!("{error}") };
    assert!(!names_in(root.path()).iter().any(|name| name.starts_with("other")));
}

/// Nothing that the old store ever said is taken for something else by the new one.
#[tokio::test(flavor = "multi_thread")]
async fn old_resource_versions_are_kept_or_have_expired() {
    let root = temporary();
    let (file, directory) = (root.path().join("snapshot"), root.path().join("restored"));
    let old = small().await;
    let written = write_all(&old, &file).await;
    // The old store goes on; all of this is lost.
    let lost = commit(&*old, put(&key("ns", "lost"), "x")).await;
    let restored = restore(&file, &directory).await.unwrap();
    let storage = Embedded::open(&directory).unwrap();
    for after in
        [Revision::FIRST, written.revision, lost, Revision::new(restored.revision.get() - 1)]
    {
        let error = storage.watch(&KeyRange::all(), after).await.unwrap_err();
        assert!(matches!(error, WatchError::Expired { .. }), "{after}: {error}");
        let error = storage.list(&KeyRange::all(), all().at(after)).await.unwrap_err();
        assert!(matches!(error, ReadError::Expired { .. }), "{after}: {error}");
    }
    let mut watch = storage.watch(&KeyRange::all(), restored.revision).await.unwrap();
    let next_revision = commit(&storage, put(&key("ns", "a"), "new")).await;
    assert_eq!(next_revision, restored.revision.next());
    assert_eq!(next(&mut watch).await.events.len(), 1);
    // Restoring what was taken long ago leaves room for all that came since.
    let day = fs::read(&file).unwrap();
    assert_eq!(day[8..12], [1, 0, 0, 0]);
    drop(storage);
    let storage = Embedded::open(&directory).unwrap();
    let at = all().at(restored.revision);
    assert_eq!(
        storage.list(&KeyRange::all(), at).await.unwrap().records,
        everything(&*old).await[..4]
    );
}

#[tokio::test]
async fn only_what_is_empty_is_restored_to() {
    let root = temporary();
    let (file, directory) = (root.path().join("snapshot"), root.path().join("data"));
    write_all(&small().await, &file).await;
    let memory = StorageLocation::memory();
    let error = snapshot::restore(&file, &memory, false, Observer::none()).await.unwrap_err();
    assert!(matches!(error, RestoreError::Memory));

    let storage = Embedded::open(&directory).unwrap();
    let error = restore(&file, &directory).await.unwrap_err();
    assert!(
        matches!(error, RestoreError::Open(OpenLocationError::Embedded(OpenError::Locked { .. }))),
        "{error}"
    );
    commit(&storage, put(&key("ns", "mine"), "mine")).await;
    let mine = everything(&storage).await;
    drop(storage);
    let error = restore(&file, &directory).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "embedded:{} is not empty: there are 1 objects in it, /demo.example.com/widgets/platform/ns/mine \
             among them; choose an empty storage",
            directory.display()
        )
    );
    let storage = Embedded::open(&directory).unwrap();
    assert_eq!(everything(&storage).await, mine);
    // One that is empty, but has given out revisions: they are not given out again.
    let far = commit(&storage, delete(&key("ns", "mine"))).await;
    drop(storage);
    let restored = restore(&file, &directory).await.unwrap();
    assert!(restored.revision > far);
    assert_eq!(everything(&Embedded::open(&directory).unwrap()).await.len(), 4);
    // What somebody else has put there is not touched.
    let foreign = root.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("milo.redb"), "mine").unwrap();
    let error = restore(&file, &foreign).await.unwrap_err();
    assert!(
        matches!(error, RestoreError::Open(OpenLocationError::Embedded(OpenError::Foreign { .. }))),
        "{error}"
    );
    assert_eq!(fs::read(foreign.join("milo.redb")).unwrap(), b"mine");
}

/// Copies from a directory that somebody else has open.
async fn online(directory: &Path, file: &Path) -> Result<Summary, WriteError> {
    let source = Source::at(&StorageLocation::embedded(directory)).await?;
    assert_eq!(source.origin(), Origin::Server);
    write(source, file).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_directory_gives_snapshots_while_it_is_written_to() {
    let root = temporary();
    // Longer than any socket's path may be.
    let mut directory: PathBuf = root.path().join("x".repeat(150));
    directory.push("storage");
    let storage: Arc<dyn Storage> = Arc::new(Embedded::open(&directory).unwrap());
    let location = StorageLocation::embedded(&directory);
    let in_use = Source::at(&location).await.unwrap_err();
    assert!(matches!(in_use, SourceError::InUse { .. }), "{in_use}");
    let snapshots = OnlineSnapshots::start(&directory, Arc::clone(&storage)).unwrap();
    assert_eq!(fs::metadata(directory.join("snapshot.sock")).unwrap().mode() & 0o777, 0o600);

    // Each transaction writes one number to two keys far from each other.
    let writer = tokio::spawn({
        let storage = Arc::clone(&storage);
        async move {
            let mut number = 0_u64;
            loop {
                number += 1;
                let text = format!("{number}{}", " ".repeat(1000));
                for pair in 0..20 {
                    let (left, right) = (key("a", &pair.to_string()), key("z", &pair.to_string()));
                    let both = put(&left, &text).put(right, bytes(&text));
                    let filler = key("m", &format!("{number}-{pair}"));
                    commit(&*storage, both.put(filler, bytes(&text))).await;
                }
            }
        }
    });
    for number in 0..5 {
        let acknowledged = commit(&*storage, put(&key("b", "mark"), &number.to_string())).await;
        let file = root.path().join(format!("snapshot-{number}"));
        let written = soon(online(&directory, &file)).await.unwrap();
        assert!(written.revision >= acknowledged);
        let restored = file.with_extension("restored");
        restore(&file, &restored).await.unwrap();
        let records = everything(&Embedded::open(&restored).unwrap()).await;
        let at = all().at(written.revision);
        let expected = storage.list(&KeyRange::all(), at).await.unwrap().records;
        assert_eq!(records, expected, "the state at its revision");
        let in_namespace = |name: &str| -> Vec<_> {
            let found = records.iter().filter(|r| r.key.segments().unwrap().namespace == name);
            found.map(|record| (record.revision, record.value.clone())).collect()
        };
        assert_eq!(in_namespace("a"), in_namespace("z"), "no half transaction");
        assert_eq!(in_namespace("b")[0].1, bytes(&number.to_string()));
    }
    writer.abort();
    let _aborted = writer.await;
    drop(snapshots);
    let names = ["lock", "milo.journal-0", "milo.journal-1", "milo.redb"];
    assert_eq!(names_in(&directory), names);
    let in_use = Source::at(&location).await.unwrap_err();
    assert!(matches!(in_use, SourceError::InUse { .. }), "{in_use}");
    drop(storage);
    // What was serving a snapshot when it was told to end may hold the storage for a moment longer.
    let source = async {
        loop {
            match Source::at(&location).await {
                Err(SourceError::InUse { .. }) => tokio::task::yield_now().await,
                other => return other.unwrap(),
            }
        }
    };
    assert_eq!(soon(source).await.origin(), Origin::Storage);
}

/// The process that has the directory open ends in the middle of a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_leaves_no_half_snapshot() {
    let root = temporary();
    let directory = root.path().join("storage");
    let storage: Arc<dyn Storage> = Arc::new(Embedded::open(&directory).unwrap());
    for number in 0..40 {
        let key = key("ns", &number.to_string());
        commit(&*storage, Transaction::new().put(key, value(number, 1 << 20))).await;
    }
    let snapshots = OnlineSnapshots::start(&directory, Arc::clone(&storage)).unwrap();
    let source = Source::at(&StorageLocation::embedded(&directory)).await.unwrap();
    // Nobody has read of it yet, and all of it does not fit into a socket.
    drop(snapshots);
    let file = root.path().join("snapshot");
    let error = write(source, &file).await.unwrap_err();
    assert!(matches!(error, WriteError::Source(SourceError::File(_))), "{error}");
    assert_eq!(names_in(root.path()), ["storage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_nobody_waits_for_is_removed() {
    let root = temporary();
    let storage = Memory::new();
    for number in 0..200 {
        let key = key("ns", &number.to_string());
        commit(&storage, Transaction::new().put(key, value(number, 500_000))).await;
    }
    let (told, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let observer = Observer::new(move |_| assert!(told.send(()).is_ok()));
    let source = Source::storage(Arc::new(storage));
    let file = root.path().join("snapshot");
    let writing = snapshot::write(source, &file, WriteOptions::default(), observer);
    tokio::select! {
        _ = writing => panic!("it was complete before it was stopped"),
        _ = begun.recv() => {}
    }
    // The last one who could tell is gone when the work has ended.
    while begun.recv().await.is_some() {}
    assert!(names_in(root.path()).is_empty());
}

#[tokio::test]
async fn objects_are_looked_at() {
    let storage = Memory::new();
    let object = |name: &str, more: &str| {
        bytes(&format!(
            r#"{{"apiVersion":"demo.example.com/v1","kind":"Widget","metadata":{{"name":"{name}","namespace":"ns","uid":"u"{more}}}}}"#
        ))
    };
    let with = |name: &str, value| Transaction::new().put(key("ns", name), value);
    for (name, value) in [
        ("good", object("good", r#","creationTimestamp":"2026-01-01T00:00:00Z","generation":1"#)),
        ("name", object("other", "")),
        ("time", object("time", r#","creationTimestamp":"yesterday""#)),
        ("generation", object("generation", r#","generation":-1"#)),
        ("version", object("version", r#","resourceVersion":"1""#)),
        ("json", bytes("{")),
        ("array", bytes("[]")),
        ("kind", bytes(r#"{"metadata":{"name":"kind"}}"#)),
        (
            "group",
            bytes(
                r#"{"apiVersion":"v1","kind":"W","metadata":{"name":"group","namespace":"ns","uid":"u"}}"#,
            ),
        ),
        ("uid", bytes(r#"{"apiVersion":"v1","kind":"W","metadata":{"name":"uid"}}"#)),
    ] {
        commit(&storage, with(name, value)).await;
    }
    for odd in ["/one/two", "/demo.example.com/widgets/galaxy:x/ns/odd"] {
        let key = Key::from_storage(odd.to_owned().into());
        commit(&storage, Transaction::new().put(key, object("odd", ""))).await;
    }
    let source = Source::storage(Arc::new(storage));
    let report = soon(snapshot::check(source, Observer::none())).await.unwrap();
    assert_eq!(report.summary.objects, 12);
    assert_eq!(report.resources.get(&widgets()), Some(&11));
    let problems: Vec<String> = report
        .problems
        .iter()
        .map(|problem| {
            let key = problem.key.to_string();
            format!("{}: {}", key.rsplit('/').next().unwrap(), problem.text)
        })
        .collect();
    assert_eq!(
        problems,
        [
            "odd: `galaxy:x` is no scope",
            "array: it is not an object: the body must be an object",
            "generation: metadata.generation is -1",
            "group: its group is ``, but that of its key is `demo.example.com`",
            "json: it is not an object: EOF while parsing an object at line 1 column 1",
            "kind: it has no apiVersion or no kind",
            "name: its metadata.name is `other`, but that of its key is `name`",
            "time: metadata.creationTimestamp is no time",
            "uid: it has no metadata.uid",
            "version: a resource version is stored in it",
            "two: the key does not have five segments",
        ]
    );
    assert_eq!(report.problem_count, 11);
}
