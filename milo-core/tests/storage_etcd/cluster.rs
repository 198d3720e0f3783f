//! Three members.

use milo_core::{
    storage::{ReadError, Storage},
    testing::EtcdServer,
};

use crate::{
    load::{Load, connect},
    storage_support::{commit, key, put, record},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_without_its_leader() {
    let Some(mut server) = EtcdServer::builder().members(3).start().unwrap() else { return };
    let storage = connect(&server.url("cluster")).await;
    let load = Load::start(&storage, 8).await;
    for _ in 0..2 {
        load.commits(100).await;
        let leader = server.leader().unwrap();
        server.kill(leader).unwrap();
        // Of the others, one leads after a while.
        load.commits(100).await;
        server.restart(leader).unwrap();
    }
    load.commits(100).await;
    load.check(&connect(&server.url("cluster")).await).await;
}

#[tokio::test]
async fn a_member_without_the_others_serves_nothing_old() {
    let Some(mut server) = EtcdServer::builder().members(3).start().unwrap() else { return };
    let storage = connect(&server.url("minority")).await;
    let a = key("ns", "a");
    let first = commit(&storage, put(&a, "1")).await;
    server.kill(1).unwrap();
    server.kill(2).unwrap();
    // It may take a while until the last member notices.
    let get = storage.get(&a).await;
    assert!(matches!(get, Err(ReadError::Unavailable(_))), "{get:?}");
    server.restart_all(&[1, 2]).unwrap();
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "1")));
}
