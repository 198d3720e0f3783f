//! What many see who write and read at once.

use tokio::task::JoinSet;

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    vocabulary::*,
};
use crate::{key::KeyRange, storage::CommitError};

pub(super) async fn acknowledged_commits_are_seen(lab: Lab) -> Outcome {
    let mut tasks = JoinSet::new();
    for writer in 0..16 {
        let storage = lab.storage().clone();
        tasks.spawn(async move {
            let key = key("ns", &writer.to_string());
            for number in 0..25 {
                let value = number.to_string();
                let revision = storage.commit(put(&key, &value)).await?;
                let expected = record(&key, revision, &value);
                ensure_eq!(storage.get(&key).await?, Some(expected.clone()));
                let now = storage.revision().await?;
                ensure!(now >= revision, "revision {now} after commit {revision}");
                let page = storage.list(&KeyRange::key(&key), all()).await?;
                ensure_eq!(page.records, [expected]);
                ensure!(page.revision >= now, "a list at {} after {now}", page.revision);
                // What a reader has seen is not in the future.
                storage.watch(&KeyRange::key(&key), page.revision).await?;
            }
            Ok(())
        });
    }
    join(tasks).await?;
    Ok(())
}

pub(super) async fn concurrent_updates_lose_nothing(lab: Lab) -> Outcome {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let counter = key("ns", "counter");
    let created = lab.storage().commit(create(&counter, "0")).await?;
    let mut watch = lab.storage().watch(&namespace("ns"), created).await?;
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        let (storage, counter) = (lab.storage().clone(), counter.clone());
        tasks.spawn(async move {
            let missing = || Failure::new("the counter is gone");
            let mut current = storage.get(&counter).await?.ok_or_else(missing)?;
            for _ in 0..EACH {
                loop {
                    let next = (number(&current.value)? + 1).to_string();
                    let update = put(&counter, &next).require(unchanged(&current));
                    match storage.commit(update).await {
                        Ok(revision) => {
                            current = record(&counter, revision, &next);
                            break;
                        }
                        Err(CommitError::Conflict { current: Some(newer), .. }) => {
                            ensure!(newer.revision > current.revision, "a conflict with itself");
                            current = newer;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Ok(())
        });
    }
    join(tasks).await?;
    let last = lab.storage().get(&counter).await?;
    let last = last.ok_or_else(|| Failure::new("the counter is gone"))?;
    ensure_eq!(number(&last.value)?, WRITERS * EACH);
    let events = events_until(&mut watch, created, last.revision).await?;
    ensure_eq!(events.len() as u64, WRITERS * EACH);
    Ok(())
}

fn number(value: &[u8]) -> Result<u64, Failure> {
    Ok(std::str::from_utf8(value)?.parse()?)
}
