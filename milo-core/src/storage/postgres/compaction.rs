//! Forgets old history: raises the floor, and then thins out the log below it.
//!
//! The floor is committed before anything is erased, and readers see both in one snapshot, so none
//! takes what is left for all there was. Writers touch neither the floor nor old rows. Every
//! replica does this; whoever comes first.

use std::{sync::Arc, time::Instant};

use tokio_postgres::types::{ToSql, Type};

use super::{
    connection::within,
    error::Failure,
    read::number,
    readers::{Reader, Readers},
    statements,
};
use crate::storage::{Revision, relay::Relay, retention::Retention};

/// About how many changes are gone over at a time: a few milliseconds, in which others wait.
const CHUNK: i64 = 500;

/// The state of the forgetting task.
#[derive(Debug)]
pub(super) struct Keeper {
    readers: Arc<Readers>,
    relay: Arc<Relay>,
    retention: Retention,
    /// What the floor was raised to last.
    floor: Revision,
}

impl Keeper {
    pub(super) fn new(readers: Arc<Readers>, relay: Arc<Relay>, retention: Retention) -> Self {
        Self { readers, relay, retention, floor: Revision::ZERO }
    }

    pub(super) async fn run(mut self) {
        loop {
            tokio::time::sleep(self.retention.interval()).await;
            if let Err(failure) = self.forget().await {
                tracing::debug!(error = %failure, "cannot forget old history");
            }
        }
    }

    async fn forget(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        // The store is at least so far.
        self.retention.observe(now, self.relay.revision());
        if let Some(floor) = self.retention.floor(now)
            && floor > self.floor
        {
            raise_floor(&self.readers, floor).await?;
            self.floor = floor;
        }
        while erase(&self.readers).await? {}
        Ok(())
    }
}

/// Commits a floor, which is never lowered nor beyond the newest revision.
pub(super) async fn raise_floor(readers: &Readers, floor: Revision) -> Result<(), Failure> {
    let reader = readers.get().await?;
    let floor = number(floor);
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&floor, Type::INT8)];
    let raised = reader.connection.client().execute_typed(statements::RAISE_FLOOR, &parameters);
    settle(readers, &reader, within(readers.target().patience.operation, raised).await).map(drop)
}

/// Erases a part of what is below the floor. Returns whether there may be more for us to do.
async fn erase(readers: &Readers) -> Result<bool, Failure> {
    let reader = readers.get().await?;
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&CHUNK, Type::INT8)];
    let erased = reader.connection.client().query_typed(statements::ERASE, &parameters);
    let erased = within(readers.target().patience.operation, erased).await;
    let rows = settle(readers, &reader, erased)?;
    Ok(rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false)))
}

fn settle<T>(
    readers: &Readers,
    reader: &Arc<Reader>,
    result: Result<T, Failure>,
) -> Result<T, Failure> {
    if result.as_ref().is_err_and(Failure::is_lost) {
        readers.retire(reader);
    }
    result
}
