//! What was told, and what has to be found after a crash.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytes::Bytes;

use super::{
    Random, Told, WRITERS,
    workload::{Attempt, digest, is_marker},
};
use crate::{
    key::{Key, KeyRange},
    storage::{Event, ListOptions, ReadError, Record, Revision, Storage, WatchError},
};

type State = BTreeMap<Key, Record>;
type Commits = BTreeMap<Revision, Vec<Event>>;

/// What must be true of a store, over all its crashes.
#[derive(Debug)]
pub(crate) struct Ledger {
    seed: u64,
    /// The highest floor that anybody was told.
    floor: Revision,
    /// The floor that the last check found, and the state there.
    base_at: Revision,
    base: State,
    /// What the commits after that did, up to the newest that the last check found. Everybody can
    /// know them now, so they can never be different.
    commits: Commits,
    newest: Revision,
    current: State,
    /// The highest revision that anybody was told.
    told: Revision,
    /// Acknowledged since the last check.
    acknowledged: BTreeMap<Revision, Attempt>,
    seen: Vec<(Revision, u64)>,
    /// Of each writer in each life since the last check, the attempt that was not answered.
    unanswered: HashMap<(u64, u64), Attempt>,
    counts: Counts,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    pub(crate) unanswered_done: usize,
    pub(crate) unanswered_not_done: usize,
    pub(crate) seen: usize,
    pub(crate) compactions: usize,
    pub(crate) replayed: usize,
}

impl Ledger {
    /// Of an empty store.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            floor: Revision::ZERO,
            base_at: Revision::ZERO,
            base: State::new(),
            commits: Commits::new(),
            newest: Revision::FIRST,
            current: State::new(),
            told: Revision::FIRST,
            acknowledged: BTreeMap::new(),
            seen: Vec::new(),
            unanswered: HashMap::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn newest(&self) -> Revision {
        self.newest
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The writers of a life may begin.
    pub(crate) fn begin(&mut self, life: u64) {
        for writer in 0..WRITERS {
            self.unanswered.insert((life, writer), Attempt::first(life, writer));
        }
    }

    /// Notes what somebody was told before the crash.
    pub(crate) fn note(&mut self, told: Told) {
        match told {
            Told::Acknowledged(attempt, revision) => {
                self.answered(attempt);
                self.told = self.told.max(revision);
                if attempt.changes_nothing() {
                    return;
                }
                assert!(revision > self.newest, "{revision} was used before {attempt:?}");
                let taken = self.acknowledged.insert(revision, attempt);
                assert_eq!(taken, None, "{revision} was given out twice");
                self.counts.acknowledged += 1;
            }
            Told::Refused(attempt) => {
                self.answered(attempt);
                self.counts.refused += 1;
            }
            Told::Compacting => {}
            Told::Compacted(floor) => {
                self.floor = self.floor.max(floor);
                self.counts.compactions += 1;
            }
            Told::Seen(revision, digest) => {
                self.told = self.told.max(revision);
                self.seen.push((revision, digest));
                self.counts.seen += 1;
            }
        }
    }

    fn answered(&mut self, attempt: Attempt) {
        let expected = self.unanswered.get_mut(&(attempt.life, attempt.writer)).unwrap();
        assert_eq!(*expected, attempt, "answers come in order");
        *expected = attempt.next();
    }

    /// Compares all of it with what is there.
    pub(crate) async fn check(&mut self, storage: &dyn Storage, random: &mut Random) {
        let found = Found::read(storage).await;
        self.check_promises(&found);
        for number in self.newest.get() + 1..=found.newest.get() {
            self.take_in(Revision::new(number), &found);
        }
        let lost = &self.acknowledged;
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        (self.newest, self.told) = (found.newest, found.newest);
        self.check_seen();
        self.move_base(found.floor);
        assert_eq!(self.base, found.base, "the state at the floor, {}", found.floor);
        assert!(self.commits == found.commits, "history has changed");
        self.counts.replayed += found.commits.len();
        assert_eq!(list(storage, None).await, self.current, "the newest state");
        self.check_past(storage, random).await;
        self.check_expired(storage).await;
        self.counts.unanswered_not_done += self.unanswered.len();
        self.unanswered.clear();
    }

    /// Nothing that somebody was told is taken back.
    fn check_promises(&self, found: &Found) {
        let (newest, told) = (found.newest, self.told);
        assert!(newest >= told, "{newest} is the newest after {told} was told");
        assert!(found.floor >= self.floor, "the floor went back to {}", found.floor);
    }

    /// Finds out what a commit since the last check has to be, and notes that for ever.
    fn take_in(&mut self, revision: Revision, found: &Found) {
        let attempt = match self.acknowledged.remove(&revision) {
            Some(attempt) => attempt,
            None => self.unanswered_attempt(found.attempt(revision)),
        };
        let events = self.events(attempt, revision);
        apply(&mut self.current, &events);
        self.commits.insert(revision, events);
    }

    /// Which of the transactions that nobody was answered is there all the same.
    fn unanswered_attempt(&mut self, marked: Option<Attempt>) -> Attempt {
        self.counts.unanswered_done += 1;
        let attempt = marked.expect("a revision that nobody asked for");
        let place = (attempt.life, attempt.writer);
        assert_eq!(self.unanswered.remove(&place), Some(attempt), "nobody sent that");
        attempt
    }

    /// All that a transaction does after the current state.
    fn events(&self, attempt: Attempt, revision: Revision) -> Vec<Event> {
        let content = attempt.content(self.seed);
        let current = |key: &Key| self.current.get(key).cloned();
        // It has committed, so what it required was true.
        let guard = content
            .guard
            .as_ref()
            .map(|key| current(key).map_or(Revision::ZERO, |record| record.revision));
        let event = |(key, value): (Key, Option<Bytes>)| {
            let previous = current(&key);
            match value {
                Some(value) => {
                    Some(Event::Put { record: Record { key, revision, value }, previous })
                }
                None => Some(Event::Delete { revision, previous: previous? }),
            }
        };
        attempt.marked(guard).into_iter().chain(content.changes).filter_map(event).collect()
    }

    fn check_seen(&mut self) {
        for (revision, seen) in self.seen.drain(..) {
            let events = self.commits.get(&revision).expect("a watch told of a later commit");
            assert_eq!(digest(events), seen, "a watch told something else of {revision}");
        }
    }

    fn move_base(&mut self, floor: Revision) {
        let kept = self.commits.split_off(&floor.next());
        for events in std::mem::replace(&mut self.commits, kept).values() {
            apply(&mut self.base, events);
        }
        self.base_at = floor;
        self.floor = self.floor.max(floor);
    }

    /// Some revisions that are still kept: the state there, and what a watch from there tells.
    async fn check_past(&mut self, storage: &dyn Storage, random: &mut Random) {
        for _ in 0..3 {
            let (floor, newest) = (self.base_at.get(), self.newest.get());
            let at = Revision::new(floor + random.below(newest - floor + 1));
            let mut state = self.base.clone();
            for events in self.commits.range(..=at).map(|commit| commit.1) {
                apply(&mut state, events);
            }
            assert_eq!(list(storage, Some(at)).await, state, "the state at {at}");
            let later: Vec<_> =
                self.commits.range(at.next()..).flat_map(|commit| commit.1).cloned().collect();
            assert_eq!(watch(storage, at, self.newest).await, later, "a watch from {at}");
            self.counts.replayed += later.len();
        }
    }

    async fn check_expired(&self, storage: &dyn Storage) {
        let Some(below) = self.base_at.get().checked_sub(1).map(Revision::new) else { return };
        let list = storage.list(&KeyRange::all(), ListOptions::default().at(below)).await;
        assert!(matches!(list, Err(ReadError::Expired { .. })), "{list:?}");
        let watch = storage.watch(&KeyRange::all(), below).await;
        assert!(matches!(watch, Err(WatchError::Expired { .. })), "{watch:?}");
    }
}

fn apply(state: &mut State, events: &[Event]) {
    for event in events {
        if let Event::Put { record, .. } = event {
            state.insert(record.key.clone(), record.clone());
        } else {
            state.remove(event.key());
        }
    }
}

/// What is there after a crash.
struct Found {
    newest: Revision,
    floor: Revision,
    base: State,
    commits: Commits,
}

impl Found {
    async fn read(storage: &dyn Storage) -> Self {
        let newest = storage.revision().await.unwrap();
        let oldest =
            storage.list(&KeyRange::all(), ListOptions::default().at(Revision::ZERO)).await;
        let floor = match oldest {
            Ok(_) => Revision::ZERO,
            Err(ReadError::Expired { compacted, .. }) => compacted,
            Err(error) => unreachable!("{error:?}"),
        };
        let mut commits = Commits::new();
        for event in watch(storage, floor, newest).await {
            commits.entry(event.revision()).or_default().push(event);
        }
        Self { newest, floor, base: list(storage, Some(floor)).await, commits }
    }

    /// Whose marker the commit has left.
    fn attempt(&self, revision: Revision) -> Option<Attempt> {
        let events = self.commits.get(&revision).into_iter().flatten();
        let written = events.filter_map(|event| {
            if let Event::Put { record, .. } = event { Some(record) } else { None }
        });
        let kept = self.base.values().filter(|record| record.revision == revision);
        let mut markers = written.chain(kept).filter(|record| is_marker(&record.key));
        markers.next().map(|record| Attempt::of_marker(&record.value))
    }
}

async fn list(storage: &dyn Storage, at: Option<Revision>) -> State {
    let mut options = ListOptions::default();
    options.at = at;
    let page = storage.list(&KeyRange::all(), options).await.unwrap();
    page.records.into_iter().map(|record| (record.key.clone(), record)).collect()
}

/// Everything that a watch tells, up to a revision.
async fn watch(storage: &dyn Storage, after: Revision, until: Revision) -> Vec<Event> {
    let mut watch = storage.watch(&KeyRange::all(), after).await.unwrap();
    watch.request_progress();
    let (mut events, mut told) = (Vec::new(), after);
    while told < until {
        let batch = tokio::time::timeout(Duration::from_secs(60), watch.next()).await;
        let batch = batch.expect("the watch hangs").expect("the watch is over").unwrap();
        told = batch.revision;
        events.extend(batch.events);
    }
    events
}
