//! Commits of which nobody knows whether they happened.
//!
//! A request whose answer was lost may have been done, or may still be done: it can wait in a
//! network long after its connection was given up. So that a value is not there proves nothing,
//! and neither does that it is there, for somebody else may have written the same.
//!
//! But a transaction that changes a key on the condition that revision `n` wrote it last can be
//! done once at most: that revision does not come back. So it may be sent again. Either it is done
//! now, or something else has changed the key, and then the change shows whose it was, unless it
//! is what this transaction would have done.

use tokio::time::timeout;

use super::changes::History;
use crate::{
    key::KeyRange,
    storage::{
        CommitError, Event, Operation, Precondition, ReadError, Revision, Transaction, replay::Past,
    },
};

impl History {
    pub(super) async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        let store = &self.0.store;
        let Some(guard) = Guard::of(&transaction) else {
            return store.commit(transaction).await;
        };
        let lost = match store.commit(transaction.clone()).await {
            Err(CommitError::Uncertain(lost)) => lost,
            done => return done,
        };
        match store.commit(transaction).await {
            Ok(revision) => Ok(revision),
            Err(CommitError::Conflict { failed, current }) => {
                let refuted = timeout(store.client.deadline(), self.refutes(&guard, &failed)).await;
                match refuted {
                    Ok(Ok(true)) => Err(CommitError::Conflict { failed, current }),
                    Ok(Ok(false) | Err(_)) | Err(_) => Err(CommitError::Uncertain(lost)),
                }
            }
            // Nothing was done this time; of the first time that is not known.
            Err(_) => Err(CommitError::Uncertain(lost)),
        }
    }

    /// Whether the first try was not done and never will be, seen that `failed` does not hold.
    async fn refutes(&self, guard: &Guard, failed: &Precondition) -> Result<bool, ReadError> {
        let range = KeyRange::key(guard.operation.key());
        let mut after = guard.revision;
        let newest = self.0.store.revision().await?;
        while after < newest {
            let batch = self.changes(&range, after).await?;
            if let Some(first) = batch.events.first() {
                return Ok(!guard.is_done_by(first));
            }
            after = batch.revision;
        }
        // The key is as it was. That stays so if what failed can never hold again.
        Ok(matches!(failed, Precondition::RevisionIs(..)))
    }
}

/// A change of a key that is made only while the key is as a certain commit left it.
struct Guard {
    operation: Operation,
    revision: Revision,
}

impl Guard {
    fn of(transaction: &Transaction) -> Option<Self> {
        transaction.preconditions().iter().find_map(|condition| {
            let Precondition::RevisionIs(key, revision) = condition else { return None };
            let operation = transaction.operations().iter().find(|o| o.key() == key)?;
            Some(Self { operation: operation.clone(), revision: *revision })
        })
    }

    /// Whether this may be the change.
    fn is_done_by(&self, event: &Event) -> bool {
        match (&self.operation, event) {
            (Operation::Put(_, value), Event::Put { record, .. }) => record.value == *value,
            (Operation::Delete(_), Event::Delete { .. }) => true,
            (Operation::Put(..), Event::Delete { .. })
            | (Operation::Delete(_), Event::Put { .. }) => false,
        }
    }
}
