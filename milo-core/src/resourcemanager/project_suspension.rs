//! The kind `ProjectSuspension`.

use std::borrow::Cow;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::definition::object_schema::{ObjectSchema, immutable};

/// Which project is suspended, why, and who may lift it. Only the description can be changed.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "resourcemanager.miloapis.com",
    version = "v1alpha1",
    kind = "ProjectSuspension",
    doc = "Its existence suspends a project.",
    status = "ProjectSuspensionStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.projectRef.name",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.projectRef.name"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ProjectSuspensionSpec {
    /// What led to the suspension, for people. The only field that can be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,

    /// The project that is suspended. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = immutable("projectRef is immutable")))]
    pub project_ref: ProjectReference,

    /// Why the project is suspended. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = immutable("reason is immutable")))]
    pub reason: SuspensionReason,

    /// Who may lift the suspension: the operator of the platform, or the consumer whose project it
    /// is. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = immutable("reinstateAuthority is immutable")))]
    pub reinstate_authority: ReinstateAuthority,

    /// Who asked for the suspension. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = immutable("requestedBy is immutable")))]
    pub requested_by: String,
}

crate::optional_spec!(ProjectSuspensionSpec);

/// A project, by name.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ProjectReference {
    /// The name of the project.
    pub name: String,
}

/// Why a project is suspended.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SuspensionReason {
    /// What an object without a spec reads as. The schema does not accept it.
    #[default]
    #[serde(rename = "")]
    #[schemars(skip)]
    Unspecified,
    /// The project was used to deceive.
    Fraud,
    /// The project harmed others.
    Abuse,
    /// Bills were not paid.
    Billing,
    /// Law or contract demands it.
    Compliance,
    /// The operator decided so.
    Administrative,
}

/// Who may lift a suspension.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReinstateAuthority {
    /// What an object without a spec reads as. The schema does not accept it.
    #[default]
    #[serde(rename = "")]
    #[schemars(skip)]
    Unspecified,
    /// The operator of the platform.
    Operator,
    /// The consumer whose project it is.
    Consumer,
}

/// What is known of the suspension. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSuspensionStatus {
    /// Whether the suspension is in force. It is when the phase is absent, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SuspensionPhase>,
}

/// Whether a suspension is in force.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SuspensionPhase {
    /// The project is suspended.
    Active,
    /// The suspension is over.
    Lifted,
}

impl JsonSchema for ProjectSuspension {
    fn schema_name() -> Cow<'static, str> {
        "ProjectSuspension".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "A project suspension suspends a project for as long as it exists; deleting it lifts \
             the suspension.",
        )
        .optional_spec::<ProjectSuspensionSpec>()
        .status::<ProjectSuspensionStatus>()
        .build()
    }
}
