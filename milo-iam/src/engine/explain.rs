//! Why something is allowed, or what it would take.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    Certificate, Permission, Principal, Question, Text, Within, model,
    world::{
        BINDING, Body, Change, Fact, GROUP, Home, Key, KindName, MEMBERSHIP, NAMESPACE, ROLE,
        RoleName, SERVICE_ACCOUNT, SYSTEM_NAMESPACE, Subject, Target, USER, World,
        organization_namespace,
    },
};

use super::{
    extent::Extent,
    snapshot::{Check, Snapshot, Witness},
};

/// How many suggestions a denial carries, at most.
const SUGGESTIONS: usize = 5;

/// Why the answer is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Explanation {
    /// Allowed: the proof.
    Allowed(Box<Certificate>),
    /// Denied: what is missing.
    Denied(Box<Denial>),
}

/// Why something is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What was asked.
    pub question: Question,
    /// What denies it, whatever is granted.
    pub guard: Option<Guard>,
    /// Single changes that would each allow it: those that give least beside it come first.
    pub suggestions: Vec<Suggestion>,
}

/// What denies a question whatever is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Guard {
    /// No `ProtectedResource` registers the permission.
    Unregistered(Permission),
    /// There is no such control plane, or it does not hold what is asked about.
    NotThere(Within),
    /// A user has the name that is a service account's UID: it is nobody's until one is gone.
    SharedIdentity(String),
    /// There is no such user or service account, and nothing is granted to strangers.
    UnknownPrincipal(String),
    /// No role that could be granted has the permission.
    NoRole(Permission),
}

/// A single change that would allow what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Suggestion {
    /// Put the user into a group.
    Join {
        /// The group.
        group: Key,
        /// The user.
        user: String,
    },
    /// Bind a role.
    Bind {
        /// The role.
        role: Key,
        /// To whom.
        subject: Subject,
        /// On what.
        extent: Extent,
    },
}

impl Suggestion {
    /// The object to create in a world, under a name that is free there.
    #[must_use]
    pub fn change(&self, world: &World) -> Change {
        let (key, body) = match self {
            Self::Join { group, user } => {
                let key = Key::new(MEMBERSHIP.clone(), &format!("{}-{user}", group.name));
                let body = Body::Membership {
                    group_namespace: group.namespace.clone(),
                    group: group.name.clone(),
                    user: user.as_str().into(),
                };
                (key.namespace(&group.namespace), body)
            }
            Self::Bind { role, subject, extent } => {
                let key = Key::new(BINDING.clone(), &format!("{}-{}", role.name, subject.name()));
                let key = match &extent.home {
                    Home::Platform => key.namespace(SYSTEM_NAMESPACE),
                    Home::Organization(name) => key.namespace(&organization_namespace(name)),
                    Home::Project(uid) => key.namespace("default").in_project(uid),
                };
                let role = RoleName { namespace: role.namespace.clone(), name: role.name.clone() };
                let subjects = vec![subject.clone()];
                (key, Body::Binding { role, subjects, target: extent.target.clone() })
            }
        };
        let names = (2..).map(|n| format!("{}-{n}", key.name).into());
        let mut keys = std::iter::once(key.name.clone()).chain(names);
        let free = keys.find_map(|name: Text| {
            let key = Key { name, ..key.clone() };
            world.get(&key).is_none().then_some(key)
        });
        let key = free.unwrap_or(key);
        let uid = key.to_string();
        Change::put(Fact::new(key, &uid, body))
    }
}

impl Snapshot {
    /// Why something is allowed, or what it would take to be.
    #[must_use]
    pub fn explain(&self, question: &Question) -> Explanation {
        let check = self.resolve(question);
        if let Some(certificate) = check.as_ref().and_then(|check| self.prove(question, check)) {
            return Explanation::Allowed(Box::new(certificate));
        }
        let mut denial =
            Denial { question: question.clone(), guard: None, suggestions: Vec::new() };
        match check {
            None => denial.guard = self.guard(question),
            Some(check) => match self.who(&question.principal) {
                Ok(subject) => {
                    denial.suggestions = self.suggestions(question, &check, &subject);
                    if denial.suggestions.is_empty() {
                        denial.guard = Some(Guard::NoRole(question.permission.clone()));
                    }
                }
                Err(guard) => denial.guard = Some(guard),
            },
        }
        Explanation::Denied(Box::new(denial))
    }

    /// What denies a question whatever is granted: that its permission is not registered, or its
    /// control plane does not exist or does not hold what is asked about. Costs little.
    #[must_use]
    pub fn guard(&self, question: &Question) -> Option<Guard> {
        if self.catalogue.registered(&question.permission).is_none() {
            return Some(Guard::Unregistered(question.permission.clone()));
        }
        self.resolve(question).is_none().then(|| Guard::NotThere(question.within.clone()))
    }

    fn prove(&self, question: &Question, check: &Check<'_>) -> Option<Certificate> {
        let Witness { node, grant } = check.witnesses().next()?;
        let binding = self.bindings.get(grant.binding)?.clone();
        let subject = self.subjects.get(grant.other)?.clone();
        let Body::Binding { role, .. } = self.world.get(&binding)?.body() else { return None };
        let membership = match &subject {
            Subject::Group { namespace, name, .. } => {
                let group = Key::new(GROUP.clone(), name).namespace(namespace);
                let found = model::membership(&self.world, &group, &question.principal.uid)?;
                Some(found.key().clone())
            }
            _ => None,
        };
        let permission = self.catalogue.permission(check.permission)?;
        Some(Certificate {
            roles: self.role_path(&binding, role, permission)?,
            target: self.extents.get(node)?.target.clone(),
            question: question.clone(),
            binding,
            subject,
            membership,
        })
    }

    /// The shortest way from a role to one that has a permission of its own.
    fn role_path(&self, by: &Key, role: &RoleName, permission: &Permission) -> Option<Vec<Key>> {
        let first = model::named_role(&self.world, by, role)?;
        let mut came_from: HashMap<&Key, Option<&Key>> = HashMap::from([(first.key(), None)]);
        let mut next = VecDeque::from([first]);
        while let Some(role) = next.pop_front() {
            let Body::Role { permissions, inherits } = role.body() else { continue };
            if permissions.iter().any(|text| text.parse().as_ref() == Ok(permission)) {
                let mut path = vec![role.key().clone()];
                let mut at = role.key();
                while let Some(Some(from)) = came_from.get(at) {
                    path.push((*from).clone());
                    at = from;
                }
                path.reverse();
                return Some(path);
            }
            for name in inherits {
                let Some(found) = model::named_role(&self.world, role.key(), name) else {
                    continue;
                };
                if !came_from.contains_key(found.key()) {
                    came_from.insert(found.key(), Some(role.key()));
                    next.push_back(found);
                }
            }
        }
        None
    }

    /// The subject that a principal is of its own.
    fn who(&self, principal: &Principal) -> Result<Subject, Guard> {
        let user = self.world.get(&Key::new(USER.clone(), &principal.uid));
        let mut accounts = self.world.of_kind(&SERVICE_ACCOUNT);
        let account = accounts.find(|account| **account.uid() == *principal.uid);
        match (user, account) {
            (Some(_), Some(_)) => Err(Guard::SharedIdentity(principal.uid.clone())),
            (Some(found), None) | (None, Some(found)) => {
                found.as_subject().ok_or_else(|| Guard::UnknownPrincipal(principal.uid.clone()))
            }
            (None, None) => Err(Guard::UnknownPrincipal(principal.uid.clone())),
        }
    }

    /// The single changes that would give least beside what was asked.
    fn suggestions(
        &self,
        question: &Question,
        check: &Check<'_>,
        subject: &Subject,
    ) -> Vec<Suggestion> {
        let mut found: Vec<(usize, Suggestion)> = Vec::new();
        if let Subject::User { name, .. } = subject {
            for group in self.granted_groups(check) {
                let cost = self.by_subject.row(group.0).iter();
                let cost = cost.map(|grant| self.roles.permissions(grant.role).count()).sum();
                found.push((cost, Suggestion::Join { group: group.1, user: name.to_string() }));
            }
        }
        for extent in self.bindable(question, check.kind) {
            if let Some((cost, role)) = self.least_role(&extent.home, check.permission) {
                found.push((cost, Suggestion::Bind { role, subject: subject.clone(), extent }));
            }
        }
        found.sort_by_key(|(cost, _)| *cost);
        found.into_iter().take(SUGGESTIONS).map(|(_, suggestion)| suggestion).collect()
    }

    /// The groups that are there and have what is asked.
    fn granted_groups(&self, check: &Check<'_>) -> Vec<(u32, Key)> {
        let mut groups: Vec<(u32, Key)> = Vec::new();
        let grants = check.nodes.iter().flat_map(|node| self.by_node.row(node));
        for grant in grants.filter(|grant| self.roles.has(grant.role, check.permission)) {
            let Some(subject @ Subject::Group { namespace, name, .. }) =
                self.subjects.get(grant.other)
            else {
                continue;
            };
            let key = Key::new(GROUP.clone(), name).namespace(namespace);
            let is_there =
                self.world.get(&key).is_some_and(|g| g.as_subject().as_ref() == Some(subject));
            if is_there && groups.iter().all(|(_, other)| *other != key) {
                groups.push((grant.other, key));
            }
        }
        groups
    }

    /// What a role could be bound on to cover the place of a question: the nearest first.
    fn bindable(&self, question: &Question, kind: &KindName) -> Vec<Extent> {
        let Some(place) = model::place(&self.world, question, kind) else { return Vec::new() };
        let of_element = |element: model::Element| {
            // Where whoever administers the object's organization can write.
            let home = element
                .reached_from
                .iter()
                .find(|home| matches!(home, Home::Organization(_)))
                .unwrap_or(&Home::Platform);
            Extent { home: home.clone(), target: element.object }
        };
        let elements = place.elements.into_iter().map(of_element);
        let all = Extent { home: Home::Platform, target: Target::Kind(kind.clone()) };
        let is_of_tenant = *kind == *NAMESPACE;
        elements
            .chain([all])
            .filter(|extent| {
                model::is_registered_below(&self.world, kind, extent.target.kind())
                    || (is_of_tenant && extent.target.kind() == kind)
            })
            .collect()
    }

    /// The role with the fewest permissions that has one and can be named from a home.
    fn least_role(&self, home: &Home, permission: u32) -> Option<(usize, Key)> {
        let wanted = self.catalogue.permission(permission)?;
        let may = |key: &Key| key.home() == Home::Platform || key.home() == *home;
        let roles = self.world.of_kind(&ROLE).filter(|role| may(role.key()));
        let has = roles.filter_map(|role| {
            let name =
                RoleName { namespace: role.key().namespace.clone(), name: role.key().name.clone() };
            self.role_path(role.key(), &name, wanted)?;
            let Body::Role { permissions, inherits } = role.body() else { return None };
            Some((permissions.len() + 64 * inherits.len(), role.key().clone()))
        });
        has.min()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(certificate) => certificate.fmt(f),
            Self::Denied(denial) => denial.fmt(f),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "denied: {}", self.question)?;
        if let Some(guard) = &self.guard {
            write!(f, "\n└─ {guard}")?;
        }
        for (index, suggestion) in self.suggestions.iter().enumerate() {
            let branch = if index + 1 == self.suggestions.len() { "└─" } else { "├─" };
            write!(f, "\n{branch} would be allowed: {suggestion}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unregistered(permission) => {
                write!(f, "no ProtectedResource registers {permission}")
            }
            Self::NotThere(within) => {
                write!(f, "{within} does not exist, or does not hold what is asked about")
            }
            Self::SharedIdentity(uid) => {
                write!(f, "{uid} is a user's name and a service account's UID at once")
            }
            Self::UnknownPrincipal(uid) if uid.is_empty() => {
                f.write_str("nothing is granted to callers without a UID")
            }
            Self::UnknownPrincipal(uid) => {
                write!(f, "there is no user named {uid} and no service account with that UID")
            }
            Self::NoRole(permission) => write!(f, "no role has {permission}"),
        }
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join { group, user } => write!(f, "put {user} into {group}"),
            Self::Bind { role, subject, extent } => {
                write!(f, "bind {role} to {subject} on {extent}, with {}", extent.home)
            }
        }
    }
}
