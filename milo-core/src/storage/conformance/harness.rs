//! What the suite is told of an engine.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::storage::{Cause, Storage};

/// Opens stores of the engine under test.
///
/// Every case gets a store of its own; many cases may run at the same time, each in a runtime of
/// its own, so stores must not disturb one another and must share no connection that lives in a
/// runtime. A closure that returns an engine is a harness too, one without
/// [capabilities](Capabilities).
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a conformance harness",
    note = "implement `milo_core::storage::conformance::Harness`, or pass a closure that returns a \
            future of `Result<impl Storage, Cause>`"
)]
pub trait Harness: Send + Sync + 'static {
    /// One store and what belongs to it: a temporary directory, a schema in a database, a prefix.
    /// Dropped when the case is over, after every handle.
    type Store: Send + Sync + 'static;

    /// Makes a new store, which is empty.
    ///
    /// # Errors
    /// Anything fails the case, but for a [`Skip`], which skips it: for a database server that is
    /// not installed.
    async fn create(&self) -> Result<Self::Store, Cause>;

    /// Opens a handle on a store. Called once for each case; again while the first handle is
    /// open only with [`Capabilities::replicas`], and again after all handles were dropped only
    /// with [`Capabilities::restarts`].
    ///
    /// # Errors
    /// Anything fails the case, but for a [`Skip`].
    async fn open(&self, store: &Self::Store) -> Result<Arc<dyn Storage>, Cause>;

    /// What the engine can do beyond the contract. Nothing, when not said.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

#[async_trait]
impl<F, O, S> Harness for F
where
    F: Fn() -> O + Send + Sync + 'static,
    O: Future<Output = Result<S, Cause>> + Send,
    S: Storage,
{
    type Store = Arc<dyn Storage>;

    async fn create(&self) -> Result<Self::Store, Cause> {
        Ok(Arc::new(self().await?))
    }

    async fn open(&self, store: &Self::Store) -> Result<Arc<dyn Storage>, Cause> {
        Ok(Arc::clone(store))
    }
}

/// What an engine can do beyond the contract; cases that need more are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Revisions have no gaps: the store starts at [`Revision::FIRST`](crate::storage::Revision)
    /// and each commit has the next number.
    pub dense: bool,
    /// A store can be opened several times at once: by the replicas of a server.
    pub replicas: bool,
    /// A store outlives its handles: it can be opened again when all were dropped.
    pub restarts: bool,
    /// How many preconditions and operations one transaction may have: 128, the limit of an etcd
    /// that is not told otherwise.
    pub max_transaction: usize,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { dense: false, replicas: false, restarts: false, max_transaction: 128 }
    }
}

impl Capabilities {
    /// Revisions have no gaps.
    #[must_use]
    pub fn dense(mut self) -> Self {
        self.dense = true;
        self
    }

    /// A store can be opened several times at once.
    #[must_use]
    pub fn replicas(mut self) -> Self {
        self.replicas = true;
        self
    }

    /// A store can be opened again.
    #[must_use]
    pub fn restarts(mut self) -> Self {
        self.restarts = true;
        self
    }

    /// A transaction may have so many preconditions and operations together.
    #[must_use]
    pub fn max_transaction(mut self, count: usize) -> Self {
        self.max_transaction = count;
        self
    }
}

/// Why a store cannot be had here: the case is skipped instead of failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip(String);

impl Skip {
    /// With a reason to print, such as `postgres not found`.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}
