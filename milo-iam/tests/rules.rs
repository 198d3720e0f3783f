//! The rules of access, one by one, and a negative test for each way in which others got it wrong.
//! Names beginning with S are findings of the specification about Go Milo.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod support;

use milo_iam::{
    Principal, Question, Within,
    world::{Body, Fact, Key, KindName, RoleName, Subject, Target, World, WorldBuilder},
};
use support::{allowed, binding_key, object_of, user};

/// Two organizations with a project each, the kinds Thing (in projects) and Note (in
/// organizations), and roles.
fn base() -> WorldBuilder {
    let all = ["get", "list", "watch", "create", "update", "delete"];
    WorldBuilder::new()
        .organization("acme")
        .organization("evil")
        .project("web", "acme")
        .project("den", "evil")
        .user("ada")
        .user("eve")
        .kind("g.io", "Thing", "things", &all, &["Project"])
        .kind("g.io", "Note", "notes", &all, &["Organization"])
        .kind("iam.miloapis.com", "Group", "groups", &all, &["Organization"])
        .role("", "viewer", &["g.io/things.get", "g.io/things.list", "g.io/notes.get"], &[])
        .role("", "editor", &["g.io/things.update", "g.io/things.delete"], &["viewer"])
        .role(
            "",
            "admin",
            &[
                "resourcemanager.miloapis.com/projects.get",
                "resourcemanager.miloapis.com/projects.delete",
                "resourcemanager.miloapis.com/organizations.get",
                "iam.miloapis.com/users.get",
                "iam.miloapis.com/users.delete",
            ],
            &["editor"],
        )
}

fn question(who: &str, permission: &str) -> Question {
    Question::new(Principal::new(who), permission.parse().unwrap())
}

fn get_thing(who: &str, project: &str) -> Question {
    question(who, "g.io/things.get").within(Within::project(project)).name("a")
}

fn thing() -> KindName {
    KindName::new("g.io", "Thing")
}

#[test]
fn what_nobody_granted_is_denied() {
    assert!(!allowed(&World::new(), &get_thing("ada", "web")));
    assert!(!allowed(&base().build(), &get_thing("ada", "web")));
}

#[test]
fn a_grant_on_an_organization_covers_its_projects_and_no_others() {
    let world = base().bind_on_organization("acme", "b", "viewer", "ada", "acme").build();
    assert!(allowed(&world, &get_thing("ada", "web")));
    assert!(!allowed(&world, &get_thing("eve", "web")));
    assert!(!allowed(&world, &get_thing("ada", "den")));
    let update = question("ada", "g.io/things.update").within(Within::project("web")).name("a");
    assert!(!allowed(&world, &update));
    let list = question("ada", "g.io/things.list").within(Within::project("web"));
    assert!(allowed(&world, &list));
    assert!(!allowed(&world, &question("ada", "g.io/things.list")));
}

#[test]
fn a_grant_on_an_object_is_for_that_object() {
    let bound = |uid: &str| {
        let target = Target::Object {
            kind: thing(),
            namespace: "default".into(),
            name: "a".into(),
            uid: uid.into(),
        };
        base()
            .object(thing(), "web", "default", "a")
            .object(thing(), "web", "other", "a")
            .object(thing(), "den", "default", "a")
            .bind("acme", "b", "viewer", vec![user("ada")], target)
            .build()
    };
    let at = |project: &str, namespace: &str, name: &str| {
        question("ada", "g.io/things.get")
            .within(Within::project(project))
            .namespace(namespace)
            .name(name)
    };
    let world = bound("a-uid");
    assert!(allowed(&world, &at("web", "default", "a")));
    assert!(!allowed(&world, &at("web", "default", "b")));
    // S9: another namespace, another project, another UID.
    assert!(!allowed(&world, &at("web", "other", "a")));
    assert!(!allowed(&world, &at("den", "default", "a")));
    assert!(!allowed(&bound("old"), &at("web", "default", "a")));
    // A collection is not the object.
    assert!(!allowed(&world, &question("ada", "g.io/things.list").within(Within::project("web"))));
}

#[test]
fn a_grant_on_a_kind_reaches_as_far_as_its_home() {
    let bound = |home: &str, kind: KindName| {
        base().bind(home, "b", "admin", vec![user("ada")], Target::Kind(kind)).build()
    };
    let project = KindName::new("resourcemanager.miloapis.com", "Project");
    let organization = KindName::new("resourcemanager.miloapis.com", "Organization");
    for kind in [thing(), project.clone(), organization.clone()] {
        let of_acme = bound("acme", kind.clone());
        assert!(allowed(&of_acme, &get_thing("ada", "web")), "{kind}");
        assert!(!allowed(&of_acme, &get_thing("ada", "den")), "{kind}");
        let of_all = bound("", kind.clone());
        assert!(allowed(&of_all, &get_thing("ada", "web")), "{kind}");
        assert!(allowed(&of_all, &get_thing("ada", "den")), "{kind}");
    }
    let all_projects = question("ada", "resourcemanager.miloapis.com/projects.get").name("web");
    assert!(allowed(&bound("", organization), &all_projects));
    assert!(!allowed(&bound("", thing()), &all_projects));
    let note = question("ada", "g.io/notes.get")
        .within(Within::organization("acme"))
        .namespace("organization-acme")
        .name("n");
    assert!(!allowed(&bound("acme", project), &note), "notes are not below projects");
}

/// S5, S6: what lives with one tenant grants nothing of another's.
#[test]
fn s6_a_binding_reaches_no_further_than_its_home() {
    let world = base()
        .bind_on_organization("evil", "b1", "admin", "eve", "acme")
        .bind_on_project("evil", "b2", "admin", "eve", "web")
        .bind("evil", "b3", "admin", vec![user("eve")], object_of(&base().build(), "User", "ada"))
        .build();
    assert!(!allowed(&world, &get_thing("eve", "web")));
    let organizations = "resourcemanager.miloapis.com/organizations.get";
    assert!(!allowed(&world, &question("eve", organizations).name("acme")));
    assert!(!allowed(&world, &question("eve", "iam.miloapis.com/users.get").name("ada")));
    // A project's own bindings do not reach its organization.
    let key = binding_key("b", "default").in_project("web-uid");
    let body = Body::Binding {
        role: RoleName { namespace: "milo-system".into(), name: "admin".into() },
        subjects: vec![user("ada")],
        target: object_of(&base().build(), "Organization", "acme"),
    };
    let world = base().put(Fact::new(key, "b", body)).build();
    assert!(!allowed(&world, &question("ada", organizations).name("acme")));
    assert!(!allowed(&world, &get_thing("ada", "web")));
}

/// S7, and the hole that it leaves: a role of another tenant could be widened by that tenant.
#[test]
fn s7_roles_of_another_tenant_cannot_be_named() {
    let bind = |role: RoleName| {
        let target = object_of(&base().build(), "Organization", "acme");
        let body = Body::Binding { role, subjects: vec![user("ada")], target };
        Fact::new(binding_key("b", "organization-acme"), "b", body)
    };
    let role = |namespace: &str| RoleName { namespace: namespace.into(), name: "own".into() };
    let world = |home: &str, named: &str| {
        base().role(home, "own", &["g.io/things.get"], &[]).put(bind(role(named))).build()
    };
    assert!(allowed(&world("acme", "organization-acme"), &get_thing("ada", "web")));
    assert!(allowed(&world("acme", ""), &get_thing("ada", "web")), "the binding's namespace");
    assert!(allowed(&world("", "milo-system"), &get_thing("ada", "web")));
    assert!(!allowed(&world("evil", "organization-evil"), &get_thing("ada", "web")));
    // Nor inherited.
    let key =
        Key::new(KindName::new("iam.miloapis.com", "Role"), "own").namespace("organization-acme");
    let inherits = vec![RoleName { namespace: "organization-evil".into(), name: "wide".into() }];
    let own = Fact::new(key, "own", Body::Role { permissions: Vec::new(), inherits });
    let world = base()
        .role("evil", "wide", &["g.io/things.get"], &[])
        .put(own)
        .put(bind(role("organization-acme")))
        .build();
    assert!(!allowed(&world, &get_thing("ada", "web")));
}

/// S1: rights on the control plane of the URL are no rights on what is not in it.
#[test]
fn s1_a_control_plane_must_hold_what_is_named() {
    let world = base()
        .bind_on_organization("evil", "b", "admin", "eve", "evil")
        .bind("", "self", "admin", vec![user("eve")], object_of(&base().build(), "User", "eve"))
        .build();
    let project = |name: &str| {
        question("eve", "resourcemanager.miloapis.com/projects.delete")
            .within(Within::organization("evil"))
            .name(name)
    };
    assert!(allowed(&world, &project("den")));
    assert!(!allowed(&world, &project("web")));
    assert!(!allowed(&world, &project("unknown")));
    let user = |name: &str| {
        question("eve", "iam.miloapis.com/users.delete").within(Within::user("eve")).name(name)
    };
    assert!(allowed(&world, &user("eve")));
    assert!(!allowed(&world, &user("ada")));
    let note = |namespace: &str| {
        question("eve", "g.io/notes.get")
            .within(Within::organization("evil"))
            .namespace(namespace)
            .name("n")
    };
    assert!(allowed(&world, &note("organization-evil")));
    assert!(!allowed(&world, &note("organization-acme")));
    assert!(!allowed(&world, &note("default")));
    assert!(!allowed(&world, &get_thing("eve", "nowhere")));
}

#[test]
fn a_tenant_is_meant_by_its_uid() {
    let world = base().bind_on_organization("acme", "b", "viewer", "ada", "acme").build();
    let within = |uid: &str| {
        let tenant = milo_iam::TenantRef { name: "web".into(), uid: uid.into() };
        get_thing("ada", "").within(Within::Project(tenant))
    };
    assert!(allowed(&world, &within("web-uid")));
    assert!(!allowed(&world, &within("older-uid")));
}

/// S9: users, service accounts and groups that are made again inherit nothing.
#[test]
fn s9_subjects_are_pinned_by_uid() {
    let subject = |name: &str, uid: &str| Subject::User { name: name.into(), uid: uid.into() };
    let bound = |subjects: Vec<Subject>| {
        let target = object_of(&base().build(), "Project", "web");
        base()
            .service_account("robot", "web")
            .group("acme", "staff", &["ada"])
            .bind("acme", "b", "viewer", subjects, target)
            .build()
    };
    assert!(allowed(&bound(vec![subject("ada", "ada-uid")]), &get_thing("ada", "web")));
    assert!(!allowed(&bound(vec![subject("ada", "old")]), &get_thing("ada", "web")));
    assert!(!allowed(&bound(vec![subject("Ada", "ada-uid")]), &get_thing("ada", "web")));
    assert!(!allowed(&bound(vec![subject("ada", "ada-uid")]), &get_thing("ada-uid", "web")));
    let robot = |uid: &str| vec![Subject::ServiceAccount { name: "robot".into(), uid: uid.into() }];
    assert!(allowed(&bound(robot("robot-uid")), &get_thing("robot-uid", "web")));
    assert!(!allowed(&bound(robot("robot-uid")), &get_thing("robot", "web")));
    assert!(!allowed(&bound(robot("old")), &get_thing("old", "web")));
    let group = |uid: &str| {
        let namespace = "organization-acme".into();
        vec![Subject::Group { namespace, name: "staff".into(), uid: uid.into() }]
    };
    assert!(allowed(&bound(group("staff-uid")), &get_thing("ada", "web")));
    assert!(!allowed(&bound(group("staff-uid")), &get_thing("eve", "web")));
    assert!(!allowed(&bound(group("old")), &get_thing("ada", "web")));
}

/// A membership of one tenant must not put anybody into another tenant's group.
#[test]
fn memberships_live_where_the_group_lives() {
    let membership = |namespace: &str| {
        let key = Key::new(KindName::new("iam.miloapis.com", "GroupMembership"), "m");
        let body = Body::Membership {
            group_namespace: "organization-acme".into(),
            group: "staff".into(),
            user: "eve".into(),
        };
        Fact::new(key.namespace(namespace), "m", body)
    };
    let staff = Subject::Group {
        namespace: "organization-acme".into(),
        name: "staff".into(),
        uid: "staff-uid".into(),
    };
    let world = |namespace: &str| {
        let target = object_of(&base().build(), "Project", "web");
        base()
            .group("acme", "staff", &[])
            .bind("acme", "b", "viewer", vec![staff.clone()], target)
            .put(membership(namespace))
            .build()
    };
    assert!(allowed(&world("organization-acme"), &get_thing("eve", "web")));
    assert!(allowed(&world("milo-system"), &get_thing("eve", "web")));
    assert!(!allowed(&world("organization-evil"), &get_thing("eve", "web")));
}

#[test]
fn an_identity_that_two_share_is_nobodys() {
    let world = base()
        .bind_on_project("acme", "b", "viewer", "ada", "web")
        .put(Fact::new(
            Key::new(KindName::new("iam.miloapis.com", "ServiceAccount"), "x"),
            "ada",
            Body::ServiceAccount,
        ))
        .build();
    assert!(!allowed(&world, &get_thing("ada", "web")));
}

/// System groups come from authentication; "everyone" is not a set that somebody can be put into.
#[test]
fn system_groups_come_from_authentication() {
    let bound = |name: &str| {
        let target = object_of(&base().build(), "Project", "web");
        base().bind("acme", "b", "viewer", vec![Subject::System(name.into())], target).build()
    };
    let nobody = || Question { principal: Principal::anonymous(), ..get_thing("", "web") };
    for name in ["system:authenticated", "system:authenticated-users"] {
        assert!(allowed(&bound(name), &get_thing("a-stranger", "web")));
        assert!(!allowed(&bound(name), &nobody()));
    }
    assert!(allowed(&bound("system:unauthenticated"), &nobody()));
    assert!(!allowed(&bound("system:unauthenticated"), &get_thing("ada", "web")));
    for name in ["system:masters", "system:serviceaccounts", "system:", "system:Authenticated"] {
        assert!(!allowed(&bound(name), &get_thing("ada", "web")), "{name}");
    }
}

#[test]
fn unregistered_permissions_are_denied() {
    let world = base()
        .role("", "odd", &["g.io/things.burn", "h.io/others.get", "things.get", "*"], &[])
        .bind_on_project("acme", "b", "odd", "ada", "web")
        .build();
    for permission in ["g.io/things.burn", "h.io/others.get", "g.io/things.get"] {
        let question = question("ada", permission).within(Within::project("web")).name("a");
        assert!(!allowed(&world, &question), "{permission}");
    }
}

#[test]
fn s13_subresources_have_their_own_permission_where_registered() {
    let bound = |verbs: &[&str], permission: &str| {
        base()
            .kind("s.io", "Thing", "things", verbs, &["Project"])
            .role("", "r", &[permission], &[])
            .bind_on_project("acme", "b", "r", "ada", "web")
            .build()
    };
    let status =
        question("ada", "s.io/things/status.update").within(Within::project("web")).name("a");
    assert!(allowed(&bound(&["update", "status.update"], "s.io/things/status.update"), &status));
    assert!(!allowed(&bound(&["update", "status.update"], "s.io/things.update"), &status));
    assert!(allowed(&bound(&["update"], "s.io/things.update"), &status));
    assert!(!allowed(&bound(&["update"], "s.io/things/status.update"), &status));
}

#[test]
fn deleting_a_collection_needs_delete_on_it() {
    let world = base().bind_on_project("acme", "b", "editor", "ada", "web").build();
    let all = question("ada", "g.io/things.deletecollection");
    assert!(allowed(&world, &all.clone().within(Within::project("web"))));
    assert!(!allowed(&world, &all.within(Within::project("den"))));
}

#[test]
fn inherited_roles_and_cycles() {
    let world = base()
        .role("", "a", &["g.io/things.update"], &["b"])
        .role("", "b", &[], &["c", "missing"])
        .role("", "c", &["g.io/things.get"], &["a"])
        .bind_on_project("acme", "b", "b", "ada", "web")
        .build();
    assert!(allowed(&world, &get_thing("ada", "web")));
    let update = question("ada", "g.io/things.update").within(Within::project("web")).name("a");
    assert!(allowed(&world, &update));
    let delete = question("ada", "g.io/things.delete").within(Within::project("web")).name("a");
    assert!(!allowed(&world, &delete));
    let missing = base().bind_on_project("acme", "b", "missing", "ada", "web").build();
    assert!(!allowed(&missing, &get_thing("ada", "web")));
}

#[test]
fn the_lesser_name_counts_of_two_registrations() {
    let world = base()
        .kind("f.io", "Thing", "things", &["get"], &["Project"])
        .put(Fact::new(
            Key::new(KindName::new("iam.miloapis.com", "ProtectedResource"), "zzz"),
            "zzz",
            Body::ProtectedResource {
                kind: thing(),
                plural: "others".into(),
                verbs: vec!["get".into()],
                parents: Vec::new(),
            },
        ))
        .role("", "all", &["g.io/others.get", "g.io/things.get"], &[])
        .bind_on_project("acme", "b", "all", "ada", "web")
        .build();
    assert!(allowed(&world, &get_thing("ada", "web")));
    let other = question("ada", "g.io/others.get").within(Within::project("web")).name("a");
    assert!(!allowed(&world, &other));
}

#[test]
fn s14_no_two_permissions_are_one() {
    let world = base()
        .kind("g.io", "Foo", "foos", &["get"], &["Project"])
        .role("", "r", &["g.io/foos.get"], &[])
        .bind_on_project("acme", "b", "r", "ada", "web")
        .build();
    let ask = |permission: &str, within| {
        allowed(&world, &question("ada", permission).within(Within::project(within)).name("a"))
    };
    assert!(ask("g.io/foos.get", "web"));
    assert!(!ask("g.io/things.get", "web"));
    assert!(!ask("g.io/foos.get", "Web"), "names are compared byte by byte");
}

#[test]
fn a_project_without_its_organization_is_no_ones() {
    let world = base().bind_on_project("acme", "b", "viewer", "ada", "web").build();
    let organization =
        Key::new(KindName::new("resourcemanager.miloapis.com", "Organization"), "acme");
    let without = world.with([milo_iam::world::Change::Remove(organization.clone())]);
    assert!(!allowed(&without, &get_thing("ada", "web")));
    let again = Fact::new(organization, "another", Body::Organization);
    let again = without.with([milo_iam::world::Change::put(again)]);
    assert!(!allowed(&again, &get_thing("ada", "web")));
}

/// S10: nothing outlives the object that it came from.
#[test]
fn s10_removed_objects_grant_nothing() {
    let staff = Subject::Group {
        namespace: "organization-acme".into(),
        name: "staff".into(),
        uid: "staff-uid".into(),
    };
    let target = object_of(&base().build(), "Project", "web");
    let world = base()
        .group("acme", "staff", &["ada"])
        .bind("acme", "b", "viewer", vec![staff], target)
        .build();
    assert!(allowed(&world, &get_thing("ada", "web")));
    let keys: Vec<Key> = world.facts().map(|fact| fact.key().clone()).collect();
    let needed = ["staff", "staff-ada", "ada", "acme", "web", "viewer", "b", "g.io-things"];
    let mut seen = 0;
    for key in keys {
        let without = world.with([milo_iam::world::Change::Remove(key.clone())]);
        let is_needed = needed.contains(&&*key.name);
        seen += usize::from(is_needed);
        assert_eq!(allowed(&without, &get_thing("ada", "web")), !is_needed, "{key}");
    }
    assert_eq!(seen, needed.len());
}
