//! One fact.

use std::fmt;

use milo_core::resourcemanager::labels;
use serde::{Deserialize, Serialize};

use super::{GROUP, ORGANIZATION, PROJECT, USER};
use crate::{Text, permission::CORE_SERVICE};

/// The namespace of the platform's own roles and bindings. In a project's control plane, it means
/// the platform's.
pub const SYSTEM_NAMESPACE: &str = "milo-system";

/// What the name of an organization's namespace begins with.
pub const ORGANIZATION_NAMESPACE_PREFIX: &str = "organization-";

/// A kind of object: its service and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KindName {
    /// The service, which is the API group.
    pub service: Text,
    /// The kind.
    pub kind: Text,
}

impl KindName {
    /// From a service and a kind. The core group may be written as the empty service.
    #[must_use]
    pub fn new(service: &str, kind: &str) -> Self {
        let service = if service.is_empty() { CORE_SERVICE } else { service };
        Self { service: service.into(), kind: kind.into() }
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.kind)
    }
}

/// Where an object is stored. Organizations and users see parts of the platform's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Plane {
    /// With the platform.
    #[default]
    Platform,
    /// In a project, by its UID.
    Project(Text),
}

/// Which object a fact is about: unique among the objects that exist at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The kind.
    pub kind: KindName,
    /// Where it is stored.
    #[serde(default)]
    pub plane: Plane,
    /// The namespace; empty for none.
    #[serde(default)]
    pub namespace: Text,
    /// The name.
    pub name: Text,
}

impl Key {
    /// An object of the platform that has no namespace.
    #[must_use]
    pub fn new(kind: KindName, name: &str) -> Self {
        Self { kind, plane: Plane::Platform, namespace: "".into(), name: name.into() }
    }

    /// In a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// In a project, by the project's UID.
    #[must_use]
    pub fn in_project(mut self, uid: &str) -> Self {
        self.plane = Plane::Project(uid.into());
        self
    }

    /// Comes before every key of the kind.
    pub(super) fn first_of(kind: KindName) -> Self {
        Self::new(kind, "")
    }

    /// Whose the object is.
    #[must_use]
    pub fn home(&self) -> Home {
        Home::of(&self.plane, &self.namespace)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.kind)?;
        if let Plane::Project(uid) = &self.plane {
            write!(f, "{uid}:")?;
        }
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// Whose a namespace is, and so how far the bindings in it reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Home {
    /// The platform's: everywhere.
    Platform,
    /// An organization's, by name: the organization, its projects, and what is in them.
    Organization(Text),
    /// A project's, by UID: the project and what is in it.
    Project(Text),
}

impl Home {
    /// Whose a namespace in a plane is.
    #[must_use]
    pub fn of(plane: &Plane, namespace: &str) -> Self {
        match plane {
            Plane::Project(uid) => Self::Project(uid.clone()),
            Plane::Platform => match namespace.strip_prefix(ORGANIZATION_NAMESPACE_PREFIX) {
                Some(name) => Self::Organization(name.into()),
                None => Self::Platform,
            },
        }
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("the platform"),
            Self::Organization(name) => write!(f, "organization {name}"),
            Self::Project(uid) => write!(f, "the project with UID {uid}"),
        }
    }
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    key: Key,
    uid: Text,
    body: Body,
}

impl Fact {
    /// An object of any kind, with what its kind says.
    #[must_use]
    pub fn new(key: Key, uid: &str, body: Body) -> Self {
        Self { key, uid: uid.into(), body }
    }

    /// Which object it is.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The object's UID.
    #[must_use]
    pub fn uid(&self) -> &Text {
        &self.uid
    }

    /// What decides.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// What a binding must name to mean this object.
    #[must_use]
    pub fn as_target(&self) -> Target {
        Target::Object {
            kind: self.key.kind.clone(),
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// What a binding must name to mean this user, service account or group; none for other kinds.
    #[must_use]
    pub fn as_subject(&self) -> Option<Subject> {
        let (name, uid) = (self.key.name.clone(), self.uid.clone());
        match self.body {
            Body::User => Some(Subject::User { name, uid }),
            Body::ServiceAccount => Some(Subject::ServiceAccount { name, uid }),
            Body::Group => {
                Some(Subject::Group { namespace: self.key.namespace.clone(), name, uid })
            }
            _ => None,
        }
    }
}

/// What an object says that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Of any kind that says nothing, but can be the target of a binding.
    Other,
    /// An organization.
    Organization,
    /// A project.
    Project {
        /// The name of its organization.
        organization: Text,
        /// The UID of its organization.
        organization_uid: Text,
    },
    /// A user.
    User,
    /// A service account.
    ServiceAccount,
    /// A group.
    Group,
    /// A user in a group.
    Membership {
        /// The namespace of the group.
        group_namespace: Text,
        /// The name of the group.
        group: Text,
        /// The name of the user.
        user: Text,
    },
    /// A role.
    Role {
        /// Its own permissions, as they are written.
        permissions: Vec<Text>,
        /// The roles that it inherits.
        inherits: Vec<RoleName>,
    },
    /// A binding.
    Binding {
        /// The role.
        role: RoleName,
        /// To whom.
        subjects: Vec<Subject>,
        /// On what.
        target: Target,
    },
    /// The registration of a kind.
    ProtectedResource {
        /// The kind.
        kind: KindName,
        /// Its plural.
        plural: Text,
        /// The verbs that can be granted: `get`, or `status.update`.
        verbs: Vec<Text>,
        /// The kinds that it can be below.
        parents: Vec<KindName>,
    },
}

/// A role, as an object names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoleName {
    /// The namespace; empty for that of the object which names the role.
    #[serde(default)]
    pub namespace: Text,
    /// The name.
    pub name: Text,
}

/// To whom a role is granted. Everyone but a system group is pinned by UID: another object that
/// takes the name later inherits nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// A user, by name and the UID of the object.
    User {
        /// The name, with which the user signs in.
        name: Text,
        /// The UID of the object.
        uid: Text,
    },
    /// A service account.
    ServiceAccount {
        /// The name.
        name: Text,
        /// The UID of the object, with which the account signs in.
        uid: Text,
    },
    /// A group of the platform or of an organization.
    Group {
        /// The namespace.
        namespace: Text,
        /// The name.
        name: Text,
        /// The UID of the object.
        uid: Text,
    },
    /// A group that authentication knows, such as `system:authenticated`.
    System(Text),
}

impl Subject {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &Text {
        match self {
            Self::User { name, .. }
            | Self::ServiceAccount { name, .. }
            | Self::Group { name, .. }
            | Self::System(name) => name,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, .. } => write!(f, "{} {name}", USER.kind),
            Self::ServiceAccount { name, .. } => write!(f, "ServiceAccount {name}"),
            Self::Group { namespace, name, .. } => write!(f, "{} {namespace}/{name}", GROUP.kind),
            Self::System(name) => write!(f, "Group {name}"),
        }
    }
}

/// On what a role is granted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// On one object, and what is below it.
    Object {
        /// The kind.
        kind: KindName,
        /// The namespace; empty for none.
        namespace: Text,
        /// The name.
        name: Text,
        /// The UID.
        uid: Text,
    },
    /// On all objects of a kind, and what is below them, within the reach of the binding.
    Kind(KindName),
}

impl Target {
    /// The kind of what is named.
    #[must_use]
    pub fn kind(&self) -> &KindName {
        match self {
            Self::Object { kind, .. } | Self::Kind(kind) => kind,
        }
    }

    /// Whether objects of another kind can be below.
    pub(crate) fn is_tenant(&self) -> bool {
        [&*ORGANIZATION, &*PROJECT, &*USER].contains(&self.kind())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "every {}", kind.kind),
            Self::Object { kind, namespace, name, .. } if namespace.is_empty() => {
                write!(f, "{} {name}", kind.kind)
            }
            Self::Object { kind, namespace, name, .. } => {
                write!(f, "{} {namespace}/{name}", kind.kind)
            }
        }
    }
}

/// The namespace of an organization.
pub(crate) fn organization_namespace(organization: &str) -> String {
    labels::organization_namespace(organization)
}
