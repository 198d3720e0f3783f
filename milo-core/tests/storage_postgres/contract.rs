//! The contract of every engine.

use std::sync::Arc;

use async_trait::async_trait;
use milo_core::storage::{
    Cause, Postgres, Storage,
    conformance::{Capabilities, Harness, Skip},
};

use crate::servers::shared;

/// A database for each case, on one server.
struct OnPostgres;

#[async_trait]
impl Harness for OnPostgres {
    /// The URL of the database.
    type Store = String;

    async fn create(&self) -> Result<String, Cause> {
        let server = shared().ok_or_else(|| Skip::new("postgres not found"))?;
        Ok(server.create_database()?)
    }

    async fn open(&self, url: &String) -> Result<Arc<dyn Storage>, Cause> {
        Ok(Arc::new(Postgres::connect(url).await?))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().dense().replicas().restarts().max_transaction(2000)
    }
}

milo_core::storage_conformance!(OnPostgres);
