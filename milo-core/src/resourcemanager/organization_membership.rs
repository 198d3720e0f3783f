//! The kind `OrganizationMembership`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::definition::object_schema::{InitialCondition, ObjectSchema, conditions};

/// Who is a member of what, with which roles.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "resourcemanager.miloapis.com",
    version = "v1alpha1",
    kind = "OrganizationMembership",
    namespaced,
    doc = "A user in an organization, with roles.",
    status = "OrganizationMembershipStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.userRef.name",
    selectable = ".spec.organizationRef.name",
    printcolumn(name = "Organization", type_ = "string", json_path = ".spec.organizationRef.name"),
    printcolumn(
        name = "Organization Display Name",
        type_ = "string",
        json_path = ".status.organization.displayName"
    ),
    printcolumn(name = "User", type_ = "string", json_path = ".spec.userRef.name"),
    printcolumn(
        name = "User Email",
        type_ = "string",
        json_path = ".status.user.email",
        priority = 1
    ),
    printcolumn(
        name = "User Given Name",
        type_ = "string",
        json_path = ".status.user.givenName",
        priority = 1
    ),
    printcolumn(
        name = "User Family Name",
        type_ = "string",
        json_path = ".status.user.familyName",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct OrganizationMembershipSpec {
    /// The organization that the user is a member of.
    pub organization_ref: OrganizationReference,

    /// The roles that the member has in the organization. Each name can be listed once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub roles: Vec<RoleReference>,

    /// The user who is a member.
    pub user_ref: UserReference,
}

crate::optional_spec!(OrganizationMembershipSpec);

/// An organization, by name.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationReference {
    /// The name of the organization.
    pub name: String,
}

/// A user, by name.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct UserReference {
    /// The name of the user, which is also the UID that the user signs in with.
    pub name: String,
}

/// A role, by name and namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct RoleReference {
    /// The name of the role.
    pub name: String,

    /// The namespace of the role. The membership's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What is known of the membership. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationMembershipStatus {
    /// What became of each role in the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub applied_roles: Vec<AppliedRole>,

    /// The state in detail. `Ready` says whether organization and user were found,
    /// `RolesApplied` whether every role is in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "initial_conditions")]
    pub conditions: Vec<Condition>,

    /// The generation of the object that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The organization, in short, for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<MemberOrganization>,

    /// The user, in short, for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<MemberUser>,
}

/// What became of a role of a member.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AppliedRole {
    /// Since when the role is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Time>,

    /// Why the role is not in force, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// The name of the role.
    pub name: String,

    /// The namespace of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// The policy binding that grants the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_binding_ref: Option<PolicyBindingReference>,

    /// Whether the role is in force.
    pub status: AppliedRoleStatus,
}

/// Whether a role is in force.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AppliedRoleStatus {
    /// The role is in force.
    Applied,
    /// The role will be in force soon.
    Pending,
    /// The role could not be granted; the message says why.
    Failed,
}

/// A policy binding, by name and namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct PolicyBindingReference {
    /// The name of the policy binding.
    pub name: String,

    /// The namespace of the policy binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A member's organization, in short.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct MemberOrganization {
    /// The e-mail address of the organization's contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_email: Option<String>,

    /// The organization's name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,

    /// The organization's type, when it has one.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
}

/// A member, in short.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct MemberUser {
    /// The URL of the user's picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,

    /// The user's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,

    /// The user's family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,

    /// The user's given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
}

impl OrganizationMembership {
    /// The condition that tells whether every role is in force.
    pub const ROLES_APPLIED: &'static str = "RolesApplied";
}

impl JsonSchema for OrganizationMembership {
    fn schema_name() -> Cow<'static, str> {
        "OrganizationMembership".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        ObjectSchema::new(
            "An organization membership makes a user a member of an organization, with roles. It \
             lives in the organization's namespace, organization-NAME.",
        )
        .optional_spec::<OrganizationMembershipSpec>()
        .status::<OrganizationMembershipStatus>()
        .build()
    }
}

fn initial_conditions(generator: &mut SchemaGenerator) -> Schema {
    conditions(generator, &[InitialCondition::READY])
}
