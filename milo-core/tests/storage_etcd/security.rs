//! Who is let in.

use milo_core::{
    storage::{Etcd, EtcdConnectError, Storage},
    testing::EtcdServer,
};

use crate::storage_support::{commit, events_until, key, namespace, put, record};

#[tokio::test]
async fn tls_with_a_client_certificate() {
    let Some(server) = EtcdServer::builder().tls().start().unwrap() else { return };
    let storage = Etcd::connect(server.url("tls")).await.unwrap();
    let a = key("ns", "a");
    let start = storage.revision().await.unwrap();
    let first = commit(&storage, put(&a, "1")).await;
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "1")));
    let mut watch = storage.watch(&namespace("ns"), start).await.unwrap();
    assert_eq!(events_until(&mut watch, start, first).await.len(), 1);

    let authority = server.file("ca.pem");
    let without = format!("etcds://{}/tls?cacert={}", server.host(0), authority.display());
    let error = Etcd::connect(without).await.unwrap_err();
    assert!(matches!(error, EtcdConnectError::Unreachable { .. }), "{error}");
    println!("{error}");
    let plain = Etcd::connect(format!("etcd://{}/tls", server.host(0))).await.unwrap_err();
    println!("{plain}");

    // An authority that has not signed etcd's certificate.
    let other = EtcdServer::builder().tls().start().unwrap().unwrap();
    let wrong = format!(
        "etcds://{}/tls?cacert={}&cert={}&key={}",
        server.host(0),
        other.file("ca.pem").display(),
        other.file("client.pem").display(),
        other.file("client-key.pem").display()
    );
    let error = Etcd::connect(wrong).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    let missing = format!("etcds://{}/tls?cacert=/nowhere/ca.pem", server.host(0));
    let error = Etcd::connect(missing).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
}

#[tokio::test]
async fn users_and_passwords() {
    let Some(server) = EtcdServer::start().unwrap() else { return };
    for command in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "milo"],
        &["role", "grant-permission", "milo", "readwrite", "/auth/", "/auth0"],
        &["user", "add", "milo:p@ss/word"],
        &["user", "grant-role", "milo", "milo"],
        &["auth", "enable"],
    ] {
        // Before there is a root, nobody may make one a root; that is an error which says so.
        if let Err(error) = server.etcdctl(command) {
            assert!(command.contains(&"grant-role"), "{command:?}: {error}");
            server.etcdctl(&["role", "add", "root"]).unwrap();
            server.etcdctl(command).unwrap();
        }
    }
    let address = |login: &str| format!("etcd://{login}@{}/auth", server.host(0));
    let storage = Etcd::connect(address("milo:p%40ss%2Fword")).await.unwrap();
    let a = key("ns", "a");
    let start = storage.revision().await.unwrap();
    let first = commit(&storage, put(&a, "1")).await;
    let mut watch = storage.watch(&namespace("ns"), start).await.unwrap();
    assert_eq!(events_until(&mut watch, start, first).await.len(), 1);
    assert!(!format!("{storage:?}").contains("p@ss"));
    storage.compact(first).await.unwrap();

    let error = Etcd::connect(address("milo:wrong-one")).await.unwrap_err();
    assert!(matches!(error, EtcdConnectError::Refused { .. }), "{error:?}");
    assert!(!format!("{error}{error:?}").contains("wrong-one"), "{error:?}");
    let error = Etcd::connect(format!("etcd://{}/auth", server.host(0))).await.unwrap_err();
    assert!(matches!(error, EtcdConnectError::Refused { .. }), "{error:?}");
    // A prefix that its role does not cover.
    let elsewhere = format!("etcd://milo:p%40ss%2Fword@{}/elsewhere", server.host(0));
    let error = Etcd::connect(elsewhere).await.unwrap_err();
    assert!(matches!(error, EtcdConnectError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_is_there() {
    let error = Etcd::connect("etcd://127.0.0.1:1").await.unwrap_err();
    assert!(matches!(error, EtcdConnectError::Unreachable { .. }));
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    println!("{error}");
}
