//! Random work by many at once, checked as a whole: see [`checker`](super::checker).

use std::sync::Arc;

use tokio::{
    sync::watch::{Receiver, Sender},
    task::JoinSet,
};

use super::{
    checker::{Log, RecordedWatch, Recorder, verify},
    failure::{Failure, Outcome},
    lab::Lab,
    random::{Random, seeded},
    vocabulary::*,
};
use crate::{
    key::{Key, KeyRange},
    storage::{
        Event, ListOptions, Operation, Precondition, Record, Revision, Storage, Transaction,
        WatchError,
    },
};

const WRITERS: u64 = 6;
const TRANSACTIONS: u64 = 60;
const READERS: u64 = 3;
const WATCHERS: u64 = 4;
const KEYS: u64 = 12;

pub(super) async fn random_histories_are_linearizable(lab: Lab) -> Outcome {
    work(&[lab.storage().clone()], false).await
}

pub(super) async fn random_histories_with_compaction_are_exact(lab: Lab) -> Outcome {
    work(&[lab.storage().clone()], true).await
}

pub(super) async fn random_histories_of_replicas_are_linearizable(lab: Lab) -> Outcome {
    work(&[lab.storage().clone(), lab.replica().await?, lab.replica().await?], false).await
}

async fn work(handles: &[Arc<dyn Storage>], compacting: bool) -> Outcome {
    seeded(|random| record(handles, compacting, random)).await
}

async fn record(handles: &[Arc<dyn Storage>], compacting: bool, mut random: Random) -> Outcome {
    let log = Arc::new(Log::default());
    let recorder =
        |storage: &Arc<dyn Storage>| Recorder::new(Arc::clone(storage), Arc::clone(&log));
    let recorders: Vec<Recorder> = handles.iter().map(recorder).collect();
    let mut turn = recorders.iter().cycle().cloned();
    let mut next = || turn.next().ok_or_else(|| Failure::new("no handle to work with"));
    let first = next()?;
    let start = first.revision().await?;
    let (told, progress) = tokio::sync::watch::channel(start);
    let witness = tokio::spawn(witness(first.storage().clone(), told));
    let mut worker = |number| {
        let (random, progress) = (random.fork(), progress.clone());
        Ok::<_, Failure>(Worker { storage: next()?, random, number, start, progress })
    };
    let (mut writers, mut others, mut watchers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for number in 0..WRITERS {
        writers.spawn(worker(number)?.write());
    }
    for number in 0..READERS {
        others.spawn(worker(number)?.read());
    }
    for number in 0..WATCHERS {
        watchers.spawn(worker(number)?.watch());
    }
    if compacting {
        others.spawn(worker(0)?.compact());
    }
    join(writers).await?;
    // The witness reads up to here, and ends the work of the others.
    let last = first.commit(Transaction::new().put(end(), bytes("end"))).await?;
    let last = last.map_err(|_| Failure::new("a conflict without a precondition"))?;
    let history = witness.await??;
    join(others).await?;
    let mut watches = join(watchers).await?;
    if !compacting {
        watches.extend(first.watch(KeyRange::all(), start).await?);
    }
    for mut watch in watches {
        watch.request_progress();
        while watch.told() < last && watch.read().await? {}
    }
    verify(&log, start, &history)
}

/// The key of the last commit.
fn end() -> Key {
    Key::from_storage(bytes("/end"))
}

/// Reads all that happens, up to the last commit, and tells how far it has come.
async fn witness(
    storage: Arc<dyn Storage>,
    progress: Sender<Revision>,
) -> Result<Vec<Event>, Failure> {
    let mut told = Told::after(*progress.borrow());
    loop {
        let mut watch = storage.watch(&KeyRange::all(), told.revision).await?;
        loop {
            match soon("a watch batch", watch.next()).await? {
                Some(Ok(batch)) => told.add(batch)?,
                Some(Err(WatchError::Lagged)) => break,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Failure::new("the watch ended without an error")),
            }
            progress.send_replace(told.revision);
            if told.events.last().is_some_and(|event| *event.key() == end()) {
                return Ok(told.events);
            }
        }
    }
}

/// One task's part of the work.
struct Worker {
    storage: Recorder,
    random: Random,
    number: u64,
    start: Revision,
    /// How far the witness has come. Closed when the work is over.
    progress: Receiver<Revision>,
}

impl Worker {
    fn key(&mut self) -> Key {
        let number = self.random.below(KEYS);
        let namespace = if number < 4 {
            "a"
        } else if number < 8 {
            "ab"
        } else {
            "b"
        };
        key(namespace, &number.to_string())
    }

    fn range(&mut self) -> KeyRange {
        match self.random.below(4) {
            0 => KeyRange::all(),
            1 => namespace("a"),
            2 => namespace("ab"),
            _ => KeyRange::key(&self.key()),
        }
    }

    /// Some revision that the witness has seen.
    fn moment(&mut self) -> Revision {
        let now = self.progress.borrow().get();
        Revision::new(self.random.between(self.start.get(), now))
    }

    async fn write(mut self) -> Outcome {
        let mut known = None;
        for number in 0..TRANSACTIONS {
            let transaction = self.transaction(number, known.take()).await?;
            if self.random.percent(5) && writes(&transaction) {
                let _gone = poll_once(self.storage.commit(transaction));
            } else if let Err(current) = self.storage.commit(transaction).await? {
                known = current;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Changes one to three keys. After a conflict it changes what was in the way.
    async fn transaction(
        &mut self,
        number: u64,
        known: Option<Record>,
    ) -> Result<Transaction, Failure> {
        let mut transaction = Transaction::new();
        let mut keys = vec![match &known {
            Some(record) => record.key.clone(),
            None => self.key(),
        }];
        for _ in 0..self.random.below(3) {
            let another = self.key();
            if !keys.contains(&another) {
                keys.push(another);
            }
        }
        if let Some(record) = &known {
            transaction.add_precondition(unchanged(record));
        } else if self.random.percent(60) {
            transaction.add_precondition(self.condition(keys[0].clone()).await?);
        }
        if self.random.percent(30) {
            let other = self.key();
            transaction.add_precondition(self.condition(other).await?);
        }
        for (index, key) in keys.into_iter().enumerate() {
            transaction.add_operation(if self.random.percent(70) {
                let value = format!("{}-{number}-{index}", self.number);
                Operation::Put(key, bytes(&value))
            } else {
                Operation::Delete(key)
            });
        }
        Ok(transaction)
    }

    /// Mostly one that held a moment ago.
    async fn condition(&mut self, key: Key) -> Result<Precondition, Failure> {
        let found = self.storage.get(key.clone()).await?;
        tokio::task::yield_now().await;
        Ok(match (self.random.below(10), found) {
            (0, _) => Precondition::Exists(key),
            (1, _) => Precondition::Absent(key),
            (2, _) => Precondition::RevisionIs(key, self.moment()),
            (_, Some(record)) => unchanged(&record),
            (_, None) => Precondition::Absent(key),
        })
    }

    async fn read(mut self) -> Outcome {
        while self.progress.changed().await.is_ok() {
            match self.random.below(4) {
                0 => drop(self.storage.revision().await?),
                1 => {
                    let key = self.key();
                    self.storage.get(key).await?;
                }
                _ => {
                    let (range, options) = (self.range(), self.options());
                    self.storage.list(range, options).await?;
                }
            }
        }
        Ok(())
    }

    fn options(&mut self) -> ListOptions {
        let mut options = all();
        if self.random.percent(50) {
            options.limit = Some([0, 1, 2, 5][self.random.index(4)]);
        }
        if self.random.percent(50) {
            options.at = Some(self.moment());
        }
        options
    }

    async fn compact(mut self) -> Outcome {
        while self.progress.changed().await.is_ok() {
            if self.random.percent(20) {
                let floor = self.moment();
                self.storage.compact(floor).await?;
            }
        }
        Ok(())
    }

    /// Watches, goes away now and then, and resumes. Returns the last watch.
    async fn watch(mut self) -> Result<RecordedWatch, Failure> {
        let (range, mut after) = (self.range(), self.start);
        loop {
            let Some(mut watch) = self.storage.watch(range.clone(), after).await? else {
                after = self.storage.revision().await?;
                continue;
            };
            loop {
                if self.progress.changed().await.is_err() {
                    return Ok(watch);
                }
                if self.random.percent(20) {
                    watch.request_progress();
                }
                let ended = poll_once(watch.read()).transpose()? == Some(false);
                if ended || self.random.percent(3) {
                    break;
                }
            }
            after = if self.random.percent(20) { self.moment() } else { watch.told() };
        }
    }
}

/// Commits that write nothing cannot be found again by what they wrote.
fn writes(transaction: &Transaction) -> bool {
    transaction.operations().iter().any(|operation| matches!(operation, Operation::Put(..)))
}
