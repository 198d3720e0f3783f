//! The connections that reads share.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;
use tokio_postgres::Statement;

use super::{
    connection::Connection,
    error::{Failure, PostgresConnectError},
    statements,
    target::Target,
};

/// A connection with the statements of reads. Many use it at once: requests are sent without
/// waiting for the answers to others.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) get: Statement,
    pub(super) list: Statement,
    pub(super) page: Statement,
    pub(super) past_page: Statement,
    pub(super) changes: Statement,
    pub(super) revision: Statement,
}

impl Reader {
    pub(super) async fn new(connection: Connection, target: &Target) -> Result<Self, Failure> {
        let texts = [
            statements::GET,
            statements::LIST,
            statements::PAGE,
            statements::PAST_PAGE,
            statements::CHANGES,
            statements::REVISION,
        ];
        let [get, list, page, past_page, changes, revision] =
            connection.prepare(target, texts).await?;
        Ok(Self { connection, get, list, page, past_page, changes, revision })
    }
}

/// As many connections as are needed, up to a limit. Each is opened when it is first needed, and
/// again when it was lost.
#[derive(Debug)]
pub(super) struct Readers {
    target: Arc<Target>,
    limit: usize,
    open: Mutex<Vec<Arc<Reader>>>,
    /// Held while connecting: so one tries, and the others hear of what came out.
    connecting: tokio::sync::Mutex<Option<(Instant, Arc<PostgresConnectError>)>>,
}

impl Readers {
    pub(super) fn new(target: Arc<Target>, limit: usize) -> Self {
        let open = Mutex::new(Vec::new());
        Self { target, limit: limit.max(1), open, connecting: tokio::sync::Mutex::new(None) }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The connection that fewest use.
    pub(super) async fn get(&self) -> Result<Arc<Reader>, Failure> {
        if let Some((reader, idle)) = self.least_used()
            && (idle || self.connecting.try_lock().is_err())
        {
            return Ok(reader);
        }
        self.connect().await.or_else(|failure| {
            // The server may take no more connections; then those that there are will do.
            self.least_used().map(|(reader, _)| reader).ok_or(failure)
        })
    }

    /// Whether it is idle too, or there may be no more.
    fn least_used(&self) -> Option<(Arc<Reader>, bool)> {
        let mut open = self.open.lock();
        open.retain(|reader| !reader.connection.is_closed());
        let least = open.iter().min_by_key(|reader| Arc::strong_count(reader))?;
        let idle = Arc::strong_count(least) == 1 || open.len() >= self.limit;
        Some((Arc::clone(least), idle))
    }

    async fn connect(&self) -> Result<Arc<Reader>, Failure> {
        let asked = Instant::now();
        let mut last_error = self.connecting.lock().await;
        if let Some((reader, true)) = self.least_used() {
            return Ok(reader);
        }
        if let Some((when, error)) = &*last_error
            && *when >= asked
        {
            return Err(Failure::Connect(Arc::clone(error)));
        }
        match Connection::open(&self.target).await {
            Ok(connection) => {
                let reader = Arc::new(Reader::new(connection, &self.target).await?);
                self.open.lock().push(Arc::clone(&reader));
                Ok(reader)
            }
            Err(error) => {
                let error = Arc::new(error);
                *last_error = Some((Instant::now(), Arc::clone(&error)));
                Err(Failure::Connect(error))
            }
        }
    }

    /// No longer hands out a connection that does not answer. Who uses it still may wait for it.
    pub(super) fn retire(&self, reader: &Arc<Reader>) {
        self.open.lock().retain(|other| !Arc::ptr_eq(other, reader));
    }
}
