//! The engine on etcd, against a real one: the contract, several servers at once, and failures of
//! the cluster and of the connection to it.

#![cfg(all(feature = "etcd", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod storage_support;

mod conformance {
    //! The contract. Each case has an etcd of its own: what one compacts is compacted for all.

    use std::sync::Arc;

    use milo_core::{
        storage::{
            Cause, Etcd, EtcdProgress, Storage,
            conformance::{Capabilities, Harness, Skip},
        },
        testing::EtcdServer,
    };

    /// The marker is what the version installed here needs. Asking is tried as well, but only of
    /// watches that do not begin before the handle was opened: others are behind at first, and then
    /// etcd before 3.4.31 does not tell the truth.
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
            Ok(Arc::new(Etcd::builder(address).progress(self.0).connect().await?))
        }

        fn capabilities(&self) -> Capabilities {
            match self.0 {
                EtcdProgress::Request => Capabilities::default().dense(),
                _ => Capabilities::default().replicas().restarts(),
            }
        }
    }

    mod marker {
        milo_core::storage_conformance!(super::OnEtcd(super::EtcdProgress::Marker));
    }

    mod request {
        milo_core::storage_conformance!(super::OnEtcd(super::EtcdProgress::Request));
    }
}
