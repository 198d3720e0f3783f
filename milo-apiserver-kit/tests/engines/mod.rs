//! Stores of every engine that is built in.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;

use async_trait::async_trait;
use milo_core::storage::{
    Cause, Embedded, Memory, Storage,
    conformance::{Capabilities, Harness},
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
