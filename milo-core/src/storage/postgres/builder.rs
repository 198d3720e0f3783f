//! How an engine is started.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use uuid::Uuid;

use super::{
    Postgres,
    compaction::Keeper,
    error::PostgresConnectError,
    feed::{self, Feed},
    read::Read,
    readers::Readers,
    schema,
    target::{Patience, Target},
    writer::Writer,
};
use crate::storage::{
    relay::Relay,
    retention::{DEFAULT_RETENTION, Retention},
};

/// How long is waited when nobody says otherwise.
pub(super) const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(3), operation: Duration::from_secs(5) };
/// Connections that reads share when nobody says otherwise.
const DEFAULT_CONNECTIONS: usize = 4;

/// Options for [`Postgres`]. See [`Postgres::builder`].
#[derive(Clone)]
#[must_use]
pub struct PostgresBuilder {
    url: String,
    schema: Option<String>,
    retention: Duration,
    connections: usize,
    patience: Patience,
}

/// Without the URL, which may hold a password.
impl std::fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("schema", &self.schema)
            .field("retention", &self.retention)
            .field("connections", &self.connections)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl PostgresBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            schema: None,
            retention: DEFAULT_RETENTION,
            connections: DEFAULT_CONNECTIONS,
            patience: PATIENCE,
        }
    }

    /// The PostgreSQL schema that holds the tables, in place of the one that `schema=` in the URL
    /// says; `milo` when neither does. Stores in different schemas know nothing of each other.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// For how long, at least, the past can be read and watched; five minutes when not said. A
    /// restart counts as the beginning of the past. Of several replicas, the one that keeps least
    /// decides.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How many connections reads share, at most and at least one; four when not said. Three more
    /// are for commits and for following the other replicas.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long connecting may take; three seconds when not said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.patience.connect = timeout;
        self
    }

    /// How long PostgreSQL may be silent before a request fails; five seconds when not said. A
    /// commit may take three times that: to get its turn, to be written, and to find out what
    /// became of it when the connection was lost.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience.operation = timeout;
        self
    }

    /// Connects, makes the tables if they are not there, and begins to follow the commits of all
    /// replicas. The tasks of the engine run on the tokio runtime that this is called on, and end
    /// when the engine is dropped.
    ///
    /// # Errors
    /// See [`PostgresConnectError`].
    pub async fn connect(self) -> Result<Postgres, PostgresConnectError> {
        let target = Arc::new(Target::new(&self.url, self.schema, self.patience)?);
        schema::migrate(&target).await?;
        let readers = Arc::new(Readers::new(Arc::clone(&target), self.connections));
        let relay = Arc::new(Relay::new());
        let news = Arc::new(Notify::new());
        let sender = Uuid::new_v4().to_string();
        let (intents, received) = mpsc::unbounded_channel();
        let following = Read::new(Arc::new(Readers::new(Arc::clone(&target), 1)));
        let writer = Writer::new(
            Arc::clone(&target),
            Arc::clone(&relay),
            Arc::clone(&news),
            received,
            sender.clone(),
        );
        let keeper =
            Keeper::new(Arc::clone(&readers), Arc::clone(&relay), Retention::new(self.retention));
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        tasks.spawn(keeper.run());
        let (begun, followed) = oneshot::channel();
        tasks.spawn(Feed::new(following, Arc::clone(&relay), Arc::clone(&news), begun).run());
        tasks.spawn(feed::listen(target, news, sender));
        // So that it can be watched at once. What goes wrong now is mended later.
        let _in_time = timeout(self.patience.operation, followed).await;
        Ok(Postgres {
            read: Read::new(Arc::clone(&readers)),
            readers,
            relay,
            intents,
            _tasks: tasks,
        })
    }
}
