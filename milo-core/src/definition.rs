//! Everything the server knows of a kind.
//!
//! A kind is declared once and its [`ResourceDefinition`] is derived from the declaration:
//!
//! - [`ResourceDefinition::of`]: a Rust type with kube's `CustomResource` derive,
//! - [`ResourceDefinition::of_resource`]: any type with `kube::Resource` and a JSON schema,
//! - [`ResourceDefinition::from_crd`]: a `CustomResourceDefinition`, from a file or a request.
//!
//! [`object_schema`] helps with kinds whose schema kube's derive cannot express.

use std::{any::TypeId, fmt, sync::Arc};

use k8s_openapi::{
    api::autoscaling::v1::Scale,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, CustomResourceDefinitionVersion,
    },
};
use kube_core::{CustomResourceExt, NamespaceResourceScope, Resource};
use schemars::JsonSchema;
use serde_json::Value;

use crate::{
    key::GroupResource,
    object::{Head, Object},
    schema::Schema,
    scope::ScopeKind,
};

mod column;
mod conditions;
mod error;
mod names;
pub mod object_schema;
mod scale;

pub use column::{Column, ColumnKind, SelectableField};
pub use error::{DefinitionError, InvalidColumn, InvalidScale, InvalidSelectableField};
pub use scale::ReplicaPaths;

/// Everything the server knows of a kind: names, home, schema, columns, selectable fields.
///
/// Discovery, OpenAPI, validation, defaulting, tables, selectors and permissions are derived from
/// it, so that nothing is listed twice.
#[derive(Clone, Debug)]
pub struct ResourceDefinition {
    group_resource: GroupResource,
    version: String,
    api_version: String,
    kind: String,
    list_kind: String,
    singular: String,
    short_names: Vec<String>,
    categories: Vec<String>,
    namespaced: bool,
    home: ScopeKind,
    /// Whether every control plane has objects of its own, whatever its kind.
    everywhere: bool,
    views: Vec<(ScopeKind, View)>,
    head: Head,
    status: bool,
    scale: Option<ReplicaPaths>,
    columns: Vec<Column>,
    /// Whether `columns` is what a kind without columns gets.
    default_columns: bool,
    selectable_fields: Vec<SelectableField>,
    schema: Arc<Schema>,
    decorator: Option<Decorator>,
    deprecation: Option<String>,
}

/// Adds to objects what is not stored but shown.
#[derive(Clone)]
struct Decorator(Arc<dyn Fn(&mut Object) + Send + Sync>);

impl fmt::Debug for Decorator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decorator")
    }
}

/// Which objects belong to a tenant that does not own a key space: those where this label or field
/// says the tenant's name or UID.
///
/// A name can be taken by another tenant when the first one is gone, and its objects go with it.
/// So a view by name is only for tenants whose names are never used again, and for kinds whose
/// objects are gone before their tenant; everywhere else it takes a view by UID.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum View {
    /// The label with this key is the tenant's name.
    Label(String),
    /// The label with this key is the tenant's UID.
    LabelUid(String),
    /// This selectable field, as `spec.userRef.name`, is the tenant's name.
    Field(String),
}

impl ResourceDefinition {
    /// From the first version of a definition that is both served and stored.
    ///
    /// The kind lives on the platform until [`living_in`](Self::living_in) says otherwise. A
    /// definition without printer columns gets the age, as upstream.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn from_crd(crd: &CustomResourceDefinition) -> Result<Self, DefinitionError> {
        Self::read(crd, std::convert::identity)
    }

    /// From a definition whose schema is completed by `complete`.
    fn read(
        crd: &CustomResourceDefinition,
        complete: fn(Value) -> Value,
    ) -> Result<Self, DefinitionError> {
        let spec = &crd.spec;
        let names = &spec.names;
        let version = (spec.versions.iter())
            .find(|version| version.served && version.storage)
            .ok_or_else(|| DefinitionError::NoVersion { kind: names.kind.clone() })?;
        let has_status =
            version.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some());
        let lower_kind = names.kind.to_ascii_lowercase();
        let mut definition = Self {
            group_resource: GroupResource::new(spec.group.as_str(), names.plural.as_str()),
            version: version.name.clone(),
            api_version: api_version(&spec.group, &version.name),
            head: Head::new(&api_version(&spec.group, &version.name), &names.kind),
            kind: names.kind.clone(),
            list_kind: names.list_kind.clone().unwrap_or_else(|| format!("{}List", names.kind)),
            singular: names.singular.clone().unwrap_or(lower_kind),
            short_names: names.short_names.clone().unwrap_or_default(),
            categories: names.categories.clone().unwrap_or_default(),
            namespaced: spec.scope == "Namespaced",
            home: ScopeKind::Platform,
            everywhere: false,
            views: Vec::new(),
            status: has_status,
            scale: None,
            columns: vec![Column::age()],
            default_columns: true,
            selectable_fields: Vec::new(),
            schema: schema_of(&names.kind, version, complete)?,
            decorator: None,
            deprecation: deprecation(crd, version),
        };
        definition.check_names()?;
        let subresources = version.subresources.as_ref();
        if let Some(scale) = subresources.and_then(|subresources| subresources.scale.as_ref()) {
            let invalid = |source| DefinitionError::Scale { kind: names.kind.clone(), source };
            definition = definition.with_scale(ReplicaPaths::from_crd(scale).map_err(invalid)?);
        }
        for column in version.additional_printer_columns.iter().flatten() {
            definition = definition.with_column(Column::from_crd(column).map_err(|source| {
                let (kind, column) = (names.kind.clone(), column.name.clone());
                DefinitionError::Column { kind, column, source }
            })?);
        }
        for field in version.selectable_fields.iter().flatten() {
            let field = SelectableField::new(&field.json_path).map_err(|source| {
                DefinitionError::SelectableField { kind: names.kind.clone(), source }
            })?;
            definition = definition.with_selectable_field(field);
        }
        Ok(definition)
    }

    /// Of a Rust type with kube's `CustomResource` derive: [`from_crd`](Self::from_crd) of what
    /// the derive generates.
    ///
    /// Lists of conditions are keyed by their type, as every API that follows the conventions has
    /// them: the derive cannot say so, and no two controllers could apply conditions of their own.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn of<K: CustomResourceExt>() -> Result<Self, DefinitionError> {
        Self::read(&K::crd(), conditions::keyed)
    }

    /// Of any type with `kube::Resource` and a JSON schema, for example one of k8s-openapi's.
    ///
    /// The kind has the status subresource when its schema has a `status`. Its metadata is not
    /// described further, as in the schema of a custom resource. Only the age is shown in tables
    /// until columns are added.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn of_resource<K>() -> Result<Self, DefinitionError>
    where
        K: Resource<DynamicType = ()> + JsonSchema,
        K::Scope: 'static,
    {
        let (group, version, kind) = (K::group(&()), K::version(&()), K::kind(&()).into_owned());
        let document = conditions::keyed(object_schema::of_root::<K>());
        let definition = Self {
            group_resource: GroupResource::new(&*group, &*K::plural(&())),
            api_version: api_version(&group, &version),
            head: Head::new(&api_version(&group, &version), &kind),
            version: version.into_owned(),
            list_kind: format!("{kind}List"),
            singular: kind.to_ascii_lowercase(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced: TypeId::of::<K::Scope>() == TypeId::of::<NamespaceResourceScope>(),
            home: ScopeKind::Platform,
            everywhere: false,
            views: Vec::new(),
            status: document.pointer("/properties/status").is_some(),
            scale: None,
            columns: vec![Column::age()],
            default_columns: true,
            selectable_fields: Vec::new(),
            schema: compile(&kind, document)?,
            decorator: None,
            deprecation: None,
            kind,
        };
        definition.check_names()?;
        Ok(definition)
    }

    /// Says in which kind of control plane the objects live. The default is the platform.
    #[must_use]
    pub fn living_in(mut self, home: ScopeKind) -> Self {
        self.home = home;
        self.views.retain(|(from, _)| *from != home);
        self
    }

    /// Has every control plane, whatever its kind, serve the kind with objects of its own: as
    /// reviews of what a caller may do there.
    #[must_use]
    pub fn living_everywhere(mut self) -> Self {
        self.everywhere = true;
        self.views.clear();
        self
    }

    /// Lets objects that live on the platform be seen from a further kind of control plane, as far
    /// as they belong to its tenant: projects are seen through their organization. Whatever the
    /// verb, what does not belong there is not there.
    #[must_use]
    pub fn seen_from(mut self, from: ScopeKind, view: View) -> Self {
        self.views.retain(|(other, _)| *other != from);
        if from != self.home {
            self.views.push((from, view));
        }
        self
    }

    /// Adds a short name, as `po` for pods.
    #[must_use]
    pub fn with_short_name(mut self, name: impl Into<String>) -> Self {
        self.short_names.push(name.into());
        self
    }

    /// Adds the kind to a category, as `all`.
    #[must_use]
    pub fn with_category(mut self, category: impl Into<String>) -> Self {
        self.categories.push(category.into());
        self
    }

    /// Adds a column. The first one replaces the age that a kind without columns shows.
    #[must_use]
    pub fn with_column(mut self, column: Column) -> Self {
        if std::mem::take(&mut self.default_columns) {
            self.columns.clear();
        }
        self.columns.push(column);
        self
    }

    /// Adds the subresource `scale`, with which `kubectl scale` and autoscalers change how many
    /// replicas are wanted.
    #[must_use]
    pub fn with_scale(mut self, paths: ReplicaPaths) -> Self {
        self.scale = Some(paths);
        self
    }

    /// Lets clients select by a field.
    #[must_use]
    pub fn with_selectable_field(mut self, field: SelectableField) -> Self {
        self.selectable_fields.push(field);
        self
    }

    /// Shows more of each object than is stored. `decorate` must depend on nothing but the object.
    /// Objects are then decoded for every change, and for every answer to a `GET`.
    #[must_use]
    pub fn decorated_by(mut self, decorate: impl Fn(&mut Object) + Send + Sync + 'static) -> Self {
        self.decorator = Some(Decorator(Arc::new(decorate)));
        self
    }

    /// Adds to a stored object what is shown of it. False if that is nothing.
    pub fn decorate(&self, object: &mut Object) -> bool {
        let Some(Decorator(decorate)) = &self.decorator else { return false };
        decorate(object);
        true
    }

    /// Whether more is shown of objects than is stored.
    #[must_use]
    pub fn is_decorated(&self) -> bool {
        self.decorator.is_some()
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.group_resource.group()
    }

    /// The version, as `v1alpha1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Group and version as in an object's `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// The kind, as `Organization`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The kind of a list, as `OrganizationList`.
    #[must_use]
    pub fn list_kind(&self) -> &str {
        &self.list_kind
    }

    /// The resource name in URLs, as `organizations`.
    #[must_use]
    pub fn plural(&self) -> &str {
        self.group_resource.resource()
    }

    /// The name of one, as `organization`.
    #[must_use]
    pub fn singular(&self) -> &str {
        &self.singular
    }

    /// Further names that command lines accept.
    #[must_use]
    pub fn short_names(&self) -> &[String] {
        &self.short_names
    }

    /// The groups of kinds that this one is listed with.
    #[must_use]
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// Whether objects live in namespaces.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.namespaced
    }

    /// The kind of control plane that the objects live in; see also [`lives_in`](Self::lives_in).
    #[must_use]
    pub fn home(&self) -> ScopeKind {
        self.home
    }

    /// How the objects are seen from a kind of control plane that they do not live in.
    #[must_use]
    pub fn view(&self, from: ScopeKind) -> Option<&View> {
        self.views.iter().find(|(kind, _)| *kind == from).map(|(_, view)| view)
    }

    /// All the ways in which the objects are seen from elsewhere.
    pub fn views(&self) -> impl Iterator<Item = (ScopeKind, &View)> {
        self.views.iter().map(|(from, view)| (*from, view))
    }

    /// Whether control planes of this kind have objects of their own.
    #[must_use]
    pub fn lives_in(&self, scope: ScopeKind) -> bool {
        self.everywhere || scope == self.home
    }

    /// Whether the kind exists in control planes of this kind, at home or as a view.
    #[must_use]
    pub fn is_served_in(&self, scope: ScopeKind) -> bool {
        self.lives_in(scope) || self.view(scope).is_some()
    }

    /// How the stored bytes of every object of the kind begin.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether there is a status subresource.
    #[must_use]
    pub fn has_status(&self) -> bool {
        self.status
    }

    /// Where the replicas are, if there is a scale subresource.
    #[must_use]
    pub fn replica_paths(&self) -> Option<&ReplicaPaths> {
        self.scale.as_ref()
    }

    /// `autoscaling/v1` `Scale`, living where this kind does.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn scale_kind(&self) -> Result<Self, DefinitionError> {
        let scale = Self::of_resource::<Scale>()?;
        Ok(Self { namespaced: self.namespaced, ..scale })
    }

    /// What tables show beside the name, in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The fields that clients can select by, beside `metadata.name` and `metadata.namespace`.
    #[must_use]
    pub fn selectable_fields(&self) -> &[SelectableField] {
        &self.selectable_fields
    }

    /// What clients are warned of when they use the kind, because its version is deprecated.
    #[must_use]
    pub fn deprecation(&self) -> Option<&str> {
        self.deprecation.as_deref()
    }

    /// The schema that objects are pruned, defaulted and validated by.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Group and plural, as keys and error messages need them.
    #[must_use]
    pub fn group_resource(&self) -> &GroupResource {
        &self.group_resource
    }

    fn check_names(&self) -> Result<(), DefinitionError> {
        let short_names = self.short_names.iter().map(|name| ("short name", name.as_str()));
        let labels = [("plural", self.plural()), ("singular", &self.singular)];
        for (field, value) in labels.into_iter().chain(short_names) {
            self.check(field, value, names::is_label(value), names::LABEL_RULE)?;
        }
        self.check("version", &self.version, names::is_label(&self.version), names::LABEL_RULE)?;
        self.check("group", self.group(), names::is_group(self.group()), names::GROUP_RULE)?;
        for (field, value) in [("kind", &self.kind), ("list kind", &self.list_kind)] {
            self.check(field, value, names::is_kind(value), names::KIND_RULE)?;
        }
        Ok(())
    }

    fn check(
        &self,
        field: &'static str,
        value: &str,
        valid: bool,
        rule: &'static str,
    ) -> Result<(), DefinitionError> {
        if valid {
            return Ok(());
        }
        let (kind, value) = (self.kind.clone(), value.to_owned());
        Err(DefinitionError::Name { kind, field, value, rule })
    }
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn deprecation(
    crd: &CustomResourceDefinition,
    version: &CustomResourceDefinitionVersion,
) -> Option<String> {
    let deprecated = version.deprecated.unwrap_or_default();
    let usual = || {
        let api_version = api_version(&crd.spec.group, &version.name);
        format!("{api_version} {} is deprecated", crd.spec.names.kind)
    };
    deprecated.then(|| version.deprecation_warning.clone().unwrap_or_else(usual))
}

fn schema_of(
    kind: &str,
    version: &CustomResourceDefinitionVersion,
    complete: fn(Value) -> Value,
) -> Result<Arc<Schema>, DefinitionError> {
    let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    // INVARIANT: a schema of k8s-openapi's type has string keys only, so it always serializes; if
    // it ever did not, the kind would be refused as one without a schema.
    let document = schema.and_then(|schema| serde_json::to_value(schema).ok());
    let document = document.ok_or_else(|| DefinitionError::NoSchema {
        kind: kind.to_owned(),
        version: version.name.clone(),
    })?;
    compile(kind, complete(object_schema::normalized(document)))
}

fn compile(kind: &str, document: Value) -> Result<Arc<Schema>, DefinitionError> {
    match Schema::compile(document) {
        Ok(schema) => Ok(Arc::new(schema)),
        Err(source) => Err(DefinitionError::Schema { kind: kind.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
