//! One fact.

use super::{Key, KindName, RoleName, Subject, Target};
use crate::Text;

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
