//! What facts say, as relations between names.

use std::collections::{BTreeMap, BTreeSet};

use milo_iam::{
    Principal,
    world::{Body, Fact, Key, KindName, Plane, RoleName, Subject, Target, Text, World},
};

/// The platform's home, and the namespace of its roles.
const PLATFORM: &str = "platform";
const SYSTEM_NAMESPACE: &str = "milo-system";
const ORGANIZATION_NAMESPACE: &str = "organization-";

/// A role for a subject on a target, by an object whose home is what it can reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grant {
    pub(crate) subject: String,
    pub(crate) role: String,
    /// The ID of an object; empty for a kind.
    pub(crate) target: String,
    pub(crate) kind: String,
    pub(crate) home: String,
}

/// A role, with the roles that it inherits and may name.
#[derive(Debug, Default)]
pub(crate) struct Role {
    pub(crate) permissions: Vec<Text>,
    pub(crate) inherits: Vec<String>,
}

/// A project: its UID, and the organization that it was made in.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) uid: Text,
    pub(crate) organization: Text,
    pub(crate) organization_uid: Text,
}

/// A registration of a kind that counts.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) kind: String,
    pub(crate) verbs: Vec<Text>,
}

/// A membership that counts: of a user's name in a group, by its ID.
pub(crate) type Memberships = BTreeMap<Text, BTreeSet<String>>;

/// What facts say.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    /// By service and plural.
    pub(crate) registrations: BTreeMap<(Text, Text), Registration>,
    /// The kinds that a kind is registered below.
    pub(crate) parents: BTreeMap<String, Vec<String>>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) memberships: Memberships,
    /// UIDs by name.
    pub(crate) users: BTreeMap<Text, Text>,
    /// Names by UID.
    pub(crate) accounts: BTreeMap<Text, Vec<Text>>,
    pub(crate) organizations: BTreeMap<Text, Text>,
    pub(crate) projects: BTreeMap<Text, Project>,
    /// UIDs of what can be asked about.
    pub(crate) objects: BTreeMap<Key, Text>,
}

impl Grant {
    /// What is in this is covered.
    pub(crate) fn scope(&self) -> String {
        scope_id(&self.target, &self.home, &self.kind)
    }
}

/// Objects and kinds, as far as they can be reached from a home.
pub(crate) fn scope_id(target: &str, home: &str, kind: &str) -> String {
    let target = if target.is_empty() { kind } else { target };
    format!("scope/{target}@{home}")
}

impl Relations {
    pub(crate) fn of(world: &World) -> Self {
        let mut relations = Self::default();
        for fact in world.facts() {
            relations.read(&fact);
        }
        relations.read_roles(world);
        relations.read_memberships(world);
        let known: BTreeSet<_> =
            relations.registrations.values().map(|found| found.kind.clone()).collect();
        let askable = world.facts().filter(|fact| known.contains(&fact.key().kind.to_string()));
        relations.objects = askable.map(|fact| (fact.key().clone(), fact.uid().clone())).collect();
        relations
    }

    fn read(&mut self, fact: &Fact) {
        let (name, uid) = (fact.key().name.clone(), fact.uid().clone());
        match fact.body() {
            Body::Organization => {
                self.organizations.insert(name, uid);
            }
            Body::Project { organization, organization_uid } => {
                let (organization, organization_uid) =
                    (organization.clone(), organization_uid.clone());
                self.projects.insert(name, Project { uid, organization, organization_uid });
            }
            Body::User => {
                self.users.insert(name, uid);
            }
            Body::ServiceAccount => self.accounts.entry(uid).or_default().push(name),
            Body::ProtectedResource { kind, plural, verbs, parents } => {
                self.register(kind, plural, verbs, parents);
            }
            Body::Binding { role, subjects, target } => {
                self.bind(fact.key(), role, subjects, target);
            }
            _ => {}
        }
    }

    /// Of two registrations of one kind or plural that with the lesser name counts; facts come in
    /// the order of their names.
    fn register(&mut self, kind: &KindName, plural: &Text, verbs: &[Text], parents: &[KindName]) {
        let (name, path) = (kind.to_string(), (kind.service.clone(), plural.clone()));
        if self.parents.contains_key(&name) || self.registrations.contains_key(&path) {
            return;
        }
        self.parents.insert(name.clone(), parents.iter().map(ToString::to_string).collect());
        self.registrations.insert(path, Registration { kind: name, verbs: verbs.to_vec() });
    }

    fn bind(&mut self, by: &Key, role: &RoleName, subjects: &[Subject], target: &Target) {
        let Some(role) = role_id(by, role) else { return };
        let (kind, target) = match target {
            Target::Object { kind, namespace, name, uid } => {
                (kind.to_string(), object_id(kind, namespace, name, uid))
            }
            Target::Kind(kind) => (kind.to_string(), String::new()),
        };
        for subject in subjects {
            let (role, target, kind) = (role.clone(), target.clone(), kind.clone());
            let home = home(&by.plane, &by.namespace);
            self.grants.push(Grant { subject: subject_id(subject), role, target, kind, home });
        }
    }

    fn read_roles(&mut self, world: &World) {
        for fact in world.facts() {
            let Body::Role { permissions, inherits } = fact.body() else { continue };
            let inherits = inherits.iter().filter_map(|role| role_id(fact.key(), role)).collect();
            let role = Role { permissions: permissions.clone(), inherits };
            let Key { plane, namespace, name, .. } = fact.key();
            self.roles.insert(format!("role/{}/{namespace}/{name}", plane_id(plane)), role);
        }
    }

    /// Memberships count that live where their group lives, or with the platform.
    fn read_memberships(&mut self, world: &World) {
        let of_platform = |fact: &std::sync::Arc<Fact>| fact.key().plane == Plane::Platform;
        let groups: BTreeMap<_, _> = world
            .facts()
            .filter(of_platform)
            .filter(|fact| matches!(fact.body(), Body::Group))
            .map(|fact| {
                let Key { namespace, name, .. } = fact.key();
                ((namespace.clone(), name.clone()), fact.uid().clone())
            })
            .collect();
        for fact in world.facts().filter(of_platform) {
            let Body::Membership { group_namespace, group, user } = fact.body() else { continue };
            let Some(uid) = groups.get(&(group_namespace.clone(), group.clone())) else { continue };
            let its_home = home(&Plane::Platform, &fact.key().namespace);
            if its_home == PLATFORM || its_home == home(&Plane::Platform, group_namespace) {
                let id = group_id(group_namespace, group, uid);
                self.memberships.entry(user.clone()).or_default().insert(id);
            }
        }
    }

    /// The subjects that a principal is, groups of users left out.
    pub(crate) fn subjects(&self, principal: &Principal) -> Vec<String> {
        let mut subjects = Vec::new();
        if principal.authenticated {
            subjects.push("system/system:authenticated".to_owned());
            subjects.push("system/system:authenticated-users".to_owned());
        }
        if principal.unauthenticated {
            subjects.push("system/system:unauthenticated".to_owned());
        }
        let user = self.users.get_key_value(&*principal.uid);
        let accounts = self.accounts.get(&*principal.uid);
        match (user, accounts) {
            (Some((name, uid)), None) => subjects.push(format!("user/{name}/{uid}")),
            (None, Some(names)) => {
                let account = |name| format!("account/{name}/{}", principal.uid);
                subjects.extend(names.iter().map(account));
            }
            // Nobody, or two at once and so nobody.
            _ => {}
        }
        subjects
    }

    /// The groups of a subject that is a user.
    pub(crate) fn groups(&self, principal: &Principal) -> impl Iterator<Item = &String> {
        let is_user = self.users.contains_key(&*principal.uid)
            && !self.accounts.contains_key(&*principal.uid);
        let groups = self.memberships.get(&*principal.uid).filter(|_| is_user);
        groups.into_iter().flatten()
    }

    /// The permissions of a role, its own and inherited.
    pub(crate) fn permissions<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a str> {
        let inherits = |role: &str| self.roles.get(role).map_or(&[][..], |role| &role.inherits);
        let roles = super::reachable(role, inherits).filter_map(|role| self.roles.get(role));
        roles.flat_map(|role| &role.permissions).map(|text| &**text)
    }

    /// The kinds that a kind is registered below, itself included.
    pub(crate) fn kinds_above<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        super::reachable(kind, |kind| self.parents.get(kind).map_or(&[], Vec::as_slice))
    }
}

/// The role that an object means, if it may name it: of its own home or the platform's.
fn role_id(by: &Key, role: &RoleName) -> Option<String> {
    let namespace = if role.namespace.is_empty() { &by.namespace } else { &role.namespace };
    let plane = if **namespace == *SYSTEM_NAMESPACE { &Plane::Platform } else { &by.plane };
    let its_home = home(plane, namespace);
    let may = its_home == PLATFORM || its_home == home(&by.plane, &by.namespace);
    may.then(|| format!("role/{}/{namespace}/{}", plane_id(plane), role.name))
}

/// A plane as text.
pub(super) fn plane_id(plane: &Plane) -> String {
    match plane {
        Plane::Platform => PLATFORM.to_owned(),
        Plane::Project(uid) => format!("project:{uid}"),
    }
}

/// Whose a namespace is: the project's that it is in, an organization's, or the platform's.
pub(crate) fn home(plane: &Plane, namespace: &str) -> String {
    match (plane, namespace.strip_prefix(ORGANIZATION_NAMESPACE)) {
        (Plane::Project(_), _) => plane_id(plane),
        (Plane::Platform, Some(name)) => format!("organization:{name}"),
        (Plane::Platform, None) => PLATFORM.to_owned(),
    }
}

/// An object as a target.
pub(crate) fn object_id(kind: &impl ToString, namespace: &str, name: &str, uid: &str) -> String {
    format!("{}/{namespace}/{name}/{uid}", kind.to_string())
}

fn group_id(namespace: &str, name: &str, uid: &str) -> String {
    format!("group/{namespace}/{name}/{uid}")
}

/// A subject of a binding.
pub(crate) fn subject_id(subject: &Subject) -> String {
    match subject {
        Subject::User { name, uid } => format!("user/{name}/{uid}"),
        Subject::ServiceAccount { name, uid } => format!("account/{name}/{uid}"),
        Subject::Group { namespace, name, uid } => group_id(namespace, name, uid),
        Subject::System(name) => format!("system/{name}"),
    }
}
