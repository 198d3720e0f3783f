//! A kind as a server offers it: its definition, where its objects live, its subresources.

use std::{fmt, sync::Arc};

use kube_core::CustomResourceExt;
use milo_core::definition::{DefinitionError, ResourceDefinition};

use crate::{
    discovery::{ServedResource, Subresource},
    rest::{Connect, ConnectOptions, Handlers},
    strategy::Strategy,
};

/// A kind that a server is to serve; see [`ServerBuilder::serve`](crate::ServerBuilder::serve).
///
/// Its objects are kept in the server's storage unless it brings [handlers](Self::handlers).
#[derive(Debug)]
#[must_use = "give it to ServerBuilder::serve()"]
pub struct Kind {
    pub(crate) definition: Result<ResourceDefinition, DefinitionError>,
    pub(crate) handlers: Option<Handlers>,
    pub(crate) connects: Vec<Connecting>,
    pub(crate) strategy: Option<Arc<dyn Strategy>>,
}

/// A subresource with a handler of its own.
#[derive(Clone)]
pub(crate) struct Connecting {
    pub(crate) name: String,
    pub(crate) options: ConnectOptions,
    pub(crate) handler: Arc<dyn Connect>,
}

impl Kind {
    /// A type with kube's `CustomResource` derive.
    pub fn of<K: CustomResourceExt>() -> Self {
        Self::from(ResourceDefinition::of::<K>())
    }

    /// Has its objects read and written by handlers instead of the server's storage.
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = Some(handlers);
        self
    }

    /// Decides what a schema cannot: names, derived fields, how objects end.
    pub fn strategy(mut self, strategy: impl Strategy) -> Self {
        self.strategy = Some(Arc::new(strategy));
        self
    }

    /// Adds a subresource that answers HTTP itself, as `log`.
    pub fn connect(
        mut self,
        name: impl Into<String>,
        options: ConnectOptions,
        handler: impl Connect,
    ) -> Self {
        self.connects.push(Connecting { name: name.into(), options, handler: Arc::new(handler) });
        self
    }
}

/// What is offered of a kind: all of it when the server's storage keeps its objects, else what the
/// handlers can do.
pub(crate) fn served(
    definition: Arc<ResourceDefinition>,
    handlers: Option<&Handlers>,
    connects: &[Connecting],
) -> ServedResource {
    let mut served = match handlers {
        None => ServedResource::complete(definition),
        Some(handlers) => {
            let status = definition.has_status() && handlers.update.is_some();
            let served = ServedResource::new(definition, handlers.verbs());
            if status { served.with_subresource(Subresource::status()) } else { served }
        }
    };
    let changes = handlers.is_none_or(|handlers| handlers.update.is_some());
    if served.definition().replica_paths().is_some() && changes {
        served = served.with_subresource(Subresource::scale());
    }
    for connecting in connects {
        let options = &connecting.options;
        let methods = options.methods.iter().cloned();
        let mut subresource = Subresource::connect(connecting.name.as_str(), methods);
        if options.paths {
            subresource = subresource.with_paths_below();
        }
        served = served.with_subresource(subresource);
    }
    served
}

impl From<ResourceDefinition> for Kind {
    fn from(definition: ResourceDefinition) -> Self {
        Self::from(Ok(definition))
    }
}

impl From<Result<ResourceDefinition, DefinitionError>> for Kind {
    fn from(definition: Result<ResourceDefinition, DefinitionError>) -> Self {
        Self { definition, handlers: None, connects: Vec::new(), strategy: None }
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
