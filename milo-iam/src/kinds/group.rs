//! The kinds `Group` and `GroupMembership`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use milo_core::{definition::object_schema::ObjectSchema, resourcemanager::UserReference};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::no_conditions;

/// A group has no spec on the wire: who is in it is said by memberships.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "Group",
    namespaced,
    doc = "A set of users.",
    status = "GroupStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(remote = "Self")]
pub struct GroupSpec {}

milo_core::optional_spec!(GroupSpec);

/// What is known of the group. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "no_conditions")]
    pub conditions: Vec<Condition>,
}

impl JsonSchema for Group {
    fn schema_name() -> Cow<'static, str> {
        "Group".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "A group is a set of users. A group membership puts a user into it, a policy binding \
             grants a role to all of them.",
        )
        .status::<GroupStatus>()
        .build()
    }
}

/// Who is in which group.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "GroupMembership",
    namespaced,
    doc = "A user in a group.",
    status = "GroupMembershipStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.groupRef.name",
    selectable = ".spec.userRef.name",
    printcolumn(name = "User", type_ = "string", json_path = ".spec.userRef.name"),
    printcolumn(name = "Group", type_ = "string", json_path = ".spec.groupRef.name"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct GroupMembershipSpec {
    /// The group.
    pub group_ref: GroupReference,

    /// The user who is in the group.
    pub user_ref: UserReference,
}

milo_core::optional_spec!(GroupMembershipSpec);

/// A group, by name and namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct GroupReference {
    /// The name of the group.
    pub name: String,

    /// The namespace of the group.
    pub namespace: String,
}

/// What is known of the membership. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GroupMembershipStatus {
    /// The state in detail. `UserRefValid` and `GroupRefValid` say whether both were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "no_conditions")]
    pub conditions: Vec<Condition>,
}

impl JsonSchema for GroupMembership {
    fn schema_name() -> Cow<'static, str> {
        "GroupMembership".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new("A group membership puts a user into a group.")
            .optional_spec::<GroupMembershipSpec>()
            .status::<GroupMembershipStatus>()
            .build()
    }
}
