//! The engine on etcd v3.
//!
//! # Layout
//! A key is stored as it is, below a prefix. Revisions are etcd's own, so writes of others in the
//! same cluster only leave gaps between ours.
//!
//! # Writing
//! A commit is one transaction of etcd, whose other branch reads what stands against it: one
//! message to and fro, whether it commits or not.
//!
//! # Watching
//! One watch of etcd over the whole prefix feeds all local watches ([`feed`]); those that begin in
//! the past are told of it by etcd itself ([`changes`]), unless it happened a moment ago
//! ([`recent`]). How far a watch is, is proven as the version of etcd allows ([`progress`]).

mod address;
mod changes;
mod client;
mod commit;
mod compaction;
mod errors;
mod feed;
mod keys;
mod messages;
mod newest;
mod numbering;
mod progress;
mod recent;
mod settle;
mod store;
mod stream;

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::AbortHandle;

pub use self::progress::EtcdProgress;
use self::{
    address::Address,
    changes::History,
    client::Client,
    errors::{CallError, Verdict},
    feed::Feed,
    store::Store,
};
use super::{
    Cause, CommitError, ListOptions, Page, ReadError, Record, Revision, Storage, Transaction,
    Watch, WatchError, retention::DEFAULT_RETENTION,
};
use crate::key::{Key, KeyRange};

/// How long a connection may take to be made, when nobody says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an operation may take, when nobody says otherwise.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// An engine on an etcd cluster, for several processes at once. Clones share one connection.
///
/// Every operation ends within its timeout: with another member when one fails, or with
/// `Unavailable`, or, when a commit was sent and its answer was lost, with
/// [`CommitError::Uncertain`]. It recovers by itself. While etcd cannot be watched there are no
/// watches either: they end, and new ones do not start.
///
/// History is compacted after five minutes, for the whole cluster: see
/// [`EtcdBuilder::retention`]. Must be used within a tokio runtime.
///
/// ```no_run
/// # async fn example() -> Result<(), milo_core::storage::EtcdConnectError> {
/// use milo_core::storage::Etcd;
///
/// let storage = Etcd::connect("etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Etcd {
    inner: Arc<Inner>,
}

struct Inner {
    feed: Arc<Feed>,
    tasks: Vec<AbortHandle>,
}

/// Options for [`Etcd`]. See [`Etcd::builder`].
#[derive(Clone)]
#[must_use]
pub struct EtcdBuilder {
    address: String,
    connect_timeout: Duration,
    operation_timeout: Duration,
    retention: Option<Duration>,
    progress: EtcdProgress,
}

/// Why an [`Etcd`] could not be connected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdConnectError {
    /// The address cannot be understood. It is not shown, for it may hold a password.
    #[error(
        "the address of etcd is wrong: {reason}; it looks like \
         etcd://HOST:PORT,HOST:PORT/PREFIX or, with TLS, etcds://HOST:PORT?cacert=FILE"
    )]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// A file with a certificate or key cannot be read.
    #[error("cannot read {}: {cause}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// What is in the files cannot be used.
    #[error("the certificates for etcd cannot be used: {cause}")]
    Certificates {
        /// Why not.
        #[source]
        cause: Cause,
    },
    /// Etcd does not let us in.
    #[error("etcd refuses to be used: {cause}; check the user, the password and its role")]
    Refused {
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// Nobody answers.
    #[error("cannot reach etcd: {cause}; check that it runs and that the address is right")]
    Unreachable {
        /// What failed last.
        #[source]
        cause: Cause,
    },
}

impl EtcdBuilder {
    /// How long a connection may take to be made, TLS included; two seconds when not said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an operation may take, with all attempts; five seconds when not said. Lists that
    /// are read in parts may take so long for each of them.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// For how long, at least, the past can be read and watched; five minutes when not said. What
    /// is older is compacted, which affects everyone who uses the same cluster.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Leaves compaction to others: to etcd itself (`--auto-compaction-retention`), or to the
    /// cluster's operator.
    pub fn without_compaction(mut self) -> Self {
        self.retention = None;
        self
    }

    /// How it is proven that a watch has told everything; detected when not said.
    pub fn progress(mut self, progress: EtcdProgress) -> Self {
        self.progress = progress;
        self
    }

    /// Connects. Etcd is watched from the first watch on.
    ///
    /// # Errors
    /// See [`EtcdConnectError`].
    pub async fn connect(self) -> Result<Etcd, EtcdConnectError> {
        let address = Address::parse(&self.address)?;
        let endpoints = address.endpoints(self.connect_timeout)?;
        let client = Client::new(endpoints, address.login, self.operation_timeout);
        let mut store = Store::new(client, address.prefix);
        store.find_numbering().await.map_err(connect_error)?;
        let store = Arc::new(store);
        let feed = Arc::new(Feed::new(store, self.progress));
        let mut tasks = Vec::new();
        let followed = Arc::clone(&feed);
        tasks.push(tokio::spawn(async move { followed.run().await }).abort_handle());
        if let Some(keep) = self.retention {
            let compacted = Arc::clone(&feed);
            let compaction = async move { compaction::run(&compacted, keep).await };
            tasks.push(tokio::spawn(compaction).abort_handle());
        }
        Ok(Etcd { inner: Arc::new(Inner { feed, tasks }) })
    }
}

/// Without the address, which may hold a password.
impl fmt::Debug for EtcdBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdBuilder")
            .field("retention", &self.retention)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

fn connect_error(error: ReadError) -> EtcdConnectError {
    match error {
        ReadError::Unavailable(cause) | ReadError::Corrupted(cause) => {
            let refused = cause
                .downcast_ref::<CallError>()
                .is_some_and(|error| matches!(error.verdict, Verdict::Refused | Verdict::BadToken));
            if refused {
                EtcdConnectError::Refused { cause }
            } else {
                EtcdConnectError::Unreachable { cause }
            }
        }
        other => EtcdConnectError::Unreachable { cause: other.into() },
    }
}

impl Etcd {
    /// Connects to the cluster at an address, with the default options.
    ///
    /// The address is `etcd://HOST:PORT,HOST:PORT/PREFIX`. The prefix is `/milo/` when there is
    /// none; two storages in one cluster need prefixes of which none begins with the other. A
    /// user is named as in `etcd://USER:PASSWORD@HOST:PORT`. With TLS it is
    /// `etcds://HOST:PORT?cacert=FILE`, and `&cert=FILE&key=FILE` for a client certificate. What
    /// is special in a URL is percent-encoded.
    ///
    /// # Errors
    /// See [`EtcdConnectError`].
    pub async fn connect(address: impl Into<String>) -> Result<Self, EtcdConnectError> {
        Self::builder(address).connect().await
    }

    /// Options, for the cluster at an address: see [`Etcd::connect`].
    pub fn builder(address: impl Into<String>) -> EtcdBuilder {
        EtcdBuilder {
            address: address.into(),
            connect_timeout: CONNECT_TIMEOUT,
            operation_timeout: OPERATION_TIMEOUT,
            retention: Some(DEFAULT_RETENTION),
            progress: EtcdProgress::Detect,
        }
    }

    /// Sees to it that an empty storage gives out no revision up to this one: for objects that
    /// come from another storage. Whoever has it open must connect anew.
    #[cfg(feature = "snapshot")]
    pub(in crate::storage) async fn skip(
        address: &str,
        revision: Revision,
    ) -> Result<(), EtcdConnectError> {
        let address = Address::parse(address)?;
        let endpoints = address.endpoints(CONNECT_TIMEOUT)?;
        let client = Client::new(endpoints, address.login, OPERATION_TIMEOUT);
        let mut store = Store::new(client, address.prefix);
        store.skip(revision).await.map_err(connect_error)
    }

    fn store(&self) -> &Store {
        &self.inner.feed.store
    }
}

/// Ends all watches.
impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.feed.lose("the storage is closed");
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.store();
        f.debug_struct("Etcd")
            .field("client", &store.client)
            .field("prefix", &store.prefix)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for Etcd {
    async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        self.store().get(key).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        self.store().list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        History(Arc::clone(&self.inner.feed)).commit(transaction).await
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
        let feed = &self.inner.feed;
        feed.start().await;
        feed.relay.watch(&History(Arc::clone(feed)), range, after).await
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.store().revision().await
    }

    async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        let newest = self.store().revision().await?;
        let mut floor = floor.min(newest);
        // Old versions of etcd forget the newest revision when it is of a removal, is compacted,
        // and they restart (etcd issue 17780): then revisions go back. So it must not be the
        // newest.
        if floor == newest && newest > Revision::FIRST && self.store().mark().await?.is_none() {
            floor = Revision::new(newest.get() - 1);
        }
        // What is compacted before it was told can no longer be told.
        self.inner.feed.tell(floor).await;
        self.store().compact(floor).await
    }

    async fn ping(&self) -> Result<(), ReadError> {
        self.store().revision().await.map(drop)
    }
}
