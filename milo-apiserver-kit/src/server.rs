//! Building and running a server.

use std::{future::Future, sync::Arc, time::Duration};

use kube_core::CustomResourceExt;
use milo_core::{
    admission::Admission,
    authorization::{Authorizer, SystemAuthorizer},
    definition::{DefinitionError, ResourceDefinition},
    key::InvalidKey,
    resourcemanager::{self, HierarchyAdmission, HierarchyResolver},
    scope::{PlatformOnly, ScopeResolver},
    storage::Storage,
};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    authn::Union,
    authorizers::Authorizers,
    bounded::Bounded,
    cache::Cache,
    health::Health,
    in_flight::InFlight,
    kind::{self, Connecting, Kind},
    listener::Listener,
    paths::Paths,
    registry::{Backend, KeyValue, Registry, Resource},
    rest::Handlers,
    reviews,
    service::{ApiService, Inner},
    strategy::Strategy,
};

/// How long the first reading of the storage may take before the server starts without it.
const FIRST_LISTING: Duration = Duration::from_secs(30);

/// A server that is ready to answer. Dropping it ends the tasks that feed its caches.
#[derive(Debug)]
pub struct Server {
    service: ApiService,
    kinds: Vec<String>,
    feeds: Vec<AbortHandle>,
}

/// Why a server could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A kind was declared in a way that cannot be served.
    #[error("a kind cannot be served: {0}")]
    Definition(#[from] DefinitionError),
    /// A kind's names cannot be part of a storage key.
    #[error("a kind cannot be stored: {0}")]
    Key(#[from] InvalidKey),
    /// The same kind was added twice.
    #[error("{0} is served twice; add each kind once")]
    Twice(String),
    /// The storage could not be read in time.
    #[error("the storage could not be read within {} s; see the log", FIRST_LISTING.as_secs())]
    Storage,
}

/// Collects what a server is made of. Denial is the default: without an authorizer that says
/// otherwise only `system:masters` may do anything but look at discovery, and without
/// authenticators nobody is anybody.
#[derive(Debug)]
#[must_use = "call build() to get a server"]
pub struct ServerBuilder {
    storage: Arc<dyn Storage>,
    kinds: Vec<Kind>,
    admission: Vec<Arc<dyn Admission>>,
    authorizers: Vec<Arc<dyn Authorizer>>,
    resolver: Arc<dyn ScopeResolver>,
    authenticators: Union,
    self_reviews: bool,
}

impl Server {
    /// Begins a server on a storage engine.
    pub fn builder(storage: impl Storage) -> ServerBuilder {
        Self::builder_on(Arc::new(storage))
    }

    /// Begins a server on a storage engine that is shared with others.
    pub fn builder_on(storage: Arc<dyn Storage>) -> ServerBuilder {
        ServerBuilder {
            storage: Arc::new(Bounded::new(storage)),
            kinds: Vec::new(),
            admission: Vec::new(),
            authorizers: vec![Arc::new(SystemAuthorizer::default())],
            resolver: Arc::new(PlatformOnly::default()),
            authenticators: Union::new().client_certificates(),
            self_reviews: false,
        }
    }

    /// The server as a `tower::Service`.
    #[must_use]
    pub fn service(&self) -> ApiService {
        self.service.clone()
    }

    /// The plural names of the kinds that were added, in that order.
    #[must_use]
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// Serves until `shutdown` completes: then readiness fails, watches end, open requests finish.
    pub async fn serve(self, listener: Listener, shutdown: impl Future<Output = ()>) {
        let closing = self.service.closing().clone();
        let until = async {
            shutdown.await;
            closing.cancel();
        };
        listener.serve(self.service.clone(), until).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.service.closing().cancel();
        for feed in &self.feeds {
            feed.abort();
        }
    }
}

impl ServerBuilder {
    /// The storage that the server is built on, for resolvers and admission steps that read it. Calls
    /// that the engine does not answer fail after a while: most after 10 s, commits after 30 s.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Serves a type with kube's `CustomResource` derive, on the platform.
    pub fn kind<K: CustomResourceExt>(self) -> Self {
        self.serve(Kind::of::<K>())
    }

    /// Serves a kind.
    pub fn resource(self, definition: ResourceDefinition) -> Self {
        self.serve(definition)
    }

    /// Serves a kind with what is its own: subresources, or a storage other than the server's.
    pub fn serve(mut self, kind: impl Into<Kind>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// Serves several kinds.
    pub fn resources(mut self, definitions: impl IntoIterator<Item = ResourceDefinition>) -> Self {
        self.kinds.extend(definitions.into_iter().map(Kind::from));
        self
    }

    /// Serves Milo's hierarchy: organizations and projects, what ties them together, and their
    /// control planes. See [`milo_core::resourcemanager`].
    pub fn hierarchy(mut self) -> Self {
        match resourcemanager::definitions() {
            Ok(definitions) => self = self.resources(definitions),
            Err(error) => self.kinds.push(Kind::from(Err(error))),
        }
        let resolver = HierarchyResolver::new(self.storage.clone());
        self.scopes(resolver).admission(HierarchyAdmission::default())
    }

    /// Adds a step that every write passes, after those added before.
    pub fn admission(mut self, step: impl Admission) -> Self {
        self.admission.push(Arc::new(step));
        self
    }

    /// Adds an authorizer, asked when those before it had nothing to say.
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.authorizers.push(Arc::new(authorizer));
        self
    }

    /// Serves the review APIs of `authentication.k8s.io` and `authorization.k8s.io` in every control
    /// plane, evaluated by this server's authorizers: `kubectl auth whoami` and `kubectl auth can-i`
    /// work. For servers that stand alone; behind a Kubernetes API server they are that server's.
    ///
    /// Everybody may ask about oneself; to ask about others needs permission.
    pub fn self_reviews(mut self) -> Self {
        self.self_reviews = true;
        self
    }

    /// Says which tenants exist. The default knows none: only the platform can be addressed.
    pub fn scopes(mut self, resolver: impl ScopeResolver) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Says who callers are. The default takes client certificates.
    pub fn authenticators(mut self, authenticators: Union) -> Self {
        self.authenticators = authenticators;
        self
    }

    /// Reads the storage and builds the server. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(self) -> Result<Server, BuildError> {
        let closing = CancellationToken::new();
        let authorizers = Authorizers::new(self.authorizers);
        let reviews = self.self_reviews.then(|| reviews::kinds(&authorizers));
        let own = self.kinds.len();
        let mut kinds = Vec::new();
        for kind in self.kinds.into_iter().chain(reviews.into_iter().flatten()) {
            kinds.push(Part::new(kind)?);
        }
        refuse_duplicates(kinds.iter().map(|kind| &*kind.definition))?;
        let names = kinds.iter().take(own).map(|kind| kind.definition.plural().to_owned());
        let names = names.collect();
        let admission: Arc<[Arc<dyn Admission>]> = self.admission.into();
        let (mut caches, mut served, mut resources) = (Vec::new(), Vec::new(), Vec::new());
        for Part { definition, strategy, handlers, connects } in kinds {
            let offered = kind::served(definition.clone(), handlers.as_ref(), &connects);
            served.push(offered.clone());
            let backend = match handlers {
                Some(handlers) => Backend::Rest(handlers),
                None => {
                    let cache = Cache::new(definition, self.storage.clone())?;
                    caches.push(cache.clone());
                    Backend::KeyValue(KeyValue { storage: self.storage.clone(), cache })
                }
            };
            let (storage, admission) = (self.storage.clone(), admission.clone());
            let resource = Resource::new(offered, connects, backend, storage, admission)?;
            resources.push(Arc::new(resource.with_strategy(strategy)));
        }
        let feeds: Vec<_> = caches.iter().map(|cache| cache.spawn().abort_handle()).collect();
        let health = Health {
            storage: self.storage.clone(),
            caches: caches.clone(),
            closing: closing.clone(),
        };
        let service = ApiService::new(Inner {
            registry: Registry::new(resources),
            resolver: self.resolver,
            authenticators: self.authenticators,
            authorizers,
            paths: Paths::new(&served, health),
            in_flight: InFlight::default(),
            closing,
        });
        let server = Server { service, kinds: names, feeds };
        let filled = async {
            for cache in &caches {
                cache.filled().await;
            }
        };
        tokio::time::timeout(FIRST_LISTING, filled).await.map_err(|_| BuildError::Storage)?;
        Ok(server)
    }
}

/// A kind that can be served.
struct Part {
    definition: Arc<ResourceDefinition>,
    strategy: Option<Arc<dyn Strategy>>,
    handlers: Option<Handlers>,
    connects: Vec<Connecting>,
}

impl Part {
    fn new(kind: Kind) -> Result<Self, DefinitionError> {
        let Kind { definition, strategy, handlers, connects } = kind;
        let definition = match &strategy {
            Some(strategy) if strategy.decorates() => {
                let strategy = strategy.clone();
                definition?.decorated_by(move |object| strategy.decorate(object))
            }
            _ => definition?,
        };
        Ok(Self { definition: Arc::new(definition), strategy, handlers, connects })
    }
}

fn refuse_duplicates<'a>(
    definitions: impl Iterator<Item = &'a ResourceDefinition>,
) -> Result<(), BuildError> {
    let mut seen = std::collections::HashSet::new();
    for definition in definitions {
        let resource = definition.group_resource();
        // Not even in two versions: there is no conversion yet, and keys know no version.
        if !seen.insert(resource) {
            return Err(BuildError::Twice(resource.to_string()));
        }
    }
    Ok(())
}
