//! What goes wrong with a database elsewhere.

use std::{error::Error as _, fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio_postgres::error::SqlState;

use crate::storage::{CommitError, ReadError};

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresConnectError {
    /// The URL is none that this engine understands.
    #[error(
        "the storage URL is wrong: {reason}; it reads \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE"
    )]
    Url {
        /// What is wrong with it. Never holds the password.
        reason: String,
    },
    /// A certificate or a key cannot be used.
    #[error("cannot use {file}: {reason}")]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there.
    #[error("cannot reach PostgreSQL at {server}: {reason}")]
    Unreachable {
        /// Host, port and database.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The server does not take the user or the password.
    #[error(
        "PostgreSQL at {server} refuses the user: {reason}; check user, password and pg_hba.conf"
    )]
    AuthenticationFailed {
        /// Host, port and database.
        server: String,
        /// What the server said.
        reason: String,
    },
    /// There is no such database.
    #[error("there is no such database on PostgreSQL at {server}: create it first, empty")]
    DatabaseMissing {
        /// Host, port and database.
        server: String,
    },
    /// The server is too old.
    #[error(
        "PostgreSQL at {server} has version {found}: version 12 is the oldest that can be used"
    )]
    ServerTooOld {
        /// Host, port and database.
        server: String,
        /// Its version, as it writes it.
        found: String,
    },
    /// The server only follows another one, so what it shows may be old.
    #[error("PostgreSQL at {server} is a standby: name the primary, or all servers in one URL")]
    Standby {
        /// Host, port and database.
        server: String,
    },
    /// The tables were made by a newer version of this crate.
    #[error(
        "schema `{schema}` on PostgreSQL at {server} has layout {found}, made by a newer version; \
         this one knows layout {known}: upgrade this server"
    )]
    NewerLayout {
        /// The schema.
        schema: String,
        /// Host, port and database.
        server: String,
        /// The layout of the tables.
        found: i32,
        /// The newest layout that this version knows.
        known: i32,
    },
    /// The tables are missing and could not be made.
    #[error("cannot make the tables in schema `{schema}` on PostgreSQL at {server}: {reason}")]
    Tables {
        /// The schema.
        schema: String,
        /// Host, port and database.
        server: String,
        /// What the server said.
        reason: String,
    },
    /// The server refuses the connection for another reason.
    #[error("PostgreSQL at {server} refuses: {reason}")]
    Refused {
        /// Host, port and database.
        server: String,
        /// What the server said.
        reason: String,
    },
}

impl PostgresConnectError {
    /// Why `server` could not be connected to.
    pub(super) fn new(server: &str, failure: &Failure) -> Self {
        let (server, reason) = (server.to_owned(), failure.to_string());
        let Failure::Database(error) = failure else {
            return Self::Unreachable { server, reason };
        };
        match error.code() {
            Some(code) if is_authentication(code) => Self::AuthenticationFailed { server, reason },
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
                Self::DatabaseMissing { server }
            }
            Some(_) => Self::Refused { server, reason },
            None if ["authentication", "password missing"].iter().any(|s| reason.contains(s)) => {
                Self::AuthenticationFailed { server, reason }
            }
            None => Self::Unreachable { server, reason },
        }
    }
}

fn is_authentication(code: &SqlState) -> bool {
    [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code)
}

/// Why PostgreSQL could not do something now. Told to many, hence shared.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("PostgreSQL did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("{0}")]
    Connect(#[source] Arc<PostgresConnectError>),
    #[error("PostgreSQL: {}", Told(.0))]
    Database(#[source] Arc<tokio_postgres::Error>),
    #[error("the storage engine has stopped")]
    Stopped,
}

/// All that an error has to say; its own text leaves out what the server said.
pub(super) struct Told<'a>(pub(super) &'a tokio_postgres::Error);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = self.0.as_db_error() {
            write!(f, "{} ({})", error.message(), error.code().code())?;
            return error.detail().map_or(Ok(()), |detail| write!(f, ": {detail}"));
        }
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl Failure {
    /// Whether the connection has ended, so that another one may do better at once.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.as_db_error().is_none_or(|error| error.severity() == "FATAL")
            }
            Self::TimedOut(_) | Self::Connect(_) | Self::Stopped => false,
        }
    }

    /// Whether the connection is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        self.is_cut() || matches!(self, Self::TimedOut(_))
    }

    /// Whether the server itself refused the request, so that it has not been done.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Database(error) if error.as_db_error().is_some())
    }

    pub(super) fn commit_error(self) -> CommitError {
        CommitError::Unavailable(Box::new(self))
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(Box::new(failure))
    }
}
