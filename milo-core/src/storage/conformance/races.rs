//! Reads and watches that race compaction: exact or expired, never wrong.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    random::{Random, seeded},
    vocabulary::*,
};
use crate::{
    key::Key,
    storage::{Event, ReadError, Revision, Storage, Transaction, WatchError},
};

const COMMITS: u64 = 300;
/// Every commit writes its number to these.
const KEYS: usize = 5;

/// What was committed so far, by revision.
type Numbers = Arc<Mutex<BTreeMap<Revision, u64>>>;

fn keys() -> Vec<Key> {
    (0..KEYS).map(|number| key("ns", &number.to_string())).collect()
}

async fn write(storage: Arc<dyn Storage>, numbers: Numbers) -> Outcome {
    for number in 0..COMMITS {
        let value = bytes(&number.to_string());
        let put = |transaction: Transaction, key| transaction.put(key, value.clone());
        let revision = storage.commit(keys().into_iter().fold(Transaction::new(), put)).await?;
        numbers.lock().insert(revision, number);
        // Compaction keeps close behind.
        if number % 3 == 0 {
            let floor = numbers.lock().keys().rev().nth(2).copied();
            storage.compact(floor.unwrap_or_default()).await?;
        }
    }
    Ok(())
}

/// One of the newest revisions, and the number that was written then; none before the first.
fn pick(numbers: &Numbers, random: &mut Random) -> Option<(Revision, u64)> {
    let back = random.index(6);
    numbers.lock().iter().rev().nth(back).map(|(revision, number)| (*revision, *number))
}

fn is_over(numbers: &Numbers) -> bool {
    numbers.lock().len() as u64 == COMMITS
}

pub(super) async fn lists_race_compaction(lab: Lab) -> Outcome {
    seeded(|mut random| async move {
        let (numbers, mut tasks) = (Numbers::default(), JoinSet::new());
        tasks.spawn(write(lab.storage().clone(), Arc::clone(&numbers)));
        for _ in 0..3 {
            tasks.spawn(list(lab.storage().clone(), Arc::clone(&numbers), random.fork()));
        }
        join(tasks).await.map(drop)
    })
    .await
}

async fn list(storage: Arc<dyn Storage>, numbers: Numbers, mut random: Random) -> Outcome {
    while !is_over(&numbers) {
        tokio::task::yield_now().await;
        let Some((at, number)) = pick(&numbers, &mut random) else { continue };
        match storage.list(&namespace("ns"), all().at(at)).await {
            Ok(page) => {
                let expected: Vec<_> =
                    keys().iter().map(|key| record(key, at, &number.to_string())).collect();
                ensure_eq!((page.records, page.revision), (expected, at));
            }
            Err(ReadError::Expired { requested, compacted }) => {
                ensure!(requested == at && at < compacted, "{at} expired at {compacted}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) async fn watches_race_compaction(lab: Lab) -> Outcome {
    seeded(|mut random| async move {
        let (numbers, mut tasks) = (Numbers::default(), JoinSet::new());
        tasks.spawn(write(lab.storage().clone(), Arc::clone(&numbers)));
        for _ in 0..3 {
            tasks.spawn(watch(lab.storage().clone(), Arc::clone(&numbers), random.fork()));
        }
        join(tasks).await.map(drop)
    })
    .await
}

async fn watch(storage: Arc<dyn Storage>, numbers: Numbers, mut random: Random) -> Outcome {
    while !is_over(&numbers) {
        tokio::task::yield_now().await;
        let Some((after, mut number)) = pick(&numbers, &mut random) else { continue };
        let mut watch = match storage.watch(&namespace("ns"), after).await {
            Ok(watch) => watch,
            Err(WatchError::Expired { requested, compacted }) => {
                ensure!(requested == after && after < compacted, "{after} expired at {compacted}");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for _ in 0..random.between(1, 5) {
            if number + 1 == COMMITS {
                break;
            }
            match soon("a watch batch", watch.next()).await? {
                Some(Ok(batch)) => number = follow(&batch.events, number)?,
                Some(Err(WatchError::Expired { .. } | WatchError::Lagged)) => break,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Failure::new("the watch ended without an error")),
            }
        }
    }
    Ok(())
}

/// Whether these events are those of the commits after this one. Returns the last of them.
fn follow(events: &[Event], mut number: u64) -> Result<u64, Failure> {
    ensure_eq!(events.len() % KEYS, 0, "events of half a commit");
    for commit in events.chunks(KEYS) {
        let value = |number: u64| bytes(&number.to_string());
        for event in commit {
            let Event::Put { record, previous: Some(previous) } = event else {
                return Err(Failure::new(format_args!("{event:?} after commit {number}")));
            };
            ensure_eq!(previous.value, value(number), "what {event:?} replaced");
            ensure_eq!(record.value, value(number + 1), "in {event:?}");
        }
        number += 1;
    }
    Ok(number)
}

/// Compactions at once, to different revisions: the highest counts.
pub(super) async fn compactions_race_one_another(lab: Lab) -> Outcome {
    let a = key("ns", "a");
    let mut revisions = Vec::new();
    for number in 0..20 {
        revisions.push(lab.storage().commit(put(&a, &number.to_string())).await?);
    }
    let mut tasks = JoinSet::new();
    for floor in revisions[..15].iter().copied() {
        let storage = lab.storage().clone();
        tasks.spawn(async move { Ok(storage.compact(floor).await?) });
    }
    join(tasks).await?;
    for (number, at) in revisions.iter().copied().enumerate() {
        let result = lab.storage().list(&namespace("ns"), all().at(at)).await;
        if number < 14 {
            ensure_matches!(
                result,
                Err(ReadError::Expired { compacted, .. }) if compacted == revisions[14]
            );
        } else {
            ensure_eq!(result?.records, [record(&a, at, &number.to_string())]);
        }
    }
    Ok(())
}
