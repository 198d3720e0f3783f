//! How objects name others: roles, subjects and targets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{GROUP, KindName, ORGANIZATION, PROJECT, USER};
use crate::Text;

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
