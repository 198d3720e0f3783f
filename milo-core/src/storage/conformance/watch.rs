//! What watchers are told.

use std::{collections::BTreeSet, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{failure::Outcome, lab::Lab, vocabulary::*};
use crate::{
    key::{Key, KeyRange},
    storage::{Event, Revision, Transaction, WatchError},
};

pub(super) async fn watches_live(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let a = key("ns", "a");
    let start = storage.revision().await?;
    let mut watch = storage.watch(&namespace("ns"), start).await?;
    let first = storage.commit(create(&a, "1")).await?;
    let expected = put_event(record(&a, first, "1"), None);
    ensure_eq!(next_events(&mut watch).await?, [expected]);
    let second = storage.commit(put(&a, "2")).await?;
    let expected = put_event(record(&a, second, "2"), Some(record(&a, first, "1")));
    ensure_eq!(next_events(&mut watch).await?, [expected]);
    let third = storage.commit(delete(&a)).await?;
    let expected = delete_event(third, record(&a, second, "2"));
    ensure_eq!(next_events(&mut watch).await?, [expected]);
    storage.commit(delete(&a)).await?;
    let fifth = storage.commit(create(&a, "5")).await?;
    let expected = put_event(record(&a, fifth, "5"), None);
    ensure_eq!(next_events(&mut watch).await?, [expected], "removing nothing is no event");
    Ok(())
}

pub(super) async fn watches_from_the_past(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let (a, b) = (key("ns", "a"), key("other", "b"));
    let first = storage.commit(put(&a, "1")).await?;
    storage.commit(put(&b, "1")).await?;
    let third = storage.commit(put(&a, "3")).await?;
    let fourth = storage.commit(delete(&a)).await?;
    let fifth = storage.commit(put(&a, "5")).await?;
    let mut watch = storage.watch(&namespace("ns"), first).await?;
    let sixth = storage.commit(put(&a, "6")).await?;
    let expected = [
        put_event(record(&a, third, "3"), Some(record(&a, first, "1"))),
        delete_event(fourth, record(&a, third, "3")),
        put_event(record(&a, fifth, "5"), None),
        put_event(record(&a, sixth, "6"), Some(record(&a, fifth, "5"))),
    ];
    ensure_eq!(events_until(&mut watch, first, sixth).await?, expected);
    Ok(())
}

/// All there is, if the store still knows all that there was.
pub(super) async fn watches_from_the_very_beginning(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let a = key("ns", "a");
    let first = storage.commit(put(&a, "1")).await?;
    match storage.watch(&namespace("ns"), Revision::ZERO).await {
        Ok(mut watch) => {
            let events = events_until(&mut watch, Revision::ZERO, first).await?;
            ensure_eq!(events, [put_event(record(&a, first, "1"), None)]);
        }
        Err(error) => ensure_matches!(
            error,
            WatchError::Expired { requested: Revision::ZERO, compacted } if compacted <= first
        ),
    }
    storage.compact(first).await?;
    ensure_matches!(
        storage.watch(&namespace("ns"), Revision::ZERO).await,
        Err(WatchError::Expired { requested: Revision::ZERO, .. })
    );
    Ok(())
}

pub(super) async fn watches_only_its_range(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let ranges = [namespace("a"), namespace("ab"), KeyRange::key(&key("a", "x")), KeyRange::all()];
    let start = storage.revision().await?;
    let mut watches = Vec::new();
    for range in &ranges {
        watches.push(storage.watch(range, start).await?);
    }
    let changed = [key("a", "x"), key("a", "xy"), key("ab", "x"), key("b", "x")];
    let all_at_once = changed.iter().fold(Transaction::new(), |t, k| t.put(k.clone(), bytes("1")));
    storage.commit(all_at_once).await?;
    let mut last = start;
    for key in &changed {
        last = storage.commit(put(key, "2")).await?;
    }
    for (range, watch) in ranges.iter().zip(&mut watches) {
        let expected: Vec<&Key> =
            changed.iter().chain(&changed).filter(|key| range.contains(key)).collect();
        let live = events_until(watch, start, last).await?;
        let replayed = history(&**storage, range, start, last).await?;
        for events in [live, replayed] {
            let found: Vec<&Key> = events.iter().map(Event::key).collect();
            ensure_eq!(found, expected, "{range:?}");
        }
    }
    Ok(())
}

pub(super) async fn watches_that_cannot_start(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let first = storage.commit(put(&key("ns", "a"), "1")).await?;
    let next = if lab.capabilities().dense { first.get() + 1 } else { first.get() + 1_000_000 };
    let signed_max = i64::MAX.unsigned_abs();
    for number in [next, first.get() + 1_000_000, signed_max, signed_max + 1, u64::MAX] {
        let future = Revision::new(number);
        ensure_matches!(
            storage.watch(&KeyRange::all(), future).await,
            Err(WatchError::Future { requested, current })
                if requested == future && current >= first && current < future
        );
    }
    Ok(())
}

pub(super) async fn replays_long_histories_while_writing(lab: Lab) -> Outcome {
    const ROUNDS: usize = 100;
    const KEYS: usize = 20;
    const AFTER: usize = 500;
    let storage = lab.storage();
    let mut starts = vec![storage.revision().await?];
    for round in 0..ROUNDS {
        let many = (0..KEYS).fold(Transaction::new(), |transaction, n| {
            transaction.put(key("ns", &n.to_string()), bytes(&round.to_string()))
        });
        starts.push(storage.commit(many).await?);
    }
    let mut readers = JoinSet::new();
    let (done, last) = tokio::sync::watch::channel(None);
    for skipped in [0, 1, 47, ROUNDS] {
        let after = starts[skipped];
        let mut watch = storage.watch(&namespace("ns"), after).await?;
        let mut last = last.clone();
        readers.spawn(async move {
            let mut told = Told::after(after);
            let expected = (ROUNDS - skipped) * KEYS + AFTER;
            while told.events.len() < expected {
                told.add(next(&mut watch).await?)?;
            }
            let last = *soon("the writer", last.wait_for(Option::is_some)).await??;
            ensure_eq!(told.events.last().map(Event::revision), last, "after {after}");
            let distinct: BTreeSet<_> =
                told.events.iter().map(|event| (event.revision(), event.key())).collect();
            ensure_eq!(distinct.len(), expected, "something came twice after {after}");
            Ok(())
        });
    }
    let mut newest = None;
    for number in 0..AFTER {
        newest = Some(storage.commit(put(&key("ns", "live"), &number.to_string())).await?);
    }
    done.send_replace(newest);
    join(readers).await?;
    Ok(())
}

/// More bytes than any buffer should hold; commits stay whole.
pub(super) async fn replays_large_values(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let start = storage.revision().await?;
    let large = bytes(&"x".repeat(300_000));
    for number in 0..20_u32 {
        let (a, b) = (key("ns", &format!("a{}", number % 5)), key("ns", &format!("b{number}")));
        storage.commit(Transaction::new().put(a, large.clone()).put(b, large.clone())).await?;
    }
    let last = storage.revision().await?;
    let mut watch = storage.watch(&namespace("ns"), start).await?;
    watch.request_progress();
    let mut told = Told::after(start);
    while told.revision < last {
        let batch = next(&mut watch).await?;
        ensure_eq!(batch.events.len() % 2, 0, "a commit is told at once");
        told.add(batch)?;
    }
    ensure_eq!(told.events.len(), 40);
    Ok(())
}

/// A watcher that does not read holds nobody up, and is told all or cut off.
pub(super) async fn slow_watchers_lose_nothing(lab: Lab) -> Outcome {
    const COMMITS: usize = 1500;
    let storage = lab.storage();
    let start = storage.revision().await?;
    let mut slow = storage.watch(&namespace("ns"), start).await?;
    let mut quick = storage.watch(&namespace("ns"), start).await?;
    // Writers are at most that far ahead of the quick watcher.
    let ahead = Arc::new(Semaphore::new(200));
    let mut writers = JoinSet::new();
    for writer in 0..10 {
        let (storage, key) = (storage.clone(), key("ns", &writer.to_string()));
        let ahead = Arc::clone(&ahead);
        writers.spawn(async move {
            let mut revisions = Vec::new();
            for number in 0..COMMITS / 10 {
                ahead.acquire().await?.forget();
                revisions.push(storage.commit(put(&key, &number.to_string())).await?);
            }
            Ok(revisions)
        });
    }
    let mut read = Told::after(start);
    while read.events.len() < COMMITS {
        let batch = next(&mut quick).await?;
        ahead.add_permits(batch.events.len());
        read.add(batch)?;
    }
    let mut committed = join(writers).await?.concat();
    committed.sort_unstable();
    let revisions: Vec<_> = read.events.iter().map(Event::revision).collect();
    ensure_eq!(revisions, committed, "what the quick watcher was told");
    let last = read.revision;
    let mut told = Told::after(start);
    let end = told.read_until_end(&mut slow, committed[COMMITS - 1]).await?;
    if let Some(error) = end {
        ensure_matches!(error, WatchError::Lagged);
        let mut resumed = storage.watch(&namespace("ns"), told.revision).await?;
        resumed.request_progress();
        told.read_until(&mut resumed, last).await?;
    }
    ensure!(told.events == read.events, "the slow watcher was told something else");
    Ok(())
}
