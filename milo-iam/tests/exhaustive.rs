//! All small worlds: two users, a group, two roles, and up to two bindings of every shape.
//!
//! With `MILO_IAM_EXHAUSTIVE=3`, up to three bindings.

mod support;

use milo_iam::{
    Principal, Question, Snapshot, Within, model,
    world::{Change, Fact, KindName, Subject, Target, World, WorldBuilder},
};
use support::{binding_key, object_of, user};

fn base() -> World {
    WorldBuilder::new()
        .organization("a")
        .organization("b")
        .project("p", "a")
        .project("q", "b")
        .user("ada")
        .user("bob")
        .group("a", "g", &["bob"])
        .kind("t.io", "Thing", "things", &["get", "list"], &["Project"])
        .role("", "r1", &["t.io/things.get"], &[])
        .role("", "r2", &["t.io/things.list"], &["r1"])
        .build()
}

/// Every binding: homes, roles, subjects, targets.
fn bindings(world: &World) -> Vec<Fact> {
    let subjects = [
        user("ada"),
        Subject::Group {
            namespace: "organization-a".into(),
            name: "g".into(),
            uid: "g-uid".into(),
        },
    ];
    let targets = [
        object_of(world, "Organization", "a"),
        object_of(world, "Project", "p"),
        Target::Kind(KindName::new("resourcemanager.miloapis.com", "Project")),
        Target::Kind(KindName::new("t.io", "Thing")),
    ];
    let mut all = Vec::new();
    for home in ["", "a", "b"] {
        for role in ["r1", "r2"] {
            for subject in &subjects {
                for target in &targets {
                    let one = WorldBuilder::new()
                        .bind(home, "b", role, vec![subject.clone()], target.clone())
                        .build();
                    let namespace = if home.is_empty() {
                        "milo-system".to_owned()
                    } else {
                        format!("organization-{home}")
                    };
                    let key = binding_key("b", &namespace);
                    let fact = one.get(&key).expect("it was put in");
                    let key = binding_key(&format!("b{}", all.len()), &namespace);
                    all.push(Fact::new(key, "b", fact.body().clone()));
                }
            }
        }
    }
    all
}

fn questions() -> Vec<Question> {
    let mut all = Vec::new();
    for who in ["ada", "bob", "eve"] {
        for permission in ["t.io/things.get", "t.io/things.list"] {
            for within in [
                Within::Platform,
                Within::project("p"),
                Within::project("q"),
                Within::organization("a"),
            ] {
                let permission = permission.parse().expect("it is one");
                all.push(Question::new(Principal::new(who), permission).within(within).name("x"));
            }
        }
    }
    all
}

#[test]
fn all_small_worlds() {
    let size = std::env::var("MILO_IAM_EXHAUSTIVE").ok().and_then(|text| text.parse().ok());
    let base = base();
    let (bindings, questions) = (bindings(&base), questions());
    let mut worlds = vec![(0, base)];
    let (mut asked, mut allowed) = (0u64, 0u64);
    while let Some((first, world)) = worlds.pop() {
        let snapshot = Snapshot::of(world.clone());
        for question in &questions {
            let expected = model::check(&world, question);
            assert_eq!(snapshot.check(question), expected, "{question}\n{world:#?}");
            asked += 1;
            allowed += u64::from(expected);
        }
        let used = world.facts().filter(|fact| &*fact.key().kind.kind == "PolicyBinding").count();
        if used < size.unwrap_or(2) {
            for (index, binding) in bindings.iter().enumerate().skip(first) {
                worlds.push((index + 1, world.with([Change::put(binding.clone())])));
            }
        }
    }
    println!("{asked} questions, {allowed} allowed");
    assert!(allowed > 1000);
}
