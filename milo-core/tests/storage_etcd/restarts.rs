//! An etcd that ends and comes back, under load.

use milo_core::{
    storage::{CommitError, ReadError, Storage, WatchError},
    testing::EtcdServer,
};

use crate::{
    load::{Load, connect},
    storage_support::{all, commit, end, key, namespace, put, record},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again() {
    let Some(mut server) = EtcdServer::start().unwrap() else { return };
    let storage = connect(&server.url("killed")).await;
    let load = Load::start(&storage, 8).await;
    for _ in 0..5 {
        load.commits(100).await;
        server.kill(0).unwrap();
        load.failures(4).await;
        server.restart(0).unwrap();
    }
    load.commits(100).await;
    let outcome = load.check(&connect(&server.url("killed")).await).await;
    assert!(outcome.committed >= 600 && outcome.resumed >= 1, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_and_started() {
    let Some(mut server) = EtcdServer::start().unwrap() else { return };
    let storage = connect(&server.url("stopped")).await;
    let load = Load::start(&storage, 8).await;
    load.commits(100).await;
    server.stop(0).unwrap();
    load.failures(4).await;
    server.restart(0).unwrap();
    load.commits(100).await;
    load.check(&storage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_and_thawed() {
    let Some(mut server) = EtcdServer::start().unwrap() else { return };
    let storage = connect(&server.url("frozen")).await;
    let load = Load::start(&storage, 8).await;
    load.commits(100).await;
    server.freeze(0, true).unwrap();
    load.failures(4).await;
    server.freeze(0, false).unwrap();
    load.commits(100).await;
    load.check(&storage).await;
}

#[tokio::test]
async fn while_etcd_is_gone_everybody_is_told() {
    let Some(mut server) = EtcdServer::start().unwrap() else { return };
    let storage = connect(&server.url("gone")).await;
    let a = key("ns", "a");
    let first = commit(&storage, put(&a, "1")).await;
    let mut watch = storage.watch(&namespace("ns"), first).await.unwrap();
    server.kill(0).unwrap();
    let error = end(&mut watch).await;
    assert!(matches!(error, Some(WatchError::Unavailable(_))), "{error:?}");
    assert!(matches!(storage.get(&a).await, Err(ReadError::Unavailable(_))));
    let list = storage.list(&namespace("ns"), all()).await;
    assert!(matches!(list, Err(ReadError::Unavailable(_))));
    assert!(matches!(storage.ping().await, Err(ReadError::Unavailable(_))));
    let refused = storage.commit(put(&a, "2")).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    let refused = storage.watch(&namespace("ns"), first).await;
    assert!(matches!(refused, Err(WatchError::Unavailable(_))), "{refused:?}");
    server.restart(0).unwrap();
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "1")));
    let second = commit(&storage, put(&a, "2")).await;
    assert!(second > first);
}
