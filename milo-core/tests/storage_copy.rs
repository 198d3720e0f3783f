//! Copies between real engines, and snapshots of databases.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]
#![cfg(all(
    unix,
    feature = "embedded",
    feature = "etcd",
    feature = "postgres",
    feature = "snapshot",
    feature = "testing"
))]

mod storage_support;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use milo_core::{
    key::KeyRange,
    storage::{
        Embedded, Etcd, OpenLocationError, Postgres, ReadError, Record, Revision, Storage,
        StorageLocation, Transaction, WatchError,
        snapshot::{
            self, CopyError, Observer, RestoreError, Restored, Source, SourceError, WriteOptions,
        },
    },
    testing::{EtcdServer, PostgresServer},
};
use storage_support::*;

/// Directories are locked, and a process that is being started holds all locks for a moment: so
/// no test opens one while another starts a server.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn postgres() -> Option<PostgresServer> {
    PostgresServer::builder().fast().start().unwrap()
}

fn etcd() -> Option<EtcdServer> {
    EtcdServer::start().unwrap()
}

fn location(text: &str) -> StorageLocation {
    text.parse().unwrap()
}

async fn everything(storage: &dyn Storage) -> Vec<Record> {
    storage.list(&KeyRange::all(), all()).await.unwrap().records
}

async fn at(location: &StorageLocation) -> Arc<dyn Storage> {
    location.open_existing().await.unwrap()
}

/// Objects with a history: changed, removed, written together, in another order than their keys'.
async fn fill(directory: &Path) -> StorageLocation {
    let storage = Embedded::open(directory).unwrap();
    for number in 0..300 {
        let name = format!("n{:03}", number * 7 % 300);
        commit(&storage, put(&key("ns", &name), &format!("{number}"))).await;
    }
    let many = (0..250).map(|number| key("many", &format!("{number}")));
    commit(&storage, many.fold(Transaction::new(), |all, key| all.put(key, bytes("m")))).await;
    commit(&storage, put(&key("ns", "n001"), "last").put(key("z", "z"), bytes("last"))).await;
    commit(&storage, delete(&key("ns", "n150"))).await;
    let large = "x".repeat(1_200_000);
    commit(&storage, put(&key("ns", "n299"), &large)).await;
    drop(storage);
    StorageLocation::embedded(directory)
}

async fn copy(from: &StorageLocation, to: &StorageLocation) -> Restored {
    snapshot::copy(from, to, false, Observer::none()).await.unwrap()
}

/// What the old store gave out is refused as expired, and the new one goes on above it.
async fn assert_goes_on(storage: &dyn Storage, copied: &Restored) {
    let old = copied.snapshot.revision;
    assert!(copied.revision.get() >= old.get() + 1_000_000_000);
    // Etcd may have been asked to prove something since, which takes a revision.
    assert!(storage.revision().await.unwrap() >= copied.revision);
    for revision in [Revision::FIRST, old, Revision::new(old.get() + 1_000_000)] {
        let error = storage.watch(&KeyRange::all(), revision).await;
        let error = match error {
            Err(error) => Some(error),
            Ok(mut watch) => end(&mut watch).await,
        };
        assert!(matches!(error, Some(WatchError::Expired { .. })), "{revision}: {error:?}");
        let error = storage.list(&KeyRange::all(), all().at(revision)).await.unwrap_err();
        assert!(matches!(error, ReadError::Expired { .. }), "{revision}: {error}");
    }
    let mut watch = storage.watch(&KeyRange::all(), copied.revision).await.unwrap();
    let changed = key("ns", "n003");
    let current = storage.get(&changed).await.unwrap().unwrap();
    let update = put(&changed, "changed")
        .require(milo_core::storage::Precondition::RevisionIs(changed.clone(), current.revision));
    let next_revision = commit(storage, update).await;
    assert!(next_revision > copied.revision);
    let events = events_until(&mut watch, copied.revision, next_revision).await;
    assert_eq!(events.len(), 1, "{events:?}");
    // The past from here on is there, and what the change replaced goes when it is forgotten.
    let before = storage.list(&KeyRange::all(), all().at(copied.revision)).await.unwrap();
    assert!(before.records.contains(&current));
    let after = everything(storage).await;
    storage.compact(next_revision).await.unwrap();
    assert_eq!(everything(storage).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_gets_every_object_with_its_revision() {
    let _alone = ALONE.lock().await;
    let Some(server) = postgres() else { return };
    let root = tempfile::tempdir().unwrap();
    let from = fill(&root.path().join("from")).await;
    let expected = everything(&*at(&from).await).await;
    let url = server.create_database().unwrap();
    let to = location(&url);
    let copied = copy(&from, &to).await;
    assert!(copied.revisions_kept);
    assert_eq!(copied.snapshot.objects, expected.len() as u64);
    assert_eq!(everything(&*at(&to).await).await, expected);

    // And back, before anything was changed there.
    let back = StorageLocation::embedded(root.path().join("back"));
    let again = copy(&to, &back).await;
    assert_eq!(everything(&*at(&back).await).await, expected);
    assert!(again.revision > copied.revision);
    assert_goes_on(&*at(&to).await, &copied).await;

    // No more is let in, and nothing is changed.
    let now = everything(&*at(&to).await).await;
    let error = snapshot::copy(&from, &to, true, Observer::none()).await.unwrap_err().to_string();
    assert!(error.contains(" is not empty: there are ") && error.contains("many"), "{error}");
    assert!(!error.contains("password"));
    assert_eq!(everything(&*at(&to).await).await, now);
}

/// An engine that was there before sees what has come, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_has_had_objects_gives_out_no_revision_again() {
    let _alone = ALONE.lock().await;
    let Some(server) = postgres() else { return };
    let root = tempfile::tempdir().unwrap();
    let from = fill(&root.path().join("from")).await;
    let url = server.create_database().unwrap();
    let to = location(&url);
    let first = copy(&from, &to).await;
    let engine = Postgres::connect(&url).await.unwrap();
    let mut far = first.revision;
    for record in everything(&engine).await {
        far = commit(&engine, delete(&record.key)).await;
    }
    let second = copy(&from, &to).await;
    assert!(second.revision > far);
    let expected = everything(&*at(&from).await).await;
    assert_eq!(everything(&engine).await, expected, "through the old engine, too");
    let revision = soon(async {
        loop {
            if let Ok(revision) = engine.commit(put(&key("ns", "new"), "new")).await {
                break revision;
            }
        }
    });
    assert!(revision.await > second.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_gets_every_object_in_the_same_order() {
    let _alone = ALONE.lock().await;
    let Some(server) = etcd() else { return };
    let root = tempfile::tempdir().unwrap();
    let from = fill(&root.path().join("from")).await;
    let to = location(&server.url("milo"));
    let copied = copy(&from, &to).await;
    assert!(!copied.revisions_kept);
    let old = everything(&*at(&from).await).await;
    let new = everything(&*at(&to).await).await;
    let content = |records: &[Record]| -> Vec<_> {
        records.iter().map(|record| (record.key.clone(), record.value.clone())).collect()
    };
    assert_eq!(content(&old), content(&new));
    let in_order = |records: &[Record]| -> Vec<_> {
        let mut sorted: Vec<_> = records.iter().collect();
        sorted.sort_by_key(|record| (record.revision, record.key.clone()));
        sorted.iter().map(|record| record.key.segments().unwrap().name.to_owned()).collect()
    };
    let without_many = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| name.starts_with(['n', 'z'])).collect()
    };
    assert_eq!(without_many(in_order(&old)), without_many(in_order(&new)));
    assert!(new.iter().all(|record| record.revision.get() > 1_000_000_000));
    // From etcd to a directory, where its revisions are kept.
    let back = StorageLocation::embedded(root.path().join("back"));
    copy(&to, &back).await;
    assert_eq!(everything(&*at(&back).await).await, new);
    assert_goes_on(&*at(&to).await, &copied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_copy_to_etcd_is_recognised_and_made_again() {
    let _alone = ALONE.lock().await;
    let Some(server) = etcd() else { return };
    let root = tempfile::tempdir().unwrap();
    let from = fill(&root.path().join("from")).await;
    let to = location(&server.url("milo"));
    let (told, mut restoring) = tokio::sync::mpsc::unbounded_channel();
    let observer = Observer::new(move |progress| {
        if progress.step == "restoring" && progress.objects > 100 {
            let _gone = told.send(());
        }
    });
    tokio::select! {
        done = snapshot::copy(&from, &to, false, observer) => panic!("it was complete: {done:?}"),
        _ = restoring.recv() => {}
    }
    let error = to.open().await.unwrap_err();
    assert!(matches!(error, OpenLocationError::Unfinished { .. }), "{error}");
    let elsewhere = fill(&root.path().join("elsewhere")).await;
    let error = snapshot::copy(&elsewhere, &to, false, Observer::none()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("was not finished") && error.contains("--restart"), "{error}");
    // The interrupted one may not have let go of its source yet.
    let again = async || snapshot::copy(&from, &to, true, Observer::none()).await;
    let copied = soon(async {
        loop {
            match again().await {
                Err(CopyError::Source { cause: SourceError::InUse { .. }, .. }) => {}
                done => break done.unwrap(),
            }
        }
    });
    let copied = copied.await;
    assert_eq!(everything(&*at(&to).await).await.len() as u64, copied.snapshot.objects);
    assert_goes_on(&*at(&to).await, &copied).await;
}

/// Others write while a database is read: what comes out is one state of it.
async fn assert_consistent(engine: Arc<dyn Storage>, from: &StorageLocation) {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (engine, stop) = (Arc::clone(&engine), Arc::clone(&stop));
        async move {
            let mut number = 0_u64;
            while !stop.load(Ordering::SeqCst) {
                number += 1;
                let text = format!("{number}{}", " ".repeat(500));
                let filler = key("m", &format!("{number}"));
                let both = put(&key("a", "pair"), &text).put(key("z", "pair"), bytes(&text));
                commit(&*engine, both.put(filler, bytes(&text))).await;
            }
        }
    });
    let root = tempfile::tempdir().unwrap();
    for number in 0..3 {
        let mark = commit(&*engine, put(&key("b", "mark"), &number.to_string())).await;
        let file = root.path().join(format!("{number}"));
        let source = Source::at(from).await.unwrap();
        let options = WriteOptions::default();
        let written = snapshot::write(source, &file, options, Observer::none()).await.unwrap();
        assert!(written.revision >= mark);
        let expected = engine.list(&KeyRange::all(), all().at(written.revision)).await.unwrap();
        let target = StorageLocation::embedded(root.path().join(format!("{number}.restored")));
        snapshot::restore(&file, &target, false, Observer::none()).await.unwrap();
        let found = everything(&*at(&target).await).await;
        assert_eq!(found, expected.records);
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_of_postgres_are_consistent() {
    let _alone = ALONE.lock().await;
    let Some(server) = postgres() else { return };
    let url = server.create_database().unwrap();
    let engine = Arc::new(Postgres::connect(&url).await.unwrap());
    assert_consistent(engine, &location(&url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_of_etcd_are_consistent() {
    let _alone = ALONE.lock().await;
    let Some(server) = etcd() else { return };
    let engine = Arc::new(Etcd::connect(server.url("milo")).await.unwrap());
    assert_consistent(engine, &location(&server.url("milo"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_never_touches_a_database() {
    let _alone = ALONE.lock().await;
    let (Some(postgres), Some(etcd)) = (postgres(), etcd()) else { return };
    let root = tempfile::tempdir().unwrap();
    let from = fill(&root.path().join("from")).await;
    let file = root.path().join("snapshot");
    let source = Source::at(&from).await.unwrap();
    snapshot::write(source, &file, WriteOptions::default(), Observer::none()).await.unwrap();
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, &good[..good.len() - 10]).unwrap();
    for to in [postgres.create_database().unwrap(), etcd.url("milo")] {
        let to = location(&to);
        let error = snapshot::restore(&file, &to, false, Observer::none()).await.unwrap_err();
        assert!(matches!(error, RestoreError::Source(_)), "{error}");
        assert_eq!(everything(&*to.open().await.unwrap()).await, []);
    }
}

#[tokio::test]
async fn databases_that_are_not_there_are_named_without_their_passwords() {
    let _alone = ALONE.lock().await;
    for (text, told) in [
        ("postgres://me:secret@127.0.0.1:1/milo", "cannot reach PostgreSQL at 127.0.0.1:1"),
        (
            "etcd://me:secret@127.0.0.1:1",
            "cannot open etcd://me:***@127.0.0.1:1: cannot reach etcd",
        ),
    ] {
        let error = location(text).open().await.unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains("secret"), "{error}");
    }
}
