//! Small random worlds: names that collide, references that dangle, cycles, and objects that go and
//! come again with another UID. As in Kubernetes, no two objects have one UID.

use fastrand::Rng;
use milo_iam::world::{Body, Change, Fact, Key, KindName, Text};

use crate::grants::{binding, member, role};

pub(crate) const IAM: &str = "iam.miloapis.com";
pub(crate) const RM: &str = "resourcemanager.miloapis.com";

pub(crate) const NAMESPACES: [&str; 5] =
    ["", "milo-system", "organization-a", "organization-b", "default"];
pub(crate) const ORGANIZATIONS: [&str; 2] = ["a", "b"];
pub(crate) const PROJECTS: [&str; 2] = ["p", "q"];
/// The last is also the UID of a service account: then both are nobody.
pub(crate) const USERS: [&str; 3] = ["u0", "u1", "a0-1"];
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
pub(crate) fn uid(random: &mut Rng, name: &str) -> String {
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

pub(crate) fn put(key: Key, uid: &str, body: Body) -> Change {
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
pub(crate) fn in_some_plane(random: &mut Rng, key: Key) -> Key {
    match random.u8(..3) {
        0 => key.in_project(pick::<&str>(random, &["p-1", "q-1", "p-2", "z-1"])),
        _ => key,
    }
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
pub(crate) fn object(random: &mut Rng) -> Change {
    let kind = pick(random, &kinds()[3..6]).0.clone();
    let (name, namespace) = (*pick(random, &THINGS), *pick(random, &NAMESPACES));
    let is_namespace = *kind.kind == *"Namespace";
    let key = Key::new(kind, name).namespace(if is_namespace { "" } else { namespace });
    let key = in_some_plane(random, key);
    let uid = uid(random, &key.to_string().replace(' ', "."));
    put(key, &uid, Body::Other)
}
