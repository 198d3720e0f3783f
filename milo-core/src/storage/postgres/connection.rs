//! One connection, set up the way every statement here expects it.

use std::{fmt, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage, Statement};

use super::{
    error::{Failure, PostgresConnectError},
    target::Target,
};

/// The oldest major version that has all that is used.
const OLDEST_SERVER: u32 = 12;
/// By how much PostgreSQL itself waits longer than we do: long enough that a statement which is
/// only slow is not broken off, short enough that one whom nobody waits for does not go on for
/// ever.
const SERVER_PATIENCE: u32 = 12;

/// A connection. Dropping it closes the socket at once, whatever is on its way.
pub(super) struct Connection {
    client: Client,
    driver: JoinHandle<()>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects to a primary.
    pub(super) async fn open(target: &Target) -> Result<Self, PostgresConnectError> {
        Self::open_hearing(target, |_| {}).await
    }

    /// Connects to a primary. `hear` is told what notifications say.
    pub(super) async fn open_hearing(
        target: &Target,
        hear: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, PostgresConnectError> {
        let patience = target.patience.connect;
        let opened = timeout(patience, Self::open_slowly(target, hear)).await;
        opened.unwrap_or_else(|_| {
            Err(PostgresConnectError::new(&target.server, &Failure::TimedOut(patience)))
        })
    }

    async fn open_slowly(
        target: &Target,
        hear: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, PostgresConnectError> {
        let connected = target.config.connect(target.tls.clone()).await;
        let (client, connection) = connected.map_err(|error| failed(target, error))?;
        let version = connection.parameter("server_version").unwrap_or_default().to_owned();
        let driver = tokio::spawn(drive(connection, hear));
        let opened = Self { client, driver };
        if major(&version).is_some_and(|major| major < OLDEST_SERVER) {
            let server = target.server.clone();
            return Err(PostgresConnectError::ServerTooOld { server, found: version });
        }
        opened.set_up(target).await?;
        Ok(opened)
    }

    async fn set_up(&self, target: &Target) -> Result<(), PostgresConnectError> {
        let settings = settings(target);
        self.client.batch_execute(&settings).await.map_err(|error| failed(target, error))?;
        let standby = self.client.simple_query("SELECT pg_is_in_recovery()").await;
        let standby = standby.map_err(|error| failed(target, error))?.iter().any(
            |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t")),
        );
        if standby {
            Err(PostgresConnectError::Standby { server: target.server.clone() })
        } else {
            Ok(())
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits until the connection has ended.
    pub(super) async fn ended(&mut self) {
        let _over = (&mut self.driver).await;
    }

    /// Prepares statements, all at once.
    pub(super) async fn prepare<const N: usize>(
        &self,
        target: &Target,
        texts: [&str; N],
    ) -> Result<[Statement; N], Failure> {
        let prepared = futures_util::future::try_join_all(
            texts.into_iter().map(|text| self.client.prepare(text)),
        );
        let prepared = within(target.patience.operation, prepared).await?;
        // INVARIANT: as many come out as went in.
        prepared.try_into().map_err(|_| Failure::Stopped)
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn within<T, E: Into<Failure>>(
    patience: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match timeout(patience, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Failure::TimedOut(patience)),
    }
}

fn failed(target: &Target, error: tokio_postgres::Error) -> PostgresConnectError {
    PostgresConnectError::new(&target.server, &error.into())
}

fn major(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What every statement relies on. The tables are always read by their keys: a plan that was made
/// while they were small must still be right when they are large. A transaction that nobody
/// completes, and a connection whose other end is gone, must not hold up the other replicas.
fn settings(target: &Target) -> String {
    let schema = &target.schema;
    let operation = target.patience.operation;
    let milliseconds = operation.as_millis().max(1);
    let idle = (operation / 2).as_millis().max(1);
    let seconds = operation.as_secs().max(1);
    let statement = (operation * SERVER_PATIENCE).as_millis().max(1);
    format!(
        "SET search_path = {schema};
         SET statement_timeout = {statement};
         SET idle_in_transaction_session_timeout = {idle};
         SET tcp_user_timeout = {milliseconds};
         SET tcp_keepalives_idle = {seconds};
         SET tcp_keepalives_interval = {seconds};
         SET tcp_keepalives_count = 3;
         SET client_min_messages = warning;
         SET plan_cache_mode = force_generic_plan;
         SET enable_seqscan = off;
         SET enable_bitmapscan = off;
         SET enable_hashjoin = off;
         SET enable_mergejoin = off;
         SET max_parallel_workers_per_gather = 0;
         SET jit = off;
         SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off'"
    )
}

async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, hear: impl Fn(&str))
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = stream::poll_fn(|context| connection.poll_message(context));
    while let Some(message) = messages.next().await {
        match message {
            Ok(AsyncMessage::Notification(told)) => hear(told.payload()),
            Ok(_) => {}
            Err(error) => {
                let failure = Failure::from(error);
                tracing::debug!(error = %failure, "a connection to PostgreSQL ended");
                return;
            }
        }
    }
}
