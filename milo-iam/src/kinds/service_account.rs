//! The kind `ServiceAccount`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use milo_core::definition::object_schema::ObjectSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{AccountState, no_conditions};

/// Whether the account can be used.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "ServiceAccount",
    doc = "A program. The UID of the object is the UID that the program signs in with.",
    status = "ServiceAccountStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Email", type_ = "string", json_path = ".status.email"),
    printcolumn(
        name = "Description",
        type_ = "string",
        json_path = r".metadata.annotations.kubernetes\.io\/description"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ServiceAccountSpec {
    /// Whether the account should be able to sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = AccountState::Active))]
    pub state: Option<AccountState>,
}

milo_core::optional_spec!(ServiceAccountSpec);

/// What is known of the account. Written by the platform and by the provider that the account signs
/// in with.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountStatus {
    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "no_conditions")]
    pub conditions: Vec<Condition>,

    /// The e-mail address that the provider gave to the account. Keys refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,

    /// Whether the account can sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AccountState>,
}

impl JsonSchema for ServiceAccount {
    fn schema_name() -> Cow<'static, str> {
        "ServiceAccount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "A service account is a program. The UID of the object is the UID that the program \
             signs in with.",
        )
        .optional_spec::<ServiceAccountSpec>()
        .status::<ServiceAccountStatus>()
        .build()
    }
}
