//! The root causes of advisories about other evaluators, each with a test that it is not here.
//! `CVE` and `GHSA` numbers are of OpenFGA and SpiceDB unless a test says otherwise; S5 to S14 are in
//! `rules.rs`, `evaluator.rs` and here.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod support;

use milo_iam::{
    Evaluator, GrantError, Principal, Question, Snapshot, Within,
    world::{Body, Change, Fact, Key, KindName, RoleName, Subject, Target, World, WorldBuilder},
};
use support::{allowed, binding_key, object_of, user};

fn base() -> WorldBuilder {
    let all = ["get", "list", "update", "delete"];
    WorldBuilder::new()
        .organization("acme")
        .organization("evil")
        .project("web", "acme")
        .project("den", "evil")
        .user("ada")
        .user("eve")
        .kind("g.io", "Thing", "things", &all, &["Project"])
        .kind("iam.miloapis.com", "Role", "roles", &["bind"], &[])
        .role("", "viewer", &["g.io/things.get", "g.io/things.list"], &[])
        .role("", "admin", &["g.io/things.update", "g.io/things.delete"], &["viewer"])
}

fn question(who: &str, permission: &str) -> Question {
    Question::new(Principal::new(who), permission.parse().unwrap())
        .within(Within::project("web"))
        .name("a")
}

fn get(who: &str) -> Question {
    question(who, "g.io/things.get")
}

fn thing() -> KindName {
    KindName::new("g.io", "Thing")
}

fn project_kind() -> KindName {
    KindName::new("resourcemanager.miloapis.com", "Project")
}

fn staff() -> Subject {
    Subject::Group {
        namespace: "organization-acme".into(),
        name: "staff".into(),
        uid: "staff-uid".into(),
    }
}

fn web() -> Target {
    object_of(&base().build(), "Project", "web")
}

/// CVE-2022-39340: what streams passes the same gate as what answers at once.
#[test]
fn cve_2022_39340_lists_pass_the_gate_of_checks() {
    let world = base()
        .object(thing(), "web", "default", "a")
        .object(thing(), "den", "default", "a")
        .bind_on_project("acme", "b", "viewer", "ada", "web")
        .build();
    let snapshot = Snapshot::of(world);
    let get = "g.io/things.get".parse().unwrap();
    for (who, count) in [("ada", 1), ("eve", 0), ("", 0), ("stranger", 0)] {
        let list = snapshot.list_objects(&Principal::new(who), &get).unwrap();
        assert_eq!(list.iter_after(None).count(), count, "{who}");
        assert_eq!(list.page(None, 10).items.len(), count, "{who}");
    }
}

/// CVE-2022-39341, CVE-2022-39352: a star is no parent, no subject and no permission.
#[test]
fn cve_2022_39341_a_wildcard_is_a_name_like_any_other() {
    for star in ["*", "system:*", "user:*"] {
        let subject = Subject::User { name: star.into(), uid: star.into() };
        let world = base().bind("acme", "b", "viewer", vec![subject], web()).build();
        assert!(!allowed(&world, &get("ada")), "{star}");
        let system = Subject::System(star.into());
        let world = base().bind("acme", "b", "viewer", vec![system], web()).build();
        assert!(!allowed(&world, &get("ada")), "{star}");
    }
    let all = Target::Object {
        kind: project_kind(),
        namespace: "".into(),
        name: "*".into(),
        uid: "*".into(),
    };
    let world = base().bind("", "b", "viewer", vec![user("ada")], all).build();
    assert!(!allowed(&world, &get("ada")));
    let world =
        base().bind("", "b", "viewer", vec![user("ada")], Target::Kind(KindName::new("*", "*")));
    assert!(!allowed(&world.build(), &get("ada")));
}

/// CVE-2022-39342, CVE-2022-23542: a binding to a kind under which nothing is registered, or is no
/// longer, grants nothing: stored facts are held against what is registered now.
#[test]
fn cve_2022_23542_stored_bindings_are_held_against_the_newest_registrations() {
    let evaluator = Evaluator::new();
    evaluator
        .relist(1, base().bind_on_project("acme", "b", "viewer", "ada", "web").build())
        .unwrap();
    assert!(evaluator.snapshot().check(&get("ada")));
    let elsewhere =
        WorldBuilder::new().kind("g.io", "Thing", "things", &["get"], &["User"]).build();
    let registration =
        Key::new(KindName::new("iam.miloapis.com", "ProtectedResource"), "g.io-things");
    evaluator.apply(2, [Change::Put(elsewhere.get(&registration).unwrap())]).unwrap();
    assert!(!evaluator.snapshot().check(&get("ada")), "things are not below projects any more");
}

/// CVE-2023-35933, CVE-2023-43645: cycles of roles and of kinds end, at build and not at the check.
#[test]
fn cve_2023_35933_cycles_are_condensed() {
    let world = base()
        .role("", "a", &[], &["b"])
        .role("", "b", &[], &["c", "a", "b"])
        .role("", "c", &["g.io/things.get"], &["a"])
        .bind_on_project("acme", "b", "a", "ada", "web")
        .build();
    assert!(allowed(&world, &get("ada")));
    assert!(!allowed(&world, &question("ada", "g.io/things.delete")));
}

/// CVE-2023-40579, CVE-2023-35930, CVE-2024-32001, CVE-2025-65111: a list is a filter of checks. In
/// random worlds: `questions.rs`.
#[test]
fn cve_2023_40579_lists_of_subjects_are_filters_of_checks() {
    let world = base()
        .group("acme", "staff", &["ada", "ghost"])
        .bind("acme", "b", "viewer", vec![staff(), user("eve"), user("ghost")], web())
        .build();
    let snapshot = Snapshot::of(world);
    let who = snapshot.list_subjects(&get("")).page(None, 10).items;
    assert_eq!(who, ["ada".into(), "eve".into()], "and nobody who does not exist");
}

/// CVE-2023-45810, CVE-2024-23820: what a list costs is bounded by what is taken of it.
#[test]
fn cve_2023_45810_pages_are_bounded() {
    let mut builder = base().bind_on_project("acme", "b", "viewer", "ada", "web");
    for n in 0..500 {
        builder = builder.object(thing(), "web", "default", &format!("t{n:03}"));
    }
    let snapshot = Snapshot::of(builder.build());
    let list = snapshot.list_objects(&Principal::new("ada"), &"g.io/things.get".parse().unwrap());
    let list = list.unwrap();
    let page = list.page(None, 3);
    assert_eq!((page.items.len(), page.complete), (3, false), "never cut short in silence");
    assert_eq!(list.extents().len(), 1);
}

/// CVE-2024-56323, CVE-2026-33729, CVE-2026-34972, CVE-2026-41131, CVE-2026-48096, CVE-2026-55866: no
/// decision is remembered, so no key of one can collide. All that a question says counts.
#[test]
fn cve_2026_33729_every_part_of_a_question_counts() {
    let world = base()
        .object(thing(), "web", "ns", "a")
        .bind(
            "acme",
            "b",
            "viewer",
            vec![user("ada")],
            Target::Object {
                kind: thing(),
                namespace: "ns".into(),
                name: "a".into(),
                uid: "a-uid".into(),
            },
        )
        .build();
    let snapshot = Snapshot::of(world);
    let asked = get("ada").namespace("ns");
    let others = [
        get("eve").namespace("ns"),
        question("ada", "g.io/things.delete").namespace("ns"),
        get("ada").namespace("ns").within(Within::project("den")),
        get("ada").namespace("ns").within(Within::Platform),
        get("ada").namespace("n"),
        get("ada").namespace("ns").name("b"),
        get("ada").namespace("nsa").name(""),
        get("ada").namespace("").name("nsa"),
    ];
    for other in others {
        assert!(snapshot.check(&asked));
        assert!(!snapshot.check(&other), "{other}");
        assert!(snapshot.check(&asked));
    }
}

/// CVE-2025-25196: everyone and a set are different things. A group named like a system group is a
/// group, and one that is in nobody's hands.
#[test]
fn cve_2025_25196_a_group_is_never_everyone() {
    let group = Subject::Group {
        namespace: "organization-evil".into(),
        name: "system:authenticated".into(),
        uid: "system:authenticated-uid".into(),
    };
    let world = base()
        .group("evil", "system:authenticated", &["eve"])
        .bind("acme", "b", "viewer", vec![group], web())
        .build();
    assert!(allowed(&world, &get("eve")), "who is in the group");
    assert!(!allowed(&world, &get("ada")), "who is not");
    let system = Subject::System("system:authenticated".into());
    let world = base().bind("acme", "b", "viewer", vec![system], web()).build();
    let anonymous = Question { principal: Principal::anonymous(), ..get("") };
    assert!(!allowed(&world, &anonymous));
}

/// CVE-2025-46331, and fixes of cancelled or racing requests: what is found on the way is not kept.
#[test]
fn cve_2025_46331_answers_do_not_depend_on_what_was_asked_before() {
    let world = base()
        .role("", "a", &[], &["b"])
        .role("", "b", &["g.io/things.get"], &["a"])
        .bind_on_project("acme", "b", "a", "ada", "web")
        .build();
    let snapshot = Snapshot::of(world);
    for _ in 0..3 {
        assert!(!snapshot.check(&question("ada", "g.io/things.delete")));
        drop(snapshot.resolve(&get("ada")));
        assert!(snapshot.check(&get("ada")));
    }
}

/// CVE-2025-48371: facts that are only tried out are held to the same rules as stored ones.
#[test]
fn cve_2025_48371_what_is_tried_out_is_judged_like_what_is_stored() {
    let world = base().build();
    let snapshot = Snapshot::of(world.clone());
    let foreign = base().bind_on_project("evil", "b", "admin", "eve", "web").build();
    let change = Change::Put(foreign.get(&binding_key("b", "organization-evil")).unwrap());
    assert!(snapshot.what_if([change]).is_empty(), "a binding of another tenant");
    let dead = base()
        .bind(
            "acme",
            "b",
            "admin",
            vec![Subject::User { name: "eve".into(), uid: "old".into() }],
            web(),
        )
        .build();
    let change = Change::Put(dead.get(&binding_key("b", "organization-acme")).unwrap());
    assert!(snapshot.what_if([change]).is_empty(), "a subject that does not exist");
    assert_eq!(snapshot.world().len(), world.len(), "and nothing is kept");
}

/// CVE-2025-55213: several subjects of one kind in one binding, and several bindings, do not shadow
/// one another.
#[test]
fn cve_2025_55213_subjects_of_one_kind_are_all_looked_at() {
    let other = Subject::Group {
        namespace: "organization-acme".into(),
        name: "others".into(),
        uid: "others-uid".into(),
    };
    let world = base()
        .group("acme", "staff", &["ada"])
        .group("acme", "others", &["eve"])
        .bind("acme", "b", "viewer", vec![other, staff()], web())
        .bind("acme", "c", "admin", vec![staff()], web())
        .build();
    assert!(allowed(&world, &get("ada")) && allowed(&world, &get("eve")));
    assert!(allowed(&world, &question("ada", "g.io/things.delete")));
    assert!(!allowed(&world, &question("eve", "g.io/things.delete")));
}

/// CVE-2025-64751: the full type of a grant is matched, not a beginning of it.
#[test]
fn cve_2025_64751_no_name_matches_by_its_beginning() {
    let world = base()
        .kind("g.io", "ThingSet", "thingsets", &["get", "getall"], &["Project"])
        .kind("g.io.evil", "Thing", "things", &["get"], &["Project"])
        .bind_on_project("acme", "b", "viewer", "ada", "web")
        .build();
    for permission in ["g.io/thingsets.get", "g.io/thingsets.getall", "g.io.evil/things.get"] {
        assert!(!allowed(&world, &question("ada", permission)), "{permission}");
    }
}

/// CVE-2026-24851: what is pruned by an order is in that order. Rows of the engine are longer than
/// what is compared entry by entry, and subjects come in no order.
#[test]
fn cve_2026_24851_long_rows_are_searched_in_their_order() {
    let name = |n: usize| format!("u{}", n * 7919 % 1000);
    let mut builder = base();
    for n in 0..400 {
        builder = builder.user(&name(n));
    }
    let even = (0..400).filter(|n| n % 2 == 0).map(|n| user(&name(n))).collect();
    let snapshot = Snapshot::of(builder.bind("acme", "b", "viewer", even, web()).build());
    for n in 0..400 {
        assert_eq!(snapshot.check(&get(&name(n))), n % 2 == 0, "{}", name(n));
    }
}

/// CVE-2026-55170: names are compared byte by byte.
#[test]
fn cve_2026_55170_names_have_their_case() {
    let world = base().bind_on_project("acme", "b", "viewer", "ada", "web").build();
    assert!(!allowed(&world, &get("Ada")));
    assert!(!allowed(&world, &get("ada").within(Within::project("WEB"))));
    assert!(!allowed(&world, &get("ada").within(Within::project("web "))));
}

/// CVE-2026-55689: nothing is granted to who says nothing of authentication.
#[test]
fn cve_2026_55689_there_is_no_default_principal_with_access() {
    let system = |name: &str| Subject::System(name.into());
    let subjects = vec![system("system:authenticated"), system("system:unauthenticated")];
    let world = base().bind("acme", "b", "viewer", subjects, web()).build();
    let unsaid = Question { principal: Principal::default(), ..get("") };
    assert!(!allowed(&world, &unsaid));
}

/// CVE-2024-46989, CVE-2025-49011: of several ways to a permission all are combined, whichever goes.
#[test]
fn cve_2024_46989_one_of_several_ways_is_enough() {
    let world = base()
        .group("acme", "staff", &["ada"])
        .bind_on_project("acme", "b", "viewer", "ada", "web")
        .bind_on_organization("acme", "c", "viewer", "ada", "acme")
        .bind("acme", "d", "viewer", vec![staff()], web())
        .bind("", "e", "viewer", vec![user("ada")], Target::Kind(thing()))
        .build();
    let bindings = [
        ("b", "organization-acme"),
        ("c", "organization-acme"),
        ("d", "organization-acme"),
        ("e", "milo-system"),
    ];
    for kept in 0..bindings.len() {
        let others = bindings.iter().enumerate().filter(|(at, _)| *at != kept);
        let gone =
            others.map(|(_, (name, namespace))| Change::Remove(binding_key(name, namespace)));
        assert!(allowed(&world.with(gone), &get("ada")), "{}", bindings[kept].0);
    }
    let gone = bindings.map(|(name, namespace)| Change::Remove(binding_key(name, namespace)));
    assert!(!allowed(&world.with(gone), &get("ada")));
}

/// CVE-2025-64529: a batch is taken whole or not at all.
#[test]
fn cve_2025_64529_what_is_refused_is_an_error_and_changes_nothing() {
    let evaluator = Evaluator::new();
    let world = base().bind_on_project("acme", "b", "viewer", "ada", "web").build();
    evaluator.relist(5, world).unwrap();
    let gone = || Change::Remove(binding_key("b", "organization-acme"));
    assert!(evaluator.apply(5, [gone()]).is_err());
    assert!(evaluator.snapshot().check(&get("ada")));
    evaluator.apply(6, [gone()]).unwrap();
    assert!(!evaluator.snapshot().check(&get("ada")));
}

/// CVE-2024-48909, CVE-2026-46668, and Ory Keto's #1452: where something is asked is part of the
/// question, and a parent has a type.
#[test]
fn keto_1452_parents_have_a_kind() {
    let named_alike = Target::Object {
        kind: thing(),
        namespace: "".into(),
        name: "web".into(),
        uid: "web-uid".into(),
    };
    let world = base().bind("acme", "b", "viewer", vec![user("ada")], named_alike).build();
    assert!(!allowed(&world, &get("ada")), "a thing that is called like the project is not above");
}

/// Ory Keto's #1522: the order of facts does not matter.
#[test]
fn keto_1522_the_order_of_facts_does_not_matter() {
    let world = base()
        .group("acme", "staff", &["ada"])
        .bind("acme", "b", "admin", vec![staff()], web())
        .build();
    let mut facts: Vec<_> = world.facts().collect();
    for _ in 0..facts.len() {
        facts.rotate_left(1);
        let evaluator = Evaluator::new();
        evaluator.relist(1, World::new()).unwrap();
        for (fact, revision) in facts.iter().zip(2..) {
            evaluator.apply(revision, [Change::Put(fact.clone())]).unwrap();
        }
        assert!(evaluator.snapshot().check(&get("ada")), "{}", facts[0].key());
        assert!(!evaluator.snapshot().check(&get("eve")));
    }
}

/// SpiceDB's #3239 and #3243: a revision is only told of when its state is there, and a state that is
/// being built is never seen.
#[test]
fn spicedb_3243_a_relist_is_seen_whole() {
    let evaluator = Evaluator::new();
    assert_eq!(evaluator.snapshot().revision(), 0);
    assert!(!evaluator.snapshot().check(&get("ada")));
    let held = evaluator.snapshot();
    let world = base().bind_on_project("acme", "b", "viewer", "ada", "web").build();
    evaluator.relist(9, world).unwrap();
    assert_eq!((held.revision(), held.check(&get("ada"))), (0, false));
    assert_eq!(evaluator.snapshot().revision(), 9);
    assert!(evaluator.snapshot().check(&get("ada")));
}

/// Cedar 4.11.2: the closure of kinds is right for cycles of three and more.
#[test]
fn cedar_4_11_2_cycles_of_three_kinds_are_closed() {
    let world = base()
        .kind("c.io", "A", "as", &["get"], &["C"])
        .kind("c.io", "B", "bs", &["get"], &["A"])
        .kind("c.io", "C", "cs", &["get"], &["B", "Project"])
        .role("", "r", &["c.io/as.get", "c.io/bs.get", "c.io/cs.get"], &[])
        .bind_on_project("acme", "b", "r", "ada", "web")
        .build();
    for permission in ["c.io/as.get", "c.io/bs.get", "c.io/cs.get"] {
        assert!(allowed(&world, &question("ada", permission)), "{permission}");
    }
}

/// Hazard 3 of Go Milo: a binding that turned invalid grants nothing while it is.
#[test]
fn hazard_3_an_invalid_binding_grants_nothing() {
    let world = base().bind_on_project("acme", "b", "viewer", "ada", "web").build();
    for gone in [
        Key::new(KindName::new("iam.miloapis.com", "User"), "ada"),
        Key::new(project_kind(), "web"),
    ] {
        assert!(!allowed(&world.with([Change::Remove(gone.clone())]), &get("ada")), "{gone}");
    }
}

/// Hazard 5 of Go Milo: bindings that overlap do not share what they grant.
#[test]
fn hazard_5_overlapping_bindings_are_removed_one_by_one() {
    let evaluator = Evaluator::new();
    let world = base()
        .bind("acme", "b", "viewer", vec![user("ada"), user("ada")], web())
        .bind("acme", "c", "viewer", vec![user("ada")], web())
        .build();
    evaluator.relist(1, world).unwrap();
    for (name, revision, is_left) in [("b", 2, true), ("c", 3, false)] {
        let gone = Change::Remove(binding_key(name, "organization-acme"));
        evaluator.apply(revision, [gone]).unwrap();
        assert_eq!(evaluator.snapshot().check(&get("ada")), is_left, "{name}");
    }
}

/// Hazard 7 of Go Milo: a bad registration harms nobody else.
#[test]
fn hazard_7_a_bad_registration_harms_nobody_else() {
    let world = base()
        .kind("bad.io", "Loop", "loops", &["get", "", "..", "GET"], &["Loop", "Nowhere"])
        .bind_on_project("acme", "b", "viewer", "ada", "web")
        .build();
    assert!(allowed(&world, &get("ada")));
    assert!(!allowed(&world, &question("ada", "bad.io/loops.get")));
}

/// Hazard 8 of Go Milo: a kind that is bound covers what is below, however deep.
#[test]
fn hazard_8_a_bound_kind_covers_what_is_below() {
    let organization = Target::Kind(KindName::new("resourcemanager.miloapis.com", "Organization"));
    let world = base().bind("", "b", "viewer", vec![user("ada")], organization).build();
    assert!(allowed(&world, &get("ada")));
}

/// S5: what a membership of one tenant says about another's group counts for nothing.
#[test]
fn s5_references_across_tenants_count_for_nothing() {
    let key = Key::new(KindName::new("iam.miloapis.com", "GroupMembership"), "m");
    let body = Body::Membership {
        group_namespace: "organization-acme".into(),
        group: "staff".into(),
        user: "eve".into(),
    };
    let world = base()
        .group("acme", "staff", &[])
        .bind("acme", "b", "admin", vec![staff()], web())
        .put(Fact::new(key.namespace("organization-evil"), "m", body))
        .build();
    assert!(!allowed(&world, &get("eve")));
}

/// S6 and hazard 10: nobody binds what they do not hold, on what they do not hold it.
#[test]
fn s6_nobody_grants_what_they_do_not_hold() {
    let snapshot =
        Snapshot::of(base().bind_on_project("acme", "b", "viewer", "ada", "web").build());
    let wanted = |home: &str, role: &str, target: Target| {
        let world = base().bind(home, "new", role, vec![user("eve")], target).build();
        let namespace =
            if home.is_empty() { "milo-system".into() } else { format!("organization-{home}") };
        snapshot
            .can_grant(&Principal::new("ada"), &world.get(&binding_key("new", &namespace)).unwrap())
    };
    assert_eq!(wanted("acme", "viewer", web()), Ok(()));
    let refused = [
        wanted("acme", "admin", web()),
        wanted("acme", "viewer", object_of(&base().build(), "Organization", "acme")),
        wanted("", "viewer", Target::Kind(thing())),
        wanted("acme", "viewer", Target::Kind(project_kind())),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(GrantError::Escalation { .. })), "{refused:?}");
    }
    let foreign = wanted("evil", "viewer", web());
    assert!(matches!(foreign, Err(GrantError::OutOfReach { .. })), "{foreign:?}");
}

/// S8, at the level of the library: to accept for somebody needs the permission on that invitation,
/// which a grant on another object of the kind does not give.
#[test]
fn s8_a_grant_on_one_invitation_is_for_that_one() {
    let invitation = KindName::new("iam.miloapis.com", "UserInvitation");
    let target = |name: &str| Target::Object {
        kind: invitation.clone(),
        namespace: "organization-acme".into(),
        name: name.into(),
        uid: format!("{name}-uid").into(),
    };
    let fact = |name: &str| {
        let key = Key::new(invitation.clone(), name).namespace("organization-acme");
        Fact::new(key, &format!("{name}-uid"), Body::Other)
    };
    let world = base()
        .kind(
            "iam.miloapis.com",
            "UserInvitation",
            "userinvitations",
            &["update", "accept"],
            &["Organization"],
        )
        .role("", "invitee", &["iam.miloapis.com/userinvitations.accept"], &[])
        .put(fact("for-eve"))
        .put(fact("for-ada"))
        .bind("acme", "b", "invitee", vec![user("eve")], target("for-eve"))
        .build();
    let accept = |name: &str, verb: &str| {
        Question::new(
            Principal::new("eve"),
            format!("iam.miloapis.com/userinvitations.{verb}").parse().unwrap(),
        )
        .namespace("organization-acme")
        .name(name)
    };
    assert!(allowed(&world, &accept("for-eve", "accept")));
    assert!(!allowed(&world, &accept("for-ada", "accept")));
    assert!(!allowed(&world, &accept("for-eve", "update")));
}

/// Homes were once lined up with tenants after those without bindings had been left out: what was
/// written in a project then reached as far as its organization.
#[test]
fn misaligned_homes_a_projects_bindings_stay_in_the_project() {
    let kind = |kind: &str| Target::Kind(KindName::new("resourcemanager.miloapis.com", kind));
    let own = |target: Target| {
        let role = RoleName { namespace: "milo-system".into(), name: "viewer".into() };
        let body = Body::Binding { role, subjects: vec![user("ada")], target };
        // Nothing is bound in the organization's namespace or in the platform's.
        base().put(Fact::new(binding_key("b", "default").in_project("web-uid"), "b", body)).build()
    };
    assert!(allowed(&own(kind("Project")), &get("ada")));
    assert!(!allowed(&own(kind("Project")), &get("ada").within(Within::project("den"))));
    assert!(!allowed(&own(kind("Organization")), &get("ada")));
    assert!(!allowed(&own(object_of(&base().build(), "Organization", "acme")), &get("ada")));
}
