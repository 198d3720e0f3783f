//! The kind `Role`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use milo_core::definition::object_schema::{InitialCondition, ObjectSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::no_conditions;

/// What the role permits. A display name and a description are annotations of the object:
/// `kubernetes.io/display-name` and `kubernetes.io/description`.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "Role",
    namespaced,
    doc = "A set of permissions.",
    status = "RoleStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(
        name = "Display Name",
        type_ = "string",
        json_path = r".metadata.annotations.kubernetes\.io\/display-name"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Launch Stage", type_ = "string", json_path = ".spec.launchStage"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct RoleSpec {
    /// The permissions that the role has of its own, each as GROUP/PLURAL.VERB, for example
    /// resourcemanager.miloapis.com/projects.create; of a subresource, GROUP/PLURAL/SUBRESOURCE.VERB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included_permissions: Vec<String>,

    /// The roles whose permissions the role has, too. Each name can be listed once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub inherited_roles: Vec<RoleReference>,

    /// How mature the role is: Early Access, Alpha, Beta, Stable or Deprecated. It changes nothing
    /// about what the role permits.
    pub launch_stage: String,
}

milo_core::optional_spec!(RoleSpec);

/// A role, by name and namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct RoleReference {
    /// The name of the role.
    pub name: String,

    /// The namespace of the role. That of the object which names it when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What is known of the role. Written by the platform, for people to read; access is decided by the
/// spec.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = initial_status()))]
pub struct RoleStatus {
    /// The state in detail. `PermissionsValid` says whether every permission is registered,
    /// `Degraded` whether an inherited role is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "no_conditions")]
    pub conditions: Vec<Condition>,

    /// All permissions that the role has, its own and inherited ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effective_permissions: Vec<String>,

    /// The generation of the object that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

fn initial_status() -> Value {
    let ready = InitialCondition::READY;
    json!({"conditions": [{
        "lastTransitionTime": "1970-01-01T00:00:00Z",
        "message": ready.message,
        "reason": ready.reason,
        "status": ready.status,
        "type": ready.type_,
    }]})
}

impl JsonSchema for Role {
    fn schema_name() -> Cow<'static, str> {
        "Role".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "A role is a set of permissions: its own and those of the roles that it inherits. A \
             policy binding grants it.",
        )
        .optional_spec::<RoleSpec>()
        .status::<RoleStatus>()
        .build()
    }
}
