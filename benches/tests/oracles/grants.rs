//! Random members, roles and bindings.

use fastrand::Rng;
use milo_iam::world::{Body, Change, Fact, Key, KindName, RoleName, Subject, Target, Text};

use crate::worlds::{
    IAM, NAMESPACES, ORGANIZATIONS, PROJECTS, RM, USERS, in_some_plane, kinds, object, permissions,
    pick, put, uid,
};

const ACCOUNTS: [&str; 2] = ["a0", "a1"];
const GROUPS: [&str; 2] = ["g0", "g1"];
const ROLES: [&str; 4] = ["r0", "r1", "r2", "r3"];
/// What is not a permission, and must not act as a pattern.
const MALFORMED: [&str; 6] =
    ["", "*", "t.io/*.get", "t.io/things.*", "t.io/Things.get", "t.io/things"];

/// One of the facts that are known, as far as it is something.
fn known_as<T>(random: &mut Rng, known: &[Change], as_it: fn(&Fact) -> Option<T>) -> Option<T> {
    let found = known.iter().filter_map(|change| match change {
        Change::Put(fact) => as_it(fact),
        Change::Remove(_) => None,
    });
    let mut found: Vec<_> = found.collect();
    (!found.is_empty() && random.u8(..4) > 0)
        .then(|| found.swap_remove(random.usize(..found.len())))
}

pub(crate) fn member(random: &mut Rng) -> Change {
    match random.u8(..4) {
        0 => {
            let name = *pick(random, &ACCOUNTS);
            let key = in_some_plane(random, Key::new(KindName::new(IAM, "ServiceAccount"), name));
            put(key, &uid(random, name), Body::ServiceAccount)
        }
        1 => {
            let (name, namespace) = (*pick(random, &GROUPS), *pick(random, &NAMESPACES[1..4]));
            let key = Key::new(KindName::new(IAM, "Group"), name).namespace(namespace);
            put(key, &uid(random, &format!("{name}-{namespace}")), Body::Group)
        }
        _ => {
            let name = format!("m{}", random.u8(..8));
            let group_namespace = *pick(random, &NAMESPACES[1..4]);
            // Most live where their group lives; the others must not count.
            let elsewhere = random.u8(..4) == 0;
            let namespace =
                if elsewhere { *pick(random, &NAMESPACES[1..4]) } else { group_namespace };
            let (group, user) = (*pick(random, &GROUPS), *pick(random, &USERS[..2]));
            let key = Key::new(KindName::new(IAM, "GroupMembership"), &name).namespace(namespace);
            let group_namespace = group_namespace.into();
            let body = Body::Membership { group_namespace, group: group.into(), user: user.into() };
            put(key, &name, body)
        }
    }
}

fn role_name(random: &mut Rng) -> RoleName {
    // Often the role of the base, which has everything.
    let (namespace, name) = match random.u8(..5) {
        0..3 => ("milo-system", "r0"),
        _ => (*pick(random, &NAMESPACES), *pick(random, &ROLES)),
    };
    RoleName { namespace: namespace.into(), name: name.into() }
}

pub(crate) fn role(random: &mut Rng) -> Change {
    let (name, namespace) = (*pick(random, &ROLES), *pick(random, &NAMESPACES[1..]));
    let all = permissions();
    let permission = |random: &mut Rng| match random.u8(..10) {
        0 => Text::from(*pick(random, &MALFORMED)),
        _ => Text::from(&**pick(random, &all)),
    };
    let permissions = (0..random.usize(..12)).map(|_| permission(random)).collect();
    let inherits = (0..random.usize(..4)).map(|_| role_name(random)).collect();
    let key = Key::new(KindName::new(IAM, "Role"), name).namespace(namespace);
    let key = if namespace == "default" { in_some_plane(random, key) } else { key };
    put(key, name, Body::Role { permissions, inherits })
}

fn subject(random: &mut Rng, known: &[Change]) -> Subject {
    let known = known_as(random, known, Fact::as_subject);
    known.unwrap_or_else(|| any_subject(random))
}

fn any_subject(random: &mut Rng) -> Subject {
    match random.u8(..11) {
        0..4 => {
            let name = *pick(random, &["u0", "u0", "u1", "a0-1"]);
            Subject::User { name: name.into(), uid: uid(random, name).into() }
        }
        4..6 => {
            let name = *pick(random, &ACCOUNTS);
            Subject::ServiceAccount { name: name.into(), uid: uid(random, name).into() }
        }
        6..10 => {
            let (name, namespace) = (*pick(random, &GROUPS), *pick(random, &NAMESPACES[1..4]));
            let uid = uid(random, &format!("{name}-{namespace}")).into();
            Subject::Group { namespace: namespace.into(), name: name.into(), uid }
        }
        _ => {
            let names = ["authenticated", "authenticated-users", "unauthenticated", "masters"];
            Subject::System(format!("system:{}", pick(random, &names)).into())
        }
    }
}

fn target(random: &mut Rng, known: &[Change]) -> Target {
    let can_be = |fact: &Fact| {
        let is_target = kinds().iter().any(|(kind, _)| *kind == fact.key().kind);
        is_target.then(|| fact.as_target())
    };
    let known = known_as(random, known, can_be).filter(|_| random.u8(..3) > 0);
    known.unwrap_or_else(|| any_target(random))
}

fn any_target(random: &mut Rng) -> Target {
    let tenant = |random: &mut Rng, kind, name: &str| {
        let uid = uid(random, name).into();
        Target::Object { kind, namespace: "".into(), name: name.into(), uid }
    };
    match random.u8(..13) {
        0..2 => {
            let name = *pick(random, &ORGANIZATIONS);
            tenant(random, KindName::new(RM, "Organization"), name)
        }
        2..4 => {
            let name = *pick(random, &PROJECTS);
            tenant(random, KindName::new(RM, "Project"), name)
        }
        4 => {
            let name = *pick(random, &USERS);
            tenant(random, KindName::new(IAM, "User"), name)
        }
        5..9 => {
            let found = object(random);
            let Change::Put(fact) = found else { return Target::Kind(kinds()[0].0.clone()) };
            fact.as_target()
        }
        _ => Target::Kind(pick(random, &kinds()).0.clone()),
    }
}

pub(crate) fn binding(random: &mut Rng, known: &[Change]) -> Change {
    let name = format!("b{}", random.u8(..12));
    // The platform's reach furthest.
    let namespace = *pick(
        random,
        &["milo-system", "milo-system", "organization-a", "organization-b", "default"],
    );
    let key = Key::new(KindName::new(IAM, "PolicyBinding"), &name).namespace(namespace);
    let key = if namespace == "default" { in_some_plane(random, key) } else { key };
    let role = role_name(random);
    let subjects = (0..random.usize(1..4)).map(|_| subject(random, known)).collect();
    put(key, &name, Body::Binding { role, subjects, target: target(random, known) })
}
