//! The cache over a storage in memory.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::ConfigMap;
use milo_core::{
    definition::ResourceDefinition,
    key::{GroupResource, Key, KeyRange},
    scope::Scope,
    storage::{
        CommitError, ListOptions, Memory, Page, ReadError, Record, Revision, Storage, Transaction,
        Watch, WatchError,
    },
};
use serde_json::json;
use tokio::sync::mpsc;

use super::Cache;
use crate::request::options::Freshness;

fn definition() -> Arc<ResourceDefinition> {
    Arc::new(ResourceDefinition::of_resource::<ConfigMap>().unwrap())
}

fn key(namespace: &str, name: &str) -> Key {
    Key::object(definition().group_resource(), &Scope::Platform, namespace, name).unwrap()
}

fn value(name: &str, label: &str) -> Bytes {
    let metadata = json!({"name": name, "labels": {"a": "1", "kept": label, "z": "2"}});
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    object.to_string().into()
}

async fn put(storage: &dyn Storage, namespace: &str, name: &str, label: &str) -> Revision {
    let transaction = Transaction::new().put(key(namespace, name), value(name, label));
    storage.commit(transaction).await.unwrap()
}

/// A storage that loses the first requests for progress.
#[derive(Debug)]
struct Deaf {
    memory: Memory,
    lost: usize,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Storage for Deaf {
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
        let mut inner = self.memory.watch(range, after).await?;
        let (events, receiver) = mpsc::channel(8);
        let (request, mut requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    batch = inner.next() => {
                        let Some(batch) = batch else { return };
                        if events.send(batch).await.is_err() {
                            return;
                        }
                    }
                    Some(()) = requests.recv() => inner.request_progress(),
                    else => return,
                }
            }
        });
        let (asked, lost) = (self.asked.clone(), self.lost);
        Ok(Watch::new(receiver, move || {
            if asked.fetch_add(1, Ordering::SeqCst) >= lost {
                let _ = request.send(());
            }
        }))
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

#[tokio::test(start_paused = true)]
async fn a_read_asks_again_for_progress() {
    let storage = Arc::new(Deaf { memory: Memory::new(), lost: 4, asked: Arc::default() });
    let cache = Cache::new(definition(), storage.clone()).unwrap();
    let feed = cache.spawn();
    cache.filled().await;
    let elsewhere = GroupResource::new("other.example.com", "others");
    let other = Key::object(&elsewhere, &Scope::Platform, "", "x").unwrap();
    let last = storage.commit(Transaction::new().put(other, Bytes::new())).await.unwrap();
    cache.reach(Freshness::MostRecent).await.unwrap();
    assert_eq!(cache.revision(), last);
    feed.abort();
}
