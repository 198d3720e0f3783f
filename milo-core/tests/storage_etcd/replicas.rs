//! Several servers on one etcd, and others beside them.

use milo_core::{
    key::KeyRange,
    storage::{CommitError, Etcd, EtcdProgress, Precondition, Revision, Storage},
    testing::EtcdServer,
};

use crate::storage_support::{all, commit, create, events_until, key, namespace, put, record};

async fn connect(server: &EtcdServer, prefix: &str, progress: EtcdProgress) -> Etcd {
    Etcd::builder(server.url(prefix)).progress(progress).connect().await.unwrap()
}

/// Adds one, as often as it is told, however many others do.
async fn count(storage: Etcd, times: u64) {
    let counter = key("ns", "counter");
    let mut current = storage.get(&counter).await.unwrap().unwrap();
    let mut counted = 0;
    while counted < times {
        let number: u64 = std::str::from_utf8(&current.value).unwrap().parse().unwrap();
        let same = Precondition::RevisionIs(counter.clone(), current.revision);
        let value = (number + 1).to_string();
        match storage.commit(put(&counter, &value).require(same)).await {
            Ok(revision) => {
                current = record(&counter, revision, &value);
                counted += 1;
            }
            Err(CommitError::Conflict { current: Some(newer), .. }) => current = newer,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_replicas_count_together() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let one = connect(&server, "count", EtcdProgress::Detect).await;
    let two = connect(&server, "count", EtcdProgress::Marker).await;
    let start = commit(&one, create(&key("ns", "counter"), "0")).await;
    let mut watches = Vec::new();
    for storage in [&one, &two] {
        watches.push(storage.watch(&namespace("ns"), start).await.unwrap());
    }
    let tasks: Vec<_> = [&one, &two, &one, &two]
        .map(|storage| tokio::spawn(count(storage.clone(), 100)))
        .into_iter()
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let last = one.get(&key("ns", "counter")).await.unwrap().unwrap();
    assert_eq!(last.value, "400");
    assert_eq!(two.get(&last.key).await.unwrap().as_ref(), Some(&last));
    let mut told = Vec::new();
    for watch in &mut watches {
        told.push(events_until(watch, start, last.revision).await);
    }
    assert_eq!(told[0].len(), 400);
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn a_watch_goes_on_at_another_replica() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let one = connect(&server, "resume", EtcdProgress::Detect).await;
    let start = one.revision().await.unwrap();
    for number in 0..50 {
        commit(&one, put(&key("ns", &number.to_string()), "1")).await;
    }
    // It was not there when this happened, so it has to ask etcd.
    let two = connect(&server, "resume", EtcdProgress::Detect).await;
    let last = commit(&two, put(&key("ns", "last"), "1")).await;
    for storage in [one, two] {
        let mut watch = storage.watch(&namespace("ns"), start).await.unwrap();
        assert_eq!(events_until(&mut watch, start, last).await.len(), 51);
    }
}

#[tokio::test]
async fn keys_of_others_are_not_there() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = connect(&server, "ours", EtcdProgress::Detect).await;
    let other = connect(&server, "theirs", EtcdProgress::Detect).await;
    let start = storage.revision().await.unwrap();
    let mut watch = storage.watch(&KeyRange::all(), start).await.unwrap();
    server.etcdctl(&["put", "/other", "x"]).unwrap();
    server.etcdctl(&["put", "/ourselves", "x"]).unwrap();
    commit(&other, put(&key("ns", "a"), "theirs")).await;
    let ours = commit(&storage, put(&key("ns", "a"), "ours")).await;
    server.etcdctl(&["put", "/other", "y"]).unwrap();
    // What others write counts, though nobody sees it.
    let newest = storage.revision().await.unwrap();
    assert!(newest > ours);
    let events = events_until(&mut watch, start, newest).await;
    assert_eq!(events.iter().map(milo_core::storage::Event::revision).collect::<Vec<_>>(), [ours]);
    let page = storage.list(&KeyRange::all(), all()).await.unwrap();
    assert_eq!(page.records, [record(&key("ns", "a"), ours, "ours")]);
    assert_eq!(page.remaining, 0);
}

/// Who only asks for progress writes nothing when it is known without.
#[tokio::test]
async fn progress_of_an_idle_store_writes_nothing() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let storage = connect(&server, "idle", EtcdProgress::Marker).await;
    let empty = storage.revision().await.unwrap();
    // The first watch of all has to know where it begins.
    drop(storage.watch(&namespace("ns"), empty).await.unwrap());
    let start = storage.revision().await.unwrap();
    let mut watch = storage.watch(&namespace("ns"), start).await.unwrap();
    for _ in 0..10 {
        watch.request_progress();
        assert_eq!(watch.next().await.unwrap().unwrap().revision, start);
    }
    assert_eq!(storage.revision().await.unwrap(), start);
    // Of what happens elsewhere the watch of the prefix knows nothing, so here one is needed.
    server.etcdctl(&["put", "/elsewhere", "x"]).unwrap();
    let now = storage.revision().await.unwrap();
    watch.request_progress();
    let told = watch.next().await.unwrap().unwrap();
    assert!(told.events.is_empty() && told.revision > now, "{told:?}");
    assert_eq!(storage.revision().await.unwrap(), Revision::new(now.get() + 1));
}
