//! What every case is given: a server on a store of its own, and ways to talk to it.

use std::{ops::Deref, sync::Arc};

use milo_core::{
    key::{GroupResource, Key},
    scope::Scope,
    storage::{Operation, Record, Revision, Storage, Transaction},
};
use serde_json::{Value, json};

use super::{
    failure::{Failure, ensure},
    kinds::{self, GROUP, Hooks},
};
use crate::{
    Server,
    testing::{
        FaultyStorage,
        wire::{self, Answer, Client, Event, Events, MERGE_PATCH},
    },
};

/// A server, which caches, and the store that it is on, which can be made to fail.
pub(super) struct Lab {
    client: Client,
    server: Server,
    storage: Arc<FaultyStorage>,
    pub(super) hooks: Hooks,
}

/// An administrator who talks about pods. Keys are `namespace/name`.
#[derive(Clone, Debug)]
pub(super) struct Pods(Client);

impl Lab {
    pub(super) async fn new(engine: Arc<dyn Storage>) -> Result<Self, Failure> {
        Self::on(Arc::new(FaultyStorage::new(engine))).await
    }

    async fn on(storage: Arc<FaultyStorage>) -> Result<Self, Failure> {
        let hooks = Hooks::default();
        let builder = Server::builder_on(storage.clone()).authenticators(wire::administrator());
        let server = kinds::assemble(builder, hooks.clone())?.build().await?;
        let client = Client::new(server.service());
        Ok(Self { client, server, storage, hooks })
    }

    /// Another server on the same store, whose cache knows nothing of the past.
    pub(super) async fn newcomer(&self) -> Result<Self, Failure> {
        Self::new(self.storage.engine().clone()).await
    }

    pub(super) fn storage(&self) -> &Arc<FaultyStorage> {
        &self.storage
    }

    pub(super) fn pods(&self) -> Pods {
        Pods(self.client.clone())
    }

    /// Stops the server as a signal does: watches end.
    pub(super) fn stop(self) {
        drop(self.server);
    }

    /// A write that has nothing to do with pods. Its resource version.
    pub(super) async fn unrelated(&self) -> Result<u64, Failure> {
        let body = json!({"metadata": {"generateName": "unrelated-"}});
        version(&self.client.post(&url("podsets", "unrelated"), &body).await?.ok()?)
    }

    /// The newest revision of the store.
    pub(super) async fn revision(&self) -> Result<u64, Failure> {
        Ok(self.storage.engine().revision().await?.get())
    }

    /// Forgets the past of the store.
    pub(super) async fn compact(&self, floor: u64) -> Result<(), Failure> {
        Ok(self.storage.engine().compact(Revision::new(floor)).await?)
    }

    /// What is stored of a pod.
    pub(super) async fn stored(&self, key: &str) -> Result<Option<Record>, Failure> {
        Ok(self.storage.engine().get(&storage_key(key)?).await?)
    }

    /// Writes past the server, whatever it would have said. The revision.
    pub(super) async fn store(&self, key: &str, bytes: Vec<u8>) -> Result<u64, Failure> {
        let transaction = Transaction::new().put(storage_key(key)?, bytes.into());
        Ok(self.storage.engine().commit(transaction).await?.get())
    }

    /// Stores many pods past the server, some at a time.
    pub(super) async fn store_all(&self, pods: &[Value]) -> Result<(), Failure> {
        for some in pods.chunks(50) {
            let mut transaction = Transaction::new();
            for pod in some {
                let object = milo_core::object::Object::from_value(pod.clone())?;
                let bytes = object.encode().bytes().clone();
                transaction.add_operation(Operation::Put(storage_key(&key(pod))?, bytes));
            }
            self.storage.engine().commit(transaction).await?;
        }
        Ok(())
    }

    /// What is stored must be canonical: an object of this key without what only answers have.
    pub(super) async fn check_stored(&self, pod: &str) -> Result<(), Failure> {
        let record = self.stored(pod).await?.ok_or_else(|| Failure::new("nothing is stored"))?;
        let stored: Value = serde_json::from_slice(&record.value)?;
        ensure!(key(&stored) == pod, "what is stored at {pod} is {}", key(&stored));
        for field in ["resourceVersion", "selfLink"] {
            let there = stored["metadata"].get(field);
            ensure!(there.is_none(), "the stored bytes of {pod} have {field} {there:?}");
        }
        Ok(())
    }
}

impl Deref for Lab {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Pods {
    pub(super) async fn create(&self, pod: &Value) -> Result<Value, Failure> {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        Ok(self.0.post(&url("pods", namespace), pod).await?.ok()?)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Value, Failure> {
        Ok(self.0.get(&object_url(key)).await?.ok()?)
    }

    pub(super) async fn update(&self, pod: &Value) -> Result<Value, Failure> {
        Ok(self.0.put(&object_url(&key(pod)), pod).await?.ok()?)
    }

    pub(super) async fn merge(&self, key: &str, patch: &Value) -> Result<Value, Failure> {
        Ok(self.0.patch(&object_url(key), MERGE_PATCH, patch).await?.ok()?)
    }

    /// Changes the node of a pod, or only its note.
    pub(super) async fn set(&self, key: &str, field: &str, to: &str) -> Result<Value, Failure> {
        self.merge(key, &json!({"spec": {field: to}})).await
    }

    /// The object that is gone.
    pub(super) async fn delete(&self, key: &str) -> Result<Value, Failure> {
        self.delete_with(key, &Value::Null).await
    }

    pub(super) async fn delete_with(&self, key: &str, options: &Value) -> Result<Value, Failure> {
        Ok(self.0.delete(&object_url(key), options).await?.ok()?)
    }

    /// A list in a namespace, or in all.
    pub(super) async fn ask(&self, namespace: &str, query: &str) -> Result<Answer, Failure> {
        Ok(self.0.get(&format!("{}?{query}", url("pods", namespace))).await?)
    }

    pub(super) async fn list(&self, namespace: &str, query: &str) -> Result<Value, Failure> {
        Ok(self.ask(namespace, query).await?.ok()?)
    }

    /// A watch in a namespace, or in all.
    pub(super) async fn watch(&self, namespace: &str, query: &str) -> Result<Events, Failure> {
        Ok(self.0.watch(&format!("{}?watch=true&{query}", url("pods", namespace))).await?)
    }
}

/// The URL of a collection.
pub(super) fn url(plural: &str, namespace: &str) -> String {
    match namespace {
        "" => format!("/apis/{GROUP}/v1/{plural}"),
        namespace => format!("/apis/{GROUP}/v1/namespaces/{namespace}/{plural}"),
    }
}

/// The URL of a pod.
pub(super) fn object_url(key: &str) -> String {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    format!("{}/{name}", url("pods", namespace))
}

pub(super) fn storage_key(key: &str) -> Result<Key, Failure> {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    Ok(Key::object(&GroupResource::new(GROUP, "pods"), &Scope::Platform, namespace, name)?)
}

/// A pod to create.
pub(super) fn pod(key: &str) -> Value {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name}, "spec": {},
    })
}

/// A pod on a node.
pub(super) fn pod_on(key: &str, node: &str) -> Value {
    let mut pod = pod(key);
    pod["spec"]["nodeName"] = node.into();
    pod
}

/// `namespace/name` of an object.
pub(super) fn key(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    match text("namespace") {
        "" => text("name").to_owned(),
        namespace => format!("{namespace}/{}", text("name")),
    }
}

/// The resource version of an object or a list.
pub(super) fn version(object: &Value) -> Result<u64, Failure> {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let number = text.parse().unwrap_or_default();
    ensure!(number > 0, "the resource version of {object} is {text:?}");
    Ok(number)
}

/// The objects of a list.
pub(super) fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The keys in a list.
pub(super) fn keys(list: &Value) -> Vec<String> {
    items(list).iter().map(key).collect()
}

/// The continue token of a list; empty when there is none.
pub(super) fn token(list: &Value) -> &str {
    list["metadata"]["continue"].as_str().unwrap_or_default()
}

/// An event in short: `ADDED namespace/name`.
pub(super) fn brief(event: &Event) -> String {
    format!("{} {}", event.kind, key(&event.object))
}

/// The next events of a watch in short, however they are ordered.
pub(super) async fn next(events: &mut Events, count: usize) -> Result<Vec<String>, Failure> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let event = events.next().await?;
        let event = event.ok_or_else(|| Failure::new(format!("the watch ended after {seen:?}")))?;
        seen.push(brief(&event));
    }
    Ok(seen)
}
