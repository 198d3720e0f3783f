//! Small random worlds: names that collide, references that dangle, cycles, and objects that go and
//! come again with another UID. As in Kubernetes, no two objects have one UID.

use fastrand::Rng;
use milo_iam::world::{Body, Change, Fact, Key, KindName, RoleName, Subject, Target, Text};

const IAM: &str = "iam.miloapis.com";
const RM: &str = "resourcemanager.miloapis.com";

pub(crate) const NAMESPACES: [&str; 5] =
    ["", "milo-system", "organization-a", "organization-b", "default"];
pub(crate) const ORGANIZATIONS: [&str; 2] = ["a", "b"];
pub(crate) const PROJECTS: [&str; 2] = ["p", "q"];
/// The last is also the UID of a service account: then both are nobody.
pub(crate) const USERS: [&str; 3] = ["u0", "u1", "a0-1"];
const ACCOUNTS: [&str; 2] = ["a0", "a1"];
const GROUPS: [&str; 2] = ["g0", "g1"];
const ROLES: [&str; 4] = ["r0", "r1", "r2", "r3"];
/// Of what is in a project or a namespace.
pub(crate) const THINGS: [&str; 3] = ["x", "y", "organization-a"];
const VERBS: [&str; 6] = ["get", "list", "delete", "create", "update", "status.update"];
/// What roles hold and requests need, behind the plural.
const ENTRIES: [&str; 9] = [
    ".get",
    ".list",
    ".delete",
    ".deletecollection",
    ".create",
    ".watch",
    ".update",
    "/status.update",
    "/scale.get",
];
/// What is not a permission, and must not act as a pattern.
const MALFORMED: [&str; 6] =
    ["", "*", "t.io/*.get", "t.io/things.*", "t.io/Things.get", "t.io/things"];

/// How a world comes to be: what is listed at first, and changes in their order.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) start: Vec<Change>,
    pub(crate) batches: Vec<Vec<Change>>,
}

/// The kinds, with their plurals.
pub(crate) fn kinds() -> [(KindName, &'static str); 8] {
    [
        (KindName::new(RM, "Organization"), "organizations"),
        (KindName::new(RM, "Project"), "projects"),
        (KindName::new(IAM, "User"), "users"),
        (KindName::new("t.io", "Thing"), "things"),
        (KindName::new("t.io", "Note"), "notes"),
        (KindName::new("", "Namespace"), "namespaces"),
        (KindName::new(IAM, "Group"), "groups"),
        (KindName::new("x.io", "Thing"), "things"),
    ]
}

/// Every permission that can be asked for.
pub(crate) fn permissions() -> Vec<String> {
    let of_kind = |(kind, plural): (KindName, &str)| {
        ENTRIES.map(|entry| format!("{}/{plural}{entry}", kind.service))
    };
    kinds().into_iter().flat_map(of_kind).collect()
}

pub(crate) fn pick<'a, T>(random: &mut Rng, all: &'a [T]) -> &'a T {
    &all[random.usize(..all.len())]
}

/// `NAME-1`, and sometimes `NAME-2`: who has a name may come again.
fn uid(random: &mut Rng, name: &str) -> String {
    let life = if random.u8(..5) == 0 { 2 } else { 1 };
    format!("{name}-{life}")
}

pub(crate) fn history(random: &mut Rng) -> History {
    let mut start = if random.u8(..20) > 0 { base(random) } else { Vec::new() };
    for _ in 0..random.usize(..60) {
        start.push(arrival(random, &start));
    }
    let mut batches = Vec::new();
    for _ in 0..random.usize(..5) {
        let batch = (0..random.usize(1..5)).map(|_| match random.u8(..4) {
            0 if !start.is_empty() => Change::Remove(pick(random, &start).key().clone()),
            _ => arrival(random, &start),
        });
        batches.push(batch.collect());
    }
    History { start, batches }
}

fn put(key: Key, uid: &str, body: Body) -> Change {
    Change::put(Fact::new(key, uid, body))
}

/// What most worlds begin with, so that random bindings grant something.
fn base(random: &mut Rng) -> Vec<Change> {
    let rm = |kind, name| Key::new(KindName::new(RM, kind), name);
    let project = |organization: &str| Body::Project {
        organization: organization.into(),
        organization_uid: format!("{organization}-1").into(),
    };
    let mut base = vec![
        put(rm("Organization", "a"), "a-1", Body::Organization),
        put(rm("Organization", "b"), "b-1", Body::Organization),
        put(rm("Project", "p"), "p-1", project("a")),
        put(rm("Project", "q"), "q-1", project("b")),
    ];
    for name in ["u0", "u1"] {
        let key = Key::new(KindName::new(IAM, "User"), name);
        base.push(put(key, &format!("{name}-1"), Body::User));
    }
    for (index, (kind, plural)) in kinds().into_iter().enumerate() {
        let parents = kinds().into_iter().take(2.min(index)).map(|(kind, _)| kind).collect();
        let verbs = VERBS.map(Text::from).to_vec();
        let name = format!("{}-{plural}", kind.service);
        base.push(put(registration_key(&name), &name, registered(kind, plural, verbs, parents)));
    }
    let permissions = permissions().into_iter().map(Text::from).collect();
    let key = Key::new(KindName::new(IAM, "Role"), "r0").namespace("milo-system");
    base.push(put(key, "r0", Body::Role { permissions, inherits: Vec::new() }));
    base.extend((0..20).map(|_| member(random)));
    base.extend((0..20).map(|_| object(random)));
    base
}

/// A change that, if it names others, mostly names those that are known.
fn arrival(random: &mut Rng, known: &[Change]) -> Change {
    match random.u8(..32) {
        0..3 => tenant(random),
        3..8 => member(random),
        8..11 => role(random),
        11..29 => binding(random, known),
        29 => registration(random),
        _ => object(random),
    }
}

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

fn tenant(random: &mut Rng) -> Change {
    match random.u8(..3) {
        0 => {
            let name = *pick(random, &ORGANIZATIONS);
            let key = Key::new(KindName::new(RM, "Organization"), name);
            put(key, &uid(random, name), Body::Organization)
        }
        1 => {
            let (name, organization) = (*pick(random, &PROJECTS), *pick(random, &ORGANIZATIONS));
            let organization_uid = uid(random, organization).into();
            let body = Body::Project { organization: organization.into(), organization_uid };
            put(Key::new(KindName::new(RM, "Project"), name), &uid(random, name), body)
        }
        _ => {
            let name = *pick(random, &USERS);
            put(Key::new(KindName::new(IAM, "User"), name), &uid(random, name), Body::User)
        }
    }
}

/// A project of those that are there, of their second lives, or of one that never was.
fn in_some_plane(random: &mut Rng, key: Key) -> Key {
    match random.u8(..3) {
        0 => key.in_project(pick::<&str>(random, &["p-1", "q-1", "p-2", "z-1"])),
        _ => key,
    }
}

fn member(random: &mut Rng) -> Change {
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

fn role(random: &mut Rng) -> Change {
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

fn binding(random: &mut Rng, known: &[Change]) -> Change {
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

fn registration(random: &mut Rng) -> Change {
    let (kind, plural) = pick(random, &kinds()).clone();
    let verbs = (0..random.usize(..7)).map(|_| (*pick(random, &VERBS)).into()).collect();
    let parents = (0..random.usize(..3)).map(|_| pick(random, &kinds()).0.clone()).collect();
    // Now and then a second registration of a kind, whose name may be the lesser.
    let name = match random.u8(..6) {
        0 => (*pick(random, &["a-odd", "z-odd"])).to_owned(),
        _ => format!("{}-{plural}", kind.service),
    };
    put(registration_key(&name), &name, registered(kind, plural, verbs, parents))
}

fn registration_key(name: &str) -> Key {
    Key::new(KindName::new(IAM, "ProtectedResource"), name)
}

fn registered(kind: KindName, plural: &str, verbs: Vec<Text>, parents: Vec<KindName>) -> Body {
    Body::ProtectedResource { kind, plural: plural.into(), verbs, parents }
}

/// Anything that a binding can name and that says nothing itself.
fn object(random: &mut Rng) -> Change {
    let kind = pick(random, &kinds()[3..6]).0.clone();
    let (name, namespace) = (*pick(random, &THINGS), *pick(random, &NAMESPACES));
    let is_namespace = *kind.kind == *"Namespace";
    let key = Key::new(kind, name).namespace(if is_namespace { "" } else { namespace });
    let key = in_some_plane(random, key);
    let uid = uid(random, &key.to_string().replace(' ', "."));
    put(key, &uid, Body::Other)
}
