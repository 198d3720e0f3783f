//! Futures that are dropped half-way.

use tokio::task::JoinSet;

use super::{
    failure::Outcome,
    lab::Lab,
    random::{Random, seeded},
    vocabulary::*,
};
use crate::storage::Transaction;

pub(super) async fn dropped_commits_do_no_harm(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let start = storage.revision().await?;
    let mut watch = storage.watch(&namespace("ns"), start).await?;
    for number in 0..200 {
        let _gone = poll_once(storage.commit(put(&key("ns", &number.to_string()), "1")));
    }
    let last = storage.commit(put(&key("ns", "last"), "1")).await?;
    let events = events_until(&mut watch, start, last).await?;
    let page = storage.list(&namespace("ns"), all().at(last)).await?;
    ensure_eq!(page.records.len(), events.len());
    Ok(())
}

/// Commits that are dropped at any moment happen whole or not at all.
pub(super) async fn aborted_commits_are_all_or_nothing(lab: Lab) -> Outcome {
    seeded(|random| abort(lab, random)).await
}

async fn abort(lab: Lab, mut random: Random) -> Outcome {
    let start = lab.storage().revision().await?;
    let mut tasks = JoinSet::new();
    for number in 0..100_u32 {
        let value = bytes(&number.to_string());
        let keys = ["a", "b"].map(|name| key("ns", &format!("{name}{number:03}")));
        let both = keys.into_iter().fold(Transaction::new(), |t, key| t.put(key, value.clone()));
        let (storage, turns) = (lab.storage().clone(), random.below(40));
        tasks.spawn(async move {
            let mut commit = std::pin::pin!(storage.commit(both));
            for _ in 0..turns {
                if poll_once(commit.as_mut()).is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    join(tasks).await?;
    let last = lab.storage().commit(put(&key("other", "last"), "1")).await?;
    let page = lab.storage().list(&namespace("ns"), all().at(last)).await?;
    let (a, b) = page.records.split_at(page.records.len() / 2);
    ensure_eq!(a.len(), b.len(), "half a transaction");
    for (a, b) in a.iter().zip(b) {
        ensure_eq!((a.revision, &a.value), (b.revision, &b.value), "half a transaction");
    }
    let events = history(&**lab.storage(), &namespace("ns"), start, last).await?;
    ensure_eq!(events.len(), page.records.len());
    Ok(())
}

pub(super) async fn dropped_reads_do_no_harm(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let a = key("ns", "a");
    let first = storage.commit(put(&a, "1")).await?;
    let range = namespace("ns");
    for _ in 0..100 {
        let _gone = poll_once(storage.get(&a));
        let _gone = poll_once(storage.list(&range, all()));
        let _gone = poll_once(storage.list(&range, all().at(first)));
        let _gone = poll_once(storage.revision());
        let _gone = poll_once(storage.watch(&range, first));
        let _gone = poll_once(storage.compact(first));
        let _gone = poll_once(storage.ping());
    }
    ensure_eq!(storage.get(&a).await?, Some(record(&a, first, "1")));
    let second = storage.commit(put(&a, "2")).await?;
    let events = history(&**storage, &range, first, second).await?;
    ensure_eq!(events, [put_event(record(&a, second, "2"), Some(record(&a, first, "1")))]);
    Ok(())
}

/// Nothing is lost when a reader stops waiting for the next batch, as `select!` does.
pub(super) async fn dropped_waits_for_a_batch_lose_nothing(lab: Lab) -> Outcome {
    const COMMITS: usize = 200;
    let storage = lab.storage();
    let start = storage.revision().await?;
    let mut watch = storage.watch(&namespace("ns"), start).await?;
    let mut told = Told::after(start);
    let a = key("ns", "a");
    for number in 0..COMMITS {
        storage.commit(put(&a, &number.to_string())).await?;
        for _ in 0..3 {
            if let Some(Some(batch)) = poll_once(watch.next()) {
                told.add(batch?)?;
            }
        }
    }
    while told.events.len() < COMMITS {
        told.add(next(&mut watch).await?)?;
    }
    ensure_eq!(told.events.len(), COMMITS);
    Ok(())
}
