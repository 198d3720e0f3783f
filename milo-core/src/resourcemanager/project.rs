//! The kind `Project`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{ReinstateAuthority, SuspensionReason};
use crate::definition::object_schema::{InitialCondition, ObjectSchema, conditions};

/// What the project should be.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "resourcemanager.miloapis.com",
    version = "v1alpha1",
    kind = "Project",
    doc = "A key space of its own, owned by an organization.",
    status = "ProjectStatus",
    schema = "manual",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSpec {
    /// Who owns the project. The server sets it to the organization in whose control plane the
    /// project is created.
    pub owner_ref: ProjectOwner,
}

/// Who owns a project.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ProjectOwner {
    /// The kind of the owner.
    pub kind: ProjectOwnerKind,

    /// The name of the owner.
    pub name: String,
}

impl ProjectOwner {
    /// An organization, by name.
    #[must_use]
    pub fn organization(name: impl Into<String>) -> Self {
        Self { kind: ProjectOwnerKind::Organization, name: name.into() }
    }
}

/// What can own a project.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProjectOwnerKind {
    /// An [`Organization`](super::Organization).
    Organization,
}

/// What is known of the project. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProjectStatus {
    /// The state in detail. `Ready` says whether the project can be used, `Suspended` whether it
    /// is suspended, `ResourceCleanup` how far its deletion has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "initial_conditions")]
    pub conditions: Vec<Condition>,

    /// The suspensions in force. Empty when the project is not suspended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspensions: Vec<Suspension>,
}

/// A suspension in force, in short. The whole of it is a `ProjectSuspension`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Suspension {
    /// Why the project is suspended.
    pub reason: SuspensionReason,

    /// Who may lift the suspension.
    pub reinstate_authority: ReinstateAuthority,

    /// Since when the project is suspended.
    pub suspended_at: Time,
}

impl Project {
    /// The condition that tells how far the deletion of what the project holds has come.
    pub const RESOURCE_CLEANUP: &'static str = "ResourceCleanup";

    /// The condition that tells whether the project is suspended.
    pub const SUSPENDED: &'static str = "Suspended";
}

impl JsonSchema for Project {
    fn schema_name() -> Cow<'static, str> {
        "Project".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "A project holds the resources of one undertaking of an organization, in a control \
             plane of its own. What it holds is out of reach once it is deleted.",
        )
        .required_spec::<ProjectSpec>()
        .status::<ProjectStatus>()
        .build()
    }
}

fn initial_conditions(generator: &mut SchemaGenerator) -> Schema {
    conditions(generator, &[InitialCondition::READY])
}
