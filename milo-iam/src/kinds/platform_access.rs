//! The kinds `PlatformAccess`, `PlatformAccessApproval` and `PlatformAccessRejection`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kube_core::Rule;
use milo_core::{
    definition::object_schema::{ObjectSchema, immutable},
    resourcemanager::UserReference,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{keeping_its_spec, ready_conditions};

/// Whether a user may use the platform.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "PlatformAccess",
    plural = "platformaccesses",
    doc = "Whether a user may use the platform.",
    status = "PlatformAccessStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.userRef.name",
    selectable = ".spec.state",
    printcolumn(name = "User", type_ = "string", json_path = ".spec.userRef.name"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct PlatformAccessSpec {
    /// Why the access is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,

    /// Whether the user may use the platform.
    #[schemars(extend("default" = AccessState::Pending))]
    pub state: AccessState,

    /// The user. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = immutable("userRef is immutable")))]
    pub user_ref: UserReference,
}

milo_core::optional_spec!(PlatformAccessSpec);

/// Whether a user may use the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccessState {
    /// Not decided yet.
    #[default]
    Pending,
    /// The user may.
    Approved,
    /// The user may not.
    Rejected,
    /// The user may not for now.
    Suspended,
}

/// What is known of the access. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlatformAccessStatus {
    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ready_conditions")]
    pub conditions: Vec<Condition>,
}

impl JsonSchema for PlatformAccess {
    fn schema_name() -> Cow<'static, str> {
        "PlatformAccess".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        keeping_its_spec(
            ObjectSchema::new(
                "A platform access says whether a user may use the platform. It has the name of \
                 its user, who has it for life.",
            )
            .optional_spec::<PlatformAccessSpec>()
            .status::<PlatformAccessStatus>()
            .build(),
        )
    }
}

/// Who is approved, and by whom. Cannot be changed.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "PlatformAccessApproval",
    status = "PlatformAccessDecisionStatus",
    doc = "Approves a user, or whoever will have an e-mail address.",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.subjectRef.email",
    selectable = ".spec.subjectRef.userRef.name"
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend("x-kubernetes-validations" = immutable("spec is immutable")))]
pub struct PlatformAccessApprovalSpec {
    /// The user who approved. The server sets it to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver_ref: Option<UserReference>,

    /// Who is approved.
    #[schemars(extend("x-kubernetes-validations" = [subject_rule()]))]
    pub subject_ref: PlatformAccessSubject,
}

milo_core::optional_spec!(PlatformAccessApprovalSpec);

/// A user, or whoever will have an e-mail address.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct PlatformAccessSubject {
    /// An e-mail address that no user has yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,

    /// A user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_ref: Option<UserReference>,
}

fn subject_rule() -> Rule {
    Rule::new("(has(self.email) && !has(self.userRef)) || (!has(self.email) && has(self.userRef))")
        .message("Exactly one of email or userRef must be specified")
}

impl JsonSchema for PlatformAccessApproval {
    fn schema_name() -> Cow<'static, str> {
        "PlatformAccessApproval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        keeping_its_spec(
            ObjectSchema::new(
                "A platform access approval approves a user, or whoever will have an e-mail \
                 address.",
            )
            .optional_spec::<PlatformAccessApprovalSpec>()
            .status::<PlatformAccessDecisionStatus>()
            .build(),
        )
    }
}

/// What is known of an approval or a rejection: nothing beside the spec.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct PlatformAccessDecisionStatus {}

/// Who is rejected, by whom and why. Cannot be changed.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "PlatformAccessRejection",
    status = "PlatformAccessDecisionStatus",
    doc = "Rejects a user.",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.subjectRef.name"
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend("x-kubernetes-validations" = immutable("spec is immutable")))]
pub struct PlatformAccessRejectionSpec {
    /// Why the user is rejected.
    pub reason: String,

    /// The user who rejected. The server sets it to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejecter_ref: Option<UserReference>,

    /// The user who is rejected.
    pub subject_ref: UserReference,
}

milo_core::optional_spec!(PlatformAccessRejectionSpec);

impl JsonSchema for PlatformAccessRejection {
    fn schema_name() -> Cow<'static, str> {
        "PlatformAccessRejection".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        keeping_its_spec(
            ObjectSchema::new("A platform access rejection rejects a user.")
                .optional_spec::<PlatformAccessRejectionSpec>()
                .status::<PlatformAccessDecisionStatus>()
                .build(),
        )
    }
}
