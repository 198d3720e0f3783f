//! What must hold for a commit, and what is told when it does not.

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    vocabulary::*,
};
use crate::storage::{CommitError, Precondition, Record, Revision, Storage, Transaction};

/// Commits a transaction that must conflict: with this precondition, and this at its key.
async fn refuses(
    storage: &dyn Storage,
    transaction: Transaction,
    failed: &Precondition,
    current: Option<&Record>,
) -> Outcome {
    match storage.commit(transaction.clone()).await {
        Err(CommitError::Conflict { failed: found, current: shown }) => {
            ensure_eq!(found, *failed, "the first that fails in {transaction:?}");
            ensure_eq!(shown.as_ref(), current, "what {failed:?} met");
            Ok(())
        }
        other => Err(Failure::new(format_args!("{transaction:?} answered {other:?}"))),
    }
}

pub(super) async fn conflicts_tell_the_current_record(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let old = storage.commit(create(&a, "0")).await?;
    let first = storage.commit(put(&a, "1")).await?;
    let current = record(&a, first, "1");
    let cases = [
        (Precondition::Absent(a.clone()), Some(&current)),
        (Precondition::RevisionIs(a.clone(), old), Some(&current)),
        (Precondition::RevisionIs(a.clone(), first.next()), Some(&current)),
        (Precondition::Exists(b.clone()), None),
        (Precondition::RevisionIs(b.clone(), first), None),
    ];
    for (condition, expected) in cases {
        let operations = [put(&b, "2"), delete(&a), Transaction::new()];
        for transaction in operations {
            refuses(storage, transaction.require(condition.clone()), &condition, expected).await?;
        }
    }
    let page = storage.list(&namespace("ns"), all()).await?;
    ensure_eq!(page.records, std::slice::from_ref(&current), "conflicts write nothing");
    let holding = [
        Precondition::Exists(a.clone()),
        Precondition::RevisionIs(a.clone(), first),
        Precondition::Absent(b.clone()),
    ];
    let transaction = holding.into_iter().fold(put(&a, "2"), Transaction::require);
    let second = storage.commit(transaction).await?;
    ensure_eq!(storage.get(&a).await?, Some(record(&a, second, "2")));
    Ok(())
}

pub(super) async fn the_first_failed_precondition_is_told(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let (a, b, c) = (key("ns", "a"), key("ns", "b"), key("ns", "c"));
    let first = storage.commit(put(&a, "1").put(b.clone(), bytes("1"))).await?;
    let second = storage.commit(put(&b, "2")).await?;
    let holding = [Precondition::Exists(a.clone()), Precondition::RevisionIs(b.clone(), second)];
    let failing = [
        (Precondition::RevisionIs(b.clone(), first), Some(record(&b, second, "2"))),
        (Precondition::Exists(c.clone()), None),
        (Precondition::Absent(a.clone()), Some(record(&a, first, "1"))),
        (Precondition::RevisionIs(c.clone(), first), None),
    ];
    for turn in 0..failing.len() {
        let mut order = failing.clone();
        order.rotate_left(turn);
        let (expected, current) = &order[0];
        let mut transaction = put(&c, "3");
        for condition in holding.iter().chain(order.iter().map(|(condition, _)| condition)) {
            transaction.add_precondition(condition.clone());
        }
        refuses(storage, transaction, expected, current.as_ref()).await?;
    }
    Ok(())
}

pub(super) async fn a_removed_key_is_absent(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let a = key("ns", "a");
    let first = storage.commit(create(&a, "1")).await?;
    let removed = storage.commit(delete(&a)).await?;
    for failing in [
        Precondition::Exists(a.clone()),
        Precondition::RevisionIs(a.clone(), first),
        Precondition::RevisionIs(a.clone(), removed),
    ] {
        refuses(storage, put(&a, "2").require(failing.clone()), &failing, None).await?;
    }
    let again = storage.commit(create(&a, "3")).await?;
    let current = record(&a, again, "3");
    for failing in
        [Precondition::RevisionIs(a.clone(), first), Precondition::RevisionIs(a.clone(), removed)]
    {
        refuses(storage, delete(&a).require(failing.clone()), &failing, Some(&current)).await?;
    }
    Ok(())
}

/// Numbers that no commit has, some of which engines use for something else.
pub(super) async fn revisions_of_no_commit_never_hold(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let (a, absent) = (key("ns", "a"), key("ns", "absent"));
    let first = storage.commit(put(&a, "1")).await?;
    let current = record(&a, first, "1");
    let signed_max = i64::MAX.unsigned_abs();
    for number in [0, first.get() + 1_000_000, signed_max, signed_max + 1, u64::MAX] {
        for (key, current) in [(&a, Some(&current)), (&absent, None)] {
            let failing = Precondition::RevisionIs(key.clone(), Revision::new(number));
            refuses(storage, put(key, "2").require(failing.clone()), &failing, current).await?;
        }
    }
    Ok(())
}

/// Preconditions speak of the state that the transaction meets, not of what it does.
pub(super) async fn preconditions_see_the_state_before(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let exists = Precondition::Exists(a.clone());
    refuses(storage, put(&a, "1").require(exists.clone()), &exists, None).await?;
    let first = storage.commit(create(&a, "1")).await?;
    let same = Precondition::RevisionIs(a.clone(), first);
    // Twice the same, and of a key that is removed.
    let moved = put(&b, "1").delete(a.clone()).require(same.clone()).require(same.clone());
    let second = storage.commit(moved).await?;
    let page = storage.list(&namespace("ns"), all()).await?;
    ensure_eq!(page.records, [record(&b, second, "1")]);
    // Two that cannot both hold.
    let (absent, exists) = (Precondition::Absent(a.clone()), Precondition::Exists(a.clone()));
    let never = put(&a, "2").require(absent.clone()).require(exists.clone());
    refuses(storage, never, &exists, None).await?;
    let never = put(&a, "2").require(exists.clone()).require(absent);
    refuses(storage, never, &exists, None).await
}

pub(super) async fn preconditions_may_be_of_other_keys(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let (owner, a, b) = (key("owners", "o"), key("ns", "a"), key("ns", "b"));
    let owns = Precondition::Exists(owner.clone());
    refuses(storage, create(&a, "1").require(owns.clone()), &owns, None).await?;
    let created = storage.commit(put(&owner, "o")).await?;
    let first = storage.commit(create(&a, "1").require(owns.clone())).await?;
    let alone = Precondition::Absent(a.clone());
    let met = record(&a, first, "1");
    refuses(storage, delete(&owner).require(alone.clone()), &alone, Some(&met)).await?;
    ensure_eq!(storage.get(&owner).await?, Some(record(&owner, created, "o")));
    storage.commit(delete(&a)).await?;
    storage.commit(delete(&owner).require(alone)).await?;
    refuses(storage, create(&b, "1").require(owns.clone()), &owns, None).await
}
