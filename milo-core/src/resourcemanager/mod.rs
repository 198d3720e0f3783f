//! The kinds of `resourcemanager.miloapis.com/v1alpha1`: the hierarchy of tenants.
//!
//! | kind | namespaced | what it is |
//! |---|---|---|
//! | [`Organization`] | no | a tenant: who owns projects and whom members belong to |
//! | [`Project`] | no | a key space of its own, owned by an organization |
//! | [`OrganizationMembership`] | yes | a user in an organization, with roles |
//! | [`ProjectSuspension`] | no | its existence suspends a project |
//!
//! Field by field they are those of Go Milo, so that its clients and manifests keep working. All
//! but the project accept an object without `spec`; the Rust types read it as the default spec,
//! whose names are empty and whose enumerations are `Unspecified`, as Go clients do.
//!
//! ```
//! use milo_core::resourcemanager::{ContactInfo, Organization, OrganizationSpec, labels};
//!
//! let contact = ContactInfo {
//!     name: "Ada Lovelace".into(),
//!     email: "ada@example.com".into(),
//!     ..ContactInfo::default()
//! };
//! let spec = OrganizationSpec { contact_info: Some(contact), ..OrganizationSpec::default() };
//! let mut acme = Organization::new("acme", spec);
//! let display_name = (labels::DISPLAY_NAME.to_owned(), "Acme Inc.".to_owned());
//! acme.metadata.annotations = Some([display_name].into());
//!
//! let json = serde_json::to_value(&acme)?;
//! assert_eq!(json["kind"], "Organization");
//! assert_eq!(json["spec"]["contactInfo"]["email"], "ada@example.com");
//! # Ok::<(), serde_json::Error>(())
//! ```

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt;

mod hierarchy;
pub mod labels;
mod organization;
mod organization_membership;
mod project;
mod project_suspension;

pub use hierarchy::{HierarchyAdmission, HierarchyResolver, definitions};
pub use organization::{
    Address, ContactInfo, Organization, OrganizationSpec, OrganizationStatus, OrganizationType,
};
pub use organization_membership::{
    AppliedRole, AppliedRoleStatus, MemberOrganization, MemberUser, OrganizationMembership,
    OrganizationMembershipSpec, OrganizationMembershipStatus, OrganizationReference,
    PolicyBindingReference, RoleReference, UserReference,
};
pub use project::{
    Project, ProjectOwner, ProjectOwnerKind, ProjectSpec, ProjectStatus, Suspension,
};
pub use project_suspension::{
    ProjectReference, ProjectSuspension, ProjectSuspensionSpec, ProjectSuspensionStatus,
    ReinstateAuthority, SuspensionPhase, SuspensionReason,
};

/// The API group of these kinds.
pub const GROUP: &str = "resourcemanager.miloapis.com";

/// The version of these kinds.
pub const VERSION: &str = "v1alpha1";

/// A kind of this module, as a `CustomResourceDefinition` for another Kubernetes API server needs
/// it.
pub trait HierarchyKind: CustomResourceExt {
    /// The value of the [`labels::PARENT_CONTEXTS`] annotation; none shows the kind everywhere.
    const PARENT_CONTEXTS: Option<&'static str>;
}

impl HierarchyKind for Organization {
    const PARENT_CONTEXTS: Option<&'static str> = Some("Platform");
}

impl HierarchyKind for Project {
    const PARENT_CONTEXTS: Option<&'static str> = Some("Organization");
}

impl HierarchyKind for OrganizationMembership {
    const PARENT_CONTEXTS: Option<&'static str> = Some("Organization,User");
}

impl HierarchyKind for ProjectSuspension {
    const PARENT_CONTEXTS: Option<&'static str> = None;
}

/// The definition to apply to a Kubernetes API server that should serve the kind.
///
/// It is `K::crd()` with the annotation that tells in which contexts discovery shows the kind
/// (kube's derive would put it on every object too) and without the title that schemars adds.
#[must_use]
pub fn custom_resource_definition<K: HierarchyKind>() -> CustomResourceDefinition {
    let mut crd = K::crd();
    if let Some(contexts) = K::PARENT_CONTEXTS {
        let annotations = crd.metadata.annotations.get_or_insert_default();
        annotations.insert(labels::PARENT_CONTEXTS.to_owned(), contexts.to_owned());
    }
    for schema in crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()) {
        if let Some(schema) = &mut schema.open_api_v3_schema {
            schema.title = None;
        }
    }
    crd
}
