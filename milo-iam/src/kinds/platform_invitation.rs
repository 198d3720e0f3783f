//! The kind `PlatformInvitation`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use milo_core::{
    definition::object_schema::{InitialCondition, ObjectSchema, conditions, immutable},
    resourcemanager::UserReference,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{fixed, keeping_its_spec};

/// Who is invited to the platform.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "PlatformInvitation",
    doc = "An invitation to the platform.",
    status = "PlatformInvitationStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Email", type_ = "string", json_path = ".spec.email"),
    printcolumn(name = "Schedule At", type_ = "string", json_path = ".spec.scheduleAt"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend("x-kubernetes-validations" =
    [fixed("invitedBy", "invitedBy type is immutable")]))]
pub struct PlatformInvitationSpec {
    /// The e-mail address to which the invitation is sent. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = immutable("email type is immutable")))]
    pub email: String,

    /// The family name of who is invited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,

    /// The given name of who is invited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,

    /// The user who invites. The server sets it to the caller. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<UserReference>,

    /// When the invitation is sent. At once when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_at: Option<Time>,
}

milo_core::optional_spec!(PlatformInvitationSpec);

/// What is known of the invitation. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlatformInvitationStatus {
    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "initial_conditions")]
    pub conditions: Vec<Condition>,

    /// The e-mail that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailReference>,
}

/// An e-mail, by name and namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct EmailReference {
    /// The name of the e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// The namespace of the e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl JsonSchema for PlatformInvitation {
    fn schema_name() -> Cow<'static, str> {
        "PlatformInvitation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        keeping_its_spec(
            ObjectSchema::new(
                "A platform invitation invites whoever has an e-mail address to the platform.",
            )
            .optional_spec::<PlatformInvitationSpec>()
            .status::<PlatformInvitationStatus>()
            .build(),
        )
    }
}

fn initial_conditions(generator: &mut SchemaGenerator) -> Schema {
    let pending = InitialCondition {
        reason: "ReconcilePending",
        message: "Platform invitation reconciliation is pending",
        ..InitialCondition::READY
    };
    conditions(generator, &[pending])
}
