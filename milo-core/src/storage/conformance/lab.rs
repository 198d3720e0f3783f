//! What every case is given: a store, and more handles on it if the harness can.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    failure::Failure,
    harness::{Capabilities, Harness, Skip},
};
use crate::storage::{Cause, Storage};

/// A store whose harness is forgotten.
#[async_trait]
trait Opener: Send + Sync {
    async fn open(&self) -> Result<Arc<dyn Storage>, Cause>;
}

struct Opened<H: Harness> {
    harness: Arc<H>,
    store: H::Store,
}

#[async_trait]
impl<H: Harness> Opener for Opened<H> {
    async fn open(&self) -> Result<Arc<dyn Storage>, Cause> {
        self.harness.open(&self.store).await
    }
}

/// One store, empty when the case begins.
pub(super) struct Lab {
    // Dropped in this order.
    storage: Arc<dyn Storage>,
    opener: Box<dyn Opener>,
    capabilities: Capabilities,
}

impl Lab {
    pub(super) async fn new<H: Harness>(harness: Arc<H>) -> Result<Self, Failure> {
        let capabilities = harness.capabilities();
        let store = harness.create().await.map_err(|cause| not_opened(&cause))?;
        let opener = Box::new(Opened { harness, store });
        let storage = open(&*opener).await?;
        Ok(Self { storage, opener, capabilities })
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The handle that the case works with.
    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Another handle on the same store.
    pub(super) async fn replica(&self) -> Result<Arc<dyn Storage>, Failure> {
        if !self.capabilities.replicas {
            return Err(Failure::Skipped("a store cannot be opened twice at once".to_owned()));
        }
        open(&*self.opener).await
    }

    /// Closes the store and opens it again. The caller has dropped all handles it had.
    pub(super) async fn restart(self) -> Result<Self, Failure> {
        if !self.capabilities.restarts {
            return Err(Failure::Skipped("a store does not outlive its handles".to_owned()));
        }
        let Self { storage, opener, capabilities } = self;
        drop(storage);
        let storage = open(&*opener).await?;
        Ok(Self { storage, opener, capabilities })
    }
}

async fn open(opener: &dyn Opener) -> Result<Arc<dyn Storage>, Failure> {
    opener.open().await.map_err(|cause| not_opened(&cause))
}

fn not_opened(cause: &Cause) -> Failure {
    match cause.downcast_ref::<Skip>() {
        Some(reason) => Failure::Skipped(reason.to_string()),
        None => Failure::Failed(format!("the harness could not open a store: {cause} [{cause:?}]")),
    }
}
