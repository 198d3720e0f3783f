//! What a value may be.

use bytes::Bytes;

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    vocabulary::*,
};
use crate::{
    key::KeyRange,
    storage::{CommitError, MAX_VALUE_BYTES, Transaction},
};

/// What every engine takes in one transaction: 1.5 MB.
const LARGE: usize = 1_500_000;

pub(super) async fn takes_large_values(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let a = key("ns", "a");
    // No two parts alike, and nothing to be read as text.
    let value: Bytes = (0..LARGE).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect();
    let start = storage.revision().await?;
    let first = storage.commit(Transaction::new().put(a.clone(), value.clone())).await?;
    let found = storage.get(&a).await?;
    ensure!(found.is_some_and(|found| found.value == value), "get: not what was written");
    let second = storage.commit(put(&a, "small")).await?;
    let old = storage.list(&KeyRange::key(&a), all().at(first)).await?;
    ensure!(old.records.len() == 1 && old.records[0].value == value, "list: not what was written");
    let events = history(&**storage, &namespace("ns"), start, second).await?;
    ensure_eq!(events.len(), 2);
    let large = crate::storage::Record { key: a.clone(), revision: first, value };
    let small = put_event(record(&a, second, "small"), Some(large.clone()));
    ensure!(events == [put_event(large, None), small], "watch: not what was written");
    Ok(())
}

pub(super) async fn refuses_values_that_are_too_large(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let length = MAX_VALUE_BYTES + 1;
    let transaction = put(&b, "1").put(a.clone(), Bytes::from(vec![b'x'; length]));
    match storage.commit(transaction).await {
        Err(CommitError::TooLarge { bytes, limit }) => {
            ensure!(bytes >= length, "{bytes} instead of {length}");
            ensure!((LARGE..=MAX_VALUE_BYTES).contains(&limit), "a limit of {limit}");
        }
        Err(other) => return Err(Failure::new(format_args!("{other:?} instead of TooLarge"))),
        Ok(revision) => return Err(Failure::new(format_args!("committed as {revision}"))),
    }
    ensure_eq!(storage.list(&namespace("ns"), all()).await?.records, []);
    Ok(())
}

pub(super) async fn keeps_empty_values(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let a = key("ns", "a");
    let start = storage.revision().await?;
    let first = storage.commit(put(&a, "")).await?;
    ensure_eq!(storage.get(&a).await?, Some(record(&a, first, "")));
    let page = storage.list(&namespace("ns"), all()).await?;
    ensure_eq!(page.records, [record(&a, first, "")]);
    let second = storage.commit(put(&a, "2")).await?;
    let third = storage.commit(put(&a, "")).await?;
    let fourth = storage.commit(delete(&a)).await?;
    let expected = [
        put_event(record(&a, first, ""), None),
        put_event(record(&a, second, "2"), Some(record(&a, first, ""))),
        put_event(record(&a, third, ""), Some(record(&a, second, "2"))),
        delete_event(fourth, record(&a, third, "")),
    ];
    ensure_eq!(history(&**storage, &namespace("ns"), start, fourth).await?, expected);
    Ok(())
}
