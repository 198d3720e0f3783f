//! The stream that [`Storage::watch`](super::Storage::watch) returns.

use std::fmt;

use tokio::sync::mpsc;

use super::{Event, Revision, WatchError};

/// Changes in order, and how far the watch has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// The changes in the watched range, in commit order. May be empty: then the batch only
    /// tells progress.
    pub events: Vec<Event>,
    /// Everything in the range up to and including this revision has now been delivered.
    pub revision: Revision,
}

/// A running watch. Dropping it ends the watch.
pub struct Watch {
    receiver: mpsc::Receiver<Result<WatchBatch, WatchError>>,
    request_progress: Box<dyn Fn() + Send + Sync>,
}

/// The engine's end of a [`Watch`].
pub type WatchSender = mpsc::Sender<Result<WatchBatch, WatchError>>;

impl Watch {
    /// A watch fed through `receiver`. `request_progress` asks the engine to send a batch with its
    /// current revision soon, after everything before it; it must not block.
    #[must_use]
    pub fn new(
        receiver: mpsc::Receiver<Result<WatchBatch, WatchError>>,
        request_progress: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { receiver, request_progress: Box::new(request_progress) }
    }

    /// The next batch. After an error, or none, the watch is over; it can be resumed after the
    /// last revision that a batch told. Cancellation-safe.
    ///
    /// # Errors
    /// See [`WatchError`].
    pub async fn next(&mut self) -> Option<Result<WatchBatch, WatchError>> {
        self.receiver.recv().await
    }

    /// Asks for a batch that tells the newest revision, even when nothing changes in the range.
    pub fn request_progress(&self) {
        (self.request_progress)();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
