//! What the server offers for a kind: its verbs and its subresources.

use std::sync::Arc;

use http::Method;
use k8s_openapi::api::autoscaling::v1::Scale;
use kube_core::gvk::GroupVersionKind;
use milo_core::{definition::ResourceDefinition, request::Verb, scope::ScopeKind};
use schemars::{JsonSchema, SchemaGenerator};

use crate::request::info::verb_of_object;

/// A kind as it is served: discovery and OpenAPI are derived from a list of these.
#[derive(Clone, Debug)]
pub struct ServedResource {
    definition: Arc<ResourceDefinition>,
    verbs: Vec<Verb>,
    subresources: Vec<Subresource>,
}

/// A path below an object, such as `status`.
#[derive(Clone, Debug)]
pub struct Subresource {
    name: String,
    kind: Option<ForeignKind>,
    verbs: Vec<Verb>,
    connection: Option<Connection>,
}

/// The kind of a subresource that does not speak its parent's.
#[derive(Clone, Debug)]
struct ForeignKind {
    gvk: GroupVersionKind,
    schema: Option<ForeignSchema>,
}

#[derive(Clone, Debug)]
struct ForeignSchema {
    name: String,
    add: fn(&mut SchemaGenerator),
}

/// What OpenAPI says of a subresource that speaks no kind but whatever it likes: a stream, a page,
/// an upgrade to another protocol.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) methods: Vec<Method>,
    pub(crate) parameters: Vec<Parameter>,
    /// Whether paths below it lead to it too.
    pub(crate) below: bool,
}

/// A parameter in the query of a [connection](Subresource::connect).
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// A type of JSON schema: `string`, `boolean`, `integer`.
    pub(crate) kind: String,
    pub(crate) description: String,
}

impl ServedResource {
    /// A kind with the verbs that its storage supports, and no subresources.
    #[must_use]
    pub fn new(definition: Arc<ResourceDefinition>, verbs: impl IntoIterator<Item = Verb>) -> Self {
        Self { definition, verbs: sorted(verbs), subresources: Vec::new() }
    }

    /// A kind with all eight verbs, and with `status` where the kind has it.
    #[must_use]
    pub fn complete(definition: Arc<ResourceDefinition>) -> Self {
        use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
        let has_status = definition.has_status();
        let all = [Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch];
        let served = Self::new(definition, all);
        if has_status { served.with_subresource(Subresource::status()) } else { served }
    }

    /// Adds a subresource.
    #[must_use]
    pub fn with_subresource(mut self, subresource: Subresource) -> Self {
        self.subresources.push(subresource);
        self.subresources.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }

    /// The kind.
    #[must_use]
    pub fn definition(&self) -> &Arc<ResourceDefinition> {
        &self.definition
    }

    /// The verbs of the object itself, sorted by name.
    #[must_use]
    pub fn verbs(&self) -> &[Verb] {
        &self.verbs
    }

    /// The subresources, sorted by name.
    #[must_use]
    pub fn subresources(&self) -> &[Subresource] {
        &self.subresources
    }

    /// Whether objects are stored, as far as one can tell: what can only be created is a question,
    /// and the answer is forgotten.
    pub(crate) fn is_kept(&self) -> bool {
        self.verbs.iter().any(|verb| *verb != Verb::Create)
    }

    /// Whether this is the other, found in another list.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let names = |served: &Self| -> Vec<_> {
            served.subresources.iter().map(|found| found.name.clone()).collect()
        };
        Arc::ptr_eq(&self.definition, &other.definition)
            && self.verbs == other.verbs
            && names(self) == names(other)
    }

    /// The subresource of this name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// The group, version and kind of the object.
    pub(crate) fn gvk(&self) -> GroupVersionKind {
        let definition = &self.definition;
        GroupVersionKind::gvk(definition.group(), definition.version(), definition.kind())
    }
}

impl Subresource {
    /// A subresource that reads and writes the kind of its parent.
    #[must_use]
    pub fn new(name: impl Into<String>, verbs: impl IntoIterator<Item = Verb>) -> Self {
        Self { name: name.into(), kind: None, verbs: sorted(verbs), connection: None }
    }

    /// A subresource that speaks a kind of its own, published with the schema of `K`.
    #[must_use]
    pub fn of_kind<K: JsonSchema>(
        name: impl Into<String>,
        gvk: GroupVersionKind,
        verbs: impl IntoIterator<Item = Verb>,
    ) -> Self {
        let add = |generator: &mut SchemaGenerator| {
            generator.subschema_for::<K>();
        };
        let schema = Some(ForeignSchema { name: K::schema_name().into_owned(), add });
        Self { kind: Some(ForeignKind { gvk, schema }), ..Self::new(name, verbs) }
    }

    /// A subresource that answers `methods` in its own way: with a stream, a page, or another
    /// protocol. As upstream, discovery lists the verbs that the methods stand for.
    #[must_use]
    pub fn connect(name: impl Into<String>, methods: impl IntoIterator<Item = Method>) -> Self {
        let mut methods: Vec<Method> = methods.into_iter().collect();
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        let verbs: Vec<Verb> = methods.iter().filter_map(verb_of_object).collect();
        let connection = Connection { methods, parameters: Vec::new(), below: false };
        Self { connection: Some(connection), ..Self::new(name, verbs) }
    }

    /// Names the kind of the options of a [connection](Self::connect), as `PodExecOptions` upstream.
    /// Without one it is known by its parent's kind.
    #[must_use]
    pub fn with_options_kind(mut self, gvk: GroupVersionKind) -> Self {
        self.kind = Some(ForeignKind { gvk, schema: None });
        self
    }

    /// Publishes a parameter in the query of a [connection](Self::connect). `kind` is a type of JSON
    /// schema, such as `boolean`.
    #[must_use]
    pub fn with_parameter(
        mut self,
        name: impl Into<String>,
        kind: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        if let Some(connection) = &mut self.connection {
            let (name, kind, description) = (name.into(), kind.into(), description.into());
            connection.parameters.push(Parameter { name, kind, description });
        }
        self
    }

    /// Lets paths below a [connection](Self::connect) lead to it.
    #[must_use]
    pub fn with_paths_below(mut self) -> Self {
        if let Some(connection) = &mut self.connection {
            connection.below = true;
        }
        self
    }

    /// `status`: get, patch, update.
    #[must_use]
    pub fn status() -> Self {
        Self::new("status", [Verb::Get, Verb::Patch, Verb::Update])
    }

    /// `scale`, of kind `autoscaling/v1` `Scale`: get, patch, update.
    #[must_use]
    pub fn scale() -> Self {
        let gvk = GroupVersionKind::gvk("autoscaling", "v1", "Scale");
        Self::of_kind::<Scale>("scale", gvk, [Verb::Get, Verb::Patch, Verb::Update])
    }

    /// The last segment of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verbs, sorted by name.
    #[must_use]
    pub fn verbs(&self) -> &[Verb] {
        &self.verbs
    }

    /// Its own kind; none when it speaks its parent's.
    #[must_use]
    pub fn gvk(&self) -> Option<&GroupVersionKind> {
        self.kind.as_ref().map(|kind| &kind.gvk)
    }

    /// The name of the schema of its own kind.
    pub(crate) fn schema_name(&self) -> Option<&str> {
        self.kind.as_ref()?.schema.as_ref().map(|schema| schema.name.as_str())
    }

    /// What is special about a subresource that answers in its own way.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Adds the schema of its own kind to `generator`; answers its name and kind.
    pub(crate) fn add_schema(
        &self,
        generator: &mut SchemaGenerator,
    ) -> Option<(&str, &GroupVersionKind)> {
        let kind = self.kind.as_ref()?;
        let schema = kind.schema.as_ref()?;
        (schema.add)(generator);
        Some((&schema.name, &kind.gvk))
    }
}

/// Those `resources` that control planes of the kind `scope` serve.
#[must_use]
pub fn served_in(resources: &[ServedResource], scope: ScopeKind) -> Vec<ServedResource> {
    let served = |resource: &&ServedResource| {
        let definition = &resource.definition;
        definition.is_served_in(scope)
    };
    resources.iter().filter(served).cloned().collect()
}

/// Sorted by name, each once.
fn sorted(verbs: impl IntoIterator<Item = Verb>) -> Vec<Verb> {
    let mut verbs: Vec<Verb> = verbs.into_iter().collect();
    verbs.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    verbs.dedup();
    verbs
}
