//! The contract of the storage, in both ways of proving progress. Each case has an etcd of its own:
//! what one compacts is compacted for all.

use std::sync::Arc;

use milo_core::{
    bytes::Bytes,
    key::KeyRange,
    storage::{
        Cause, Etcd, EtcdProgress, Storage, Transaction,
        conformance::{Capabilities, Harness, Skip},
    },
    testing::EtcdServer,
};

/// The marker is what the version installed here needs. Asking is tried as well, but only while
/// the watch of etcd is not behind: then versions before 3.4.31 tell the truth, too.
struct OnEtcd(EtcdProgress);

#[async_trait::async_trait]
impl Harness for OnEtcd {
    type Store = EtcdServer;

    async fn create(&self) -> Result<EtcdServer, Cause> {
        // Values may be as large as the contract says.
        let server = EtcdServer::builder().argument("--max-request-bytes=4194304").start()?;
        server.ok_or_else(|| Skip::new("etcd not found").into())
    }

    async fn open(&self, server: &EtcdServer) -> Result<Arc<dyn Storage>, Cause> {
        let address = server.url("conformance");
        let storage = Etcd::builder(address).progress(self.0).connect().await?;
        if self.0 == EtcdProgress::Request {
            catch_up(&storage).await?;
        }
        Ok(Arc::new(storage))
    }

    fn capabilities(&self) -> Capabilities {
        match self.0 {
            EtcdProgress::Request => Capabilities::default(),
            _ => Capabilities::default().replicas().restarts(),
        }
    }
}

/// Waits until the watch of etcd is not behind. What is written for that is removed again.
async fn catch_up(storage: &Etcd) -> Result<(), Cause> {
    let key = crate::storage_support::key("catch-up", "a");
    let start = storage.revision().await?;
    let mut watch = storage.watch(&KeyRange::key(&key), start).await?;
    for transaction in
        [Transaction::new().put(key.clone(), Bytes::new()), Transaction::new().delete(key)]
    {
        storage.commit(transaction).await?;
        let batch = watch.next().await.ok_or("the watch is over")??;
        assert_eq!(batch.events.len(), 1);
    }
    Ok(())
}

mod marker {
    milo_core::storage_conformance!(super::OnEtcd(super::EtcdProgress::Marker));
}

mod request {
    milo_core::storage_conformance!(super::OnEtcd(super::EtcdProgress::Request));
}
