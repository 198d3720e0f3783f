//! The kind `ProtectedResource`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use milo_core::definition::object_schema::ObjectSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::ready_conditions;

/// A kind of object, and what can be granted on it.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "ProtectedResource",
    doc = "A kind of object, and what can be granted on it.",
    status = "ProtectedResourceStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.kind"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ProtectedResourceSpec {
    /// The kind.
    pub kind: String,

    /// The kinds of objects that one of this kind can be below. Any of them, not all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_resources: Vec<ParentResource>,

    /// The verbs that can be granted on the kind, as get. A verb on a subresource is written
    /// SUBRESOURCE.VERB, as status.update.
    pub permissions: Vec<String>,

    /// The plural, as in URLs and in permissions.
    pub plural: String,

    /// The service that the kind belongs to.
    pub service_ref: ServiceReference,

    /// The singular.
    pub singular: String,
}

milo_core::optional_spec!(ProtectedResourceSpec);

/// A kind of object that others can be below.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ParentResource {
    /// The API group of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,

    /// The kind.
    pub kind: String,
}

/// A service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReference {
    /// The name of the service, which is its API group. The core group, whose name is empty, is
    /// core.miloapis.com here.
    pub name: String,
}

/// What is known of the registration. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProtectedResourceStatus {
    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ready_conditions")]
    pub conditions: Vec<Condition>,

    /// The generation of the object that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl JsonSchema for ProtectedResource {
    fn schema_name() -> Cow<'static, str> {
        "ProtectedResource".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "A protected resource registers a kind of object: which verbs can be granted on it, and \
             below which kinds it is. What is not registered is denied.",
        )
        .optional_spec::<ProtectedResourceSpec>()
        .status::<ProtectedResourceStatus>()
        .build()
    }
}
