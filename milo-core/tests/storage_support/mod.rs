//! What the storage tests share.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use milo_core::{
    bytes::Bytes,
    key::{GroupResource, Key, KeyRange},
    scope::Scope,
    storage::{
        Event, ListOptions, Page, Precondition, Record, Revision, Storage, Transaction, Watch,
        WatchBatch, WatchError,
    },
};

pub(crate) fn widgets() -> GroupResource {
    GroupResource::new("demo.example.com", "widgets")
}

pub(crate) fn key(namespace: &str, name: &str) -> Key {
    Key::object(&widgets(), &Scope::Platform, namespace, name).unwrap()
}

pub(crate) fn namespace(name: &str) -> KeyRange {
    KeyRange::namespace(&widgets(), &Scope::Platform, name).unwrap()
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(crate) fn put(key: &Key, value: &str) -> Transaction {
    Transaction::new().put(key.clone(), bytes(value))
}

pub(crate) fn create(key: &Key, value: &str) -> Transaction {
    put(key, value).require(Precondition::Absent(key.clone()))
}

pub(crate) fn delete(key: &Key) -> Transaction {
    Transaction::new().delete(key.clone())
}

pub(crate) fn record(key: &Key, revision: Revision, value: &str) -> Record {
    Record { key: key.clone(), revision, value: bytes(value) }
}

pub(crate) fn all() -> ListOptions {
    ListOptions::default()
}

pub(crate) fn names(page: &Page) -> Vec<&str> {
    page.records.iter().map(|record| record.key.segments().unwrap().name).collect()
}

/// What does not come in time will not come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it takes too long")
}

pub(crate) async fn next(watch: &mut Watch) -> WatchBatch {
    soon(watch.next()).await.expect("the watch is over").expect("the watch failed")
}

/// The error that ends a watch, after what was still to be read.
pub(crate) async fn end(watch: &mut Watch) -> Option<WatchError> {
    loop {
        match soon(watch.next()).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                assert!(soon(watch.next()).await.is_none(), "nothing comes after an error");
                return Some(error);
            }
            None => return None,
        }
    }
}

/// All events up to a revision, checking that batches tell the truth about how far they go.
pub(crate) async fn events_until(
    watch: &mut Watch,
    after: Revision,
    until: Revision,
) -> Vec<Event> {
    watch.request_progress();
    let (mut events, mut told) = (Vec::new(), after);
    while told < until {
        let batch = next(watch).await;
        for event in &batch.events {
            assert!(event.revision() > told && event.revision() <= batch.revision);
        }
        assert!(batch.revision >= told);
        told = batch.revision;
        events.extend(batch.events);
    }
    assert!(events.is_sorted_by_key(Event::revision));
    events
}

pub(crate) async fn commit(storage: &dyn Storage, transaction: Transaction) -> Revision {
    storage.commit(transaction).await.unwrap()
}
