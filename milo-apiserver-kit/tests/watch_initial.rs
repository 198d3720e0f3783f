//! `spec/wire.md` sections 4.5 to 4.7: long beginnings and slow readers, while others write.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use milo_core::{
    key::{GroupResource, Key},
    object::Object,
    scope::Scope,
    storage::{Memory, Storage as _, Transaction},
};
use serde_json::{Value, json};
use support::{API_VERSION, Events, Wire, panic_with, soon, version};

const INITIAL: &str = "organizations?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

fn key(name: &str) -> Key {
    let resource = GroupResource::new("resourcemanager.miloapis.com", "organizations");
    Key::object(&resource, &Scope::Platform, "", name).unwrap()
}

/// Writes that no request has to make its way for.
async fn put(storage: &Memory, name: &str, mark: u64) {
    put_large(storage, name, mark, 0).await;
}

async fn put_large(storage: &Memory, name: &str, mark: u64, size: usize) {
    let mark = format!("{mark}{}", " ".repeat(size));
    let object = json!({
        "apiVersion": API_VERSION, "kind": "Organization",
        "metadata": {"name": name, "uid": name, "annotations": {"mark": mark}},
        "spec": {"type": "Standard"},
    });
    let encoded = Object::from_value(object).unwrap().encode();
    let put = Transaction::new().put(key(name), encoded.bytes().clone());
    storage.commit(put).await.unwrap();
}

async fn remove(storage: &Memory, name: &str) {
    storage.commit(Transaction::new().delete(key(name))).await.unwrap();
}

async fn filled(objects: u64) -> (Wire, Arc<Memory>) {
    let storage = Arc::new(Memory::new());
    for index in 0..objects {
        put(&storage, &format!("o{index:05}"), index).await;
    }
    (Wire::on(storage.clone()).await, storage)
}

/// What a client knows after some events.
#[derive(Default)]
struct Known {
    objects: BTreeMap<String, Value>,
    last: u64,
    bookmark: Option<u64>,
}

impl Known {
    /// Takes in an event and checks what is promised of every watch.
    fn take(&mut self, event: &Value) {
        let object = &event["object"];
        let revision: u64 = version(object).parse().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match (event["type"].as_str().unwrap(), self.bookmark) {
            ("ADDED", None) => {
                assert!(
                    self.objects.insert(name.clone(), object.clone()).is_none(),
                    "{name} twice"
                );
                self.last = self.last.max(revision);
            }
            ("BOOKMARK", None) => {
                assert!(revision >= self.last, "4.5: the end is not before the beginning");
                self.bookmark = Some(revision);
                self.last = revision;
            }
            (kind, Some(_)) => {
                assert!(revision > self.last, "4.6: {kind} {name} {revision} after {}", self.last);
                self.last = revision;
                let before = match kind {
                    "DELETED" => self.objects.remove(&name).is_some(),
                    _ => self.objects.insert(name.clone(), object.clone()).is_some(),
                };
                assert_eq!(before, kind != "ADDED", "4.6: {kind} {name}");
            }
            (kind, None) => panic_with(&format!("4.5: {kind} before the beginning was over")),
        }
    }

    async fn follow(&mut self, events: &mut Events, until: u64) {
        // The newest object may come first.
        while self.bookmark.is_none() || self.last < until {
            self.take(&events.next().await);
        }
    }

    fn is(&self, list: &Value) {
        let listed = list["items"].as_array().unwrap();
        assert!(self.objects.values().eq(listed), "4.6: what was told is what is there");
    }
}

/// Changes something all over the place.
async fn churn(storage: &Memory, steps: u64) {
    for step in 0..steps {
        let index = step * 7919 % 5000;
        match step % 5 {
            0 => remove(storage, &format!("o{index:05}")).await,
            1 => put(storage, &format!("o{index:05}x"), step).await,
            _ => put(storage, &format!("o{index:05}"), step).await,
        }
        if step % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_beginning_is_one_state_however_much_is_written_meanwhile() {
    // More changes than the cache keeps for a watcher that has read none of them.
    let (wire, storage) = filled(3000).await;
    for writes in [500, 9000] {
        let mut known = Known::default();
        let mut events = wire.watch_apart(INITIAL).await;
        // The beginning is longer than what is sent ahead, so it is in the midst of it now.
        known.take(&events.next().await);
        churn(&storage, writes).await;
        let now = wire.get("organizations").await.ok();
        known.follow(&mut events, version(&now).parse().unwrap()).await;
        assert!(known.bookmark.is_some(), "4.5");
        known.is(&now);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beginnings_and_writes_at_once() {
    let (wire, storage) = filled(2000).await;
    let writing = churn(&storage, 4000);
    let watching = async {
        let mut watches = Vec::new();
        for index in 0..6 {
            let mut events = wire.watch_apart(INITIAL).await;
            let mut known = Known::default();
            for _ in 0..index * 100 {
                known.take(&events.next().await);
            }
            watches.push((events, known));
        }
        watches
    };
    let ((), watches) = tokio::join!(writing, watching);
    let now = wire.get("organizations").await.ok();
    for (mut events, mut known) in watches {
        known.follow(&mut events, version(&now).parse().unwrap()).await;
        known.is(&now);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_one_state_however_slowly_it_is_read() {
    let (wire, storage) = filled(8000).await;
    let expected = wire.get("organizations").await.ok();
    assert_eq!(expected["items"].as_array().unwrap().len(), 8000);
    let response = wire.call("GET", "organizations").respond().await;
    churn(&storage, 3000).await;
    let body = http_body_util::BodyExt::collect(response.into_body());
    let list: Value = serde_json::from_slice(&soon(body).await.unwrap().to_bytes()).unwrap();
    assert_eq!(list, expected, "4.2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_cut_and_misses_nothing_and_keeps_nobody() {
    let (wire, storage) = filled(1).await;
    let start = version(&wire.get("organizations").await.ok());
    let url = format!("organizations?watch=true&resourceVersion={start}");
    let mut slow = wire.watch_apart(&url).await;
    let mut quick = wire.watch(&url).await;
    // Far more than may wait on its way.
    let count = 8000;
    let writing = async {
        for mark in 0..count {
            put_large(&storage, "o00000", mark, 3000).await;
            if mark % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let reading = async {
        for _ in 0..count {
            quick.expect("MODIFIED").await;
        }
    };
    tokio::join!(writing, reading);
    // What the slow one gets now has no gaps, and then it is over.
    let mut last: u64 = start.parse().unwrap();
    let mut seen = 0;
    while let Some(event) = slow.try_next().await {
        assert_eq!(event["type"], "MODIFIED", "4.6: no error");
        let revision: u64 = version(&event["object"]).parse().unwrap();
        assert_eq!(revision, last + 1, "4.6: nothing is left out");
        (last, seen) = (revision, seen + 1);
    }
    assert!(seen < count, "4.6: it was cut");
    let url = format!("organizations?watch=true&resourceVersion={last}");
    let mut again = wire.watch(&url).await;
    for _ in seen..count {
        let event = again.expect("MODIFIED").await;
        let revision: u64 = version(&event).parse().unwrap();
        assert_eq!(revision, last + 1, "4.6: resumed");
        last = revision;
    }
}
