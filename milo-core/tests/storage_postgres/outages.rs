//! Servers that stop, crash and come back.

use std::time::Duration;

use milo_core::storage::{CommitError, Storage};

use crate::{
    load::{Follower, Load, history},
    servers::*,
    storage_support::*,
};

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Outage {
    Stopped,
    Killed,
}

async fn survives(outage: Outage, rounds: usize) {
    let Some(mut server) = own() else { return };
    let url = server.create_database().unwrap();
    let replicas = [connect_impatiently(&url).await, connect_impatiently(&url).await];
    let followers = replicas.each_ref().map(Follower::start);
    let load = Load::start(&replicas, 8, LIMIT);
    for _ in 0..rounds {
        load.commits(200).await;
        match outage {
            Outage::Stopped => server.stop().unwrap(),
            Outage::Killed => server.kill(),
        }
        load.failures(32).await;
        // While it is away: who comes late to a server that is back has lost nothing.
        for follower in &followers {
            follower.lost().await;
        }
        server.restart().unwrap();
    }
    load.commits(200).await;
    let summary = load.finish(&replicas[0]).await;
    let expected = history(&replicas[1], summary.revision).await;
    for follower in followers {
        assert!(follower.finish(summary.revision).await == expected, "it saw something else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stopped_server_loses_and_doubles_nothing() {
    survives(Outage::Stopped, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_server_loses_and_doubles_nothing() {
    survives(Outage::Killed, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_idle_engine_does_not_notice_a_restart() {
    let Some(mut server) = own() else { return };
    let storage = connect(&server.create_database().unwrap()).await;
    let a = key("ns", "a");
    let first = commit(&*storage, put(&a, "1")).await;
    server.stop().unwrap();
    server.restart().unwrap();
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "1")));
    assert_eq!(commit(&*storage, put(&a, "2")).await, first.next());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_only_database_can_be_read() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let storage = connect(&url).await;
    let a = key("ns", "a");
    let first = commit(&*storage, put(&a, "1")).await;
    let name = database(&url);
    let set = |value: &str| {
        let change = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        server.sql("postgres", &change).unwrap();
        let terminate = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        server.sql("postgres", &terminate).unwrap();
    };
    set("on");
    let error = storage.commit(put(&a, "2")).await.unwrap_err();
    assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("read-only"), "{error}");
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "1")));
    set("off");
    assert_eq!(commit(&*storage, put(&a, "2")).await, first.next());
}

/// What PostgreSQL says when its disk is full, said by a trigger.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_fails_commits_and_nothing_else() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let storage = connect(&url).await;
    let a = key("ns", "a");
    let first = commit(&*storage, put(&a, "1")).await;
    let fill = "CREATE FUNCTION milo.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
                END $$;
                CREATE TRIGGER full_disk BEFORE INSERT ON milo.log
                    FOR EACH STATEMENT EXECUTE FUNCTION milo.full()";
    server.sql(database(&url), fill).unwrap();
    for _ in 0..3 {
        let error = storage.commit(put(&a, "2")).await.unwrap_err();
        assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "1")));
    }
    server.sql(database(&url), "DROP TRIGGER full_disk ON milo.log").unwrap();
    assert_eq!(commit(&*storage, put(&a, "2")).await, first.next());
}
