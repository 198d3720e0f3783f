//! Facts whose texts are borrowed: from a [`Fact`], or from where many are kept in little room.

use super::{
    Body, Fact, Home, Key, KindName, ORGANIZATION_NAMESPACE_PREFIX, Plane, ROLE, RoleName,
    SYSTEM_NAMESPACE, Subject, Target, packed::Reader,
};

/// A [`KindName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KindRef<'a> {
    pub(crate) service: &'a str,
    pub(crate) kind: &'a str,
}

impl KindRef<'_> {
    pub(crate) fn to_owned(self) -> KindName {
        KindName { service: self.service.into(), kind: self.kind.into() }
    }
}

impl<'a> From<&'a KindName> for KindRef<'a> {
    fn from(kind: &'a KindName) -> Self {
        Self { service: &kind.service, kind: &kind.kind }
    }
}

/// A [`Key`]. The order is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyRef<'a> {
    pub(crate) kind: KindRef<'a>,
    pub(crate) project: Option<&'a str>,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> KeyRef<'a> {
    /// An object of the platform that has no namespace.
    pub(crate) fn new(kind: &'a KindName, name: &'a str) -> Self {
        Self { kind: kind.into(), project: None, namespace: "", name }
    }

    pub(crate) fn to_owned(self) -> Key {
        let plane = match self.project {
            None => Plane::Platform,
            Some(uid) => Plane::Project(uid.into()),
        };
        let (namespace, name) = (self.namespace.into(), self.name.into());
        Key { kind: self.kind.to_owned(), plane, namespace, name }
    }

    /// Whose the object is.
    pub(crate) fn home(self) -> HomeRef<'a> {
        match (self.project, self.namespace.strip_prefix(ORGANIZATION_NAMESPACE_PREFIX)) {
            (Some(uid), _) => HomeRef::Project(uid),
            (None, Some(name)) => HomeRef::Organization(name),
            (None, None) => HomeRef::Platform,
        }
    }

    /// The role that an object with this key means, when it may name it, whether there is one or
    /// not.
    pub(crate) fn named_role(self, role: RoleRef<'a>) -> Option<Self> {
        let namespace = if role.namespace.is_empty() { self.namespace } else { role.namespace };
        let project = if namespace == SYSTEM_NAMESPACE { None } else { self.project };
        let named = Self { kind: (&*ROLE).into(), project, namespace, name: role.name };
        let may = named.home() == HomeRef::Platform || named.home() == self.home();
        may.then_some(named)
    }
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> Self {
        let project = match &key.plane {
            Plane::Platform => None,
            Plane::Project(uid) => Some(&**uid),
        };
        let kind = KindRef::from(&key.kind);
        Self { kind, project, namespace: &key.namespace, name: &key.name }
    }
}

/// A [`Home`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HomeRef<'a> {
    Platform,
    Organization(&'a str),
    Project(&'a str),
}

impl HomeRef<'_> {
    pub(crate) fn to_owned(self) -> Home {
        match self {
            Self::Platform => Home::Platform,
            Self::Organization(name) => Home::Organization(name.into()),
            Self::Project(uid) => Home::Project(uid.into()),
        }
    }
}

impl<'a> From<&'a Home> for HomeRef<'a> {
    fn from(home: &'a Home) -> Self {
        match home {
            Home::Platform => Self::Platform,
            Home::Organization(name) => Self::Organization(name),
            Home::Project(uid) => Self::Project(uid),
        }
    }
}

/// A [`RoleName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoleRef<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl RoleRef<'_> {
    pub(crate) fn to_owned(self) -> RoleName {
        RoleName { namespace: self.namespace.into(), name: self.name.into() }
    }
}

impl<'a> From<&'a RoleName> for RoleRef<'a> {
    fn from(role: &'a RoleName) -> Self {
        Self { namespace: &role.namespace, name: &role.name }
    }
}

/// A [`Subject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SubjectRef<'a> {
    User { name: &'a str, uid: &'a str },
    ServiceAccount { name: &'a str, uid: &'a str },
    Group { namespace: &'a str, name: &'a str, uid: &'a str },
    System(&'a str),
}

impl SubjectRef<'_> {
    pub(crate) fn to_owned(self) -> Subject {
        match self {
            Self::User { name, uid } => Subject::User { name: name.into(), uid: uid.into() },
            Self::ServiceAccount { name, uid } => {
                Subject::ServiceAccount { name: name.into(), uid: uid.into() }
            }
            Self::Group { namespace, name, uid } => {
                Subject::Group { namespace: namespace.into(), name: name.into(), uid: uid.into() }
            }
            Self::System(name) => Subject::System(name.into()),
        }
    }
}

impl<'a> From<&'a Subject> for SubjectRef<'a> {
    fn from(subject: &'a Subject) -> Self {
        match subject {
            Subject::User { name, uid } => Self::User { name, uid },
            Subject::ServiceAccount { name, uid } => Self::ServiceAccount { name, uid },
            Subject::Group { namespace, name, uid } => Self::Group { namespace, name, uid },
            Subject::System(name) => Self::System(name),
        }
    }
}

/// A [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TargetRef<'a> {
    Object { kind: KindRef<'a>, namespace: &'a str, name: &'a str, uid: &'a str },
    Kind(KindRef<'a>),
}

impl TargetRef<'_> {
    pub(crate) fn to_owned(self) -> Target {
        match self {
            Self::Object { kind, namespace, name, uid } => Target::Object {
                kind: kind.to_owned(),
                namespace: namespace.into(),
                name: name.into(),
                uid: uid.into(),
            },
            Self::Kind(kind) => Target::Kind(kind.to_owned()),
        }
    }
}

impl<'a> From<&'a Target> for TargetRef<'a> {
    fn from(target: &'a Target) -> Self {
        match target {
            Target::Object { kind, namespace, name, uid } => {
                Self::Object { kind: kind.into(), namespace, name, uid }
            }
            Target::Kind(kind) => Self::Kind(kind.into()),
        }
    }
}

/// The subjects of a binding.
#[derive(Clone, Debug)]
pub(crate) enum SubjectsRef<'a> {
    Whole(std::slice::Iter<'a, Subject>),
    Packed(Reader<'a>, usize),
}

impl<'a> Iterator for SubjectsRef<'a> {
    type Item = SubjectRef<'a>;

    fn next(&mut self) -> Option<SubjectRef<'a>> {
        match self {
            Self::Whole(subjects) => subjects.next().map(SubjectRef::from),
            Self::Packed(_, 0) => None,
            Self::Packed(reader, left) => {
                *left -= 1;
                Some(reader.subject())
            }
        }
    }
}

/// A [`Body`].
#[derive(Clone, Debug)]
pub(crate) enum BodyRef<'a> {
    Other,
    Organization,
    Project {
        organization: &'a str,
        organization_uid: &'a str,
    },
    User,
    ServiceAccount,
    Group,
    Membership {
        group_namespace: &'a str,
        group: &'a str,
        user: &'a str,
    },
    Binding {
        role: RoleRef<'a>,
        target: TargetRef<'a>,
        subjects: SubjectsRef<'a>,
    },
    /// A role or a registration, of which there are few.
    Whole(&'a Body),
}

impl<'a> From<&'a Body> for BodyRef<'a> {
    fn from(body: &'a Body) -> Self {
        match body {
            Body::Other => Self::Other,
            Body::Organization => Self::Organization,
            Body::Project { organization, organization_uid } => {
                Self::Project { organization, organization_uid }
            }
            Body::User => Self::User,
            Body::ServiceAccount => Self::ServiceAccount,
            Body::Group => Self::Group,
            Body::Membership { group_namespace, group, user } => {
                Self::Membership { group_namespace, group, user }
            }
            Body::Binding { role, subjects, target } => Self::Binding {
                role: role.into(),
                target: target.into(),
                subjects: SubjectsRef::Whole(subjects.iter()),
            },
            Body::Role { .. } | Body::ProtectedResource { .. } => Self::Whole(body),
        }
    }
}

/// A [`Fact`].
#[derive(Clone, Debug)]
pub(crate) struct FactRef<'a> {
    pub(crate) key: KeyRef<'a>,
    pub(crate) uid: &'a str,
    pub(super) body: Rest<'a>,
}

/// The body of a fact, read when it is asked for.
#[derive(Clone, Debug)]
pub(super) enum Rest<'a> {
    Whole(&'a Body),
    Packed(Reader<'a>),
}

impl<'a> FactRef<'a> {
    pub(crate) fn body(&self) -> BodyRef<'a> {
        match &self.body {
            Rest::Whole(body) => BodyRef::from(*body),
            Rest::Packed(reader) => reader.clone().body(),
        }
    }

    /// What a binding must name to mean this object.
    pub(crate) fn as_target(&self) -> TargetRef<'a> {
        let KeyRef { kind, namespace, name, .. } = self.key;
        TargetRef::Object { kind, namespace, name, uid: self.uid }
    }

    /// What a binding must name to mean this user, service account or group.
    pub(crate) fn as_subject(&self) -> Option<SubjectRef<'a>> {
        let (KeyRef { namespace, name, .. }, uid) = (self.key, self.uid);
        match self.body() {
            BodyRef::User => Some(SubjectRef::User { name, uid }),
            BodyRef::ServiceAccount => Some(SubjectRef::ServiceAccount { name, uid }),
            BodyRef::Group => Some(SubjectRef::Group { namespace, name, uid }),
            _ => None,
        }
    }

    pub(crate) fn to_owned(&self) -> Fact {
        let body = match self.body() {
            BodyRef::Other => Body::Other,
            BodyRef::Organization => Body::Organization,
            BodyRef::Project { organization, organization_uid } => Body::Project {
                organization: organization.into(),
                organization_uid: organization_uid.into(),
            },
            BodyRef::User => Body::User,
            BodyRef::ServiceAccount => Body::ServiceAccount,
            BodyRef::Group => Body::Group,
            BodyRef::Membership { group_namespace, group, user } => Body::Membership {
                group_namespace: group_namespace.into(),
                group: group.into(),
                user: user.into(),
            },
            BodyRef::Binding { role, target, subjects } => Body::Binding {
                role: role.to_owned(),
                subjects: subjects.map(SubjectRef::to_owned).collect(),
                target: target.to_owned(),
            },
            BodyRef::Whole(body) => body.clone(),
        };
        Fact::new(self.key.to_owned(), self.uid, body)
    }
}

impl<'a> From<&'a Fact> for FactRef<'a> {
    fn from(fact: &'a Fact) -> Self {
        let key = KeyRef::from(fact.key());
        Self { key, uid: fact.uid(), body: Rest::Whole(fact.body()) }
    }
}
