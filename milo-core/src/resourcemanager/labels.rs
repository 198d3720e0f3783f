//! The labels, annotations, finalizers and names that hold the hierarchy together.

/// Annotation of any object: its name for people.
pub const DISPLAY_NAME: &str = "kubernetes.io/display-name";

/// Annotation of any object: what it is for.
pub const DESCRIPTION: &str = "kubernetes.io/description";

/// Annotation of a `CustomResourceDefinition`: the contexts in which discovery shows the kind, a
/// list of `Platform`, `Organization`, `Project` and `User`, or `*`. A hint, never a permission.
pub const PARENT_CONTEXTS: &str = "discovery.miloapis.com/parent-contexts";

/// Label of an organization's namespace: the organization's name.
pub const ORGANIZATION: &str = "resourcemanager.miloapis.com/organization";

/// Label of an organization's namespace: what the namespace is for; see [`TYPE_ORGANIZATION`].
pub const TYPE: &str = "resourcemanager.miloapis.com/type";

/// The value of [`TYPE`] on an organization's namespace.
pub const TYPE_ORGANIZATION: &str = "organization";

/// Label of a project: the name of the organization that owns it. Set by the server and kept for
/// the life of the project.
pub const ORGANIZATION_NAME: &str = "resourcemanager.miloapis.com/organization-name";

/// Label of a project and of a membership: the UID of its organization. Set by the server and kept for
/// life. Names are used again, UIDs are not: this label, not [`ORGANIZATION_NAME`], decides what an
/// organization sees and who can enter a project.
pub const ORGANIZATION_UID: &str = "resourcemanager.miloapis.com/organization-uid";

/// Label of what belongs to a project outside it: the project's name.
pub const PROJECT_NAME: &str = "resourcemanager.miloapis.com/project-name";

/// Label of what belongs to a project outside it: the project's UID.
pub const PROJECT_UID: &str = "resourcemanager.miloapis.com/project-uid";

/// Annotation of what belongs to a project outside it: the name of the project's owner.
pub const OWNER_NAME: &str = "resourcemanager.miloapis.com/owner-name";

/// Label of a policy binding that the platform made for a user: the user's name.
pub const SUBJECT_USER_NAME: &str = "resourcemanager.miloapis.com/subject-user-name";

/// Label of a policy binding that the platform made for a membership: the membership's name.
pub const MEMBERSHIP: &str = "resourcemanager.miloapis.com/membership";

/// Label of what the platform made: who keeps it; see [`MANAGED_BY_MEMBERSHIPS`].
pub const MANAGED_BY: &str = "resourcemanager.miloapis.com/managed-by";

/// The value of [`MANAGED_BY`] on the policy bindings of a membership.
pub const MANAGED_BY_MEMBERSHIPS: &str = "organization-membership-controller";

/// Annotation of a new organization: the UID of the user who made it, until that user's membership
/// exists.
pub const CREATOR_USER_UID: &str = "resourcemanager.miloapis.com/creator-user-uid";

/// Label of a project's first namespace, with the value `true`.
pub const PROJECT_DEFAULT: &str = "miloapis.com/project-default";

/// Finalizer of an organization: its namespace goes first.
pub const ORGANIZATION_FINALIZER: &str = "resourcemanager.miloapis.com/organization-namespace";

/// Finalizer of a project: what it holds goes first.
pub const PROJECT_FINALIZER: &str = "resourcemanager.miloapis.com/project-controller";

/// Finalizer of a project that an external authorization provider adds.
pub const PROJECT_HIERARCHY_FINALIZER: &str = "resourceownerhierarchy.iam.miloapis.com/finalizer";

/// The longest name of an organization, in bytes: its namespace's name must fit in a label.
pub const ORGANIZATION_NAME_MAX: usize = 50;

/// The longest name of a project, in bytes.
pub const PROJECT_NAME_MAX: usize = 55;

/// What the name of an organization begins with when the server chooses it.
pub const ORGANIZATION_NAME_PREFIX: &str = "org-";

/// The namespace that holds an organization's memberships, groups and bindings.
#[must_use]
pub fn organization_namespace(organization: &str) -> String {
    format!("organization-{organization}")
}

/// The name of the membership that the server makes for a user.
#[must_use]
pub fn membership_name(user: &str) -> String {
    format!("member-{user}")
}
