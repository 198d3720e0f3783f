//! What a store should be: a map for every revision.

use std::collections::BTreeMap;

use crate::{
    key::{Key, KeyRange},
    storage::{Event, Operation, Precondition, Record, Revision, Transaction},
};

pub(super) type State = BTreeMap<Key, Record>;

/// The state after each commit, and what each changed.
#[derive(Debug)]
pub(super) struct Model {
    states: BTreeMap<Revision, State>,
    events: BTreeMap<Revision, Vec<Event>>,
    empty: State,
}

impl Model {
    /// An empty store at this revision.
    pub(super) fn new(start: Revision) -> Self {
        let states = BTreeMap::from([(start, State::new())]);
        Self { states, events: BTreeMap::new(), empty: State::new() }
    }

    pub(super) fn last(&self) -> Revision {
        self.states.last_key_value().map_or(Revision::ZERO, |(revision, _)| *revision)
    }

    /// The state at a revision: after the last commit up to there.
    pub(super) fn at(&self, revision: Revision) -> &State {
        self.states.range(..=revision).next_back().map_or(&self.empty, |(_, state)| state)
    }

    /// The moments from a revision on: itself, and every commit after it.
    pub(super) fn moments(&self, from: Revision) -> impl Iterator<Item = (Revision, &State)> {
        let later = self.states.range(from.next()..).map(|(revision, state)| (*revision, state));
        std::iter::once((from, self.at(from))).chain(later)
    }

    /// The changes in a range of the commits after one revision and up to another, by revision
    /// and key.
    pub(super) fn events(
        &self,
        range: &KeyRange,
        after: Revision,
        until: Revision,
    ) -> impl Iterator<Item = &Event> {
        let commits = (after < until).then(|| self.events.range(after.next()..=until));
        let events = commits.into_iter().flatten().flat_map(|(_, events)| events);
        events.filter(|event| range.contains(event.key()))
    }

    /// Adds what [`apply`] made of the newest state.
    pub(super) fn insert(&mut self, revision: Revision, state: State, events: Vec<Event>) {
        self.states.insert(revision, state);
        self.events.insert(revision, events);
    }
}

/// What a transaction makes of a state, and the events of that in the order of the keys.
pub(super) fn apply(
    before: &State,
    revision: Revision,
    transaction: &Transaction,
) -> (State, Vec<Event>) {
    let (mut state, mut events) = (before.clone(), Vec::new());
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
    events.sort_by(|a, b| a.key().cmp(b.key()));
    (state, events)
}

/// How many of the transaction's operations change something.
pub(super) fn changes(state: &State, transaction: &Transaction) -> usize {
    let changes = |operation: &&Operation| match operation {
        Operation::Put(..) => true,
        Operation::Delete(key) => state.contains_key(key),
    };
    transaction.operations().iter().filter(changes).count()
}

/// The first precondition that does not hold, and what is at its key.
pub(super) fn conflict<'a>(
    state: &'a State,
    transaction: &'a Transaction,
) -> Option<(&'a Precondition, Option<&'a Record>)> {
    let met = |condition: &'a Precondition| (condition, state.get(condition.key()));
    transaction
        .preconditions()
        .iter()
        .map(met)
        .find(|(condition, current)| !condition.holds(current.map(|record| record.revision)))
}
