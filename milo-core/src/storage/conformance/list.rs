//! Lists: of now, of the past, in pages.

use tokio::task::JoinSet;

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    vocabulary::*,
};
use crate::{
    key::KeyRange,
    storage::{ReadError, Revision, Transaction},
};

pub(super) async fn lists_in_pages_at_one_revision(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let mut six = Revision::ZERO;
    for number in 0..10 {
        let revision = storage.commit(put(&key("ns", &format!("{number}")), "1")).await?;
        if number == 6 {
            six = revision;
        }
    }
    let now = storage.revision().await?;
    let range = namespace("ns");
    let first = storage.list(&range, all().limit(4)).await?;
    ensure_eq!((names(&first), first.remaining), (vec!["0", "1", "2", "3"], 6));
    ensure!(first.revision >= now, "a list at {} after {now}", first.revision);
    // What happens between two pages does not show.
    storage.commit(delete(&key("ns", "5")).delete(key("ns", "8"))).await?;
    storage.commit(put(&key("ns", "6"), "2")).await?;
    storage.commit(put(&key("ns", "55"), "2")).await?;
    let at = all().limit(4).at(first.revision);
    let rest = rest_of(&range, &first).ok_or_else(|| Failure::new("an empty first page"))?;
    let second = storage.list(&rest, at).await?;
    ensure_eq!((names(&second), second.remaining), (vec!["4", "5", "6", "7"], 2));
    ensure_eq!(second.revision, first.revision);
    ensure_eq!(second.records[2], record(&key("ns", "6"), six, "1"));
    let rest = rest_of(&range, &second).ok_or_else(|| Failure::new("an empty second page"))?;
    let third = storage.list(&rest, at).await?;
    ensure_eq!((names(&third), third.remaining), (vec!["8", "9"], 0));
    for (at, count) in [(all(), 9), (all().at(first.revision), 10)] {
        let none = storage.list(&range, at.limit(0)).await?;
        ensure_eq!((names(&none), none.remaining), (vec![], count));
        for limit in [10, 11, 100, usize::MAX] {
            let more = storage.list(&range, at.limit(limit)).await?;
            ensure_eq!((more.records.len() as u64, more.remaining), (count, 0), "limit {limit}");
        }
    }
    Ok(())
}

pub(super) async fn lists_the_past(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let empty = storage.revision().await?;
    let first = storage.commit(put(&a, "1")).await?;
    let second = storage.commit(put(&b, "2")).await?;
    let third = storage.commit(put(&a, "3")).await?;
    let fourth = storage.commit(delete(&b)).await?;
    let expected = [
        (empty, vec![]),
        (first, vec![record(&a, first, "1")]),
        (second, vec![record(&a, first, "1"), record(&b, second, "2")]),
        (third, vec![record(&a, third, "3"), record(&b, second, "2")]),
        (fourth, vec![record(&a, third, "3")]),
    ];
    for (at, records) in expected {
        let page = storage.list(&namespace("ns"), all().at(at)).await?;
        ensure_eq!((page.records, page.revision, page.remaining), (records, at, 0));
    }
    // Before everything there is nothing, or it is no longer known.
    match storage.list(&namespace("ns"), all().at(Revision::ZERO)).await {
        Ok(page) => ensure_eq!((page.records, page.revision), (vec![], Revision::ZERO)),
        Err(error) => ensure_matches!(
            error,
            ReadError::Expired { requested: Revision::ZERO, compacted } if compacted <= empty
        ),
    }
    Ok(())
}

pub(super) async fn reads_of_the_future_fail(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let first = storage.commit(put(&key("ns", "a"), "1")).await?;
    let next = if lab.capabilities().dense { first.get() + 1 } else { first.get() + 1_000_000 };
    let signed_max = i64::MAX.unsigned_abs();
    for number in [next, first.get() + 1_000_000, signed_max, signed_max + 1, u64::MAX] {
        let future = Revision::new(number);
        let result = storage.list(&KeyRange::all(), all().at(future)).await;
        ensure_matches!(
            result,
            Err(ReadError::Future { requested, current })
                if requested == future && current >= first && current < future
        );
    }
    Ok(())
}

/// Two keys are always written together, so no reader may ever see them differ.
pub(super) async fn lists_are_snapshots(lab: Lab) -> Outcome {
    let storage = lab.storage();
    fill(&**storage, "ns", (0..500).map(|number| format!("m{number}")), "filler").await?;
    let (a, z) = (key("ns", "a"), key("ns", "z"));
    let both =
        |value: &str| Transaction::new().put(a.clone(), bytes(value)).put(z.clone(), bytes(value));
    let start = storage.commit(both("0")).await?;
    let mut writer = JoinSet::<Outcome>::new();
    let transactions: Vec<_> = (0..200).map(|number: u32| both(&number.to_string())).collect();
    let to = storage.clone();
    writer.spawn(async move {
        for transaction in transactions {
            to.commit(transaction).await?;
        }
        Ok(())
    });
    let mut writing = true;
    while writing {
        // An engine may read without ever waiting: the writer must have its turn.
        tokio::task::yield_now().await;
        if let Some(done) = writer.try_join_next() {
            done??;
            // Once more, with all that was written.
            writing = false;
        }
        let now = storage.list(&namespace("ns"), all()).await?;
        let middle = Revision::new(u64::midpoint(start.get(), now.revision.get()));
        let then = storage.list(&namespace("ns"), all().at(middle)).await?;
        for page in [now, then] {
            ensure_eq!(page.records.len(), 502);
            let (first, last) = (&page.records[0], &page.records[501]);
            ensure_eq!((&first.key, &last.key), (&a, &z));
            ensure_eq!((first.revision, &first.value), (last.revision, &last.value));
            ensure!(first.revision <= page.revision, "{first:?} at {}", page.revision);
        }
    }
    Ok(())
}
