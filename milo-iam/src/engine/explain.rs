//! Why something is allowed, or what it would take.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    Certificate, Permission, Principal, Question, Within, model,
    world::{Body, Fact, GROUP, Key, RoleName, Subject},
};

use super::{
    snapshot::{Check, Snapshot, Witness},
    suggestion::Suggestion,
};

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
        let Witness { node, subject, granted } = check.witness()?;
        let fact = self.world.fact(granted.binding)?;
        let subject = self.index.subjects.get(&self.world, subject)?.to_owned();
        let Body::Binding { role, .. } = fact.body() else { return None };
        let membership = match &subject {
            Subject::Group { namespace, name, .. } => {
                Some(self.membership(namespace, name, &question.principal.uid)?)
            }
            _ => None,
        };
        let permission = self.catalogue.permission(check.permission)?;
        Some(Certificate {
            roles: self.role_path(fact.key(), role, permission)?,
            target: self.extent(node)?.target,
            question: question.clone(),
            binding: fact.key().clone(),
            subject,
            membership,
        })
    }

    /// What puts a user into a group.
    fn membership(&self, namespace: &str, group: &str, user: &str) -> Option<Key> {
        let group = Key::new(GROUP.clone(), group).namespace(namespace);
        let memberships = self.index.identities.memberships_of(user).iter();
        let mut facts = memberships.filter_map(|number| self.world.fact(*number));
        let found = facts.find(|membership| model::puts_into(membership, &group, user))?;
        Some(found.key().clone())
    }

    /// The shortest way from a role to one that has a permission of its own.
    fn role_path(&self, by: &Key, role: &RoleName, permission: &Permission) -> Option<Vec<Key>> {
        let first = model::named_role(&self.world, by, role)?;
        let mut came_from: HashMap<Key, Option<Key>> = HashMap::from([(first.key().clone(), None)]);
        let mut next = VecDeque::from([first]);
        while let Some(role) = next.pop_front() {
            let Body::Role { permissions, inherits } = role.body() else { continue };
            if permissions.iter().any(|text| text.parse().as_ref() == Ok(permission)) {
                return Some(way_to(role.key(), &came_from));
            }
            for name in inherits {
                let Some(found) = model::named_role(&self.world, role.key(), name) else {
                    continue;
                };
                if !came_from.contains_key(found.key()) {
                    came_from.insert(found.key().clone(), Some(role.key().clone()));
                    next.push_back(found);
                }
            }
        }
        None
    }

    /// The subject that a principal is of its own.
    fn who(&self, principal: &Principal) -> Result<Subject, Guard> {
        let uid = &principal.uid;
        let user = self.index.identities.user(&self.world, "", uid);
        let account = self.index.identities.accounts(uid).next();
        let found = match (user, account) {
            (Some(_), Some(_)) => return Err(Guard::SharedIdentity(uid.clone())),
            (user, account) => user.or(account).and_then(|number| self.world.fact(number)),
        };
        let subject = found.as_deref().and_then(Fact::as_subject);
        subject.ok_or_else(|| Guard::UnknownPrincipal(uid.clone()))
    }
}

fn way_to(role: &Key, came_from: &HashMap<Key, Option<Key>>) -> Vec<Key> {
    let mut way = vec![role.clone()];
    let mut at = role;
    while let Some(Some(from)) = came_from.get(at) {
        way.push(from.clone());
        at = from;
    }
    way.reverse();
    way
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
