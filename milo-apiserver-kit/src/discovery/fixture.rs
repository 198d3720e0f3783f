//! Kinds for the tests of discovery and OpenAPI.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::CustomResource;
use milo_core::{
    definition::{ResourceDefinition, View},
    scope::ScopeKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServedResource;

/// A namespaced kind with everything.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(
    group = "demo.example.com",
    version = "v1",
    kind = "Widget",
    shortname = "wd",
    category = "all",
    namespaced,
    status = "WidgetStatus",
    selectable = ".spec.note"
)]
pub(crate) struct WidgetSpec {
    /// How large it is.
    size: u32,
    note: Option<String>,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct WidgetStatus {
    ready: bool,
}

/// A cluster-scoped kind with nothing.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "demo.example.com", version = "v1alpha1", kind = "Gadget")]
pub(crate) struct GadgetSpec {
    size: u32,
}

/// Widgets, at home in projects.
pub(crate) fn widgets() -> ServedResource {
    complete(ResourceDefinition::of::<Widget>().unwrap().living_in(ScopeKind::Project))
}

/// Gadgets, at home on the platform and seen from organizations.
pub(crate) fn gadgets() -> ServedResource {
    let view = View::Label("demo.example.com/organization".to_owned());
    let definition = ResourceDefinition::of::<Gadget>().unwrap();
    complete(definition.seen_from(ScopeKind::Organization, view))
}

/// A kind of the core group.
pub(crate) fn namespaces() -> ServedResource {
    complete(ResourceDefinition::of_resource::<Namespace>().unwrap())
}

fn complete(definition: ResourceDefinition) -> ServedResource {
    ServedResource::complete(Arc::new(definition))
}
