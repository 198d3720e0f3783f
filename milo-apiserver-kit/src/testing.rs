//! A real server to test against: random port, memory storage, its own authority.
//!
//! What answers is the kit itself, over TLS on loopback, so anything that speaks Kubernetes can be
//! pointed at it: a `kube::Client`, a controller, kubectl.
//!
//! ```
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::api::{Api, PostParams};
//! use milo_apiserver_kit::{milo_core::definition::ResourceDefinition, testing::TestServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), milo_apiserver_kit::testing::Error> {
//! let config_maps = ResourceDefinition::of_resource::<ConfigMap>()?;
//! let server = TestServer::start(|server| server.resource(config_maps)).await?;
//!
//! let api: Api<ConfigMap> = Api::namespaced(server.client()?, "default");
//! let mut settings = ConfigMap::default();
//! settings.metadata.name = Some("settings".into());
//! api.create(&PostParams::default(), &settings).await?;
//! assert_eq!(api.list(&Default::default()).await?.items.len(), 1);
//!
//! server.stop().await;
//! # Ok(()) }
//! ```
//!
//! Whoever brings a storage engine runs the [suite of the generic store](store) on it.
//! [`FaultyStorage`] makes any engine fail, and [`wire::Client`] calls a server without a socket.

mod faults;
pub mod store;
pub mod wire;

pub use faults::{Calls, FaultyStorage, Watches};

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use milo_core::storage::{Memory, Storage};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    Server, ServerBuilder,
    authn::{StaticTokens, Union},
    kubeconfig::Kubeconfig,
    listener::Listener,
    pki::{Pki, serving_names},
    service::ApiService,
    tls::Tls,
};

/// Any failure of a test server.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A running server. Dropping it stops it at once; [`TestServer::stop`] waits.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    pki: Pki,
    service: ApiService,
    storage: Arc<dyn Storage>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl TestServer {
    /// Starts a server with what `assemble` adds to it, on memory storage.
    ///
    /// # Errors
    /// When a kind cannot be served, or no port is free.
    pub async fn start(
        assemble: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Result<Self, Error> {
        Self::start_on(Arc::new(Memory::new()), assemble).await
    }

    /// Starts a server on a storage of your own. Several may share one.
    ///
    /// # Errors
    /// As [`TestServer::start`].
    pub async fn start_on(
        storage: Arc<dyn Storage>,
        assemble: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Result<Self, Error> {
        Self::start_with_tokens(storage, None, assemble).await
    }

    /// Starts a server that also knows these bearer tokens.
    ///
    /// # Errors
    /// As [`TestServer::start`].
    pub async fn start_with_tokens(
        storage: Arc<dyn Storage>,
        tokens: Option<StaticTokens>,
        assemble: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Result<Self, Error> {
        let loopback = Ipv4Addr::LOCALHOST;
        let pki = Pki::in_memory(&serving_names(loopback.into(), &[]))?;
        let listener = Listener::bind((loopback, 0).into(), Tls::from_pki(&pki)?).await?;
        let address = listener.local_addr()?;
        let mut authenticators = Union::new().client_certificates();
        if let Some(tokens) = tokens {
            authenticators = authenticators.static_tokens(tokens);
        }
        let builder = Server::builder_on(storage.clone()).authenticators(authenticators);
        let server = assemble(builder).build().await?;
        let service = server.service();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        Ok(Self { address, pki, service, storage, stop: Some(stop), running })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its authority, to issue further certificates.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The server without its socket.
    #[must_use]
    pub fn service(&self) -> ApiService {
        self.service.clone()
    }

    /// What it stores in.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The administrator's kubeconfig, as YAML: user `admin` of `system:masters`.
    ///
    /// # Errors
    /// Never for a server that has started.
    pub fn kubeconfig(&self) -> Result<String, Error> {
        let config = Kubeconfig::new("test", &self.url(), self.pki.ca_certificate());
        Ok(config.with_client_certificate("admin", self.pki.admin()).to_yaml()?)
    }

    /// A client with the administrator's rights.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn client(&self) -> Result<kube::Client, Error> {
        self.client_with(self.pki.admin())
    }

    /// A client that authenticates as this user, with at most two groups.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Result<kube::Client, Error> {
        self.client_with(&self.pki.issue_client(user, groups)?)
    }

    fn client_with(&self, pair: &crate::pki::PemPair) -> Result<kube::Client, Error> {
        let yaml = Kubeconfig::new("test", &self.url(), self.pki.ca_certificate())
            .with_client_certificate("test", pair)
            .to_yaml()?;
        Ok(kube::Client::try_from(config(&yaml)?)?)
    }

    /// The configuration of a client with the administrator's rights, to change before use.
    ///
    /// # Errors
    /// Never for a server that has started.
    pub fn client_config(&self) -> Result<kube::Config, Error> {
        config(&self.kubeconfig()?)
    }

    /// Stops it and waits until every connection is gone.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.running).await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The client configuration that a kubeconfig describes. Unlike kube's own loader it needs no
/// runtime.
fn config(yaml: &str) -> Result<kube::Config, Error> {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(yaml)?;
    let options = kube::config::KubeConfigOptions::default();
    Ok(futures_util::FutureExt::now_or_never(kube::Config::from_custom_kubeconfig(
        kubeconfig, &options,
    ))
    .ok_or("the kubeconfig needs a file that must be waited for")??)
}
