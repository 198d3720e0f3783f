//! The kind `User`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use milo_core::definition::object_schema::ObjectSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{AccessState, ready_conditions};

/// Who the user is.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "User",
    doc = "A person. The name of the object is the UID that the person signs in with.",
    status = "UserStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".status.platformAccess",
    selectable = ".spec.email",
    printcolumn(name = "Email", type_ = "string", json_path = ".spec.email"),
    printcolumn(name = "Given Name", type_ = "string", json_path = ".spec.givenName"),
    printcolumn(name = "Family Name", type_ = "string", json_path = ".spec.familyName"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Platform Access", type_ = "string", json_path = ".status.platformAccess")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct UserSpec {
    /// The e-mail address.
    pub email: String,

    /// The family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,

    /// The given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
}

milo_core::optional_spec!(UserSpec);

/// What is known of the user. Written by the platform and by the provider that the user signs in
/// with.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// The URL of the user's picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uri"))]
    pub avatar_url: Option<String>,

    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ready_conditions")]
    pub conditions: Vec<Condition>,

    /// How the user signed in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_provider: Option<LoginProvider>,

    /// Whether the user may use the platform, as the user's PlatformAccess says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_access: Option<AccessState>,

    /// Whether the user can sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = AccountState::Active))]
    pub state: Option<AccountState>,
}

/// What a user can sign in with.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LoginProvider {
    /// An account at GitHub.
    Github,
    /// An account at Google.
    Google,
    /// A passkey.
    Passkey,
    /// An e-mail address.
    Email,
}

/// Whether a user or a service account can sign in.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountState {
    /// It can sign in.
    #[default]
    Active,
    /// It cannot sign in.
    Inactive,
}

impl JsonSchema for User {
    fn schema_name() -> Cow<'static, str> {
        "User".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "A user is a person. The name of the object is the UID that the person signs in with.",
        )
        .optional_spec::<UserSpec>()
        .status::<UserStatus>()
        .build()
    }
}
