//! Writers and watchers under whom things go wrong, and what must be true afterwards.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use milo_core::{
    key::KeyRange,
    storage::{CommitError, Event, Postgres, Revision, Storage, WatchError},
};
use tokio::{sync::Notify, task::JoinHandle};

use crate::storage_support::*;

/// A refused connection fails at once: nobody spins.
const PAUSE: Duration = Duration::from_millis(5);

/// What a writer was told of one commit.
#[derive(Debug)]
struct Attempt {
    value: String,
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Committed(Revision),
    NotWritten,
    Uncertain,
}

/// Counts of what writers were told.
#[derive(Debug, Default)]
struct Counts {
    committed: AtomicU64,
    failed: AtomicU64,
    uncertain: AtomicU64,
    changed: Notify,
}

/// Writers that go on whatever happens.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    writers: Vec<JoinHandle<Vec<Attempt>>>,
}

/// How a load went.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) uncertain: u64,
    pub(crate) revision: Revision,
}

impl Load {
    /// So many writers on each of the replicas. Every value is written once, the keys are few. No
    /// answer may take longer than `limit`.
    pub(crate) fn start(replicas: &[Arc<Postgres>], writers: usize, limit: Duration) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let mut tasks = Vec::new();
        static WRITERS: AtomicUsize = AtomicUsize::new(0);
        for index in 0..writers * replicas.len() {
            let number = WRITERS.fetch_add(1, Ordering::SeqCst);
            let storage = Arc::clone(&replicas[index % replicas.len()]);
            let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
            tasks.push(tokio::spawn(write(storage, number, stop, counts, limit)));
        }
        Self { stop, counts, writers: tasks }
    }

    /// Waits for so many more commits.
    pub(crate) async fn commits(&self, more: u64) {
        let until = self.counts.committed.load(Ordering::SeqCst) + more;
        self.wait(|counts| counts.committed.load(Ordering::SeqCst) >= until).await;
    }

    /// Waits for so many more failures.
    pub(crate) async fn failures(&self, more: u64) {
        let until = self.counts.failed.load(Ordering::SeqCst) + more;
        self.wait(|counts| counts.failed.load(Ordering::SeqCst) >= until).await;
    }

    async fn wait(&self, done: impl Fn(&Counts) -> bool) {
        let waiting = async {
            while !done(&self.counts) {
                self.counts.changed.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it takes too long");
    }

    /// Stops the writers and checks that every value is in the history as often as its writer was
    /// told.
    pub(crate) async fn finish(self, storage: &Postgres) -> Summary {
        self.stop.store(true, Ordering::SeqCst);
        let mut attempts = Vec::new();
        for writer in self.writers {
            attempts.extend(writer.await.unwrap());
        }
        let revision = storage.revision().await.unwrap();
        let history = history(storage, revision).await;
        check(&attempts, &history);
        Summary { uncertain: self.counts.uncertain.load(Ordering::SeqCst), revision }
    }
}

/// All events up to a revision.
pub(crate) async fn history(storage: &Postgres, until: Revision) -> Vec<Event> {
    let followed = async {
        loop {
            match storage.watch(&KeyRange::all(), Revision::FIRST).await {
                Err(WatchError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                other => return other.unwrap(),
            }
        }
    };
    let mut watch = soon(followed).await;
    events_until(&mut watch, Revision::FIRST, until).await
}

async fn write(
    storage: Arc<Postgres>,
    writer: usize,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    limit: Duration,
) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let value = format!("{writer}-{}", attempts.len());
        let key = key("load", &format!("{}", (writer + attempts.len()) % 7));
        let start = Instant::now();
        let answer = storage.commit(put(&key, &value)).await;
        assert!(start.elapsed() < limit, "{:?} for {answer:?}", start.elapsed());
        let (told, count) = match answer {
            Ok(revision) => (Told::Committed(revision), &counts.committed),
            Err(CommitError::Unavailable(_)) => (Told::NotWritten, &counts.failed),
            Err(CommitError::Uncertain(_)) => {
                counts.uncertain.fetch_add(1, Ordering::SeqCst);
                (Told::Uncertain, &counts.failed)
            }
            Err(other) => panic!("{other}"),
        };
        count.fetch_add(1, Ordering::SeqCst);
        counts.changed.notify_one();
        attempts.push(Attempt { value, told });
        if told == Told::NotWritten {
            tokio::time::sleep(PAUSE).await;
        }
    }
    attempts
}

fn check(attempts: &[Attempt], history: &[Event]) {
    let mut found: HashMap<&[u8], Vec<Revision>> = HashMap::new();
    for event in history {
        if let Event::Put { record, .. } = event {
            found.entry(&record.value).or_default().push(record.revision);
        }
    }
    for attempt in attempts {
        let found = found.get(attempt.value.as_bytes()).map_or(&[][..], |found| &found[..]);
        match attempt.told {
            Told::Committed(revision) => assert_eq!(found, [revision], "{attempt:?}"),
            Told::NotWritten => assert_eq!(found, [], "{attempt:?}"),
            Told::Uncertain => assert!(found.len() <= 1, "{attempt:?} {found:?}"),
        }
    }
}

/// Watches everything, resumes whenever the watch ends, and keeps all it was told.
pub(crate) struct Follower {
    until: tokio::sync::watch::Sender<Option<Revision>>,
    losses: tokio::sync::watch::Receiver<usize>,
    task: JoinHandle<Vec<Event>>,
}

impl Follower {
    pub(crate) fn start(storage: &Arc<Postgres>) -> Self {
        let (until, wanted) = tokio::sync::watch::channel(None);
        let (lost, losses) = tokio::sync::watch::channel(0);
        let task = tokio::spawn(follow(Arc::clone(storage), wanted, lost));
        Self { until, losses, task }
    }

    /// Waits until it has been told that the store cannot be followed.
    pub(crate) async fn lost(&self) {
        soon(self.losses.clone().wait_for(|losses| *losses > 0)).await.unwrap();
    }

    /// What it was told up to a revision.
    pub(crate) async fn finish(self, until: Revision) -> Vec<Event> {
        self.until.send(Some(until)).unwrap();
        soon(self.task).await.unwrap()
    }
}

async fn follow(
    storage: Arc<Postgres>,
    mut until: tokio::sync::watch::Receiver<Option<Revision>>,
    losses: tokio::sync::watch::Sender<usize>,
) -> Vec<Event> {
    let (mut followed, mut told) = (Vec::new(), Revision::FIRST);
    loop {
        let mut watch = match storage.watch(&KeyRange::all(), told).await {
            Ok(watch) => watch,
            Err(WatchError::Unavailable(_)) => {
                losses.send_modify(|losses| *losses += 1);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        loop {
            if until.borrow_and_update().is_some_and(|until| told >= until) {
                return followed;
            }
            let next = tokio::select! {
                next = watch.next() => next,
                _ = until.changed() => continue,
            };
            match next.expect("a watch ends with an error") {
                Ok(batch) => {
                    assert!(batch.revision >= told, "{told} then {}", batch.revision);
                    told = batch.revision;
                    followed.extend(batch.events);
                }
                Err(WatchError::Unavailable(_)) => {
                    losses.send_modify(|losses| *losses += 1);
                    break;
                }
                Err(WatchError::Lagged) => break,
                Err(other) => panic!("{other}"),
            }
        }
    }
}
