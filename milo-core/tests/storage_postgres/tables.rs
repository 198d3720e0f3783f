//! The tables: who makes them, and which ones are refused.

use std::sync::Arc;

use milo_core::{
    bytes::Bytes,
    key::{Key, KeyRange},
    storage::{CommitError, Postgres, PostgresConnectError, ReadError, Revision, Storage},
};

use crate::{servers::*, storage_support::*};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_start_together_make_the_tables_once() {
    let Some(server) = shared() else { return };
    let url = Arc::new(server.create_database().unwrap());
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let url = Arc::clone(&url);
            tokio::spawn(async move { Postgres::connect(&*url).await })
        })
        .collect();
    for (number, engine) in starting.into_iter().enumerate() {
        let engine = engine.await.unwrap().unwrap();
        commit(&engine, put(&key("ns", &number.to_string()), "1")).await;
    }
    assert_eq!(connect(&url).await.revision().await.unwrap(), Revision::new(9));
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_left_alone() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    drop(connect(&url).await);
    server.sql(database(&url), "UPDATE milo.layout SET version = 99").unwrap();
    let error = Postgres::connect(&url).await.unwrap_err();
    assert!(
        matches!(error, PostgresConnectError::NewerLayout { found: 99, known: 1, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("upgrade this server"), "{error}");
    assert_eq!(server.sql(database(&url), "SELECT version FROM milo.layout").unwrap(), "99");
}

#[tokio::test]
async fn tables_of_somebody_else_are_left_alone() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    server.sql(database(&url), "CREATE SCHEMA milo; CREATE TABLE milo.log (line text)").unwrap();
    let error = Postgres::connect(&url).await.unwrap_err();
    assert!(matches!(error, PostgresConnectError::Tables { .. }), "{error:?}");
    let tables = "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'milo'";
    assert_eq!(server.sql(database(&url), tables).unwrap(), "log");
}

#[tokio::test]
async fn whoever_only_uses_the_tables_needs_no_right_to_make_them() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    drop(connect(&url).await);
    let role = format!("user_{}", database(&url));
    let grants = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA milo TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA milo TO {role}"
    );
    server.sql(database(&url), &grants).unwrap();
    let storage = connect(&url.replace("postgres@", &format!("{role}@"))).await;
    let first = commit(&*storage, put(&key("ns", "a"), "1")).await;
    storage.compact(first).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fewer_connections_than_wanted_will_do() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let role = format!("limited_{}", database(&url));
    let make = format!(
        "CREATE ROLE {role} LOGIN CONNECTION LIMIT 5; GRANT CREATE ON DATABASE {} TO {role}",
        database(&url)
    );
    server.sql("postgres", &make).unwrap();
    let storage = connect(&url.replace("postgres@", &format!("{role}@"))).await;
    let a = key("ns", "a");
    commit(&*storage, put(&a, "1")).await;
    let reading: Vec<_> = (0..50)
        .map(|_| {
            let (storage, a) = (Arc::clone(&storage), a.clone());
            tokio::spawn(async move { storage.get(&a).await })
        })
        .collect();
    for read in reading {
        assert_eq!(read.await.unwrap().unwrap().unwrap().value, bytes("1"));
    }
}

#[tokio::test]
async fn what_the_log_lacks_is_no_empty_answer() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let storage = connect(&url).await;
    let a = key("ns", "a");
    let first = commit(&*storage, put(&a, "1")).await;
    commit(&*storage, put(&key("ns", "b"), "1")).await;
    server.sql(database(&url), &format!("DELETE FROM milo.log WHERE revision = {first}")).unwrap();
    let error = storage.get(&a).await.unwrap_err();
    assert!(matches!(error, ReadError::Corrupted(_)), "{error:?}");
    for options in [all(), all().limit(1), all().at(first.next())] {
        let error = storage.list(&KeyRange::all(), options).await.unwrap_err();
        assert!(matches!(error, ReadError::Corrupted(_)), "{error:?}");
    }
    let error = storage.commit(put(&a, "2")).await.unwrap_err();
    assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn keys_that_cannot_be_indexed_spoil_no_batch() {
    let Some(server) = shared() else { return };
    let storage = connect(&server.create_database().unwrap()).await;
    let longest = Key::from_storage(random(2048));
    commit(&*storage, put(&longest, "1")).await;
    let too_long = Key::from_storage(random(2049));
    let error = storage.commit(put(&too_long, "1")).await.unwrap_err();
    assert!(matches!(error, CommitError::TooLarge { bytes: 2049, limit: 2048 }), "{error:?}");
    assert_eq!(storage.get(&too_long).await.unwrap(), None);
}

/// Bytes that cannot be compressed.
fn random(length: usize) -> Bytes {
    let mut state = 1_u64;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect::<Vec<u8>>()
        .into()
}
