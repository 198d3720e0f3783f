//! What etcd does not take, and what others do to it.

use milo_core::{
    bytes::Bytes,
    key::KeyRange,
    storage::{CommitError, Etcd, ReadError, Revision, Storage, Transaction, WatchError},
    testing::EtcdServer,
};

use crate::storage_support::{all, commit, events_until, key, namespace, put, record};

#[tokio::test]
async fn transactions_of_too_many_operations() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = Etcd::connect(server.url("many")).await.unwrap();
    let many = |count: usize| {
        (0..count).fold(Transaction::new(), |transaction, number| {
            transaction.put(key("ns", &number.to_string()), Bytes::new())
        })
    };
    let error = storage.commit(many(129)).await.unwrap_err();
    assert!(
        matches!(error, CommitError::TooManyOperations { operations: 129, limit: 128 }),
        "{error:?}"
    );
    assert_eq!(storage.list(&KeyRange::all(), all()).await.unwrap().records, []);
    commit(&storage, many(128)).await;
}

#[tokio::test]
async fn values_of_more_than_a_request() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = Etcd::connect(server.url("large")).await.unwrap();
    let a = key("ns", "a");
    for bytes in [1024 * 1600, 2 * 1024 * 1024] {
        let value = Bytes::from(vec![b'x'; bytes]);
        let error = storage.commit(Transaction::new().put(a.clone(), value)).await.unwrap_err();
        assert!(
            matches!(error, CommitError::TooLarge { limit: 1_572_864, .. }),
            "{bytes}: {error:?}"
        );
    }
    assert_eq!(storage.get(&a).await.unwrap(), None);
    // What fits is stored, listed and watched.
    let start = storage.revision().await.unwrap();
    let value = Bytes::from(vec![b'x'; 1_500_000]);
    let mut last = Revision::ZERO;
    for name in 0..20 {
        let name = key("ns", &name.to_string());
        last = commit(&storage, Transaction::new().put(name, value.clone())).await;
    }
    let page = storage.list(&namespace("ns"), all()).await.unwrap();
    assert_eq!(page.records.len(), 20);
    assert!(page.records.iter().all(|record| record.value == value));
    let mut watch = storage.watch(&namespace("ns"), start).await.unwrap();
    assert_eq!(events_until(&mut watch, start, last).await.len(), 20);
    // Also when etcd has to be asked for them.
    let other = Etcd::connect(server.url("large")).await.unwrap();
    let mut watch = other.watch(&namespace("ns"), start).await.unwrap();
    assert_eq!(events_until(&mut watch, start, last).await.len(), 20);
}

/// Etcd tells of a large commit in parts; here it is told at once.
#[tokio::test]
async fn large_commits_are_told_whole() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = Etcd::connect(server.url("whole")).await.unwrap();
    let write = |byte: u8| {
        (0..100).fold(Transaction::new(), |transaction, number| {
            transaction.put(key("ns", &number.to_string()), Bytes::from(vec![byte; 14_000]))
        })
    };
    let start = commit(&storage, write(b'0')).await;
    let mut live = storage.watch(&namespace("ns"), start).await.unwrap();
    let mut last = start;
    for byte in b"1234" {
        last = commit(&storage, write(*byte)).await;
    }
    let other = Etcd::connect(server.url("whole")).await.unwrap();
    let mut replayed = other.watch(&namespace("ns"), start).await.unwrap();
    for watch in [&mut live, &mut replayed] {
        let mut told = start;
        while told < last {
            let batch = crate::storage_support::next(watch).await;
            assert_eq!(batch.events.len() % 100, 0, "no part of a commit");
            assert!(batch.events.iter().all(|event| event.revision() > told));
            told = batch.revision;
        }
    }
}

/// All in one snapshot, though it takes many answers.
#[tokio::test]
async fn long_lists() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = Etcd::connect(server.url("long")).await.unwrap();
    let value = Bytes::from(vec![b'x'; 3000]);
    for batch in 0..40 {
        let transaction = (0..100).fold(Transaction::new(), |transaction, number| {
            transaction.put(key("ns", &format!("{:05}", batch * 100 + number)), value.clone())
        });
        commit(&storage, transaction).await;
    }
    let page = storage.list(&namespace("ns"), all()).await.unwrap();
    assert_eq!((page.records.len(), page.remaining), (4000, 0));
    assert!(page.records.is_sorted_by(|a, b| a.key < b.key));
    let page = storage.list(&namespace("ns"), all().limit(2500)).await.unwrap();
    assert_eq!((page.records.len(), page.remaining), (2500, 1500));
}

#[tokio::test]
async fn a_full_database() {
    let quota = "--quota-backend-bytes=4194304";
    let Some(server) = EtcdServer::builder().argument(quota).start().unwrap() else { return };
    let storage = Etcd::connect(server.url("full")).await.unwrap();
    let value = Bytes::from(vec![b'x'; 500_000]);
    let mut last = Revision::ZERO;
    let error = loop {
        let write = Transaction::new().put(key("ns", "a"), value.clone());
        match storage.commit(write).await {
            Ok(revision) => last = revision,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("etcdctl alarm disarm"), "{error}");
    println!("{error}");
    // What is there can be read, and removed.
    assert_eq!(storage.get(&key("ns", "a")).await.unwrap().unwrap().revision, last);
    storage.commit(Transaction::new().delete(key("ns", "a"))).await.unwrap();
    // A watch may begin meanwhile, at another handle, too.
    let other = Etcd::connect(server.url("full")).await.unwrap();
    let newest = other.revision().await.unwrap();
    let mut watch = other.watch(&namespace("ns"), newest).await.unwrap();
    watch.request_progress();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, newest);
    storage.compact(newest).await.unwrap();
    server.etcdctl(&["defrag"]).unwrap();
    server.etcdctl(&["alarm", "disarm"]).unwrap();
    commit(&storage, put(&key("ns", "a"), "1")).await;
}

#[tokio::test]
async fn compacted_by_somebody_else() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = Etcd::connect(server.url("compacted")).await.unwrap();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let first = commit(&storage, put(&a, "1")).await;
    let mut watch = storage.watch(&namespace("ns"), first).await.unwrap();
    let second = commit(&storage, put(&a, "2")).await;
    let third = commit(&storage, Transaction::new().delete(a.clone())).await;
    // The watch has been told before, so it goes on.
    assert_eq!(events_until(&mut watch, first, third).await.len(), 2);
    server.etcdctl(&["compact", &third.to_string()]).unwrap();
    let fourth = commit(&storage, put(&b, "4")).await;
    assert_eq!(events_until(&mut watch, third, fourth).await.len(), 1);
    for old in [Revision::ZERO, first, second] {
        let error = storage.watch(&namespace("ns"), old).await.unwrap_err();
        assert!(
            matches!(
                error,
                WatchError::Expired { requested, compacted } if requested == old && compacted == third
            ),
            "{error:?}"
        );
        let error = storage.list(&namespace("ns"), all().at(old)).await.unwrap_err();
        assert!(
            matches!(
                error,
                ReadError::Expired { requested, compacted } if requested == old && compacted == third
            ),
            "{error:?}"
        );
    }
    let page = storage.list(&namespace("ns"), all().at(third)).await.unwrap();
    assert_eq!(page.records, []);
    let mut watch = storage.watch(&namespace("ns"), third).await.unwrap();
    let events = events_until(&mut watch, third, fourth).await;
    assert_eq!(events.len(), 1);
    assert_eq!(storage.get(&b).await.unwrap(), Some(record(&b, fourth, "4")));
}

/// Every start is told exactly what came later, or that this is no longer known, however somebody
/// else compacts meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compacted_while_watches_begin() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = Etcd::connect(server.url("race")).await.unwrap();
    let a = key("ns", "a");
    let mut revisions = Vec::new();
    for number in 0..100 {
        let transaction = match number % 2 {
            0 => put(&a, &number.to_string()),
            _ => Transaction::new().delete(a.clone()),
        };
        revisions.push(commit(&storage, transaction).await);
    }
    let last = *revisions.last().unwrap();
    let (mut exact, mut expired) = (0, 0);
    for (index, floor) in revisions.iter().enumerate().step_by(5) {
        // Another handle each time: it has to ask etcd.
        let fresh = Etcd::connect(server.url("race")).await.unwrap();
        let address = floor.to_string();
        let compact = server.etcdctl(&["compact", &address]);
        let start = revisions[index.saturating_sub(1)];
        let watch = fresh.watch(&namespace("ns"), start).await;
        compact.unwrap();
        match watch {
            Ok(mut watch) => {
                let later = revisions.iter().filter(|revision| **revision > start).count();
                assert_eq!(events_until(&mut watch, start, last).await.len(), later);
                exact += 1;
            }
            Err(WatchError::Expired { compacted, .. }) => {
                assert!(compacted > start);
                expired += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(exact > 0 && expired > 0, "{exact} {expired}");
}

/// Old versions of etcd lose the newest revision when it is of a removal, is compacted, and they
/// are killed.
#[tokio::test]
async fn revisions_never_go_back() {
    let Some(mut server) = EtcdServer::start().unwrap() else { return };
    let storage = Etcd::connect(server.url("back")).await.unwrap();
    let a = key("ns", "a");
    commit(&storage, put(&a, "1")).await;
    let removed = commit(&storage, Transaction::new().delete(a.clone())).await;
    storage.compact(removed).await.unwrap();
    server.stop(0).unwrap();
    server.restart(0).unwrap();
    assert!(storage.revision().await.unwrap() > removed);
    assert!(commit(&storage, put(&a, "2")).await > removed);
}

#[tokio::test]
async fn old_history_is_compacted() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = Etcd::builder(server.url("retention"))
        .retention(std::time::Duration::from_millis(200))
        .connect()
        .await
        .unwrap();
    let first = commit(&storage, put(&key("ns", "a"), "1")).await;
    let expired = async {
        loop {
            commit(&storage, put(&key("ns", "a"), "2")).await;
            match storage.list(&namespace("ns"), all().at(first)).await {
                Ok(_) => {}
                Err(ReadError::Expired { .. }) => return,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), expired).await.unwrap();
}
