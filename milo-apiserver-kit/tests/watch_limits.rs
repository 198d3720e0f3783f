//! Watches keep to their limits: of time, and of memory.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use milo_core::{
    key::{Key, KeyRange},
    storage::{
        CommitError, ListOptions, Memory, Page, ReadError, Record, Revision, Storage, Transaction,
        Watch, WatchError,
    },
};
use support::{Wire, version};
use tokio::sync::mpsc;

/// A storage whose watches, from some time on, tell nothing.
#[derive(Debug, Default)]
struct Silent {
    memory: Memory,
    silent: AtomicBool,
}

#[async_trait]
impl Storage for Silent {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        self.memory.get(key).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        self.memory.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.memory.commit(transaction).await
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        if !self.silent.load(Ordering::SeqCst) {
            return self.memory.watch(range, after).await;
        }
        let (sender, receiver) = mpsc::channel(1);
        Ok(Watch::new(receiver, move || drop(sender.clone())))
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.memory.revision().await
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        self.memory.compact(floor).await
    }

    async fn ping(&self) -> Result<(), ReadError> {
        self.memory.ping().await
    }
}

/// A server that must replay what happened after the returned version.
async fn replaying() -> (Wire, String) {
    let storage = Arc::new(Silent::default());
    let first = Wire::on(storage.clone()).await;
    let old = version(&first.organization("a").await);
    first.organization("b").await;
    first.server.stop().await;
    let wire = Wire::on(storage.clone()).await;
    wire.get("organizations").await.ok();
    storage.silent.store(true, Ordering::SeqCst);
    (wire, old)
}

#[tokio::test]
async fn a_replay_ends_when_its_time_is_up() {
    let (wire, old) = replaying().await;
    let url = format!("organizations?watch=true&resourceVersion={old}&timeoutSeconds=1");
    wire.watch(&url).await.ends().await;
}

#[tokio::test]
async fn a_replay_ends_when_the_server_stops() {
    let (wire, old) = replaying().await;
    let url = format!("organizations?watch=true&resourceVersion={old}");
    let mut events = wire.watch(&url).await;
    let (_, ()) = tokio::join!(wire.server.stop(), events.ends());
}
