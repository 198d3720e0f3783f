//! Small random worlds: every kind of fact, with names that collide, references that dangle, cycles
//! and objects that come again with another UID.

use milo_iam::{
    Permission, Principal, Question, TenantRef, Within,
    world::{Body, Change, Fact, Key, KindName, RoleName, Subject, Target, Text},
};
use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

const IAM: &str = "iam.miloapis.com";
const RM: &str = "resourcemanager.miloapis.com";

pub(crate) const NAMESPACES: [&str; 5] =
    ["", "milo-system", "organization-a", "organization-b", "default"];
const ROLES: [&str; 4] = ["r0", "r1", "r2", "r3"];
const USERS: [&str; 3] = ["u0", "u1", "a0-1"];
const GROUPS: [&str; 2] = ["g0", "g1"];
/// Of a project's two lives, and of one that never was.
const PROJECTS: [&str; 3] = ["p-1", "p-2", "q-1"];

pub(crate) fn kinds() -> Vec<(KindName, &'static str)> {
    vec![
        (KindName::new(RM, "Organization"), "organizations"),
        (KindName::new(RM, "Project"), "projects"),
        (KindName::new(IAM, "User"), "users"),
        (KindName::new("t.io", "Thing"), "things"),
        (KindName::new("t.io", "Note"), "notes"),
        (KindName::new("", "Namespace"), "namespaces"),
        (KindName::new(IAM, "Group"), "groups"),
    ]
}

const VERBS: [&str; 6] = ["get", "list", "delete", "create", "status.update", "update"];
const ASKED: [&str; 9] = [
    "get",
    "list",
    "delete",
    "deletecollection",
    "create",
    "watch",
    "update",
    "/status.update",
    "/scale.get",
];

fn texts(all: &'static [&'static str]) -> impl Strategy<Value = Text> + Clone {
    select(all).prop_map(Text::from)
}

fn kind() -> impl Strategy<Value = KindName> {
    select(kinds()).prop_map(|(kind, _)| kind)
}

/// `NAME-1` or `NAME-2`: whoever has a name may come again with another UID.
fn uid(name: &str, life: u8) -> String {
    format!("{name}-{life}")
}

fn life() -> impl Strategy<Value = u8> + Clone {
    prop_oneof![4 => Just(1u8), 1 => Just(2u8)]
}

pub(crate) fn permission_texts() -> Vec<String> {
    let entries = |(kind, plural): (KindName, &'static str)| {
        ASKED.map(|verb| match verb.strip_prefix('/') {
            Some(sub) => format!("{}/{plural}/{sub}", kind.service),
            None => format!("{}/{plural}.{verb}", kind.service),
        })
    };
    kinds().into_iter().flat_map(entries).collect()
}

fn put(key: Key, uid: &str, body: Body) -> Change {
    Change::put(Fact::new(key, uid, body))
}

fn tenants() -> impl Strategy<Value = Change> {
    let organization = (select(&["a", "b"][..]), life()).prop_map(|(name, life)| {
        put(Key::new(KindName::new(RM, "Organization"), name), &uid(name, life), Body::Organization)
    });
    let project = (select(&["p", "q"][..]), life(), select(&["a", "b"][..]), life()).prop_map(
        |(name, own, organization, life)| {
            let body = Body::Project {
                organization: organization.into(),
                organization_uid: uid(organization, life).into(),
            };
            put(Key::new(KindName::new(RM, "Project"), name), &uid(name, own), body)
        },
    );
    let user = (select(&USERS[..]), life()).prop_map(|(name, life)| {
        put(Key::new(KindName::new(IAM, "User"), name), &uid(name, life), Body::User)
    });
    prop_oneof![organization, project, user]
}

fn plane(key: Key, project: Option<&str>) -> Key {
    match project {
        Some(uid) => key.in_project(uid),
        None => key,
    }
}

fn project() -> impl Strategy<Value = Option<&'static str>> + Clone {
    prop_oneof![3 => Just(None), 2 => select(&PROJECTS[..]).prop_map(Some)]
}

fn members() -> impl Strategy<Value = Change> {
    let account =
        (select(&["a0", "a1"][..]), life(), project()).prop_map(|(name, life, project)| {
            let key = plane(Key::new(KindName::new(IAM, "ServiceAccount"), name), project);
            put(key, &uid(name, life), Body::ServiceAccount)
        });
    let group = (select(&GROUPS[..]), life(), select(&NAMESPACES[1..4]), project()).prop_map(
        |(name, life, namespace, project)| {
            let key = Key::new(KindName::new(IAM, "Group"), name).namespace(namespace);
            put(plane(key, project.filter(|_| life == 2)), &uid(name, life), Body::Group)
        },
    );
    let membership = (
        0u8..6,
        select(&NAMESPACES[1..4]),
        select(&NAMESPACES[1..4]),
        texts(&GROUPS),
        texts(&USERS),
    )
        .prop_map(|(name, namespace, group_namespace, group, user)| {
            let name = format!("m{name}");
            let key = Key::new(KindName::new(IAM, "GroupMembership"), &name).namespace(namespace);
            let group_namespace = group_namespace.into();
            put(key, &name, Body::Membership { group_namespace, group, user })
        });
    prop_oneof![account, group, membership]
}

fn role_name() -> impl Strategy<Value = RoleName> + Clone {
    let any = (texts(&NAMESPACES), texts(&ROLES));
    // The role of the base, which has everything.
    let all = (Just(Text::from("milo-system")), Just(Text::from("r0")));
    prop_oneof![2 => any, 3 => all].prop_map(|(namespace, name)| RoleName { namespace, name })
}

fn role() -> impl Strategy<Value = Change> {
    let permission = prop_oneof![
        9 => select(permission_texts()),
        1 => select(&["", "*", "t.io/things", "t.io/Things.get", "x.io/y.z"][..])
            .prop_map(str::to_owned),
    ];
    let permissions = prop::collection::vec(permission.prop_map(Text::from), 0..8);
    let inherits = prop::collection::vec(role_name(), 0..3);
    (texts(&ROLES), select(&NAMESPACES[1..]), project(), permissions, inherits).prop_map(
        |(name, namespace, project, permissions, inherits)| {
            let key = Key::new(KindName::new(IAM, "Role"), &name).namespace(namespace);
            let key = plane(key, project.filter(|_| namespace == "default"));
            put(key, &name, Body::Role { permissions, inherits })
        },
    )
}

fn subject() -> impl Strategy<Value = Subject> {
    let user = (select(&["u0", "u0", "u1", "a0-1"][..]), life())
        .prop_map(|(name, life)| Subject::User { name: name.into(), uid: uid(name, life).into() });
    let account = (select(&["a0", "a1"][..]), life()).prop_map(|(name, life)| {
        Subject::ServiceAccount { name: name.into(), uid: uid(name, life).into() }
    });
    let group = (select(&NAMESPACES[1..4]), select(&GROUPS[..]), life()).prop_map(
        |(namespace, name, life)| Subject::Group {
            namespace: namespace.into(),
            name: name.into(),
            uid: uid(name, life).into(),
        },
    );
    let names = [
        "system:authenticated",
        "system:authenticated-users",
        "system:unauthenticated",
        "system:masters",
    ];
    let system = select(names.to_vec()).prop_map(|name| Subject::System(name.into()));
    prop_oneof![4 => user, 2 => account, 4 => group, 1 => system]
}

/// Where objects are and bindings point: names and UIDs of [`tenants`] and [`objects`].
fn target() -> impl Strategy<Value = Target> {
    let object = |kind: KindName, namespace: &str, name: &str, life: u8| Target::Object {
        kind,
        namespace: namespace.into(),
        name: name.into(),
        uid: uid(name, life).into(),
    };
    let tenant = (
        select(vec![
            ("Organization", "a"),
            ("Organization", "b"),
            ("Project", "p"),
            ("Project", "q"),
        ]),
        life(),
    )
        .prop_map(move |((kind, name), life)| object(KindName::new(RM, kind), "", name, life));
    let user = (select(&USERS[..]), life())
        .prop_map(move |(name, life)| object(KindName::new(IAM, "User"), "", name, life));
    let any = (kind(), select(&NAMESPACES[..]), select(&["x", "y", "g0"][..]), life())
        .prop_map(move |(kind, namespace, name, life)| object(kind, namespace, name, life));
    prop_oneof![4 => tenant, 1 => user, 3 => any, 4 => kind().prop_map(Target::Kind)]
}

fn binding() -> impl Strategy<Value = Change> {
    let subjects = prop::collection::vec(subject(), 1..4);
    (0u8..8, select(&NAMESPACES[1..]), project(), role_name(), subjects, target()).prop_map(
        |(name, namespace, project, role, subjects, target)| {
            let name = format!("b{name}");
            let key = Key::new(KindName::new(IAM, "PolicyBinding"), &name).namespace(namespace);
            let key = plane(key, project.filter(|_| namespace != "organization-a"));
            put(key, &name, Body::Binding { role, subjects, target })
        },
    )
}

fn registration() -> impl Strategy<Value = Change> {
    let verbs = prop::collection::vec(select(&VERBS[..]).prop_map(Text::from), 0..6);
    let parents = prop::collection::vec(kind(), 0..3);
    (select(kinds()), verbs, parents, prop::bool::weighted(0.1)).prop_map(
        |((kind, plural), verbs, parents, odd)| {
            let name = if odd { "odd" } else { plural };
            let body = Body::ProtectedResource { kind, plural: plural.into(), verbs, parents };
            put(Key::new(KindName::new(IAM, "ProtectedResource"), name), name, body)
        },
    )
}

fn objects() -> impl Strategy<Value = Change> {
    (
        select(kinds()[3..6].to_vec()),
        project(),
        select(&NAMESPACES[..]),
        select(&["x", "y"][..]),
        life(),
    )
        .prop_map(|((kind, _), project, namespace, name, life)| {
            let key = plane(Key::new(kind, name).namespace(namespace), project);
            put(key, &uid(name, life), Body::Other)
        })
}

/// What most worlds begin with, so that random bindings grant something.
fn base() -> Vec<Change> {
    let project = |organization: &str| Body::Project {
        organization: organization.into(),
        organization_uid: uid(organization, 1).into(),
    };
    let rm = |kind: &str, name: &str| Key::new(KindName::new(RM, kind), name);
    let mut base = vec![
        put(rm("Organization", "a"), "a-1", Body::Organization),
        put(rm("Organization", "b"), "b-1", Body::Organization),
        put(rm("Project", "p"), "p-1", project("a")),
        put(rm("Project", "q"), "q-1", project("b")),
    ];
    for name in ["u0", "u1"] {
        base.push(put(Key::new(KindName::new(IAM, "User"), name), &uid(name, 1), Body::User));
    }
    for namespace in &NAMESPACES[1..4] {
        let key = Key::new(KindName::new(IAM, "Group"), "g0").namespace(namespace);
        base.push(put(key, "g0-1", Body::Group));
        let key = Key::new(KindName::new(IAM, "GroupMembership"), "m0").namespace(namespace);
        let (group_namespace, group) = ((*namespace).into(), "g0".into());
        base.push(put(key, "m0", Body::Membership { group_namespace, group, user: "u0".into() }));
    }
    for (index, (kind, plural)) in kinds().into_iter().enumerate() {
        let parents = if index == 0 { Vec::new() } else { kinds()[..2.min(index)].to_vec() };
        let parents = parents.into_iter().map(|(kind, _)| kind).collect();
        let verbs = VERBS.map(Text::from).to_vec();
        let body = Body::ProtectedResource { kind, plural: plural.into(), verbs, parents };
        let key = Key::new(KindName::new(IAM, "ProtectedResource"), plural);
        base.push(put(key, plural, body));
    }
    let permissions = permission_texts().into_iter().map(Text::from).collect();
    let key = Key::new(KindName::new(IAM, "Role"), "r0").namespace("milo-system");
    base.push(put(key, "r0", Body::Role { permissions, inherits: Vec::new() }));
    base
}

/// What a world begins with.
pub(crate) fn start() -> impl Strategy<Value = Vec<Change>> {
    (prop::bool::weighted(0.9), prop::collection::vec(arrival(), 0..80)).prop_map(
        |(with_base, random)| {
            let base = if with_base { base() } else { Vec::new() };
            base.into_iter().chain(random).collect()
        },
    )
}

/// A change: something comes, is changed, or comes again.
pub(crate) fn arrival() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => tenants(),
        5 => members(),
        3 => role(),
        14 => binding(),
        3 => registration(),
        2 => objects(),
    ]
}

/// A change: [`arrival`], or that what would arrive is gone.
pub(crate) fn change() -> impl Strategy<Value = Change> {
    (arrival(), prop::bool::weighted(0.3)).prop_map(|(arrival, gone)| {
        if gone { Change::Remove(arrival.key().clone()) } else { arrival }
    })
}

/// Where something can be asked.
pub(crate) fn withins() -> Vec<Within> {
    let tenant = |name: &str, uid: &str| TenantRef { name: name.into(), uid: uid.into() };
    vec![
        Within::Platform,
        Within::organization("a"),
        Within::organization("b"),
        Within::project("p"),
        Within::project("q"),
        Within::user("u0"),
        Within::Project(tenant("p", "p-1")),
        Within::Organization(tenant("a", "a-2")),
        Within::project("nowhere"),
    ]
}

/// Everybody who can ask.
pub(crate) fn principals() -> Vec<Principal> {
    let mut all: Vec<Principal> =
        ["u0", "u1", "a0-1", "a0-2", "a1-1", "stranger", ""].map(Principal::new).into();
    all.push(Principal::anonymous());
    all
}

/// A question about the names above.
pub(crate) fn question() -> impl Strategy<Value = Question> {
    let permissions: Vec<Permission> =
        permission_texts().iter().map(|text| text.parse().expect("it is one")).collect();
    let names = ["", "x", "y", "a", "b", "p", "q", "u0", "g0", "organization-a"];
    (
        prop_oneof![Just(Principal::new("u0")), select(principals())],
        select(permissions),
        prop_oneof![select(withins()[..5].to_vec()), select(withins())],
        select(&NAMESPACES[..]),
        select(names.to_vec()),
    )
        .prop_map(|(principal, permission, within, namespace, name)| Question {
            principal,
            permission,
            within,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
}

/// Some values of a strategy, the same each time.
pub(crate) fn sample<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let value = |_| strategy.new_tree(&mut runner).expect("values can be made").current();
    (0..count).map(value).collect()
}
