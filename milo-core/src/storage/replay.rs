//! Tells a new watcher of the past, at its own pace, until it can be told of what is new.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    ReadError, Revision, WatchBatch, WatchError, WatchSender,
    publish::{CAPACITY, GoLive, Hub},
};
use crate::key::KeyRange;

/// How many replayed batches may wait to be read.
const AHEAD: usize = 4;

/// Where the changes of the past are read.
#[async_trait]
pub(super) trait Past: Send + Sync + 'static {
    /// The next changes in `range` after a revision: of whole commits only, though not of all.
    /// The batch's revision says how far they go. At least one commit is looked at if there is
    /// one, be it in the range or not.
    ///
    /// # Errors
    /// `Expired` when what came after the revision is no longer all there.
    async fn changes(&self, range: &KeyRange, after: Revision) -> Result<WatchBatch, ReadError>;
}

/// A watcher on its way from the past to the present.
pub(super) struct Replay<P> {
    past: P,
    hub: Arc<Hub>,
    id: u64,
    range: KeyRange,
    sender: WatchSender,
}

impl<P: Past> Replay<P> {
    /// `id` is of a watcher that is registered with the hub.
    pub(super) fn new(
        past: P,
        hub: Arc<Hub>,
        id: u64,
        range: KeyRange,
        sender: WatchSender,
    ) -> Self {
        Self { past, hub, id, range, sender }
    }

    /// Tells what came after `told`, and hands over to the hub.
    pub(super) async fn run(self, mut told: Revision) {
        loop {
            match self.hub.go_live(self.id, &self.range, told, &self.sender) {
                GoLive::Behind => {}
                GoLive::Done => return,
                GoLive::Lost(error) => {
                    let _gone = self.sender.send(Err(error)).await;
                    return;
                }
            }
            // The watcher's own pace: what it has not read yet is not read from the log.
            if self.sender.reserve_many(CAPACITY - AHEAD).await.is_err() {
                return;
            }
            let message = self.past.changes(&self.range, told).await;
            let Some(revision) = self.tell(message).await else { return };
            told = revision;
        }
    }

    /// Returns how far the watcher has been told, none when the watch is over.
    pub(super) async fn tell(&self, message: Result<WatchBatch, ReadError>) -> Option<Revision> {
        let message = message.map_err(watch_error);
        let told = message.as_ref().ok().map(|batch| batch.revision);
        if message.as_ref().is_ok_and(|batch| batch.events.is_empty()) {
            return told;
        }
        self.sender.send(message).await.ok()?;
        told
    }
}

/// Why a watch ends whose past could not be read.
pub(super) fn watch_error(error: ReadError) -> WatchError {
    match error {
        ReadError::Expired { requested, compacted } => WatchError::Expired { requested, compacted },
        ReadError::Future { requested, current } => WatchError::Future { requested, current },
        ReadError::Unavailable(cause) => WatchError::Unavailable(cause),
        ReadError::Corrupted(cause) => WatchError::Corrupted(cause),
    }
}
