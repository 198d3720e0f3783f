//! The cache over a storage in memory.

mod indexes;
mod views;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::ConfigMap;
use milo_core::{
    definition::ResourceDefinition,
    key::{GroupResource, Key, KeyRange},
    scope::Scope,
    selector::LabelSelector,
    storage::{
        CommitError, ListOptions, Memory, Page, ReadError, Record, Revision, Storage, Transaction,
        Watch, WatchError,
    },
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    CATCH_UP, Cache, Cached, EventType, Filter, TooSlow, Walk,
    state::{Moment, State},
};
use crate::request::options::{Freshness, Selection};

fn definition() -> Arc<ResourceDefinition> {
    static DEFINITION: LazyLock<Arc<ResourceDefinition>> =
        LazyLock::new(|| Arc::new(ResourceDefinition::of_resource::<ConfigMap>().unwrap()));
    DEFINITION.clone()
}

pub(super) fn key(namespace: &str, name: &str) -> Key {
    Key::object(definition().group_resource(), &Scope::Platform, namespace, name).unwrap()
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

/// What an engine of this process holds is what is served, whether the cache was told of it by a
/// list or by an event.
#[cfg(feature = "embedded")]
#[tokio::test]
async fn an_object_is_in_memory_once() {
    use milo_core::storage::Embedded;

    let directory = tempfile::tempdir().unwrap();
    let embedded = || Arc::new(Embedded::open(directory.path()).unwrap());
    let write = async |storage: &dyn Storage, name| {
        let value = object(name, 1, 900).stored().clone();
        storage.commit(Transaction::new().put(key("ns", name), value)).await.unwrap()
    };
    write(&*embedded(), "restored").await;
    write(&*embedded(), "restored too").await;
    let storages: [Arc<dyn Storage>; 2] = [Arc::new(Memory::new()), embedded()];
    for storage in storages {
        write(&*storage, "listed").await;
        let cache = Cache::new(definition(), Arc::clone(&storage)).unwrap();
        let feed = cache.spawn();
        cache.filled().await;
        let last = write(&*storage, "told").await;
        cache.reach(Freshness::NotOlderThan(last)).await.unwrap();
        let records = storage.list(&namespace("ns"), ListOptions::default()).await.unwrap().records;
        assert!(records.len() >= 2);
        let range = namespace("ns");
        let listing = cache.list(&range, &Filter::default(), None, None).await.unwrap().unwrap();
        for (record, cached) in records.into_iter().zip(listing.objects) {
            let address = |bytes: &[u8]| (bytes.as_ptr() as usize, bytes.len());
            assert_eq!(address(cached.stored()), address(&record.value), "{}", record.key);
            assert_eq!(address(cached.key().as_bytes()), address(record.key.as_bytes()));
        }
        feed.abort();
    }
}

/// Objects of about `size` bytes.
pub(super) fn object(name: &str, revision: u64, size: usize) -> Arc<Cached> {
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
    put(state, &key("ns", name), revision, Some(object));
}

fn put(state: &mut State, key: &Key, revision: u64, object: Option<Arc<Cached>>) {
    let (revision, mut woken) = (Revision::new(revision), state.waking());
    state.apply(key, revision, Ok(object), &definition(), &mut woken);
    state.revision = revision;
    woken.tell();
}

pub(super) fn namespace(name: &str) -> KeyRange {
    KeyRange::namespace(definition().group_resource(), &Scope::Platform, name).unwrap()
}

#[test]
fn history_is_bounded_by_bytes() {
    let mut state = State::default();
    let range = namespace("ns");
    let mut slow = state.cursor(&range, None);
    let (large, a) = (object("a", 1, 1 << 20), key("ns", "a"));
    for revision in 1..=40 {
        put(&mut state, &a, revision, Some(large.clone()));
    }
    // Old and new objects: two megabytes each.
    assert_eq!(state.read(&mut slow).unwrap_err(), TooSlow);
    assert!(state.cursor_after(&range, None, Revision::new(5)).is_none(), "the storage knows them");
    let mut kept = state.cursor_after(&range, None, Revision::new(10)).unwrap();
    assert_eq!(state.read(&mut kept).unwrap()[0].revision(), Revision::new(11));
    // One change may be larger than all that is to be kept.
    let (huge, b) = (object("b", 41, 33 << 20), key("ns", "b"));
    let mut last = state.cursor(&range, None);
    for revision in [41, 42] {
        put(&mut state, &b, revision, Some(huge.clone()));
    }
    assert_eq!(state.read(&mut last).unwrap_err(), TooSlow);
    let mut last = state.cursor_after(&range, None, Revision::new(41)).unwrap();
    assert_eq!(state.read(&mut last).unwrap().len(), 1);
}

#[test]
fn watchers_read_whole_commits_and_about_a_block_at_a_time() {
    let mut state = State::default();
    let range = namespace("ns");
    let mut live = state.cursor(&range, None);
    for revision in 1..=100 {
        apply(&mut state, &format!("a{revision}"), revision, 5_000);
        apply(&mut state, &format!("b{revision}"), revision, 5_000);
    }
    let past = state.cursor_after(&range, None, Revision::new(0)).unwrap();
    for changed in [1, 2] {
        apply(&mut state, &format!("c{changed}"), 101, 10);
    }
    let mut elsewhere = state.cursor_after(&namespace("other"), None, Revision::new(50)).unwrap();
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
    let mut cursor = state.cursor(&namespace("ns"), None);
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

/// A cache of `count` objects, every tenth of which has the label `tenth`.
fn cache(count: u64) -> Arc<Cache> {
    let cache = Cache::new(definition(), Arc::new(Memory::new())).unwrap();
    let mut state = cache.state.write();
    for number in 0..count {
        let (key, revision) = (key("ns", &format!("o{number:05}")), Revision::new(number + 1));
        let mut labels = json!({"z": "last", "a": number.to_string(), "m.io/n": "x"});
        if number % 10 == 0 {
            labels["tenth"] = "yes".into();
        }
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": labels}});
        let record = Record { key: key.clone(), revision, value: object.to_string().into() };
        let object = Cached::new(record, &cache.definition).unwrap();
        put(&mut state, &key, revision.get(), Some(Arc::new(object)));
    }
    drop(state);
    cache
}

fn labelled(selector: &str) -> Filter {
    let labels = LabelSelector::parse(selector).unwrap();
    Filter::default().selecting(Selection { labels, ..Selection::default() })
}

fn names(objects: Walk) -> Vec<String> {
    objects.map(|object| object.key().segments().unwrap().name.to_owned()).collect()
}

#[test]
fn labels_are_found_among_others() {
    let cache = cache(11);
    let whole = cache.state.read().now(&namespace("ns"), &[]).walk(&namespace("ns"));
    let objects: Vec<_> = whole.collect();
    let matching = |selector: &str| {
        let filter = labelled(selector);
        objects.iter().filter(|object| filter.matches(object, &definition())).count()
    };
    for (selector, count) in
        [("a=3", 1), ("z=last", 11), ("m.io/n=x,tenth", 2), ("!tenth", 9), ("b", 0), ("a>8", 2)]
    {
        assert_eq!(matching(selector), count, "{selector}");
    }
}

#[tokio::test]
async fn selectors_are_looked_at_without_the_lock() {
    let cache = cache(5000);
    let (range, filter) = (namespace("ns"), labelled("tenth"));
    let mut list = pin!(cache.list(&range, &filter, None, None));
    poll_fn(|context| {
        assert!(list.as_mut().poll(context).is_pending(), "others get their turn");
        Poll::Ready(())
    })
    .await;
    let (walk, mut joined) = cache.join_with_state(&range, &filter).unwrap();
    // Written while they look.
    let late = key("ns", "o00000");
    put(&mut cache.state.try_write().expect("not under the lock"), &late, 5001, None);
    let listing = list.await.unwrap().unwrap();
    assert_eq!((listing.objects.len(), listing.revision), (500, Revision::new(5000)));
    assert_eq!((walk.len(), joined.revision), (5000, Revision::new(5000)));
    assert_eq!(names(walk)[0], "o00000");
    let told = cache.read(&mut joined.cursor).unwrap();
    assert_eq!(told.iter().map(|change| change.revision().get()).collect::<Vec<_>>(), [5001]);
}

#[tokio::test]
async fn pages_say_what_they_know_of_the_rest() {
    let cache = cache(25);
    let whole = namespace("ns");
    let everything = Filter::default();
    let page = cache.list(&whole, &everything, Some(3), None).await.unwrap().unwrap();
    assert_eq!((page.objects.len(), page.remaining), (3, Some(22)));
    let next = page.next.unwrap();
    assert_eq!(next, key("ns", "o00002").to_bytes());
    let rest = whole.starting_at([next.as_ref(), b"\0"].concat().into()).unwrap();
    let page = cache.list(&rest, &everything, Some(3), None).await.unwrap().unwrap();
    assert_eq!((page.next.is_some(), page.remaining), (true, Some(19)));
    assert_eq!(names(page.objects), ["o00003", "o00004", "o00005"]);
    let page = cache.list(&rest, &everything, Some(22), None).await.unwrap().unwrap();
    assert_eq!((page.objects.len(), page.next, page.remaining), (22, None, None));
    let tenths = labelled("tenth");
    let page = cache.list(&whole, &tenths, Some(2), None).await.unwrap().unwrap();
    assert_eq!((page.next, page.remaining), (Some(key("ns", "o00010").to_bytes()), None));
    assert_eq!(names(page.objects), ["o00000", "o00010"]);
    let page = cache.list(&whole, &tenths, None, None).await.unwrap().unwrap();
    assert_eq!((page.objects.len(), page.next), (3, None));
}

#[test]
fn recent_states_are_known_exactly() {
    let cache = cache(300);
    let range = namespace("ns");
    let mut state = cache.state.write();
    let revisions = |moment: Moment| {
        let walk = moment.walk(&range);
        walk.map(|object| object.revision()).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for step in 0..40_u64 {
        expected.push((state.revision, revisions(state.now(&range, &[]))));
        let name = format!("o{:05}", step * 7 % 30);
        let revision = 301 + step;
        let current = (step % 3 > 0).then(|| object(&name, revision, 0));
        put(&mut state, &key("ns", &name), revision, current);
        state.revision = Revision::new(revision);
    }
    for (at, objects) in expected {
        assert_eq!(revisions(state.at(&range, &[], at).unwrap()), objects);
    }
    for unknown in [341, u64::MAX] {
        assert!(state.at(&range, &[], Revision::new(unknown)).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn clients_come_back_the_later_the_longer_the_storage_is_away() {
    let storage = Arc::new(Deaf { memory: Memory::new(), lost: 0, asked: Arc::default() });
    let began = tokio::time::Instant::now();
    // Nobody feeds it.
    let cache = Cache::new(definition(), storage).unwrap();
    for (downtime, wait) in [(3, 1), (15, 2), (30, 6), (50, 20), (70, 30), (4000, 30)] {
        let until = began + Duration::from_secs(downtime) - CATCH_UP;
        tokio::time::sleep_until(until).await;
        let error = cache.reach(Freshness::Any).await.unwrap_err();
        assert_eq!((error.code(), error.reason()), (429, "TooManyRequests"));
        assert_eq!(error.message(), "storage is (re)initializing");
        let details = error.details().unwrap();
        assert_eq!(details.retry_after_seconds, Some(wait), "after {downtime} s");
    }
}
