//! Follows the commits of all replicas and tells the watchers of this one.
//!
//! Correctness rests on reading the log from where it was read last. Notifications, the commits of
//! this process and the timer only say when.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use super::{
    connection::{Connection, within},
    error::Failure,
    read::Read,
    target::Target,
};
use crate::{
    key::KeyRange,
    storage::{Cause, Revision, relay::Relay},
};

/// How often the log is read when nothing says that there is news.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many changes are read at a time.
const CHANGES: i64 = 512;
/// The pause after the first failed try to reach the database, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The state of the following task.
#[derive(Debug)]
pub(super) struct Feed {
    /// On a connection of its own, so that no long list is in front of the news.
    read: Read,
    relay: Arc<Relay>,
    news: Arc<Notify>,
    /// Told when the store is followed for the first time.
    begun: Option<oneshot::Sender<()>>,
}

/// Why the store cannot be followed from where it was.
#[derive(Debug, thiserror::Error)]
enum Gap {
    #[error("the changes after revision {known} have been erased up to {erased}")]
    Erased { known: Revision, erased: Revision },
    #[error("the database went back from revision {known} to {newest}: was a backup restored?")]
    WentBack { known: Revision, newest: Revision },
}

impl Feed {
    pub(super) fn new(
        read: Read,
        relay: Arc<Relay>,
        news: Arc<Notify>,
        begun: oneshot::Sender<()>,
    ) -> Self {
        Self { read, relay, news, begun: Some(begun) }
    }

    pub(super) async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            match self.read.revision().await {
                Ok(newest) => {
                    let known = self.relay.revision();
                    if newest < known {
                        tracing::error!(error = %Gap::WentBack { known, newest });
                    }
                    self.relay.find(newest);
                    if let Some(begun) = self.begun.take() {
                        let _gone = begun.send(());
                    }
                    pause = PAUSES.0;
                    let cause = self.follow().await;
                    tracing::warn!(%cause, "the storage cannot be followed");
                    self.relay.lose(cause);
                }
                Err(error) => {
                    self.relay.lose(error);
                    // Somebody else may get through earlier.
                    let _either = timeout(pause, self.news.notified()).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Returns when something goes wrong.
    async fn follow(&self) -> Cause {
        loop {
            let question = self.relay.question();
            if let Err(cause) = self.catch_up().await {
                return cause;
            }
            self.relay.answer(question);
            tokio::select! {
                () = self.news.notified() => {}
                () = self.relay.wanted() => {}
                () = sleep(INTERVAL) => {}
            }
        }
    }

    /// Publishes all that the store has now.
    async fn catch_up(&self) -> Result<(), Cause> {
        loop {
            let known = self.relay.revision();
            let past = self.read.past(&KeyRange::all(), known, CHANGES).await?;
            if past.newest < known {
                return Err(Box::new(Gap::WentBack { known, newest: past.newest }));
            }
            if past.erased > known {
                return Err(Box::new(Gap::Erased { known, erased: past.erased }));
            }
            self.relay.publish(known, &past.batch.events, past.batch.revision);
            if past.batch.revision >= past.newest {
                return Ok(());
            }
        }
    }
}

/// Hears what other replicas say of their commits, for as long as it is polled.
pub(super) async fn listen(target: Arc<Target>, news: Arc<Notify>, own: String) {
    let mut pause = PAUSES.0;
    loop {
        match hear(&target, &news, &own).await {
            Ok(mut connection) => {
                pause = PAUSES.0;
                // Whatever was said meanwhile.
                news.notify_one();
                connection.ended().await;
            }
            Err(failure) => {
                tracing::debug!(error = %failure, "cannot listen to other replicas");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

async fn hear(target: &Target, news: &Arc<Notify>, own: &str) -> Result<Connection, Failure> {
    let (news, own) = (Arc::clone(news), own.to_owned());
    let hear = move |sender: &str| {
        // What this process commits it publishes itself.
        if sender != own {
            news.notify_one();
        }
    };
    let connection = Connection::open_hearing(target, hear).await;
    let connection = connection.map_err(|error| Failure::Connect(Arc::new(error)))?;
    let listen = format!("LISTEN {}", target.channel());
    within(target.patience.operation, connection.client().batch_execute(&listen)).await?;
    Ok(connection)
}
