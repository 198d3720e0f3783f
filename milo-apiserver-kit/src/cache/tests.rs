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

use super::{Cache, Cached, EventType, TooSlow, state::State};
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

/// Objects of about `size` bytes.
fn object(name: &str, revision: u64, size: usize) -> Arc<Cached> {
    let filler = "x".repeat(size);
    let value = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"x":"{filler}"}}}}"#
    );
    let revision = Revision::new(revision);
    let record = Record { key: key("ns", name), revision, value: value.into() };
    Arc::new(Cached::new(record, &definition()).unwrap())
}

fn apply(state: &mut State, name: &str, revision: u64, size: usize) {
    let object = object(name, revision, size);
    state.apply(&key("ns", name), Revision::new(revision), Some(object));
    state.revision = Revision::new(revision);
}

fn namespace(name: &str) -> KeyRange {
    KeyRange::namespace(definition().group_resource(), &Scope::Platform, name).unwrap()
}

#[test]
fn history_is_bounded_by_bytes() {
    let mut state = State::default();
    let range = namespace("ns");
    let mut slow = state.cursor(&range);
    let (large, a) = (object("a", 1, 1 << 20), key("ns", "a"));
    for revision in 1..=40 {
        state.apply(&a, Revision::new(revision), Some(large.clone()));
    }
    // Old and new objects: two megabytes each.
    assert_eq!(state.read(&mut slow).unwrap_err(), TooSlow);
    assert!(state.cursor_after(&range, Revision::new(5)).is_none(), "the storage knows them");
    let mut kept = state.cursor_after(&range, Revision::new(10)).unwrap();
    assert_eq!(state.read(&mut kept).unwrap()[0].revision(), Revision::new(11));
    // One change may be larger than all that is to be kept.
    let (huge, b) = (object("b", 41, 33 << 20), key("ns", "b"));
    let mut last = state.cursor(&range);
    for revision in [41, 42] {
        state.apply(&b, Revision::new(revision), Some(huge.clone()));
    }
    assert_eq!(state.read(&mut last).unwrap_err(), TooSlow);
    let mut last = state.cursor_after(&range, Revision::new(41)).unwrap();
    assert_eq!(state.read(&mut last).unwrap().len(), 1);
}

#[test]
fn watchers_read_whole_commits_and_about_a_block_at_a_time() {
    let mut state = State::default();
    let range = namespace("ns");
    let mut live = state.cursor(&range);
    for revision in 1..=100 {
        apply(&mut state, &format!("a{revision}"), revision, 5_000);
        apply(&mut state, &format!("b{revision}"), revision, 5_000);
    }
    let past = state.cursor_after(&range, Revision::new(0)).unwrap();
    for changed in [1, 2] {
        apply(&mut state, &format!("c{changed}"), 101, 10);
    }
    let mut elsewhere = state.cursor_after(&namespace("other"), Revision::new(50)).unwrap();
    assert_eq!(state.read(&mut elsewhere).unwrap().len(), 0);
    live = [live, past].into_iter().map(|cursor| read_all(&state, cursor)).last().unwrap();
    apply(&mut state, "d", 102, 10);
    assert_eq!(state.read(&mut live).unwrap().len(), 1);
}

fn read_all(state: &State, mut cursor: super::Cursor) -> super::Cursor {
    let mut revisions = Vec::new();
    loop {
        let changes = state.read(&mut cursor).unwrap();
        assert!(changes.len() <= 16, "{} changes", changes.len());
        assert_ne!(changes.first().map(|c| c.revision()), revisions.last().copied());
        revisions.extend(changes.iter().map(|change| change.revision()));
        if !cursor.is_behind() {
            break;
        }
    }
    let expected: Vec<_> = (1..=101).flat_map(|r| [Revision::new(r); 2]).collect();
    assert_eq!(revisions, expected);
    cursor
}

#[test]
fn only_recent_changes_keep_their_lines() {
    let mut state = State::default();
    let mut cursor = state.cursor(&namespace("ns"));
    apply(&mut state, "first", 1, 10);
    let change = state.read(&mut cursor).unwrap().remove(0);
    let line = change.frame(EventType::Added);
    assert_eq!(change.frame(EventType::Added).as_ptr(), line.as_ptr(), "encoded once");
    for revision in 2..=256 {
        apply(&mut state, "next", revision, 10);
    }
    assert!(change.keeps_frames());
    apply(&mut state, "next", 257, 10);
    assert!(!change.keeps_frames());
    assert_eq!(change.frame(EventType::Added), line);
}
