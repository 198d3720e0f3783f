//! Why an engine does not start, and connections that are encrypted.

use std::time::Duration;

use milo_core::{
    storage::{Postgres, PostgresConnectError, Storage},
    testing::{PostgresServer, Proxy},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::{servers::through, storage_support::*};

async fn refused(url: &str, seconds: u64) -> PostgresConnectError {
    let timeout = Duration::from_secs(seconds);
    let error = Postgres::builder(url).connect_timeout(timeout).connect().await.expect_err(url);
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    error
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    const ACCESS: &str = "local all all trust\n\
                          host all postgres 127.0.0.1/32 trust\n\
                          host all all 127.0.0.1/32 scram-sha-256\n";
    let Some(server) =
        PostgresServer::builder().fast().file("pg_hba.conf", ACCESS).start().unwrap()
    else {
        return;
    };
    server.sql("postgres", "CREATE ROLE milo LOGIN PASSWORD 'secret'").unwrap();
    let port = server.port();
    let at = |user: &str, database: &str| format!("postgres://{user}@127.0.0.1:{port}/{database}");
    let error = refused(&at("milo:secret-too", "postgres"), 20).await;
    assert!(matches!(error, PostgresConnectError::AuthenticationFailed { .. }), "{error:?}");
    let error = refused(&at("milo", "postgres"), 20).await;
    assert!(matches!(error, PostgresConnectError::AuthenticationFailed { .. }), "{error:?}");
    let error = refused(&at("milo:secret", "nowhere"), 20).await;
    assert!(matches!(error, PostgresConnectError::DatabaseMissing { .. }), "{error:?}");
    // Who may not make tables is told so.
    let error = refused(&at("milo:secret", "postgres"), 20).await;
    assert!(matches!(error, PostgresConnectError::Tables { .. }), "{error:?}");
    server.sql("postgres", "GRANT CREATE ON DATABASE postgres TO milo").unwrap();
    let storage = Postgres::connect(at("milo:secret", "postgres")).await.unwrap();
    assert!(!format!("{storage:?}").contains("secret"));
    commit(&storage, put(&key("ns", "a"), "1")).await;
}

#[tokio::test]
async fn nobody_there_is_told_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Takes the connection and says nothing.
    let url = format!("postgres://postgres:secret@127.0.0.1:{port}/postgres");
    let error = soon(refused(&url, 1)).await;
    assert!(matches!(error, PostgresConnectError::Unreachable { .. }), "{error:?}");
    drop(listener);
    let error = soon(refused(&url, 1)).await;
    assert!(matches!(error, PostgresConnectError::Unreachable { .. }), "{error:?}");
    let proxy = Proxy::start(port).await.unwrap();
    proxy.cut();
    let error = soon(refused(&through(proxy.port(), &url), 1)).await;
    assert!(matches!(error, PostgresConnectError::Unreachable { .. }), "{error:?}");
}

/// An authority, and a certificate for a host and a key that it made.
fn certificate(host: &str) -> [String; 3] {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new([host.to_owned()]).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, host);
    let leaf = leaf.signed_by(&key, &issuer);
    [authority_pem, leaf.unwrap().pem(), key.serialize_pem()]
}

#[tokio::test]
async fn the_server_is_verified_as_far_as_asked() {
    let [authority, certificate_pem, key_pem] = certificate("localhost");
    let [client_authority, client_pem, client_key] = certificate("milo");
    let only_encrypted = "local all all trust\n\
                          hostssl all postgres 127.0.0.1/32 trust\n\
                          hostssl all milo 127.0.0.1/32 trust clientcert=verify-ca\n";
    let server = PostgresServer::builder()
        .fast()
        .file("server.crt", &certificate_pem)
        .file("server.key", &key_pem)
        .file("clients.crt", &client_authority)
        .file("pg_hba.conf", only_encrypted)
        .setting("ssl", "on")
        .setting("ssl_ca_file", "clients.crt")
        .start()
        .unwrap();
    let Some(server) = server else { return };
    server.sql("postgres", "CREATE ROLE milo SUPERUSER LOGIN").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path.display().to_string()
    };
    let authority = file("authority.pem", &authority);
    let other = file("other.pem", &certificate("localhost")[0]);
    let (client_pem, client_key) =
        (file("client.pem", &client_pem), file("client.key", &client_key));
    let port = server.port();
    let at = |who: &str, options: &str| format!("postgres://{who}:{port}/postgres?{options}");
    let (by_name, by_address) = ("postgres@localhost", "postgres@127.0.0.1");
    for (host, options) in [
        (by_address, String::new()),
        (by_address, "sslmode=require".to_owned()),
        (by_address, format!("sslmode=require&sslrootcert={authority}")),
        (by_address, format!("sslmode=verify-ca&sslrootcert={authority}")),
        (by_name, format!("sslmode=verify-full&sslrootcert={authority}")),
        (
            "milo@localhost",
            format!(
                "sslmode=verify-full&sslrootcert={authority}&sslcert={client_pem}&sslkey={client_key}"
            ),
        ),
    ] {
        let url = at(host, &options);
        let storage =
            Postgres::connect(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        storage.ping().await.unwrap();
    }
    for (host, options) in [
        (by_address, "sslmode=disable".to_owned()),
        (by_address, format!("sslmode=verify-full&sslrootcert={authority}")),
        (by_name, format!("sslmode=verify-full&sslrootcert={other}")),
        (by_address, format!("sslmode=verify-ca&sslrootcert={other}")),
        (by_address, format!("sslmode=require&sslrootcert={other}")),
        ("milo@localhost", format!("sslmode=verify-full&sslrootcert={authority}")),
    ] {
        let url = at(host, &options);
        let error = Postgres::connect(&url).await.expect_err(&url);
        assert!(!matches!(error, PostgresConnectError::Url { .. }), "{url}: {error}");
    }
}
