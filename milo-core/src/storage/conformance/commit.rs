//! What a transaction does.

use super::{failure::Outcome, lab::Lab, vocabulary::*};
use crate::{
    key::Key,
    storage::{CommitError, Precondition, Revision, Transaction},
};

pub(super) async fn creates_and_gets(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let empty = storage.revision().await?;
    ensure!(empty >= Revision::FIRST, "an empty store is at {empty}");
    ensure_eq!(storage.get(&a).await?, None);
    let page = storage.list(&namespace("ns"), all()).await?;
    ensure_eq!((page.records.len(), page.remaining), (0, 0));
    let first = storage.commit(create(&a, "1")).await?;
    let second = storage.commit(create(&b, "2")).await?;
    ensure!(empty < first && first < second, "{empty}, {first}, {second} must increase");
    ensure_eq!(storage.get(&a).await?, Some(record(&a, first, "1")));
    ensure_eq!(storage.get(&b).await?, Some(record(&b, second, "2")));
    let third = storage.commit(put(&a, "3")).await?;
    ensure_eq!(storage.get(&a).await?, Some(record(&a, third, "3")));
    ensure_eq!(storage.get(&b).await?, Some(record(&b, second, "2")));
    let fourth = storage.commit(delete(&a)).await?;
    ensure_eq!(storage.get(&a).await?, None);
    let again = storage.commit(create(&a, "5")).await?;
    ensure!(third < fourth && fourth < again, "{third}, {fourth}, {again} must increase");
    ensure_eq!(storage.get(&a).await?, Some(record(&a, again, "5")));
    ensure!(storage.revision().await? >= again, "the store is behind its last commit");
    Ok(())
}

pub(super) async fn transactions_are_all_or_nothing(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let (a, b, c) = (key("ns", "a"), key("ns", "b"), key("ns", "c"));
    let before = storage.commit(put(&c, "0")).await?;
    let failing = put(&a, "1").put(b.clone(), bytes("1")).delete(c.clone());
    let failing = failing.require(Precondition::Exists(b.clone()));
    ensure_matches!(storage.commit(failing).await, Err(CommitError::Conflict { .. }));
    let page = storage.list(&namespace("ns"), all()).await?;
    ensure_eq!(page.records, [record(&c, before, "0")], "after a conflict");
    let all_three = put(&a, "1").put(b.clone(), bytes("1")).delete(c.clone());
    let revision = storage.commit(all_three).await?;
    let page = storage.list(&namespace("ns"), all()).await?;
    ensure_eq!(page.records, [record(&a, revision, "1"), record(&b, revision, "1")]);
    let mut watch = storage.watch(&namespace("ns"), before).await?;
    let mut events = next_events(&mut watch).await?;
    events.sort_by(|a, b| a.key().cmp(b.key()));
    let expected = [
        put_event(record(&a, revision, "1"), None),
        put_event(record(&b, revision, "1"), None),
        delete_event(revision, record(&c, before, "0")),
    ];
    ensure_eq!(events, expected, "a batch holds whole commits");
    Ok(())
}

pub(super) async fn transactions_that_change_nothing(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let empty = storage.revision().await?;
    let nothing = storage.commit(Transaction::new()).await?;
    ensure!(nothing >= empty, "{nothing} is not the current revision, {empty} was before");
    let first = storage.commit(put(&a, "1")).await?;
    let idle = [
        Transaction::new(),
        Transaction::new().require(Precondition::RevisionIs(a.clone(), first)),
        delete(&b),
        delete(&b).delete(key("ns", "c")).require(Precondition::Exists(a.clone())),
    ];
    for transaction in idle {
        let current = storage.commit(transaction.clone()).await?;
        ensure!(current >= first, "{transaction:?} returned {current}, older than {first}");
        if lab.capabilities().dense {
            ensure_eq!(current, first, "the revision of {transaction:?}");
        }
    }
    for transaction in [Transaction::new(), delete(&b)] {
        let failing = transaction.require(Precondition::Absent(a.clone()));
        ensure_matches!(storage.commit(failing).await, Err(CommitError::Conflict { .. }));
    }
    let last = storage.commit(put(&a, "2")).await?;
    let events = history(&**storage, &namespace("ns"), first, last).await?;
    let expected = put_event(record(&a, last, "2"), Some(record(&a, first, "1")));
    ensure_eq!(events, [expected], "what changes nothing is no event");
    Ok(())
}

pub(super) async fn writing_the_same_value_is_a_change(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let a = key("ns", "a");
    let first = storage.commit(put(&a, "same")).await?;
    let second = storage.commit(put(&a, "same")).await?;
    ensure!(second > first, "the second write has revision {second}, the first one {first}");
    ensure_eq!(storage.get(&a).await?, Some(record(&a, second, "same")));
    let events = history(&**storage, &namespace("ns"), first, second).await?;
    let expected = put_event(record(&a, second, "same"), Some(record(&a, first, "same")));
    ensure_eq!(events, [expected]);
    Ok(())
}

/// As many operations as a transaction may have, half of them changing what is there.
pub(super) async fn large_transactions_commit_at_once(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let count = lab.capabilities().max_transaction;
    let keys: Vec<Key> = (0..count).map(|number| key("ns", &format!("{number:06}"))).collect();
    let start = storage.revision().await?;
    let write = |value: &str| {
        keys.iter().fold(Transaction::new(), |t, key| t.put(key.clone(), bytes(value)))
    };
    let first = storage.commit(write("1")).await?;
    let page = storage.list(&namespace("ns"), all()).await?;
    ensure_eq!(page.records.len(), count);
    ensure!(page.records.iter().all(|record| record.revision == first), "not all at {first}");
    // One precondition for each two operations fewer.
    let (same, changed) = (count / 2, count - count / 2);
    let mut transaction = Transaction::new();
    for key in &keys[..same] {
        transaction.add_precondition(Precondition::RevisionIs(key.clone(), first));
    }
    for key in &keys[..changed] {
        transaction = transaction.delete(key.clone());
    }
    let second = storage.commit(transaction).await?;
    ensure_eq!(storage.list(&namespace("ns"), all()).await?.records.len(), count - changed);
    let mut watch = storage.watch(&namespace("ns"), start).await?;
    let mut told = Told::after(start);
    while told.revision < second {
        let batch = next(&mut watch).await?;
        let of = |revision| batch.events.iter().filter(|e| e.revision() == revision).count();
        ensure!([0, count].contains(&of(first)), "a part of a commit: {}", of(first));
        ensure!([0, changed].contains(&of(second)), "a part of a commit: {}", of(second));
        told.add(batch)?;
    }
    ensure_eq!(told.events.len(), count + changed);
    Ok(())
}

pub(super) async fn refuses_a_key_that_is_changed_twice(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    for twice in [
        put(&a, "1").put(a.clone(), bytes("2")),
        put(&a, "1").put(b.clone(), bytes("1")).delete(a.clone()),
        delete(&a).delete(a.clone()),
    ] {
        ensure_matches!(
            storage.commit(twice).await,
            Err(CommitError::DuplicateKey(found)) if found == a
        );
    }
    ensure_eq!(storage.list(&namespace("ns"), all()).await?.records, []);
    Ok(())
}

pub(super) async fn revisions_are_dense(lab: Lab) -> Outcome {
    if !lab.capabilities().dense {
        return Err(super::failure::Failure::Skipped("revisions have gaps".to_owned()));
    }
    let storage = lab.storage();
    ensure_eq!(storage.revision().await?, Revision::FIRST);
    let a = key("ns", "a");
    let mut last = Revision::FIRST;
    for transaction in [create(&a, "1"), put(&a, "2"), delete(&a), create(&a, "3")] {
        let revision = storage.commit(transaction).await?;
        ensure_eq!(revision, last.next());
        ensure_eq!(storage.commit(delete(&key("ns", "absent"))).await?, revision);
        ensure_matches!(
            storage
                .commit(
                    create(&a, "4")
                        .delete(key("ns", "b"))
                        .require(Precondition::Exists(key("ns", "b")))
                )
                .await,
            Err(CommitError::Conflict { .. })
        );
        ensure_eq!(storage.revision().await?, revision);
        last = revision;
    }
    Ok(())
}

pub(super) async fn pings(lab: Lab) -> Outcome {
    lab.storage().ping().await?;
    Ok(())
}
