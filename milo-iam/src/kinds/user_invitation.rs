//! The kind `UserInvitation`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use kube_core::Rule;
use milo_core::{
    definition::object_schema::{ObjectSchema, immutable},
    resourcemanager::UserReference,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use milo_core::resourcemanager::OrganizationReference;

use super::{RoleReference, fixed, keeping_its_spec, ready_conditions};

/// Who is invited into which organization, with which roles. Only the state can be changed, once.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[kube(
    group = "iam.miloapis.com",
    version = "v1alpha1",
    kind = "UserInvitation",
    namespaced,
    doc = "An invitation into an organization.",
    status = "UserInvitationStatus",
    schema = "manual",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".status.inviteeUser.name",
    printcolumn(name = "Email", type_ = "string", json_path = ".spec.email"),
    printcolumn(name = "Expiration Date", type_ = "string", json_path = ".spec.expirationDate"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend("x-kubernetes-validations" = [
    fixed("expirationDate", "expirationDate type is immutable"),
    fixed("familyName", "familyName type is immutable"),
    fixed("givenName", "givenName type is immutable"),
    fixed("invitedBy", "invitedBy type is immutable"),
]))]
pub struct UserInvitationSpec {
    /// The e-mail address of who is invited. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = immutable("email type is immutable")))]
    pub email: String,

    /// Until when the invitation can be accepted. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_date: Option<Time>,

    /// The family name of who is invited. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,

    /// The given name of who is invited. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,

    /// The user who invites. The server sets it to the caller. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<UserReference>,

    /// The organization. Cannot be changed.
    #[schemars(extend("x-kubernetes-validations" = immutable("organizationRef type is immutable")))]
    pub organization_ref: OrganizationReference,

    /// The roles that whoever accepts will have in the organization. Cannot be changed.
    #[schemars(
        length(min = 1, max = 100),
        extend("x-kubernetes-validations" = immutable("roles type is immutable"))
    )]
    pub roles: Vec<RoleReference>,

    /// Whether the invitation was accepted. Can be changed once, from Pending.
    #[schemars(extend("x-kubernetes-validations" = [state_rule()]))]
    pub state: InvitationState,
}

milo_core::optional_spec!(UserInvitationSpec);

fn state_rule() -> Rule {
    Rule::new("oldSelf == 'Pending' || self == oldSelf").message(
        "state can only transition from Pending to another state and is immutable afterwards",
    )
}

/// Whether an invitation was accepted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvitationState {
    /// Not answered yet.
    #[default]
    Pending,
    /// Whoever was invited joins the organization.
    Accepted,
    /// Whoever was invited does not join.
    Declined,
}

/// What is known of the invitation. Written by the platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UserInvitationStatus {
    /// The state in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ready_conditions")]
    pub conditions: Vec<Condition>,

    /// The user who is invited, once there is one with the e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitee_user: Option<UserReference>,

    /// The user who invites, in short, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inviter_user: Option<Inviter>,

    /// The organization, in short, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<InvitedOrganization>,
}

/// Who invites, in short.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Inviter {
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,

    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
}

/// An organization that invites, in short.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct InvitedOrganization {
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

impl JsonSchema for UserInvitation {
    fn schema_name() -> Cow<'static, str> {
        "UserInvitation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        keeping_its_spec(
            ObjectSchema::new(
                "A user invitation invites whoever has an e-mail address into an organization. It \
                 lives in the organization's namespace, organization-NAME.",
            )
            .optional_spec::<UserInvitationSpec>()
            .status::<UserInvitationStatus>()
            .build(),
        )
    }
}
