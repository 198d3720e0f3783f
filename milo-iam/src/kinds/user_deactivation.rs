//! The kind `UserDeactivation`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use milo_core::{definition::object_schema::ObjectSchema, resourcemanager::UserReference};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::ready_conditions;

/// Who is deactivated, by whom and why.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "UserDeactivation",
    doc = "Its existence locks a user out.",
    status = "UserDeactivationStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.userRef.name",
    printcolumn(name = "User", type_ = "string", json_path = ".spec.userRef.name"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Deactivated By", type_ = "string", json_path = ".spec.deactivatedBy"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct UserDeactivationSpec {
    /// Who deactivated the user. The server sets it to the caller's user name.
    pub deactivated_by: String,

    /// More about the reason, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,

    /// Why the user is deactivated.
    pub reason: String,

    /// The user who is deactivated.
    pub user_ref: UserReference,
}

milo_core::optional_spec!(UserDeactivationSpec);

/// What is known of the deactivation. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UserDeactivationStatus {
    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ready_conditions")]
    pub conditions: Vec<Condition>,
}

impl JsonSchema for UserDeactivation {
    fn schema_name() -> Cow<'static, str> {
        "UserDeactivation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "A user deactivation locks a user out for as long as it exists; deleting it lets the \
             user in again.",
        )
        .optional_spec::<UserDeactivationSpec>()
        .status::<UserDeactivationStatus>()
        .build()
    }
}
