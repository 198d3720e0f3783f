//! What it would take to be allowed.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    Question, Text, model,
    world::{
        BINDING, Body, Change, Fact, GROUP, Home, Key, KindName, MEMBERSHIP, NAMESPACE, RoleName,
        SYSTEM_NAMESPACE, Subject, SubjectRef, Target, World, organization_namespace,
    },
};

use super::{
    extent::Extent,
    snapshot::{Check, Snapshot},
};

/// How many suggestions a denial carries, at most.
const SUGGESTIONS: usize = 5;

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
    /// The single changes that would give least beside what was asked.
    pub(super) fn suggestions(
        &self,
        question: &Question,
        check: &Check<'_>,
        subject: &Subject,
    ) -> Vec<Suggestion> {
        let mut found: Vec<(usize, Suggestion)> = Vec::new();
        if let Subject::User { name, .. } = subject {
            for group in self.granted_groups(check) {
                let cost = self.index.by_subject.row(group.0).iter();
                let cost = cost.map(|(_, grant)| self.roles.permissions(grant.0).count()).sum();
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
        let Self { world, index, roles, .. } = self;
        let grants = check.nodes.iter().flat_map(|node| index.by_node.row(node).iter());
        let has = grants.filter(|(_, grant)| roles.has(grant.role, check.permission));
        let subjects: BTreeSet<u32> = has.map(|(subject, _)| subject).collect();
        let group = |subject: u32| {
            let known = index.subjects.get(world, subject)?;
            let SubjectRef::Group { namespace, name, .. } = known else { return None };
            let key = Key::new(GROUP.clone(), name).namespace(namespace);
            let fact = world.get(&key)?;
            (fact.as_subject()? == known.to_owned()).then_some((subject, key))
        };
        subjects.into_iter().filter_map(group).collect()
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
        let may = |key: &&Key| key.home() == Home::Platform || key.home() == *home;
        let roles = self.roles.having(permission);
        let keys = roles.filter_map(|role| self.index.roles.get(role)).filter(may);
        let cost = |key: &Key| {
            let fact = self.world.get(key)?;
            let Body::Role { permissions, inherits } = fact.body() else { return None };
            Some((permissions.len() + 64 * inherits.len(), key.clone()))
        };
        keys.filter_map(cost).min()
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
