//! Several engines on one database are one store.

use std::{sync::Arc, time::Duration};

use milo_core::{
    key::KeyRange,
    storage::{CommitError, Event, Postgres, Precondition, Revision, Storage},
};

use crate::{
    load::{Follower, Load, history},
    servers::*,
    storage_support::*,
};

async fn two(url: &str) -> [Arc<Postgres>; 2] {
    [connect(url).await, connect(url).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_between_replicas() {
    const EACH: u64 = 40;
    let Some(server) = shared() else { return };
    let replicas = two(&server.create_database().unwrap()).await;
    let counter = key("ns", "counter");
    let created = commit(&*replicas[0], create(&counter, "0")).await;
    let followers = replicas.each_ref().map(Follower::start);
    let mut tasks = Vec::new();
    for number in 0..8 {
        let (storage, counter) = (Arc::clone(&replicas[number % 2]), counter.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..EACH {
                increment(&storage, &counter).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let last = replicas[1].get(&counter).await.unwrap().unwrap();
    assert_eq!(last.value, bytes(&(8 * EACH).to_string()));
    assert_eq!(last.revision.get(), created.get() + 8 * EACH);
    let expected = history(&replicas[0], last.revision).await;
    for follower in followers {
        assert_eq!(follower.finish(last.revision).await, expected);
    }
    for (number, event) in expected.iter().enumerate() {
        let Event::Put { record, previous } = event else { panic!("{event:?}") };
        assert_eq!(record.value, bytes(&number.to_string()));
        assert_eq!(previous.is_some(), number > 0);
    }
}

async fn increment(storage: &Postgres, counter: &milo_core::key::Key) {
    let mut current = storage.get(counter).await.unwrap().unwrap();
    loop {
        let number: u64 = std::str::from_utf8(&current.value).unwrap().parse().unwrap();
        let same = Precondition::RevisionIs(counter.clone(), current.revision);
        match storage.commit(put(counter, &(number + 1).to_string()).require(same)).await {
            Ok(_) => return,
            Err(CommitError::Conflict { current: Some(newer), .. }) => {
                assert!(newer.revision > current.revision);
                current = newer;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_committed_the_other_reads_and_watches() {
    let Some(server) = shared() else { return };
    let [here, there] = two(&server.create_database().unwrap()).await;
    for number in 0..50 {
        let (a, value) = (key("ns", "a"), number.to_string());
        let revision = commit(&*here, put(&a, &value)).await;
        assert_eq!(there.revision().await.unwrap(), revision);
        assert_eq!(there.get(&a).await.unwrap(), Some(record(&a, revision, &value)));
        let mut watch = there.watch(&KeyRange::all(), revision).await.unwrap();
        let removed = commit(&*here, delete(&a)).await;
        let events = events_until(&mut watch, revision, removed).await;
        let previous = record(&a, revision, &value);
        assert_eq!(events, [Event::Delete { revision: removed, previous }]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn progress_is_that_of_the_store_and_not_of_the_replica() {
    let Some(server) = shared() else { return };
    let [here, there] = two(&server.create_database().unwrap()).await;
    let mut idle = there.watch(&namespace("idle"), Revision::FIRST).await.unwrap();
    for number in 0..30 {
        let revision = commit(&*here, put(&key("ns", "a"), &number.to_string())).await;
        idle.request_progress();
        let told = next(&mut idle).await;
        assert!(told.revision >= revision, "{} is older than {revision}", told.revision);
    }
}

/// As if the notification of a replica had been lost: nothing may rest on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_are_seen_without_a_notification() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let storage = connect(&url).await;
    let first = commit(&*storage, put(&key("ns", "a"), "1")).await;
    let mut watch = storage.watch(&KeyRange::all(), first).await.unwrap();
    let b = key("ns", "b");
    server
        .sql(
            database(&url),
            &format!(
                "INSERT INTO milo.log (revision, index, key, value) VALUES (3, 0, '{b}', '2');
                 INSERT INTO milo.current VALUES ('{b}', 3, 0)"
            ),
        )
        .unwrap();
    let second = first.next();
    let expected = Event::Put { record: record(&b, second, "2"), previous: None };
    assert_eq!(next(&mut watch).await.events, [expected]);
    // The next commit goes on from there.
    assert_eq!(commit(&*storage, put(&b, "3")).await, second.next());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn schemas_are_stores_of_their_own() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let one = connect(&url).await;
    let other = connect(&format!("{url}?schema=other")).await;
    commit(&*one, put(&key("ns", "a"), "1")).await;
    assert_eq!(other.revision().await.unwrap(), Revision::FIRST);
    assert_eq!(commit(&*other, create(&key("ns", "a"), "2")).await, Revision::FIRST.next());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_replicas_write_under_load() {
    let Some(server) = shared() else { return };
    let replicas = two(&server.create_database().unwrap()).await;
    let followers = replicas.each_ref().map(Follower::start);
    let load = Load::start(&replicas, 16, Duration::from_secs(20));
    load.commits(2000).await;
    let summary = load.finish(&replicas[0]).await;
    assert_eq!(summary.uncertain, 0);
    let expected = history(&replicas[1], summary.revision).await;
    for follower in followers {
        assert!(follower.finish(summary.revision).await == expected, "it saw something else");
    }
}
