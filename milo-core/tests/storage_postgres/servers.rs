//! Servers to test against.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use milo_core::{storage::Postgres, testing::PostgresServer};

/// For tests that leave the server alone. It ends with the process.
static SHARED: LazyLock<Option<PostgresServer>> =
    LazyLock::new(|| PostgresServer::builder().fast().start().unwrap());

/// A server that is never stopped; none when PostgreSQL is not installed.
pub(crate) fn shared() -> Option<&'static PostgresServer> {
    SHARED.as_ref()
}

/// A server of one's own, that forgets nothing when it is killed.
pub(crate) fn own() -> Option<PostgresServer> {
    PostgresServer::start().unwrap()
}

/// The database's name in a URL.
pub(crate) fn database(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

/// The same database, through a proxy.
pub(crate) fn through(port: u16, url: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{}", database(url))
}

pub(crate) async fn connect(url: &str) -> Arc<Postgres> {
    Arc::new(Postgres::connect(url).await.unwrap())
}

/// Waits less than others, so that outages are over sooner.
pub(crate) async fn connect_impatiently(url: &str) -> Arc<Postgres> {
    let second = Duration::from_secs(1);
    let builder = Postgres::builder(url).connect_timeout(second).timeout(second);
    Arc::new(builder.connect().await.unwrap())
}
