//! A connection that breaks while etcd is well.

use milo_core::{
    storage::{Storage, WatchError},
    testing::{EtcdServer, Proxy},
};

use crate::{
    load::{Load, connect},
    storage_support::{commit, end, events_until, key, namespace, put},
};

async fn proxied() -> Option<(EtcdServer, Proxy, String)> {
    let server = EtcdServer::start().unwrap()?;
    let port = server.host(0).rsplit_once(':').unwrap().1.parse().unwrap();
    let proxy = Proxy::start(port).await.unwrap();
    let address = format!("etcd://127.0.0.1:{}/connection", proxy.port());
    Some((server, proxy, address))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_under_load() {
    let Some((server, proxy, address)) = proxied().await else { return };
    let storage = connect(&address).await;
    let load = Load::start(&storage, 8).await;
    for _ in 0..3 {
        load.commits(100).await;
        proxy.cut();
        load.failures(4).await;
        proxy.heal();
    }
    load.commits(100).await;
    let outcome = load.check(&connect(&server.url("connection")).await).await;
    assert!(outcome.resumed >= 1, "{outcome:?}");
}

/// What was on its way when the connection went silent arrives late, when nobody waits any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_under_load() {
    let Some((server, proxy, address)) = proxied().await else { return };
    let storage = connect(&address).await;
    let load = Load::start(&storage, 8).await;
    load.commits(100).await;
    proxy.silence();
    load.failures(4).await;
    proxy.heal();
    load.commits(100).await;
    load.check(&connect(&server.url("connection")).await).await;
}

/// A watcher that believes that nothing happens is told, at the latest when it asks.
#[tokio::test]
async fn a_silent_watch_ends() {
    let Some((server, proxy, address)) = proxied().await else { return };
    let storage = connect(&address).await;
    let start = storage.revision().await.unwrap();
    let mut watch = storage.watch(&namespace("ns"), start).await.unwrap();
    proxy.silence();
    let other = connect(&server.url("connection")).await;
    let missed = commit(&other, put(&key("ns", "a"), "1")).await;
    watch.request_progress();
    let error = end(&mut watch).await;
    assert!(matches!(error, Some(WatchError::Unavailable(_))), "{error:?}");
    proxy.heal();
    let mut resumed = loop {
        match storage.watch(&namespace("ns"), start).await {
            Ok(watch) => break watch,
            Err(WatchError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(events_until(&mut resumed, start, missed).await.len(), 1);
}
