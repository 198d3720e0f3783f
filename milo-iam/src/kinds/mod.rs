//! The kinds of `iam.miloapis.com/v1alpha1`: who there is, and who may do what.
//!
//! | kind | namespaced | what it is |
//! |---|---|---|
//! | [`User`] | no | a person; its name is the UID that the person signs in with |
//! | [`ServiceAccount`] | no | a program; its object's UID is the UID that the program signs in with |
//! | [`Group`], [`GroupMembership`] | yes | a set of users, and a user in it |
//! | [`ProtectedResource`] | no | a kind of object and the verbs that can be granted on it |
//! | [`Role`] | yes | a set of permissions |
//! | [`PolicyBinding`] | yes | grants a role to subjects, on an object or on a kind of object |
//! | [`UserInvitation`] | yes | an invitation into an organization |
//! | [`UserPreference`], [`UserDeactivation`] | no | what belongs to a user |
//! | [`PlatformAccess`], [`PlatformAccessApproval`], [`PlatformAccessRejection`] | no | whether a user may use the platform |
//! | [`PlatformInvitation`] | no | an invitation to the platform |
//!
//! Field by field they are those of Go Milo, so that its clients and manifests keep working. The
//! same types serve, validate and feed the [evaluator](crate::Evaluator). An object without `spec`
//! is accepted and reads as one with the default spec, as Go clients read it.
//!
//! Three things differ, each on purpose. A field that cannot be changed cannot be left out and put
//! back with another value either. Columns that pointed at fields which never existed point at
//! what was meant, or are gone. The condition that a new invitation has is `Ready`, which Go Milo
//! spells `Unknown`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::Rule;
use milo_core::{
    definition::{
        DefinitionError, ResourceDefinition,
        object_schema::{InitialCondition, conditions},
    },
    resourcemanager::{HierarchyKind, custom_resource_definition},
};
use schemars::{Schema, SchemaGenerator};

mod group;
mod platform_access;
mod platform_invitation;
mod policy_binding;
mod protected_resource;
mod role;
mod service_account;
mod user;
mod user_deactivation;
mod user_invitation;
mod user_preference;

pub use group::{
    Group, GroupMembership, GroupMembershipSpec, GroupMembershipStatus, GroupReference, GroupSpec,
    GroupStatus,
};
pub use milo_core::resourcemanager::UserReference;
pub use platform_access::{
    AccessState, PlatformAccess, PlatformAccessApproval, PlatformAccessApprovalSpec,
    PlatformAccessDecisionStatus, PlatformAccessRejection, PlatformAccessRejectionSpec,
    PlatformAccessSpec, PlatformAccessStatus, PlatformAccessSubject,
};
pub use platform_invitation::{
    EmailReference, PlatformInvitation, PlatformInvitationSpec, PlatformInvitationStatus,
};
pub use policy_binding::{
    PolicyBinding, PolicyBindingSpec, PolicyBindingStatus, ResourceKind, ResourceReference,
    ResourceSelector, Subject, SubjectKind,
};
pub use protected_resource::{
    ParentResource, ProtectedResource, ProtectedResourceSpec, ProtectedResourceStatus,
    ServiceReference,
};
pub use role::{Role, RoleReference, RoleSpec, RoleStatus};
pub use service_account::{ServiceAccount, ServiceAccountSpec, ServiceAccountStatus};
pub use user::{AccountState, LoginProvider, User, UserSpec, UserStatus};
pub use user_deactivation::{UserDeactivation, UserDeactivationSpec, UserDeactivationStatus};
pub use user_invitation::{
    InvitationState, InvitedOrganization, Inviter, OrganizationReference, UserInvitation,
    UserInvitationSpec, UserInvitationStatus,
};
pub use user_preference::{Theme, UserPreference, UserPreferenceSpec, UserPreferenceStatus};

/// The API group of these kinds.
pub const GROUP: &str = "iam.miloapis.com";

/// The version of these kinds.
pub const VERSION: &str = "v1alpha1";

/// Where discovery shows each kind.
macro_rules! parent_contexts {
    ($($kind:ty: $contexts:literal),+ $(,)?) => {
        $(impl HierarchyKind for $kind {
            const PARENT_CONTEXTS: Option<&'static str> = Some($contexts);
        })+

        /// The definitions to apply to another Kubernetes API server that should serve the kinds.
        #[must_use]
        pub fn custom_resource_definitions() -> Vec<CustomResourceDefinition> {
            vec![$(custom_resource_definition::<$kind>()),+]
        }
    };
}

parent_contexts! {
    User: "Platform,User",
    Group: "Organization",
    GroupMembership: "Organization",
    Role: "Organization,Platform",
    PolicyBinding: "Organization,Platform",
    ProtectedResource: "Platform",
    ServiceAccount: "Project",
    UserPreference: "User",
    UserDeactivation: "Platform",
    PlatformAccess: "Platform",
    PlatformAccessApproval: "Platform",
    PlatformAccessRejection: "Platform",
    PlatformInvitation: "Platform",
    UserInvitation: "Organization,User",
}

/// The kinds of this module as a server serves them.
///
/// # Errors
/// Never, as long as the tests of this module pass; the kinds are declared here.
pub fn definitions() -> Result<Vec<ResourceDefinition>, DefinitionError> {
    custom_resource_definitions().iter().map(ResourceDefinition::from_crd).collect()
}

/// Conditions that begin with `Ready` as `Unknown`.
fn ready_conditions(generator: &mut SchemaGenerator) -> Schema {
    conditions(generator, &[InitialCondition::READY])
}

/// Conditions that begin empty.
fn no_conditions(generator: &mut SchemaGenerator) -> Schema {
    conditions(generator, &[])
}

/// An object whose spec, once there, cannot be taken away: what a rule on a field of the spec
/// forbids to change could otherwise be changed by leaving the spec out and putting it back.
fn keeping_its_spec(mut schema: Schema) -> Schema {
    let rule = Rule::new("!has(oldSelf.spec) || has(self.spec)").message("spec cannot be removed");
    schema.insert("x-kubernetes-validations".into(), serde_json::json!([rule]));
    schema
}

/// A rule for the object around an optional field: it is neither added, removed nor changed. A rule
/// on the field itself would run only while it is there before and after.
fn fixed(field: &str, message: &str) -> Rule {
    Rule::new(format!(
        "has(self.{field}) == has(oldSelf.{field}) && \
         (!has(self.{field}) || self.{field} == oldSelf.{field})"
    ))
    .message(message)
    .field_path(format!(".{field}"))
}
