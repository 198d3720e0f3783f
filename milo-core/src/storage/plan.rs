//! Checks transactions one after the other, each against the state that the ones before it leave.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::{
    CommitError, MAX_VALUE_BYTES, Operation, Precondition, Revision, Transaction,
    chunks::Entry,
    index::{Index, Position, Row},
};
use crate::key::Key;

/// What a batch of transactions will change.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rows: Vec<Row>,
    /// The newest revision after the batch.
    pub(super) revision: Revision,
}

/// The state that a batch is planned over.
pub(super) trait State {
    fn revision(&self) -> Revision;
    /// The newest value at a key that the batch speaks of.
    fn get(&self, key: &Key) -> Option<&Entry>;
}

impl State for Index {
    fn revision(&self) -> Revision {
        self.revision()
    }

    fn get(&self, key: &Key) -> Option<&Entry> {
        self.get(key)
    }
}

/// Makes a [`Plan`] over the current state, which nobody else may change meanwhile.
pub(super) struct Planner<'a, S> {
    state: &'a S,
    changed: HashMap<Key, Option<Entry>>,
    plan: Plan,
}

/// Refuses what no engine takes, whatever the state. Returns the transaction with its values in
/// buffers of exactly their size: a value may be a small part of a large network buffer, or have
/// room to grow, and it will stay for long.
pub(super) fn prepare(transaction: Transaction) -> Result<Transaction, CommitError> {
    let (preconditions, operations) = transaction.into_parts();
    if let Some(key) = duplicate(&operations) {
        return Err(CommitError::DuplicateKey(key.clone()));
    }
    let operations = operations.into_iter().map(prepare_operation).collect::<Result<_, _>>()?;
    Ok(Transaction { preconditions, operations })
}

fn prepare_operation(operation: Operation) -> Result<Operation, CommitError> {
    match operation {
        Operation::Put(_, value) if value.len() > MAX_VALUE_BYTES => {
            Err(CommitError::TooLarge { bytes: value.len(), limit: MAX_VALUE_BYTES })
        }
        Operation::Put(key, value) => Ok(Operation::Put(key, Bytes::copy_from_slice(&value))),
        Operation::Delete(_) => Ok(operation),
    }
}

fn duplicate(operations: &[Operation]) -> Option<&Key> {
    if operations.len() < 2 {
        return None;
    }
    let mut seen = HashSet::with_capacity(operations.len());
    operations.iter().map(Operation::key).find(|key| !seen.insert(*key))
}

impl<'a, S: State> Planner<'a, S> {
    pub(super) fn new(state: &'a S) -> Self {
        let plan = Plan { rows: Vec::new(), revision: state.revision() };
        Self { state, changed: HashMap::new(), plan }
    }

    /// Adds a prepared transaction and returns its revision, or why it does not commit.
    pub(super) fn add(&mut self, transaction: Transaction) -> Result<Revision, CommitError> {
        let (preconditions, operations) = transaction.into_parts();
        self.check(preconditions)?;
        if !operations.iter().any(|operation| self.changes(operation)) {
            return Ok(self.plan.revision);
        }
        self.plan.revision = self.plan.revision.next();
        let mut index = 0;
        for operation in operations {
            let position = Position { revision: self.plan.revision, index };
            if self.change(operation, position) {
                index += 1;
            }
        }
        Ok(self.plan.revision)
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }

    fn check(&self, preconditions: Vec<Precondition>) -> Result<(), CommitError> {
        for failed in preconditions {
            let current = self.current(failed.key());
            if !failed.holds(current.map(|entry| entry.position.revision)) {
                let current = current.map(Entry::record);
                return Err(CommitError::Conflict { failed, current });
            }
        }
        Ok(())
    }

    fn current(&self, key: &Key) -> Option<&Entry> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.state.get(key),
        }
    }

    /// Removing nothing is no change. Writing the same value again is one.
    fn changes(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Put(..) => true,
            Operation::Delete(key) => self.current(key).is_some(),
        }
    }

    /// Returns false when there is nothing to change.
    fn change(&mut self, operation: Operation, position: Position) -> bool {
        let previous = self.current(operation.key()).cloned();
        let (key, value) = match operation {
            Operation::Put(key, value) => (key, Some(value)),
            Operation::Delete(_) if previous.is_none() => return false,
            Operation::Delete(key) => (key, None),
        };
        // All that is known of a key shares one buffer, of exactly its size.
        let key = match &previous {
            Some(entry) => entry.key.clone(),
            None => Key::from_storage(Bytes::copy_from_slice(key.as_bytes())),
        };
        let entry = value.clone().map(|value| Entry { key: key.clone(), value, position });
        self.changed.insert(key.clone(), entry);
        self.plan.rows.push(Row { position, key, value, previous });
        true
    }
}
