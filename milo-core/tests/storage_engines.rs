//! The contract of `milo_core::storage`, kept by every engine.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod storage_support;

use std::{collections::BTreeSet, sync::Arc};

use milo_core::{
    bytes::Bytes,
    key::{Key, KeyRange},
    storage::{
        CommitError, Event, MAX_VALUE_BYTES, Precondition, ReadError, Revision, Storage,
        Transaction, Watch, WatchError,
    },
};
use storage_support::*;

type Engine = Arc<dyn Storage>;

/// One test per engine for every case.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                super::$case(std::sync::Arc::new(milo_core::storage::Memory::new())).await;
            })*
        }
        #[cfg(feature = "embedded")]
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                let directory = tempfile::tempdir().unwrap();
                let engine = milo_core::storage::Embedded::open(directory.path()).unwrap();
                super::$case(std::sync::Arc::new(engine)).await;
            })*
        }
    };
}

cases!(
    creates_and_gets,
    transactions_are_all_or_nothing,
    conflicts_tell_the_current_record,
    transactions_without_operations,
    refuses_what_is_too_large_or_twice,
    takes_the_largest_value,
    lists_in_pages_at_one_revision,
    ranges_end_at_segments,
    lists_the_past,
    reads_of_the_future_fail,
    compaction_forgets_only_the_past,
    compacting_too_far_or_again_is_no_error,
    watches_live,
    watches_from_the_past,
    watches_from_the_very_beginning,
    watches_only_its_range,
    replays_long_histories_while_writing,
    replays_large_values_in_small_batches,
    tells_progress,
    tells_progress_once_when_nothing_changed,
    cuts_off_slow_watchers,
    watches_that_cannot_start,
    acknowledged_commits_are_seen,
    concurrent_updates_lose_nothing,
    lists_are_snapshots,
    dropped_commits_do_no_harm,
    pings,
);

/// The revision of the commit of this number, counted from one.
fn nth(number: u64) -> Revision {
    Revision::new(Revision::FIRST.get() + number)
}

async fn creates_and_gets(storage: Engine) {
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    assert_eq!(storage.revision().await.unwrap(), Revision::FIRST);
    assert_eq!(storage.get(&a).await.unwrap(), None);
    let first = commit(&*storage, create(&a, "1")).await;
    assert_eq!(first, Revision::FIRST.next());
    let second = commit(&*storage, create(&b, "2")).await;
    assert_eq!(second, first.next());
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, first, "1")));
    assert_eq!(storage.get(&b).await.unwrap(), Some(record(&b, second, "2")));
    let third = commit(&*storage, put(&a, "")).await;
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, third, "")));
    let fourth = commit(&*storage, delete(&a)).await;
    assert_eq!(storage.get(&a).await.unwrap(), None);
    // Every transaction that commits operations has a revision, be there something to remove or not.
    assert_eq!(commit(&*storage, delete(&a)).await, fourth.next());
    assert_eq!(storage.revision().await.unwrap(), fourth.next());
    let again = commit(&*storage, create(&a, "3")).await;
    assert_eq!(storage.get(&a).await.unwrap(), Some(record(&a, again, "3")));
}

async fn transactions_are_all_or_nothing(storage: Engine) {
    let (a, b, c) = (key("ns", "a"), key("ns", "b"), key("ns", "c"));
    commit(&*storage, put(&c, "0")).await;
    let before = storage.revision().await.unwrap();
    let failing = put(&a, "1").put(b.clone(), bytes("1")).require(Precondition::Exists(b.clone()));
    assert!(matches!(storage.commit(failing).await, Err(CommitError::Conflict { .. })));
    assert_eq!(storage.revision().await.unwrap(), before);
    assert_eq!(storage.get(&a).await.unwrap(), None);
    let both = put(&a, "1").put(b.clone(), bytes("1")).delete(c.clone());
    let revision = commit(&*storage, both).await;
    assert_eq!(revision, before.next());
    let page = storage.list(&namespace("ns"), all()).await.unwrap();
    assert_eq!(page.records, [record(&a, revision, "1"), record(&b, revision, "1")]);
    let mut watch = storage.watch(&namespace("ns"), before).await.unwrap();
    assert_eq!(next(&mut watch).await.events.len(), 3, "a batch never holds part of a commit");
}

async fn conflicts_tell_the_current_record(storage: Engine) {
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let first = commit(&*storage, create(&a, "1")).await;
    let wrong = Revision::new(99);
    let cases = [
        (Precondition::Absent(a.clone()), Some(record(&a, first, "1"))),
        (Precondition::RevisionIs(a.clone(), wrong), Some(record(&a, first, "1"))),
        (Precondition::Exists(b.clone()), None),
        (Precondition::RevisionIs(b.clone(), first), None),
    ];
    for (condition, expected) in cases {
        let holds = Precondition::Exists(a.clone());
        let transaction = put(&b, "2").require(holds).require(condition.clone());
        match storage.commit(transaction).await {
            Err(CommitError::Conflict { failed, current }) => {
                assert_eq!((failed, current), (condition, expected));
            }
            other => panic!("{condition:?}: {other:?}"),
        }
    }
    let update = put(&a, "2").require(Precondition::RevisionIs(a.clone(), first));
    assert_eq!(commit(&*storage, update).await, first.next());
}

async fn transactions_without_operations(storage: Engine) {
    let a = key("ns", "a");
    assert_eq!(commit(&*storage, Transaction::new()).await, Revision::FIRST);
    let first = commit(&*storage, put(&a, "1")).await;
    let check = Transaction::new().require(Precondition::RevisionIs(a.clone(), first));
    assert_eq!(commit(&*storage, check).await, first);
    let check = Transaction::new().require(Precondition::Absent(a));
    assert!(matches!(storage.commit(check).await, Err(CommitError::Conflict { .. })));
    assert_eq!(storage.revision().await.unwrap(), first);
}

async fn refuses_what_is_too_large_or_twice(storage: Engine) {
    let a = key("ns", "a");
    let value = Bytes::from(vec![0; MAX_VALUE_BYTES + 1]);
    let large = storage.commit(Transaction::new().put(a.clone(), value)).await;
    assert!(matches!(
        large,
        Err(CommitError::TooLarge { bytes, limit: MAX_VALUE_BYTES }) if bytes == MAX_VALUE_BYTES + 1
    ));
    let twice = storage.commit(put(&a, "1").delete(a.clone())).await;
    assert!(matches!(twice, Err(CommitError::DuplicateKey(key)) if key == a));
    assert_eq!(storage.revision().await.unwrap(), Revision::FIRST);
}

async fn takes_the_largest_value(storage: Engine) {
    let a = key("ns", "a");
    let value = Bytes::from(vec![7; MAX_VALUE_BYTES]);
    let first = commit(&*storage, Transaction::new().put(a.clone(), value.clone())).await;
    commit(&*storage, put(&a, "small")).await;
    let old = storage.list(&KeyRange::key(&a), all().at(first)).await.unwrap();
    assert!(old.records[0].value == value);
}

async fn lists_in_pages_at_one_revision(storage: Engine) {
    for number in 0..10 {
        commit(&*storage, put(&key("ns", &format!("{number}")), "1")).await;
    }
    let range = namespace("ns");
    let first = storage.list(&range, all().limit(4)).await.unwrap();
    assert_eq!((names(&first), first.remaining), (vec!["0", "1", "2", "3"], 6));
    assert_eq!(first.revision, nth(10));
    // What happens between two pages does not show.
    commit(&*storage, delete(&key("ns", "5"))).await;
    commit(&*storage, put(&key("ns", "6"), "2")).await;
    commit(&*storage, put(&key("ns", "55"), "2")).await;
    let rest = |page: &milo_core::storage::Page| {
        let mut start = page.records.last().unwrap().key.as_bytes().to_vec();
        start.push(0);
        range.starting_at(start.into()).unwrap()
    };
    let at = all().limit(4).at(first.revision);
    let second = storage.list(&rest(&first), at).await.unwrap();
    assert_eq!((names(&second), second.remaining), (vec!["4", "5", "6", "7"], 2));
    assert_eq!(second.revision, first.revision);
    assert_eq!(second.records[2], record(&key("ns", "6"), nth(7), "1"));
    let third = storage.list(&rest(&second), at).await.unwrap();
    assert_eq!((names(&third), third.remaining), (vec!["8", "9"], 0));
    let none = storage.list(&range, all().limit(0)).await.unwrap();
    assert_eq!((names(&none), none.remaining), (vec![], 10));
    let more = storage.list(&range, all().limit(100)).await.unwrap();
    assert_eq!((more.records.len(), more.remaining), (10, 0));
}

async fn ranges_end_at_segments(storage: Engine) {
    let keys = [key("a", "x"), key("ab", "x"), key("b", "x"), key("", "x")];
    for key in &keys {
        commit(&*storage, put(key, "1")).await;
    }
    let found = storage.list(&namespace("a"), all()).await.unwrap();
    assert_eq!(found.records, [record(&keys[0], nth(1), "1")]);
    let one = storage.list(&KeyRange::key(&keys[1]), all()).await.unwrap();
    assert_eq!(one.records, [record(&keys[1], nth(2), "1")]);
    let everything = storage.list(&KeyRange::all(), all()).await.unwrap();
    assert_eq!(everything.records.len(), 4);
    assert!(everything.records.is_sorted_by(|a, b| a.key < b.key));
    let nothing = storage.list(&namespace("c"), all()).await.unwrap();
    assert_eq!((nothing.records.len(), nothing.revision), (0, nth(4)));
}

async fn lists_the_past(storage: Engine) {
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let first = commit(&*storage, put(&a, "1")).await;
    let second = commit(&*storage, put(&b, "2")).await;
    let third = commit(&*storage, put(&a, "3")).await;
    let fourth = commit(&*storage, delete(&b)).await;
    let expected = [
        (Revision::ZERO, vec![]),
        (first, vec![record(&a, first, "1")]),
        (second, vec![record(&a, first, "1"), record(&b, second, "2")]),
        (third, vec![record(&a, third, "3"), record(&b, second, "2")]),
        (fourth, vec![record(&a, third, "3")]),
    ];
    for (at, records) in expected {
        let page = storage.list(&namespace("ns"), all().at(at)).await.unwrap();
        assert_eq!((page.records, page.revision, page.remaining), (records, at, 0));
    }
}

async fn reads_of_the_future_fail(storage: Engine) {
    let first = commit(&*storage, put(&key("ns", "a"), "1")).await;
    let error = storage.list(&KeyRange::all(), all().at(first.next())).await.unwrap_err();
    assert!(matches!(
        error,
        ReadError::Future { requested, current } if requested == first.next() && current == first
    ));
}

async fn compaction_forgets_only_the_past(storage: Engine) {
    let (a, b, c) = (key("ns", "a"), key("ns", "b"), key("ns", "c"));
    let first = commit(&*storage, put(&a, "1").put(b.clone(), bytes("1"))).await;
    let second = commit(&*storage, put(&b, "2")).await;
    let third = commit(&*storage, delete(&b).put(c.clone(), bytes("3"))).await;
    let fourth = commit(&*storage, put(&c, "4")).await;
    storage.compact(third).await.unwrap();
    for old in [Revision::ZERO, first, second] {
        let error = storage.list(&KeyRange::all(), all().at(old)).await.unwrap_err();
        assert!(matches!(
            error,
            ReadError::Expired { requested, compacted } if requested == old && compacted == third
        ));
        let error = storage.watch(&KeyRange::all(), old).await.unwrap_err();
        assert!(matches!(
            error,
            WatchError::Expired { requested, compacted } if requested == old && compacted == third
        ));
    }
    let page = storage.list(&KeyRange::all(), all().at(third)).await.unwrap();
    assert_eq!(page.records, [record(&a, first, "1"), record(&c, third, "3")]);
    let mut watch = storage.watch(&KeyRange::all(), third).await.unwrap();
    let expected =
        Event::Put { record: record(&c, fourth, "4"), previous: Some(record(&c, third, "3")) };
    assert_eq!(next(&mut watch).await.events, [expected]);
}

async fn compacting_too_far_or_again_is_no_error(storage: Engine) {
    let a = key("ns", "a");
    storage.compact(Revision::ZERO).await.unwrap();
    let first = commit(&*storage, put(&a, "1")).await;
    let second = commit(&*storage, put(&a, "2")).await;
    for floor in [second.next(), second, first, Revision::new(u64::MAX), Revision::ZERO] {
        storage.compact(floor).await.unwrap();
        let page = storage.list(&KeyRange::all(), all().at(second)).await.unwrap();
        assert_eq!(page.records, [record(&a, second, "2")]);
    }
    assert_eq!(commit(&*storage, put(&a, "3")).await, second.next());
}

async fn watches_live(storage: Engine) {
    let a = key("ns", "a");
    let mut watch = storage.watch(&namespace("ns"), Revision::ZERO).await.unwrap();
    let first = commit(&*storage, create(&a, "1")).await;
    let batch = next(&mut watch).await;
    let expected = Event::Put { record: record(&a, first, "1"), previous: None };
    assert_eq!((batch.events, batch.revision), (vec![expected], first));
    let second = commit(&*storage, put(&a, "2")).await;
    let expected =
        Event::Put { record: record(&a, second, "2"), previous: Some(record(&a, first, "1")) };
    assert_eq!(next(&mut watch).await.events, [expected]);
    let third = commit(&*storage, delete(&a)).await;
    let expected = Event::Delete { revision: third, previous: record(&a, second, "2") };
    assert_eq!(next(&mut watch).await.events, [expected]);
    commit(&*storage, delete(&a)).await;
    let fifth = commit(&*storage, create(&a, "5")).await;
    let expected = Event::Put { record: record(&a, fifth, "5"), previous: None };
    assert_eq!(next(&mut watch).await.events, [expected], "removing nothing is no event");
}

async fn watches_from_the_past(storage: Engine) {
    let (a, b) = (key("ns", "a"), key("other", "b"));
    let first = commit(&*storage, put(&a, "1")).await;
    commit(&*storage, put(&b, "1")).await;
    let third = commit(&*storage, put(&a, "3")).await;
    let fourth = commit(&*storage, delete(&a)).await;
    let fifth = commit(&*storage, put(&a, "5")).await;
    let mut watch = storage.watch(&namespace("ns"), first).await.unwrap();
    let sixth = commit(&*storage, put(&a, "6")).await;
    let expected = [
        Event::Put { record: record(&a, third, "3"), previous: Some(record(&a, first, "1")) },
        Event::Delete { revision: fourth, previous: record(&a, third, "3") },
        Event::Put { record: record(&a, fifth, "5"), previous: None },
        Event::Put { record: record(&a, sixth, "6"), previous: Some(record(&a, fifth, "5")) },
    ];
    assert_eq!(events_until(&mut watch, first, sixth).await, expected);
}

async fn watches_from_the_very_beginning(storage: Engine) {
    let a = key("ns", "a");
    let first = commit(&*storage, put(&a, "1")).await;
    let mut watch = storage.watch(&KeyRange::all(), Revision::ZERO).await.unwrap();
    let expected = Event::Put { record: record(&a, first, "1"), previous: None };
    assert_eq!(next(&mut watch).await.events, [expected]);
    storage.compact(first).await.unwrap();
    let error = storage.watch(&KeyRange::all(), Revision::ZERO).await.unwrap_err();
    assert!(matches!(error, WatchError::Expired { .. }));
}

async fn watches_only_its_range(storage: Engine) {
    let ranges = [namespace("a"), namespace("ab"), KeyRange::key(&key("a", "x")), KeyRange::all()];
    let mut watches = Vec::new();
    for range in &ranges {
        watches.push(storage.watch(range, Revision::ZERO).await.unwrap());
    }
    let changed = [key("a", "x"), key("a", "xy"), key("ab", "x"), key("b", "x")];
    let all_at_once = changed.iter().fold(Transaction::new(), |t, k| t.put(k.clone(), bytes("1")));
    commit(&*storage, all_at_once).await;
    let mut last = Revision::ZERO;
    for key in &changed {
        last = commit(&*storage, put(key, "2")).await;
    }
    for (range, watch) in ranges.iter().zip(&mut watches) {
        let events = events_until(watch, Revision::ZERO, last).await;
        let found: Vec<&Key> = events.iter().map(Event::key).collect();
        let expected: Vec<&Key> =
            changed.iter().chain(&changed).filter(|key| range.contains(key)).collect();
        assert_eq!(found, expected, "{range:?}");
    }
}

async fn replays_long_histories_while_writing(storage: Engine) {
    const BEFORE: usize = 3000;
    const AFTER: usize = 1500;
    for round in 0..BEFORE / 20 {
        let many = (0..20).fold(Transaction::new(), |transaction, n| {
            transaction.put(key("ns", &n.to_string()), bytes(&round.to_string()))
        });
        commit(&*storage, many).await;
    }
    let writer = {
        let storage = storage.clone();
        tokio::spawn(async move {
            for number in 0..AFTER {
                commit(&*storage, put(&key("ns", "live"), &number.to_string())).await;
            }
        })
    };
    let mut readers = Vec::new();
    for after in [0, 1, 70, 150] {
        let watch = storage.watch(&namespace("ns"), nth(after)).await.unwrap();
        readers.push(tokio::spawn(async move {
            let last = nth((BEFORE / 20 + AFTER) as u64);
            let events = events_until_quietly(watch, nth(after), last).await;
            assert_eq!(events.len(), BEFORE - usize::try_from(after).unwrap() * 20 + AFTER);
            let distinct: BTreeSet<_> =
                events.iter().map(|event| (event.revision(), event.key().clone())).collect();
            assert_eq!(distinct.len(), events.len(), "nothing comes twice");
            assert!(events.is_sorted_by_key(Event::revision));
        }));
    }
    for task in readers {
        task.await.unwrap();
    }
    writer.await.unwrap();
}

/// Reads without asking for progress.
async fn events_until_quietly(mut watch: Watch, after: Revision, until: Revision) -> Vec<Event> {
    let (mut events, mut told) = (Vec::new(), after);
    while told < until {
        let batch = next(&mut watch).await;
        told = batch.revision;
        events.extend(batch.events);
    }
    events
}

async fn replays_large_values_in_small_batches(storage: Engine) {
    let large = bytes(&"x".repeat(300_000));
    for number in 0..20_u32 {
        let (a, b) = (key("ns", &format!("a{}", number % 5)), key("ns", &format!("b{number}")));
        let both = Transaction::new().put(a, large.clone()).put(b, large.clone());
        storage.commit(both).await.unwrap();
    }
    let last = storage.revision().await.unwrap();
    let mut watch = storage.watch(&namespace("ns"), Revision::FIRST).await.unwrap();
    let (mut reached, mut events) = (Revision::FIRST, 0);
    while reached < last {
        let batch = next(&mut watch).await;
        assert!(batch.events.len() <= 8, "{} events", batch.events.len());
        assert_eq!(batch.events.len() % 2, 0, "a commit is told at once");
        assert_eq!(batch.events.first().unwrap().revision(), reached.next());
        assert_eq!(batch.events.last().unwrap().revision(), batch.revision);
        events += batch.events.len();
        reached = batch.revision;
    }
    assert_eq!(events, 40);
}

async fn tells_progress(storage: Engine) {
    let mut idle = storage.watch(&namespace("idle"), Revision::ZERO).await.unwrap();
    idle.request_progress();
    let batch = next(&mut idle).await;
    assert_eq!((batch.events.len(), batch.revision), (0, Revision::FIRST));
    let mut last = Revision::ZERO;
    for number in 0..5 {
        last = commit(&*storage, put(&key("busy", "a"), &number.to_string())).await;
    }
    idle.request_progress();
    let batch = next(&mut idle).await;
    assert_eq!((batch.events.len(), batch.revision), (0, last));
    // Also when the request comes before the past has been told.
    let mut replayed = storage.watch(&namespace("idle"), Revision::ZERO).await.unwrap();
    replayed.request_progress();
    assert_eq!(next(&mut replayed).await.revision, last);
}

async fn tells_progress_once_when_nothing_changed(storage: Engine) {
    let mut watch = storage.watch(&namespace("ns"), Revision::FIRST).await.unwrap();
    for _ in 0..10_000 {
        watch.request_progress();
    }
    let first = commit(&*storage, put(&key("ns", "a"), "1")).await;
    assert_eq!(next(&mut watch).await.revision, Revision::FIRST);
    assert_eq!(next(&mut watch).await.revision, first);
}

async fn cuts_off_slow_watchers(storage: Engine) {
    let a = key("ns", "a");
    let mut slow = storage.watch(&namespace("ns"), Revision::FIRST).await.unwrap();
    let mut quick = storage.watch(&namespace("ns"), Revision::FIRST).await.unwrap();
    let (mut read, mut told) = (0, Revision::FIRST);
    for number in 0..1500 {
        commit(&*storage, put(&a, &number.to_string())).await;
        read += next(&mut quick).await.events.len();
    }
    assert_eq!(read, 1500);
    let error = loop {
        match soon(slow.next()).await.expect("it ends with an error") {
            Ok(batch) => {
                assert_eq!(batch.revision, told.next(), "nothing is skipped");
                told = batch.revision;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, WatchError::Lagged), "{error:?}");
    assert!(soon(slow.next()).await.is_none());
    let mut resumed = storage.watch(&namespace("ns"), told).await.unwrap();
    let missed = events_until(&mut resumed, told, nth(1500)).await;
    assert_eq!(missed.first().unwrap().revision(), told.next());
    assert_eq!(missed.len() as u64, nth(1500).get() - told.get());
}

async fn watches_that_cannot_start(storage: Engine) {
    let first = commit(&*storage, put(&key("ns", "a"), "1")).await;
    let error = storage.watch(&KeyRange::all(), first.next()).await.unwrap_err();
    assert!(matches!(
        error,
        WatchError::Future { requested, current } if requested == first.next() && current == first
    ));
}

async fn acknowledged_commits_are_seen(storage: Engine) {
    let mut tasks = Vec::new();
    for writer in 0..16 {
        let storage = storage.clone();
        tasks.push(tokio::spawn(async move {
            let key = key("ns", &writer.to_string());
            for number in 0..50 {
                let value = number.to_string();
                let revision = commit(&*storage, put(&key, &value)).await;
                assert_eq!(storage.get(&key).await.unwrap().unwrap().value, bytes(&value));
                assert!(storage.revision().await.unwrap() >= revision);
                let page = storage.list(&KeyRange::key(&key), all()).await.unwrap();
                assert_eq!(page.records, [record(&key, revision, &value)]);
                assert!(page.revision >= revision);
                let watch = storage.watch(&KeyRange::key(&key), page.revision).await;
                watch.expect("what a reader has seen is not in the future");
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(storage.revision().await.unwrap(), nth(800));
}

async fn concurrent_updates_lose_nothing(storage: Engine) {
    let counter = key("ns", "counter");
    let created = commit(&*storage, create(&counter, "0")).await;
    let mut watch = storage.watch(&namespace("ns"), created).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (storage, counter) = (storage.clone(), counter.clone());
        tasks.push(tokio::spawn(async move {
            let mut current = storage.get(&counter).await.unwrap().unwrap();
            for _ in 0..40 {
                loop {
                    let number: u64 = std::str::from_utf8(&current.value).unwrap().parse().unwrap();
                    let same = Precondition::RevisionIs(counter.clone(), current.revision);
                    let next = (number + 1).to_string();
                    match storage.commit(put(&counter, &next).require(same)).await {
                        Ok(revision) => {
                            current = record(&counter, revision, &next);
                            break;
                        }
                        Err(CommitError::Conflict { current: Some(newer), .. }) => {
                            assert!(newer.revision > current.revision);
                            current = newer;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let last = storage.get(&counter).await.unwrap().unwrap();
    assert_eq!(last, record(&counter, nth(321), "320"));
    let events = events_until(&mut watch, created, last.revision).await;
    assert_eq!(events.len(), 320);
}

/// Two keys are always written together, so no reader may ever see them differ.
async fn lists_are_snapshots(storage: Engine) {
    for number in 0..500 {
        commit(&*storage, put(&key("ns", &format!("m{number}")), "filler")).await;
    }
    let (a, z) = (key("ns", "a"), key("ns", "z"));
    let start = commit(&*storage, put(&a, "0").put(z.clone(), bytes("0"))).await;
    let writer = {
        let (storage, a, z) = (storage.clone(), a.clone(), z.clone());
        tokio::spawn(async move {
            for number in 0..400 {
                let value = bytes(&number.to_string());
                let both = Transaction::new().put(a.clone(), value.clone()).put(z.clone(), value);
                commit(&*storage, both).await;
            }
        })
    };
    while !writer.is_finished() {
        let now = storage.list(&namespace("ns"), all()).await.unwrap();
        let middle = Revision::new(u64::midpoint(start.get(), now.revision.get()));
        let then = storage.list(&namespace("ns"), all().at(middle)).await.unwrap();
        for page in [now, then] {
            let (first, last) = (&page.records[0], &page.records[501]);
            assert_eq!((&first.key, &last.key), (&a, &z));
            assert_eq!((first.revision, &first.value), (last.revision, &last.value));
            assert!(first.revision <= page.revision);
        }
    }
    writer.await.unwrap();
}

async fn dropped_commits_do_no_harm(storage: Engine) {
    let mut watch = storage.watch(&namespace("ns"), Revision::ZERO).await.unwrap();
    for number in 0..200 {
        let commit = storage.commit(put(&key("ns", &number.to_string()), "1"));
        let _gone = poll_once(commit);
    }
    let last = commit(&*storage, put(&key("ns", "last"), "1")).await;
    let events = events_until(&mut watch, Revision::ZERO, last).await;
    let committed = last.get() - Revision::FIRST.get();
    assert_eq!(events.len() as u64, committed);
    let page = storage.list(&namespace("ns"), all()).await.unwrap();
    assert_eq!(page.records.len() as u64, committed);
}

/// Polls once and drops the rest.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

async fn pings(storage: Engine) {
    storage.ping().await.unwrap();
}
