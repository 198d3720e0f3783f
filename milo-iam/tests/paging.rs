//! Lists page by page while facts change, and what differences tell of tenants and objects.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod support;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use milo_iam::{
    Evaluator, Principal, Question, Snapshot, Within,
    world::{Body, Change, Fact, Key, KindName, WorldBuilder},
};
use support::binding_key;

const STABLE: usize = 300;

fn thing() -> KindName {
    KindName::new("g.io", "Thing")
}

fn base() -> WorldBuilder {
    WorldBuilder::new()
        .organization("acme")
        .project("web", "acme")
        .user("ada")
        .kind("g.io", "Thing", "things", &["get"], &["Project"])
        .role("", "viewer", &["g.io/things.get"], &[])
        .bind_on_organization("acme", "b", "viewer", "ada", "acme")
}

fn thing_fact(name: &str) -> Fact {
    let key = Key::new(thing(), name).namespace("default").in_project("web-uid");
    Fact::new(key, &format!("{name}-uid"), Body::Other)
}

fn user_fact(name: &str) -> Fact {
    let key = Key::new(KindName::new("iam.miloapis.com", "User"), name);
    Fact::new(key, &format!("{name}-uid"), Body::User)
}

fn question() -> Question {
    Question::new(Principal::new("ada"), "g.io/things.get".parse().unwrap())
        .within(Within::project("web"))
        .name("a")
}

/// While changes come and go between what stays, runs `read` a few times.
fn while_others_change(
    evaluator: &Evaluator,
    change: impl Fn(u64) -> Change + Sync,
    read: impl Fn(),
) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut revision = evaluator.snapshot().revision();
            while !done.load(Ordering::Relaxed) {
                revision += 1;
                evaluator.apply(revision, [change(revision)]).unwrap();
            }
            revision
        });
        (0..10).for_each(|_| read());
        done.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 10, "there were changes");
    });
}

/// Each object that is there throughout comes once, in order; none twice.
#[test]
fn pages_of_objects_fit_together_under_concurrent_updates() {
    let stable: BTreeSet<String> = (0..STABLE).map(|n| format!("t{n:04}")).collect();
    let builder = stable.iter().fold(base(), |builder, name| builder.put(thing_fact(name)));
    let evaluator = Evaluator::new();
    evaluator.relist(1, builder.build()).unwrap();
    let change = |revision: u64| {
        let fact = thing_fact(&format!("t{:04}x", revision / 2 * 31 % STABLE as u64));
        if revision.is_multiple_of(2) {
            Change::put(fact)
        } else {
            Change::Remove(fact.key().clone())
        }
    };
    let get = "g.io/things.get".parse().unwrap();
    while_others_change(&evaluator, change, || {
        let mut found: Vec<Key> = Vec::new();
        loop {
            // Each page is of the newest state.
            let snapshot = evaluator.snapshot();
            let list = snapshot.list_objects(&Principal::new("ada"), &get).unwrap();
            let page = list.page(found.last(), 7);
            found.extend(page.items);
            if page.complete {
                break;
            }
        }
        assert!(found.is_sorted_by(|a, b| a < b), "in order, and none twice");
        let names: BTreeSet<String> = found.iter().map(|key| key.name.to_string()).collect();
        assert!(names.is_superset(&stable), "{:?}", stable.difference(&names).next());
    });
}

/// Each who may throughout comes once, in order; none twice.
#[test]
fn pages_of_subjects_fit_together_under_concurrent_updates() {
    let stable: BTreeSet<String> = (0..STABLE).map(|n| format!("u{n:04}")).collect();
    let mut builder = base();
    for name in &stable {
        builder =
            builder.user(name).bind_on_project("acme", &format!("b-{name}"), "viewer", name, "web");
    }
    let evaluator = Evaluator::new();
    evaluator.relist(1, builder.build()).unwrap();
    let change = |revision: u64| {
        let name = format!("u{:04}x", revision / 4 * 31 % STABLE as u64);
        let bound =
            WorldBuilder::new().bind_on_project("acme", &name, "viewer", &name, "web").build();
        let binding = bound.get(&binding_key(&name, "organization-acme")).unwrap();
        match revision % 4 {
            0 => Change::put(user_fact(&name)),
            1 => Change::Put(binding),
            2 => Change::Remove(user_fact(&name).key().clone()),
            _ => Change::Remove(binding.key().clone()),
        }
    };
    while_others_change(&evaluator, change, || {
        let mut found: Vec<milo_iam::Text> = Vec::new();
        loop {
            let snapshot = evaluator.snapshot();
            let page =
                snapshot.list_subjects(&question()).page(found.last().map(|last| &**last), 7);
            found.extend(page.items);
            if page.complete {
                break;
            }
        }
        assert!(found.is_sorted_by(|a, b| a < b), "in order, and none twice");
        let names: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
        assert!(names.is_superset(&stable), "{:?}", stable.difference(&names).next());
    });
}

/// A difference tells how access changes, in extents. What appears below an extent that stays as it
/// is, an object or a project, changes nothing of it: who follows objects follows those.
#[test]
fn what_appears_below_an_unchanged_extent_is_no_difference() {
    let before = Snapshot::of(base().build());
    let project = base().project("shop", "acme").build();
    let key = Key::new(KindName::new("resourcemanager.miloapis.com", "Project"), "shop");
    for change in [Change::put(thing_fact("new")), Change::Put(project.get(&key).unwrap())] {
        let difference = before.what_if([change.clone()]);
        assert!(difference.is_empty(), "{difference}");
        let after = Snapshot::of(before.world().with([change]));
        let get = "g.io/things.get".parse().unwrap();
        let extents = |snapshot: &Snapshot| {
            snapshot.list_objects(&Principal::new("ada"), &get).unwrap().extents().to_vec()
        };
        assert_eq!(extents(&before), extents(&after));
    }
    // But what is named by a binding and appears is told.
    let bound = base().bind_on_project("acme", "own", "viewer", "ada", "shop").build();
    let without = bound.with([Change::Remove(binding_key("b", "organization-acme"))]);
    let difference = Snapshot::of(without).what_if([Change::Put(project.get(&key).unwrap())]);
    assert_eq!(difference.to_string(), "ada\n  + g.io/things.get on Project shop");
}
