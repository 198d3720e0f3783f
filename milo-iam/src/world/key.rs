//! Which object something is about, and whose it is.

use std::fmt;

use milo_core::resourcemanager::labels;
use serde::{Deserialize, Serialize};

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

/// The namespace of an organization.
pub(crate) fn organization_namespace(organization: &str) -> String {
    labels::organization_namespace(organization)
}
