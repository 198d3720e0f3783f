//! Random histories, compared with a naive model: one full snapshot per revision.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod storage_support;

use std::collections::BTreeMap;

use milo_core::{
    key::{Key, KeyRange},
    storage::{
        CommitError, Event, Memory, Operation, Precondition, ReadError, Record, Revision, Storage,
        Transaction, WatchError,
    },
};
use proptest::prelude::*;
use storage_support::*;

type State = BTreeMap<Key, Record>;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, Condition)>, Vec<(u8, Option<u16>)>),
    Compact(prop::sample::Index),
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    Absent,
    Exists,
    Current,
    Other,
}

fn step() -> impl Strategy<Value = Step> {
    let condition = prop_oneof![
        1 => Just(Condition::Absent),
        1 => Just(Condition::Exists),
        3 => Just(Condition::Current),
        1 => Just(Condition::Other),
    ];
    let conditions = prop::collection::vec((0_u8..12, condition), 0..2);
    let operations =
        prop::collection::vec((0_u8..12, prop::option::weighted(0.7, any::<u16>())), 0..5);
    prop_oneof![
        20 => (conditions, operations).prop_map(|(c, o)| Step::Commit(c, o)),
        1 => any::<prop::sample::Index>().prop_map(Step::Compact),
    ]
}

fn key_of(number: u8) -> Key {
    key(["a", "ab", "b"][usize::from(number % 3)], &number.to_string())
}

/// The state after every revision, from zero on, and what happened in each.
#[derive(Default)]
struct Model {
    states: Vec<State>,
    events: Vec<Vec<Event>>,
    floor: usize,
}

impl Model {
    fn new() -> Self {
        // Revisions 0 and 1 are both the empty store.
        let (states, events) = (vec![State::new(); 2], vec![Vec::new(); 2]);
        Self { states, events, floor: 0 }
    }

    fn current(&self) -> &State {
        self.states.last().unwrap()
    }

    fn revision(&self) -> Revision {
        Revision::new(self.states.len() as u64 - 1)
    }

    /// The first condition that fails, or the new revision.
    fn commit(&mut self, transaction: &Transaction) -> Result<Revision, Precondition> {
        for condition in transaction.preconditions() {
            let current = self.current().get(condition.key());
            if !condition.holds(current.map(|record| record.revision)) {
                return Err(condition.clone());
            }
        }
        let changes = |operation: &Operation| match operation {
            Operation::Put(..) => true,
            _ => self.current().contains_key(operation.key()),
        };
        if !transaction.operations().iter().any(changes) {
            return Ok(self.revision());
        }
        let (mut state, mut events) = (self.current().clone(), Vec::new());
        let revision = self.revision().next();
        for operation in transaction.operations() {
            let key = operation.key().clone();
            if let Operation::Put(_, value) = operation {
                let record = Record { key: key.clone(), revision, value: value.clone() };
                let previous = state.insert(key, record.clone());
                events.push(Event::Put { record, previous });
            } else if let Some(previous) = state.remove(&key) {
                events.push(Event::Delete { revision, previous });
            }
        }
        self.states.push(state);
        self.events.push(events);
        Ok(revision)
    }

    fn transaction(
        &self,
        step: &[(u8, Condition)],
        operations: &[(u8, Option<u16>)],
    ) -> Transaction {
        let mut transaction = Transaction::new();
        for (number, condition) in step {
            let key = key_of(*number);
            let known = self.current().get(&key).map(|record| record.revision);
            transaction.add_precondition(match (condition, known) {
                (Condition::Exists, _) => Precondition::Exists(key),
                (Condition::Current, Some(revision)) => Precondition::RevisionIs(key, revision),
                (Condition::Absent | Condition::Current, _) => Precondition::Absent(key),
                (Condition::Other, _) => Precondition::RevisionIs(key, self.revision().next()),
            });
        }
        let distinct: BTreeMap<_, _> = operations.iter().copied().collect();
        for (number, value) in distinct {
            transaction = match value {
                Some(value) => transaction.put(key_of(number), bytes(&value.to_string())),
                None => transaction.delete(key_of(number)),
            };
        }
        transaction
    }
}

async fn run(storage: &dyn Storage, model: &mut Model, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Commit(conditions, operations) => {
                let transaction = model.transaction(conditions, operations);
                match (storage.commit(transaction.clone()).await, model.commit(&transaction)) {
                    (Ok(revision), Ok(expected)) => assert_eq!(revision, expected),
                    (Err(CommitError::Conflict { failed, current }), Err(expected)) => {
                        assert_eq!(current.as_ref(), model.current().get(failed.key()));
                        assert_eq!(failed, expected);
                    }
                    (found, expected) => panic!("{found:?} instead of {expected:?}"),
                }
            }
            Step::Compact(index) => {
                let floor = index.index(model.states.len());
                storage.compact(Revision::new(floor as u64)).await.unwrap();
                model.floor = model.floor.max(floor);
            }
        }
    }
    check(storage, model).await;
}

async fn check(storage: &dyn Storage, model: &Model) {
    assert_eq!(storage.revision().await.unwrap(), model.revision());
    for number in 0..12 {
        let key = key_of(number);
        let found = storage.get(&key).await.unwrap();
        assert_eq!(found.as_ref(), model.current().get(&key));
    }
    for range in [KeyRange::all(), namespace("a"), KeyRange::key(&key_of(4))] {
        for at in 0..model.states.len() {
            check_lists(storage, model, &range, at).await;
            check_watch(storage, model, &range, at).await;
        }
    }
}

async fn check_lists(storage: &dyn Storage, model: &Model, range: &KeyRange, at: usize) {
    let revision = Revision::new(at as u64);
    if at < model.floor {
        let error = storage.list(range, all().at(revision)).await.unwrap_err();
        assert!(matches!(error, ReadError::Expired { .. }));
        return;
    }
    let expected: Vec<_> =
        model.states[at].values().filter(|record| range.contains(&record.key)).cloned().collect();
    for limit in [1, 3, 100] {
        let page = storage.list(range, all().at(revision).limit(limit)).await.unwrap();
        let shown = limit.min(expected.len());
        assert_eq!(page.records, expected[..shown], "at {at}");
        assert_eq!(page.remaining, (expected.len() - shown) as u64);
        assert_eq!(page.revision, revision);
    }
}

async fn check_watch(storage: &dyn Storage, model: &Model, range: &KeyRange, after: usize) {
    let revision = Revision::new(after as u64);
    let watch = storage.watch(range, revision).await;
    if after < model.floor {
        assert!(matches!(watch.unwrap_err(), WatchError::Expired { .. }));
        return;
    }
    let expected: Vec<_> = model.events[after + 1..]
        .iter()
        .flatten()
        .filter(|event| range.contains(event.key()))
        .cloned()
        .collect();
    let found = events_until(&mut watch.unwrap(), revision, model.revision()).await;
    assert_eq!(found, expected, "after {after}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn memory_behaves_as_the_model(steps in prop::collection::vec(step(), 0..60)) {
        runtime().block_on(run(&Memory::new(), &mut Model::new(), &steps));
    }

    #[cfg(feature = "embedded")]
    #[test]
    fn embedded_behaves_as_the_model_across_restarts(
        lives in prop::collection::vec(prop::collection::vec(step(), 0..30), 1..4),
    ) {
        use milo_core::storage::Embedded;
        let directory = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        runtime().block_on(async {
            for steps in &lives {
                let storage = Embedded::open(directory.path()).unwrap();
                check(&storage, &model).await;
                run(&storage, &mut model, steps).await;
            }
            check(&Embedded::open(directory.path()).unwrap(), &model).await;
        });
    }
}
