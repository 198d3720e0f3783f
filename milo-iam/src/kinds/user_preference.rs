//! The kind `UserPreference`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use milo_core::{definition::object_schema::ObjectSchema, resourcemanager::UserReference};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::ready_conditions;

/// What the user prefers.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "UserPreference",
    doc = "What a user prefers.",
    status = "UserPreferenceStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "User", type_ = "string", json_path = ".spec.userRef.name"),
    printcolumn(name = "Theme", type_ = "string", json_path = ".spec.theme"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct UserPreferenceSpec {
    /// The colours of user interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Theme::System))]
    pub theme: Option<Theme>,

    /// The user whose preferences these are.
    pub user_ref: UserReference,
}

milo_core::optional_spec!(UserPreferenceSpec);

/// The colours of user interfaces.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
    /// As the user's device has it.
    #[default]
    System,
}

/// What is known of the preferences. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UserPreferenceStatus {
    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ready_conditions")]
    pub conditions: Vec<Condition>,
}

impl JsonSchema for UserPreference {
    fn schema_name() -> Cow<'static, str> {
        "UserPreference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "User preferences are what a user prefers. The platform makes one object for each \
             user, named userpreference-USER.",
        )
        .optional_spec::<UserPreferenceSpec>()
        .status::<UserPreferenceStatus>()
        .build()
    }
}
