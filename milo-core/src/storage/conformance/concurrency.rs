//! What many see who write and read at once.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    random::{Random, seeded},
    vocabulary::*,
};
use crate::{
    key::{Key, KeyRange},
    storage::{CommitError, Event, Precondition, Record, Revision, Storage, Transaction},
};

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

/// Of many who create the same key, or change the same revision, one succeeds.
pub(super) async fn one_of_many_wins(lab: Lab) -> Outcome {
    let a = key("ns", "a");
    let mut before: Option<Record> = None;
    for round in 0..20 {
        let mut tasks = JoinSet::new();
        for writer in 0..8 {
            let storage = lab.storage().clone();
            let (a, same) = (a.clone(), before.as_ref().map(unchanged));
            let same = same.unwrap_or_else(|| Precondition::Absent(a.clone()));
            tasks.spawn(async move {
                let value = format!("{round}-{writer}");
                match storage.commit(put(&a, &value).require(same)).await {
                    Ok(revision) => Ok(Ok(record(&a, revision, &value))),
                    Err(CommitError::Conflict { current, .. }) => Ok(Err(current)),
                    Err(error) => Err(error.into()),
                }
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) = join(tasks).await?.into_iter().partition(Result::is_ok);
        let won: Vec<Record> = won.into_iter().flatten().collect();
        ensure_eq!(won.len(), 1, "winners of round {round}");
        for current in lost.into_iter().filter_map(Result::err) {
            ensure_eq!(current.as_ref(), won.first(), "what the losers met");
        }
        before = won.into_iter().next();
    }
    Ok(())
}

/// Amounts move between accounts in transactions. No list, of now or of the past, and no watch
/// ever sees another sum.
pub(super) async fn transactions_keep_the_sum(lab: Lab) -> Outcome {
    seeded(|random| transfer_and_read(lab, random)).await
}

const ACCOUNTS: u64 = 6;
const SUM: u64 = ACCOUNTS * 100;

async fn transfer_and_read(lab: Lab, mut random: Random) -> Outcome {
    let accounts: Vec<Key> = (0..ACCOUNTS).map(|n| key("accounts", &n.to_string())).collect();
    let open = accounts.iter().fold(Transaction::new(), |t, k| t.put(k.clone(), bytes("100")));
    let start = lab.storage().commit(open).await?;
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let (storage, mut random, accounts) =
            (lab.storage().clone(), random.fork(), accounts.clone());
        writers.spawn(async move {
            for _ in 0..50 {
                let (from, to) = (random.index(accounts.len()), random.index(accounts.len()));
                if from != to {
                    transfer(&*storage, &accounts[from], &accounts[to], random.below(20)).await?;
                }
            }
            Ok(())
        });
    }
    let (done, over) = tokio::sync::watch::channel(false);
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let (storage, mut random, over) = (lab.storage().clone(), random.fork(), over.clone());
        readers.spawn(async move {
            while !*over.borrow() {
                let now = storage.list(&namespace("accounts"), all()).await?;
                ensure_eq!(sum(now.records.iter())?, SUM, "at {}", now.revision);
                let at = Revision::new(random.between(start.get(), now.revision.get()));
                let then = storage.list(&namespace("accounts"), all().at(at)).await?;
                ensure_eq!(sum(then.records.iter())?, SUM, "at {at} in the past");
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    join(writers).await?;
    done.send_replace(true);
    join(readers).await?;
    let last = lab.storage().revision().await?;
    let mut state = BTreeMap::new();
    let events = history(&**lab.storage(), &namespace("accounts"), before(start), last).await?;
    for commit in events.chunk_by(|a, b| a.revision() == b.revision()) {
        for event in commit {
            let Event::Put { record, .. } = event else { continue };
            state.insert(record.key.clone(), record.clone());
        }
        ensure_eq!(sum(state.values())?, SUM, "told of {}", commit[0].revision());
    }
    Ok(())
}

/// The store was there before its first commit.
fn before(first: Revision) -> Revision {
    Revision::new(first.get() - 1)
}

async fn transfer(storage: &dyn Storage, from: &Key, to: &Key, amount: u64) -> Outcome {
    loop {
        let missing = || Failure::new("an account is gone");
        let source = storage.get(from).await?.ok_or_else(missing)?;
        let target = storage.get(to).await?.ok_or_else(missing)?;
        let Some(rest) = number(&source.value)?.checked_sub(amount) else { return Ok(()) };
        let sum = number(&target.value)? + amount;
        let transaction = put(from, &rest.to_string())
            .put(to.clone(), bytes(&sum.to_string()))
            .require(unchanged(&source))
            .require(unchanged(&target));
        match storage.commit(transaction).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn sum<'a>(records: impl Iterator<Item = &'a Record>) -> Result<u64, Failure> {
    records.map(|record| number(&record.value)).sum()
}

/// What one reader has seen never goes back, whatever it asks.
pub(super) async fn readers_never_go_back(lab: Lab) -> Outcome {
    let a = key("ns", "a");
    let mut last = lab.storage().commit(put(&a, "0")).await?;
    let writing = lab.storage().clone();
    let key = a.clone();
    let writer = tokio::spawn(async move {
        for number in 1..300 {
            writing.commit(put(&key, &number.to_string())).await?;
            tokio::task::yield_now().await;
        }
        Outcome::Ok(())
    });
    let storage = lab.storage();
    while !writer.is_finished() {
        tokio::task::yield_now().await;
        let record = storage.get(&a).await?.ok_or_else(|| Failure::new("the key is gone"))?;
        ensure!(record.revision >= last, "got {} after {last}", record.revision);
        let now = storage.revision().await?;
        ensure!(now >= record.revision, "at {now}, and a record of {} was there", record.revision);
        let page = storage.list(&namespace("ns"), all()).await?;
        ensure!(page.revision >= now, "a list at {} after {now}", page.revision);
        ensure!(page.records[0].revision >= record.revision, "a list older than a get");
        // Whoever has seen a revision can see everything up to it.
        let then = storage.list(&namespace("ns"), all().at(page.revision)).await?;
        ensure_eq!(then.records, page.records, "at {} once more", page.revision);
        last = page.revision;
    }
    writer.await?
}
