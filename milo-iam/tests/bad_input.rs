//! Hostile and broken facts: an error with a name or a degraded state, never a grant, never a panic,
//! in bounded time.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod support;

use std::time::{Duration, Instant};

use milo_core::object::Object;
use milo_iam::{
    Principal, Question, Snapshot, Within,
    world::{Body, Fact, Key, KindName, Plane, RoleName, Subject, WorldBuilder},
};
use serde_json::{Value, json};
use support::{allowed, binding_key, object_of, user};

/// What a broken test may take; what is tested takes far less.
const BOUND: Duration = Duration::from_secs(60);

fn base() -> WorldBuilder {
    WorldBuilder::new().organization("acme").project("web", "acme").user("ada").kind(
        "g.io",
        "Thing",
        "things",
        &["get"],
        &["Project"],
    )
}

fn question() -> Question {
    Question::new(Principal::new("ada"), "g.io/things.get".parse().unwrap())
        .within(Within::project("web"))
        .name("a")
}

fn error(object: Value) -> String {
    let object = Object::from_value(object).unwrap();
    Fact::from_object(&Plane::Platform, &object).unwrap_err().to_string()
}

fn iam(kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "iam.miloapis.com/v1alpha1", "kind": kind,
        "metadata": {"name": "x", "namespace": "organization-acme", "uid": "1"}, "spec": spec,
    })
}

#[test]
fn what_cannot_be_read_is_named() {
    assert_eq!(
        error(json!({"apiVersion": "g.io/v1", "kind": "Thing", "metadata": {"name": "a"}})),
        "object Thing `a` has no metadata.uid: give it one, or leave the object out"
    );
    assert_eq!(
        error(json!({"metadata": {"name": "a", "uid": "1"}})),
        "object  `a` has no kind: give it one, or leave the object out"
    );
    assert_eq!(
        error(iam(
            "PolicyBinding",
            &json!({
                "roleRef": {"name": "r"}, "subjects": [], "resourceSelector": {},
            })
        )),
        "PolicyBinding organization-acme/x: spec.resourceSelector must have one of resourceRef and \
         resourceKind"
    );
    let robot = json!({
        "roleRef": {"name": "r"}, "resourceSelector": {"resourceKind": {"kind": "Thing"}},
        "subjects": [{"kind": "Robot", "name": "r2"}],
    });
    assert!(error(iam("PolicyBinding", &robot)).contains("unknown variant `Robot`"));
    let project = json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1", "kind": "Project",
        "metadata": {"name": "p", "uid": "1"},
        "spec": {"ownerRef": {"kind": "Organization", "name": "acme"}},
    });
    assert!(error(project).contains("has no label resourcemanager.miloapis.com/organization-uid"));
    assert!(error(iam("Role", &json!({"launchStage": 7}))).contains("does not fit its kind"));
}

/// Kinds of tenants in a project's own keyspace are objects like any other: nobody becomes an
/// organization by making an object that is called one.
#[test]
fn tenants_are_the_platforms() {
    let object = Object::from_value(json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1", "kind": "Organization",
        "metadata": {"name": "acme", "uid": "acme-uid"},
    }))
    .unwrap();
    let fact = Fact::from_object(&Plane::Project("web-uid".into()), &object).unwrap();
    assert_eq!(fact.body(), &Body::Other);
}

#[test]
fn malformed_permissions_and_look_alikes_grant_nothing() {
    for text in [
        "g.io/things.GET",
        "g.io/things.get ",
        " g.io/things.get",
        "g.io/things.*",
        "g.io/*.get",
        "*",
        "g.io/th\u{456}ngs.get",
        "g.io/things/.get",
        "g.io//things.get",
        "g\u{2024}io/things.get",
        "G.io/things.get",
        "g.io/things.get\0",
        "g.io:things.get",
        "",
    ] {
        let world = base()
            .role("", "r", &[text], &[])
            .bind_on_project("acme", "b", "r", "ada", "web")
            .build();
        assert!(!allowed(&world, &question()), "{text:?}");
    }
}

/// Keys are structured: no separator in a name makes one of two.
#[test]
fn names_with_separators_are_no_other_names() {
    let bound = |namespace: &str, name: &str| {
        let thing = KindName::new("g.io", "Thing");
        let key = Key::new(thing, name).namespace(namespace).in_project("web-uid");
        let fact = Fact::new(key, "t-uid", Body::Other);
        let target = fact.as_target();
        base()
            .role("", "r", &["g.io/things.get"], &[])
            .put(fact)
            .bind("acme", "b", "r", vec![user("ada")], target)
            .build()
    };
    let ask = |namespace: &str, name: &str| question().namespace(namespace).name(name);
    for separator in ["/", ":", "#", "\0", "|", ","] {
        let joined = format!("a{separator}b");
        let world = bound(&joined, "c");
        assert!(allowed(&world, &ask(&joined, "c")));
        assert!(!allowed(&world, &ask("a", &format!("b{separator}c"))));
        let world = bound("", &joined);
        assert!(!allowed(&world, &ask("a", "b")));
    }
    assert!(!allowed(&bound("", "Foo"), &ask("", "foo")), "byte by byte");
}

#[test]
fn ten_thousand_inherited_roles() {
    let start = Instant::now();
    let mut builder = base().bind_on_project("acme", "b", "r0", "ada", "web");
    for n in 0..10_000 {
        let own: &[&str] = if n == 9_999 { &["g.io/things.get"] } else { &[] };
        // A chain, with a loop back to its beginning.
        let next = format!("r{}", (n + 1) % 10_000);
        builder = builder.role("", &format!("r{n}"), own, &[&next]);
    }
    let snapshot = Snapshot::of(builder.build());
    assert!(snapshot.check(&question()));
    let milo_iam::Explanation::Allowed(certificate) = snapshot.explain(&question()) else {
        unreachable!("it is allowed")
    };
    assert_eq!(certificate.roles.len(), 10_000);
    assert!(certificate.verify(snapshot.world()));
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
}

#[test]
fn a_binding_with_a_hundred_thousand_subjects() {
    let start = Instant::now();
    let subject =
        |n: u32| Subject::User { name: format!("u{n}").into(), uid: format!("u{n}-uid").into() };
    let mut subjects: Vec<Subject> = (0..100_000).map(subject).collect();
    subjects.extend([user("ada"), user("ada")]);
    let world = base()
        .role("", "r", &["g.io/things.get"], &[])
        .bind("acme", "b", "r", subjects, object_of(&base().build(), "Project", "web"))
        .build();
    let snapshot = Snapshot::of(world);
    assert!(snapshot.check(&question()));
    let stranger = Question { principal: Principal::new("u7"), ..question() };
    assert!(!snapshot.check(&stranger), "a user who is not there");
    assert_eq!(snapshot.list_subjects(&question()).page(None, 10).items, ["ada".into()]);
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
}

/// Who is in many groups, and bound to many objects, is allowed what any one binding grants. Each
/// group has several bindings, and one more on what is asked about, of which one has the permission.
#[test]
fn somebody_who_is_granted_much() {
    const GROUPS: usize = 40;
    let web = object_of(&base().build(), "Project", "web");
    let group = |n: usize| Subject::Group {
        namespace: "organization-acme".into(),
        name: format!("g{n}").into(),
        uid: format!("g{n}-uid").into(),
    };
    let mut world = base().role("", "r", &["g.io/things.get"], &[]).role("", "none", &[], &[]);
    for n in 0..GROUPS {
        world = world.group("acme", &format!("g{n}"), &["ada"]);
        let subjects = vec![group(n), user("ada")];
        world = world.bind("acme", &format!("web{n}"), "none", subjects, web.clone());
        for other in 0..n {
            let project = format!("p{n}-{other}");
            world = world.project(&project, "acme");
            let target = object_of(&world.clone().build(), "Project", &project);
            let subjects = vec![group(n), user("ada")];
            world = world.bind("acme", &format!("b{n}-{other}"), "r", subjects, target);
        }
    }
    assert!(!allowed(&world.clone().build(), &question()));
    for subject in (0..GROUPS).map(group).chain([user("ada")]) {
        let world = world.clone().bind("acme", "z", "r", vec![subject], web.clone()).build();
        assert!(allowed(&world, &question()));
    }
}

#[test]
fn dangling_references_grant_nothing() {
    let staff = Subject::Group {
        namespace: "organization-acme".into(),
        name: "ghosts".into(),
        uid: "ghosts-uid".into(),
    };
    let role = RoleName { namespace: "nowhere".into(), name: "r".into() };
    let target = object_of(&base().build(), "Project", "web");
    let body = Body::Binding { role, subjects: vec![staff, user("ada")], target };
    let world = base().put(Fact::new(binding_key("b", "organization-acme"), "b", body)).build();
    assert!(!allowed(&world, &question()));
    let snapshot = Snapshot::of(world);
    let binding = snapshot.world().get(&binding_key("b", "organization-acme")).unwrap();
    assert_eq!(
        snapshot.can_grant(&Principal::new("ada"), &binding).unwrap_err().to_string(),
        "PolicyBinding organization-acme/b: spec.roleRef names no role that can be granted here: \
         name one of the same namespace or of the platform"
    );
}

/// A cycle of kinds, or a kind below itself, harms nobody.
#[test]
fn cycles_of_kinds_end() {
    let world = WorldBuilder::new()
        .organization("acme")
        .project("web", "acme")
        .user("ada")
        .kind("g.io", "A", "as", &["get"], &["B"])
        .kind("g.io", "B", "bs", &["get"], &["A", "B", "Project"])
        .role("", "r", &["g.io/as.get"], &[])
        .bind_on_project("acme", "b", "r", "ada", "web")
        .build();
    let ask = |permission: &str| Question { permission: permission.parse().unwrap(), ..question() };
    assert!(allowed(&world, &ask("g.io/as.get")));
    assert!(!allowed(&world, &ask("g.io/bs.get")));
}

/// What no `ProtectedResource` registers is denied, and said to be.
#[test]
fn unregistered_permissions_are_named() {
    let world = base()
        .role("", "r", &["g.io/things.burn", "h.io/others.get"], &[])
        .bind_on_project("acme", "b", "r", "ada", "web")
        .build();
    for permission in ["g.io/things.burn", "h.io/others.get"] {
        let asked = Question { permission: permission.parse().unwrap(), ..question() };
        assert!(!allowed(&world, &asked));
        let guard = Snapshot::of(world.clone()).guard(&asked).unwrap();
        assert_eq!(guard.to_string(), format!("no ProtectedResource registers {permission}"));
    }
}

/// Names that look alike are other names, of users, projects and objects.
#[test]
fn names_that_look_alike_are_other_names() {
    let world = base()
        .role("", "r", &["g.io/things.get"], &[])
        .user("\u{430}da")
        .bind_on_project("acme", "b", "r", "ada", "web")
        .build();
    assert!(allowed(&world, &question()));
    for name in ["\u{430}da", "ada\u{200b}", "a\u{301}da", "\u{ff41}da", "ada "] {
        let asked = Question { principal: Principal::new(name), ..question() };
        assert!(!allowed(&world, &asked), "{name:?}");
    }
    for name in ["w\u{435}b", "web\u{200b}", "WEB"] {
        assert!(!allowed(&world, &question().within(Within::project(name))), "{name:?}");
    }
}

/// What has the name of something else, and another UID, is something else.
#[test]
fn names_that_collide_and_uids_that_do_not() {
    let world = |uid: &str| {
        let named = Subject::User { name: "ada".into(), uid: uid.into() };
        let target = object_of(&base().build(), "Project", "web");
        base()
            .role("", "r", &["g.io/things.get"], &[])
            .bind("acme", "b", "r", vec![named], target)
            .build()
    };
    assert!(allowed(&world("ada-uid"), &question()));
    for uid in ["", "ada", "Ada-uid", "ada-uid ", "another"] {
        assert!(!allowed(&world(uid), &question()), "{uid:?}");
    }
}

/// A group with a hundred thousand memberships, most of them dangling, and one user in a thousand
/// groups.
#[test]
fn a_group_with_a_hundred_thousand_memberships() {
    let start = Instant::now();
    let names: Vec<String> = (0..100_000).map(|n| format!("u{n}")).collect();
    let mut users: Vec<&str> = names.iter().map(String::as_str).collect();
    users.push("ada");
    let staff = Subject::Group {
        namespace: "organization-acme".into(),
        name: "staff".into(),
        uid: "staff-uid".into(),
    };
    let mut builder = base()
        .role("", "r", &["g.io/things.get"], &[])
        .group("acme", "staff", &users)
        .bind("acme", "b", "r", vec![staff], object_of(&base().build(), "Project", "web"));
    for n in 0..1000 {
        builder = builder.group("acme", &format!("g{n}"), &["ada"]);
    }
    let snapshot = Snapshot::of(builder.build());
    assert!(snapshot.check(&question()));
    assert_eq!(snapshot.list_subjects(&question()).page(None, 10).items, ["ada".into()]);
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
}

/// Facts that are too large to be kept in little room are kept as they came.
#[test]
fn names_as_long_as_they_get() {
    let mut builder = base().role("", "r", &["g.io/things.get"], &[]);
    for n in 0..300 {
        let long = format!("{n}{}", "x".repeat(5000));
        let target = object_of(&base().build(), "Project", "web");
        builder = builder.bind("acme", &long, "r", vec![user(&long)], target).user(&long);
    }
    let snapshot = Snapshot::of(builder.build());
    for n in [0, 150, 299] {
        let principal = Principal::new(format!("{n}{}", "x".repeat(5000)));
        assert!(snapshot.check(&Question { principal, ..question() }));
    }
    assert!(!snapshot.check(&question()));
}
