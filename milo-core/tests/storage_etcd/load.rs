//! Writers and a watcher that go on while things fail, and the proof that nothing was lost or
//! doubled.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use milo_core::storage::{
    CommitError, Etcd, Event, Precondition, ReadError, Revision, Storage, Watch, WatchError,
};
use tokio::task::JoinHandle;

use crate::storage_support::{create, events_until, key, namespace, put};

/// How long an operation may take in these tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
/// What takes so long is not bounded. Far longer than it should take: machines are busy.
const BOUND: Duration = Duration::from_secs(20);

pub(crate) async fn connect(address: &str) -> Etcd {
    Etcd::builder(address).operation_timeout(DEADLINE).connect().await.unwrap()
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Committed(Revision),
    NotDone,
    Uncertain,
}

/// Writers of values, each of which is written once, and a watcher that resumes whenever it must.
/// Every other writer creates keys, the others update one.
pub(crate) struct Load {
    start: Revision,
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    writers: Vec<JoinHandle<HashMap<String, Fate>>>,
    watcher: JoinHandle<(Vec<Event>, usize)>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) committed: usize,
    pub(crate) not_done: usize,
    pub(crate) uncertain: usize,
    /// How often the watch ended with an error and was resumed.
    pub(crate) resumed: usize,
}

impl Load {
    pub(crate) async fn start(storage: &Etcd, writers: usize) -> Self {
        let start = storage.revision().await.unwrap();
        let watched = storage.watch(&namespace("load"), start).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (committed, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counts = (Arc::clone(&committed), Arc::clone(&failed));
        let write = |writer| {
            tokio::spawn(write(storage.clone(), writer, Arc::clone(&stop), counts.clone()))
        };
        Self {
            start,
            writers: (0..writers).map(write).collect(),
            watcher: tokio::spawn(watch(storage.clone(), start, watched)),
            stop,
            committed,
            failed,
        }
    }

    /// Waits until so many more commits are done.
    pub(crate) async fn commits(&self, count: u64) {
        wait_for(&self.committed, count).await;
    }

    /// Waits until so many more commits have failed.
    pub(crate) async fn failures(&self, count: u64) {
        wait_for(&self.failed, count).await;
    }

    /// Stops writing, and compares what was told to the writers and to the watcher with what
    /// `other` finds.
    pub(crate) async fn check(self, other: &Etcd) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut fates = HashMap::new();
        for writer in self.writers {
            fates.extend(writer.await.unwrap());
        }
        let last = other.commit(create(&key("load", LAST), "")).await.unwrap();
        let (watched, resumed) =
            tokio::time::timeout(BOUND, self.watcher).await.expect("it is told").unwrap();
        let mut fresh = other.watch(&namespace("load"), self.start).await.unwrap();
        let history = events_until(&mut fresh, self.start, last).await;
        assert_eq!(watched.len(), history.len());
        assert!(watched == history, "the watcher was told everything, once and in order");
        let mut found: HashMap<String, Vec<Revision>> = HashMap::new();
        for event in &history {
            let Event::Put { record, .. } = event else { panic!("nobody removes anything") };
            let value = String::from_utf8(record.value.to_vec()).unwrap();
            found.entry(value).or_default().push(record.revision);
        }
        let mut outcome = Outcome { committed: 0, not_done: 0, uncertain: 0, resumed };
        for (name, fate) in &fates {
            let found = found.get(name).map_or(&[][..], |found| found);
            match fate {
                Fate::Committed(revision) => {
                    assert_eq!(found, [*revision], "{name} was committed once");
                    outcome.committed += 1;
                }
                Fate::NotDone => {
                    assert!(found.is_empty(), "{name} was not committed");
                    outcome.not_done += 1;
                }
                Fate::Uncertain => {
                    assert!(found.len() <= 1, "{name} was committed once, if at all");
                    outcome.uncertain += 1;
                }
            }
        }
        println!("{outcome:?}");
        outcome
    }
}

const LAST: &str = "last";

async fn wait_for(counter: &AtomicU64, count: u64) {
    let target = counter.load(Ordering::Relaxed) + count;
    let reached = async {
        while counter.load(Ordering::Relaxed) < target {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reached).await.expect("it goes on");
}

async fn write(
    storage: Etcd,
    writer: usize,
    stop: Arc<AtomicBool>,
    (committed, failed): (Arc<AtomicU64>, Arc<AtomicU64>),
) -> HashMap<String, Fate> {
    let mut fates = HashMap::new();
    let mut updated: Option<Revision> = None;
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("{writer}-{number}");
        let own = key("load", &format!("of-{writer}"));
        let transaction = match updated {
            Some(last) => put(&own, &name).require(Precondition::RevisionIs(own, last)),
            None if writer.is_multiple_of(2) => create(&own, &name),
            None => create(&key("load", &name), &name),
        };
        let begun = Instant::now();
        let result = storage.commit(transaction).await;
        assert!(begun.elapsed() < BOUND, "{result:?} after {:?}", begun.elapsed());
        let counter = if result.is_ok() { &committed } else { &failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if writer.is_multiple_of(2) {
            updated = match &result {
                Ok(revision) => Some(*revision),
                Err(_) => current(&storage, writer).await,
            };
        }
        let fate = match result {
            Ok(revision) => Fate::Committed(revision),
            Err(CommitError::Unavailable(_) | CommitError::Conflict { .. }) => Fate::NotDone,
            Err(CommitError::Uncertain(_)) => Fate::Uncertain,
            Err(error) => panic!("{error}"),
        };
        fates.insert(name, fate);
    }
    fates
}

/// The revision of a writer's own key, as soon as it can be read.
async fn current(storage: &Etcd, writer: usize) -> Option<Revision> {
    loop {
        match storage.get(&key("load", &format!("of-{writer}"))).await {
            Ok(record) => return record.map(|record| record.revision),
            Err(ReadError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Watches until the last key comes.
async fn watch(storage: Etcd, start: Revision, mut watch: Watch) -> (Vec<Event>, usize) {
    let (mut events, mut told, mut resumed) = (Vec::new(), start, 0);
    loop {
        loop {
            match watch.next().await {
                Some(Ok(batch)) => {
                    assert!(batch.revision >= told);
                    told = batch.revision;
                    events.extend(batch.events);
                    let last = events.last().map(Event::key);
                    if last.is_some_and(|key| key.segments().unwrap().name == LAST) {
                        return (events, resumed);
                    }
                }
                Some(Err(WatchError::Unavailable(_) | WatchError::Lagged)) => break,
                Some(Err(error)) => panic!("{error}"),
                None => panic!("the watch ended without a reason"),
            }
        }
        resumed += 1;
        watch = loop {
            match storage.watch(&namespace("load"), told).await {
                Ok(watch) => break watch,
                Err(WatchError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        };
    }
}
