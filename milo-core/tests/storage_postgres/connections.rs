//! Connections that are lost at the worst moment.

use std::time::{Duration, Instant};

use milo_core::{
    storage::{CommitError, ReadError, Storage},
    testing::Proxy,
};

use crate::{
    breaker::{Breaker, Cable},
    load::{Follower, Load, history},
    servers::*,
    storage_support::*,
};

/// Longer than connecting, writing and finding out take together with a patience of a second.
const LIMIT: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_whose_answer_is_lost_is_answered() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let cable = Breaker::to(server.port()).await;
    let storage = connect_impatiently(&through(cable.port(), &url)).await;
    let a = key("ns", "a");
    let mut last = commit(&*storage, put(&a, "0")).await;
    for round in 0..5 {
        cable.set(Cable::BreakAfterCommit);
        let value = format!("after {round}");
        let revision = storage.commit(put(&a, &value)).await.unwrap();
        assert_eq!(revision, last.next());
        assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, revision, &value)));
        last = revision;
    }
    assert_eq!(history(&storage, last).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_that_did_not_get_through_is_not_written() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let cable = Breaker::to(server.port()).await;
    let storage = connect_impatiently(&through(cable.port(), &url)).await;
    let a = key("ns", "a");
    let first = commit(&*storage, put(&a, "0")).await;
    for _ in 0..3 {
        cable.set(Cable::BreakBeforeCommit);
        let error = storage.commit(put(&a, "lost")).await.unwrap_err();
        assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
        assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "0")));
    }
    assert_eq!(commit(&*storage, put(&a, "1")).await, first.next());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_that_cannot_be_asked_about_is_uncertain() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let cable = Breaker::to(server.port()).await;
    let storage = connect_impatiently(&through(cable.port(), &url)).await;
    let a = key("ns", "a");
    let first = commit(&*storage, put(&a, "0")).await;
    cable.set(Cable::BreakForGood);
    let start = Instant::now();
    let error = storage.commit(put(&a, "1")).await.unwrap_err();
    assert!(matches!(error, CommitError::Uncertain(_)), "{error:?}");
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    let error = storage.commit(put(&a, "2")).await.unwrap_err();
    assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
    cable.set(Cable::Whole);
    let second = first.next();
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, second, "1")));
    assert_eq!(commit(&*storage, put(&a, "3")).await, second.next());
}

/// What a dead backend had the lock for must not hold up others for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_replica_holds_up_nobody_for_long() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let silent = connect_impatiently(&through(proxy.port(), &url)).await;
    let other = connect(&url).await;
    commit(&*silent, put(&key("ns", "a"), "1")).await;
    let load = Load::start(&[silent], 4, LIMIT);
    load.commits(50).await;
    proxy.silence();
    let start = Instant::now();
    for number in 0..20 {
        commit(&*other, put(&key("ns", "b"), &number.to_string())).await;
    }
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    load.failures(8).await;
    proxy.heal();
    load.commits(50).await;
    load.finish(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_partition_gives_errors_in_bounded_time_and_heals() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let storage = connect_impatiently(&through(proxy.port(), &url)).await;
    let direct = connect(&url).await;
    let a = key("ns", "a");
    for cut in [Proxy::silence, Proxy::cut] {
        let follower = Follower::start(&storage);
        let load = Load::start(std::slice::from_ref(&storage), 8, LIMIT);
        load.commits(100).await;
        cut(&proxy);
        let start = Instant::now();
        let read = storage.get(&a).await.unwrap_err();
        assert!(matches!(read, ReadError::Unavailable(_)), "{read:?}");
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
        load.failures(16).await;
        // Nobody is left believing that nothing happens.
        follower.lost().await;
        commit(&*direct, put(&a, "written meanwhile")).await;
        proxy.heal();
        load.commits(100).await;
        let summary = load.finish(&storage).await;
        assert!(
            follower.finish(summary.revision).await == history(&direct, summary.revision).await
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn terminated_backends_lose_and_double_nothing() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let replicas = [connect(&url).await, connect(&url).await];
    let followers = replicas.each_ref().map(Follower::start);
    let load = Load::start(&replicas, 8, LIMIT);
    for _ in 0..15 {
        load.commits(40).await;
        let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                         WHERE application_name = 'milo' AND datname = current_database()";
        server.sql(database(&url), terminate).unwrap();
    }
    load.commits(40).await;
    let summary = load.finish(&replicas[0]).await;
    assert_eq!(summary.uncertain, 0, "the server was there to be asked");
    let expected = history(&replicas[1], summary.revision).await;
    for follower in followers {
        assert!(follower.finish(summary.revision).await == expected);
    }
}
