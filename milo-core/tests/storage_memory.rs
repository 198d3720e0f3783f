//! The engine in memory keeps the contract.

use std::sync::Arc;

use async_trait::async_trait;
use milo_core::storage::{
    Cause, Memory, Storage,
    conformance::{Capabilities, Harness},
};

/// Clones of an engine in memory are replicas, and a store lives as long as one of them.
struct InMemory;

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
        Capabilities::default().dense().replicas().restarts().max_transaction(2000)
    }
}

milo_core::storage_conformance!(InMemory);
