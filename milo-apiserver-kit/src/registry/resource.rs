//! One served kind.

use std::sync::Arc;

use http::{HeaderMap, Response, request::Parts};
use milo_core::{
    admission::Admission,
    definition::{DefinitionError, ResourceDefinition},
    key::{Key, KeyRange},
    meta,
    object::Object,
    request::{RequestAttributes, ResourceAttributes},
    scope::Scope,
    status::StatusError,
    storage::{Record, Storage},
};

use super::{
    StorageReader,
    backend::{Backend, KeyValue, Target},
    scale::Scaling,
};
use crate::{
    authorizers::Authorizers,
    body::Body,
    cache::{Cached, CorruptObject, Filter},
    discovery::ServedResource,
    errors,
    kind::Connecting,
    media::Encoding,
    negotiate::Form,
    request::{
        Query,
        options::{Freshness, Selection, get_version},
    },
    strategy::{Plain, Strategy},
    table::Layout,
};

/// A kind, its storage, its cache and the steps that its writes pass.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(super) definition: Arc<ResourceDefinition>,
    /// What discovery tells: nothing else is routed.
    served: ServedResource,
    connects: Vec<Connecting>,
    pub(super) layout: Layout,
    scaling: Option<Box<Scaling>>,
    pub(super) backend: Backend,
    pub(super) reader: StorageReader,
    pub(super) admission: Arc<[Arc<dyn Admission>]>,
    pub(super) strategy: Arc<dyn Strategy>,
}

/// A request that has been parsed, authenticated and authorized.
pub(crate) struct Call<'a> {
    pub(crate) attributes: &'a RequestAttributes,
    pub(crate) target: &'a ResourceAttributes,
    pub(crate) query: &'a Query<'a>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) form: Form,
    pub(crate) encoding: Encoding,
    /// Who decides what else the client may do.
    pub(crate) authorizers: &'a Authorizers,
    /// Sent as `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// Where the objects of a call live, and which of them belong to the caller's control plane.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    scope: Scope,
    /// Which objects can be seen from the control plane of the request.
    filter: Filter,
}

impl Resource {
    /// `storage` is what admission steps read, wherever the objects of this kind are kept.
    pub(crate) fn new(
        served: ServedResource,
        connects: Vec<Connecting>,
        backend: Backend,
        storage: Arc<dyn Storage>,
        admission: Arc<[Arc<dyn Admission>]>,
    ) -> Result<Self, DefinitionError> {
        let definition = served.definition().clone();
        let layout = Layout::new(definition.clone(), backend.table());
        let scaling = Scaling::of(&definition, &backend, &storage, &admission)?;
        let (reader, strategy) = (StorageReader(storage), Arc::new(Plain));
        Ok(Self {
            definition,
            served,
            connects,
            layout,
            scaling,
            backend,
            reader,
            admission,
            strategy,
        })
    }

    /// The same with what the kind decides for itself, if anything.
    pub(crate) fn with_strategy(mut self, strategy: Option<Arc<dyn Strategy>>) -> Self {
        self.strategy = strategy.unwrap_or(self.strategy);
        self
    }

    /// What the registry sorts and finds by.
    pub(super) fn id(&self) -> (&str, &str, &str) {
        (self.definition.plural(), self.definition.group(), self.definition.version())
    }

    pub(crate) fn definition(&self) -> &Arc<ResourceDefinition> {
        &self.definition
    }

    /// How the kind is scaled, when that is what the subresource is about.
    pub(crate) fn scaling(&self, subresource: &str) -> Option<&Scaling> {
        self.scaling.as_deref().filter(|_| subresource == "scale")
    }

    /// What tables show.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The verbs and subresources that are offered.
    pub(crate) fn served(&self) -> &ServedResource {
        &self.served
    }

    /// The subresource of this name that answers HTTP itself.
    pub(crate) fn connecting(&self, name: &str) -> Option<&Connecting> {
        self.connects.iter().find(|connecting| connecting.name == name)
    }

    /// The server's storage, if the objects of this kind are kept there.
    pub(super) fn key_value(&self) -> Result<&KeyValue, StatusError> {
        match &self.backend {
            Backend::KeyValue(store) => Ok(store),
            Backend::Rest(_) => Err(StatusError::internal("the kind is not in the storage")),
        }
    }

    /// The object that a call means, as the backend is told of it.
    pub(super) fn target<'a>(
        &'a self,
        call: &Call<'a>,
        place: &'a Place,
        key: &'a Key,
    ) -> Target<'a> {
        let (attributes, definition) = (call.attributes, &*self.definition);
        Target { attributes, definition, scope: &place.scope, key }
    }

    /// Where this kind's objects live for a request in `scope`; none when the kind does not exist
    /// there.
    pub(crate) fn place(&self, scope: &Scope) -> Option<Place> {
        if self.definition.lives_in(scope.kind()) {
            return Some(Place { scope: scope.clone(), filter: Filter::default() });
        }
        let filter = Filter::seen_from(scope, &self.definition)?;
        Some(Place { scope: Scope::Platform, filter })
    }

    pub(super) fn key(
        &self,
        place: &Place,
        namespace: &str,
        name: &str,
    ) -> Result<Key, StatusError> {
        let refused = |why: &dyn std::fmt::Display| {
            StatusError::bad_request(format!("Name parameter invalid: {name:?}: {why}"))
        };
        meta::validate_path_segment(name).map_err(|why| refused(&why))?;
        // `/api/v1/namespaces/x` names a namespace, but the object is in none.
        let namespace = if self.definition.is_namespaced() { namespace } else { "" };
        Key::object(self.definition.group_resource(), &place.scope, namespace, name)
            .map_err(|error| refused(&error))
    }

    /// The keys of a collection: a namespace, or a whole scope.
    pub(super) fn range(&self, place: &Place, namespace: &str) -> Result<KeyRange, StatusError> {
        let resource = self.definition.group_resource();
        let range = if self.definition.is_namespaced() && namespace.is_empty() {
            KeyRange::scope(resource, &place.scope)
        } else {
            KeyRange::namespace(resource, &place.scope, namespace)
        };
        range.map_err(|error| StatusError::bad_request(error.to_string()))
    }

    pub(super) fn not_found(&self, name: &str) -> StatusError {
        StatusError::not_found(self.definition.group_resource(), name)
    }

    pub(super) fn conflict(&self, name: &str, why: impl std::fmt::Display) -> StatusError {
        StatusError::conflict(self.definition.group_resource(), name, why)
    }

    pub(super) fn corrupt(&self, error: &CorruptObject) -> StatusError {
        tracing::error!(%error, "stored object cannot be served");
        StatusError::internal(error)
    }

    /// The newest stored object that belongs to the place, or 404.
    pub(super) async fn read(
        &self,
        call: &Call<'_>,
        place: &Place,
        key: &Key,
        name: &str,
    ) -> Result<Record, StatusError> {
        let record = self.backend.read(&self.target(call, place, key)).await?;
        let record = record.ok_or_else(|| self.not_found(name))?;
        self.require_visible(place, record, name)
    }

    /// Passes a record on if it belongs to the place, whatever the verb; otherwise it is not there.
    pub(super) fn require_visible(
        &self,
        place: &Place,
        record: Record,
        name: &str,
    ) -> Result<Record, StatusError> {
        if place.sees_all() {
            return Ok(record);
        }
        let cached =
            Cached::new(record.clone(), &self.definition).map_err(|error| self.corrupt(&error))?;
        if place.filter.matches(&cached, &self.definition) {
            return Ok(record);
        }
        Err(self.not_found(name))
    }

    /// A stored object with its resource version.
    pub(super) fn decode_record(&self, record: &Record) -> Result<Object, StatusError> {
        let mut object = Object::from_slice(&record.value)
            .map_err(|error| self.corrupt(&CorruptObject::new(&record.key, error)))?;
        object.set_meta("resourceVersion", &record.revision.to_string());
        Ok(object)
    }

    /// `GET` of one object. Nothing is decoded unless another form is asked for.
    pub(crate) async fn get(
        &self,
        call: &Call<'_>,
        place: &Place,
    ) -> Result<Response<Body>, StatusError> {
        let name = call.target.name.as_str();
        self.check_get_version(call).await?;
        let key = self.key(place, &call.target.namespace, name)?;
        let record = self.read(call, place, &key, name).await?;
        let encoded = crate::cache::encoded(&record, &self.definition)
            .map_err(|error| self.corrupt(&error))?;
        self.render_bytes(call, http::StatusCode::OK, &encoded.at(record.revision))
    }

    /// A read is always of the newest state, so a version asked for only has to come to exist.
    async fn check_get_version(&self, call: &Call<'_>) -> Result<(), StatusError> {
        let wanted = get_version(call.query)?;
        if let Backend::KeyValue(store) = &self.backend
            && wanted > store.storage.revision().await.map_err(|error| errors::read(&error))?
        {
            store.cache.reach(Freshness::NotOlderThan(wanted)).await?;
        }
        Ok(())
    }
}

impl<'a> Call<'a> {
    /// A call that is answered in the plain form.
    pub(crate) fn new(
        parts: &'a Parts,
        query: &'a Query<'a>,
        target: &'a ResourceAttributes,
        attributes: &'a RequestAttributes,
        authorizers: &'a Authorizers,
    ) -> Self {
        Self {
            attributes,
            target,
            query,
            headers: &parts.headers,
            form: Form::Plain,
            encoding: Encoding::Json,
            authorizers,
            warnings: Vec::new(),
        }
    }

    /// The same call with warnings of its own, for work that is done in parts.
    pub(super) fn alone(&self) -> Call<'a> {
        Call { warnings: Vec::new(), ..*self }
    }
}

impl Place {
    /// The same place, of which only what is selected is meant.
    pub(super) fn selecting(&self, selection: Selection) -> Self {
        Self { scope: self.scope.clone(), filter: self.filter.selecting(selection) }
    }

    /// The control plane that the objects live in.
    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn sees_all(&self) -> bool {
        self.filter.is_everything()
    }

    /// Which objects are meant.
    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }
}
