//! Stores of every engine that is built in.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

use std::sync::Arc;

use async_trait::async_trait;
use milo_core::storage::{
    Cause, Embedded, Memory, Storage,
    conformance::{Capabilities, Harness, Skip},
};
use tempfile::TempDir;

/// Clones of an engine in memory are replicas.
pub(crate) struct InMemory;

#[async_trait]
impl Harness for InMemory {
    type Store = Memory;

    async fn create(&self) -> Result<Memory, Cause> {
        Ok(Memory::new())
    }

    async fn open(&self, store: &Memory) -> Result<Arc<dyn Storage>, Cause> {
        Ok(Arc::new(store.clone()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().dense().replicas()
    }
}

/// Each store has a directory of its own.
pub(crate) struct OnDisk;

#[async_trait]
impl Harness for OnDisk {
    type Store = TempDir;

    async fn create(&self) -> Result<TempDir, Cause> {
        Ok(tempfile::tempdir()?)
    }

    async fn open(&self, directory: &TempDir) -> Result<Arc<dyn Storage>, Cause> {
        Ok(Arc::new(Embedded::open(directory.path())?))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().dense()
    }
}

/// The server on which each store has a database of its own. It ends with the process.
#[cfg(feature = "postgres")]
static POSTGRES: std::sync::LazyLock<Option<milo_core::testing::PostgresServer>> =
    std::sync::LazyLock::new(|| {
        milo_core::testing::PostgresServer::builder().fast().start().expect("PostgreSQL starts")
    });

/// Each store is a database.
#[cfg(feature = "postgres")]
pub(crate) struct OnPostgres;

#[cfg(feature = "postgres")]
#[async_trait]
impl Harness for OnPostgres {
    type Store = String;

    async fn create(&self) -> Result<String, Cause> {
        // Where it is not installed, whoever starts it has said so.
        let server = POSTGRES.as_ref().ok_or(Skip::new("postgres not found"))?;
        Ok(server.create_database()?)
    }

    async fn open(&self, url: &String) -> Result<Arc<dyn Storage>, Cause> {
        Ok(Arc::new(milo_core::storage::Postgres::connect(url).await?))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().replicas()
    }
}

/// Each store is an etcd: what one compacts is compacted for all that use it.
#[cfg(feature = "etcd")]
pub(crate) struct OnEtcd;

#[cfg(feature = "etcd")]
#[async_trait]
impl Harness for OnEtcd {
    type Store = milo_core::testing::EtcdServer;

    async fn create(&self) -> Result<Self::Store, Cause> {
        let server = milo_core::testing::EtcdServer::start()?;
        server.ok_or_else(|| Skip::new("etcd not found").into())
    }

    async fn open(&self, server: &Self::Store) -> Result<Arc<dyn Storage>, Cause> {
        Ok(Arc::new(milo_core::storage::Etcd::connect(server.url("store")).await?))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().replicas()
    }
}
