//! What holds for all objects.

use std::collections::BTreeSet;

use proptest::{collection::btree_map, option, prelude::*};
use serde_json::{Map, Value, json};

use crate::support::{World, object};

/// Values are few, so that writers meet.
fn text() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![json!("1"), json!("2")])
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned)
}

fn texts() -> impl Strategy<Value = Value> {
    btree_map(name(), text(), 0..3).prop_map(|map| json!(map))
}

fn fields(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let each: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| option::of(value).prop_map(move |value| (name, value)))
        .collect();
    each.prop_map(|fields| {
        let present = fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
        Value::Object(present.collect::<Map<String, Value>>())
    })
    .boxed()
}

fn pair() -> BoxedStrategy<Value> {
    fields(vec![("x", text().boxed()), ("y", text().boxed())])
}

fn set() -> BoxedStrategy<Value> {
    let shuffled = prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4).prop_shuffle();
    shuffled.prop_map(|items| json!(items)).boxed()
}

fn items() -> BoxedStrategy<Value> {
    let rest = fields(vec![("value", text().boxed()), ("pair", pair()), ("tags", set())]);
    let items = btree_map(name(), rest, 0..4).prop_map(|items| {
        let named = items.into_iter().map(|(name, mut item)| {
            item["name"] = json!(name);
            item
        });
        named.collect::<Vec<Value>>()
    });
    items.prop_shuffle().prop_map(Value::Array).boxed()
}

fn free() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![text(), Just(json!(null)), Just(json!([1])), Just(json!({}))];
    leaf.prop_recursive(3, 8, 3, |inner| btree_map(name(), inner, 0..3).prop_map(|map| json!(map)))
        .boxed()
}

fn spec() -> BoxedStrategy<Value> {
    fields(vec![
        ("text", text().boxed()),
        ("number", (0..2).prop_map(|n| json!(n)).boxed()),
        ("pair", fields(vec![("x", text().boxed()), ("y", text().boxed()), ("deep", pair())])),
        ("map", texts().boxed()),
        ("pairs", btree_map(name(), pair(), 0..3).prop_map(|map| json!(map)).boxed()),
        ("atomicMap", texts().boxed()),
        ("list", prop::collection::vec(pair(), 0..3).prop_map(Value::Array).boxed()),
        ("set", set()),
        ("items", items()),
        ("free", btree_map(name(), free(), 0..3).prop_map(|map| json!(map)).boxed()),
        ("any", free()),
    ])
}

/// A write of one of three managers.
#[derive(Clone, Debug)]
enum Write {
    Apply(&'static str, Value),
    Update(&'static str, Value),
}

fn write() -> impl Strategy<Value = Write> {
    let manager = || prop::sample::select(vec!["m", "n", "o"]);
    prop_oneof![
        (manager(), spec()).prop_map(|(manager, spec)| Write::Apply(manager, spec)),
        (manager(), spec()).prop_map(|(manager, spec)| Write::Update(manager, spec)),
    ]
}

fn world(writes: Vec<Write>) -> World {
    let mut world = World::new();
    world.update("creator", json!({}));
    for write in writes {
        match write {
            Write::Apply(manager, spec) => world.force(manager, spec),
            Write::Update(manager, spec) => world.update(manager, spec),
        };
    }
    world
}

fn history() -> impl Strategy<Value = World> {
    prop::collection::vec(write(), 0..5).prop_map(world)
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#?}", self.live)
    }
}

/// The paths of all scalars and other ends, items by their keys. Atomic values are ends.
fn leaves(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let keyed = path.ends_with("f:items");
    let set = path.ends_with("f:set") || path.ends_with("f:tags");
    match value {
        Value::Object(fields) if !fields.is_empty() && path != "f:atomicMap" => {
            for (name, value) in fields {
                let slash = if path.is_empty() { "" } else { "/" };
                collect(value, &format!("{path}{slash}f:{name}"), found);
            }
        }
        Value::Array(items) if keyed => {
            for item in items {
                let path = format!("{path}/k:{}", json!({"name": item["name"]}));
                collect(item, &path, found);
            }
        }
        Value::Array(items) if set => {
            found.extend(items.iter().map(|item| format!("{path}/v:{item}")));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.insert(path.to_owned());
        }
        Value::Object(_) | Value::Array(_) => {
            if !(keyed || set || path.is_empty()) {
                found.insert(path.to_owned());
            }
        }
    }
}

/// What managers other than this applier own, and all above.
fn owned_by_others(world: &World, applier: &str) -> BTreeSet<String> {
    let mine = format!("{applier}: ");
    let owners = world.owners();
    let others = owners.iter().filter(|owner| !owner.starts_with(&mine));
    let paths =
        others.filter_map(|owner| owner.split_once(": ")).flat_map(|(_, paths)| paths.split(' '));
    paths.map(str::to_owned).collect()
}

fn owned_by(world: &World, applier: &str) -> BTreeSet<String> {
    let mine = format!("{applier}: ");
    let owners = world.owners();
    let mine = owners.iter().filter_map(|owner| owner.strip_prefix(&mine));
    mine.flat_map(|paths| paths.split(' ')).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Applying twice is applying once, down to the times.
    #[test]
    fn apply_is_idempotent(mut world in history(), config in spec()) {
        world.force("m", config.clone());
        let once = world.live().clone();
        world.apply("m", config);
        prop_assert_eq!(world.live(), &once);
    }

    /// What is applied is there afterwards.
    #[test]
    fn what_is_applied_is_there(mut world in history(), config in spec()) {
        world.force("m", config.clone());
        let live = leaves(&world.spec());
        for leaf in leaves(&config) {
            // Something empty may have something in it.
            let inside = || live.iter().any(|path| path.starts_with(&format!("{leaf}/")));
            prop_assert!(live.contains(&leaf) || inside(), "{}", leaf);
        }
    }

    /// Who applies different fields may come in any order.
    #[test]
    fn appliers_of_different_fields_commute(
        world in history(),
        left in spec(),
        right in spec(),
        split in prop::collection::vec(any::<bool>(), 16),
    ) {
        let mut side = split.into_iter().cycle();
        let (mut left, mut right) = (left, right);
        for name in ["text", "number", "pair", "map", "pairs", "atomicMap", "list", "set", "items",
            "free", "any"]
        {
            let other = if side.next() == Some(true) { &mut left } else { &mut right };
            other.as_object_mut().unwrap().remove(name);
        }
        let run = |first: (&str, &Value), second: (&str, &Value)| {
            let mut world = World { live: world.live.clone(), ..World::new() };
            world.force(first.0, first.1.clone()).force(second.0, second.1.clone());
            let mut owners = world.owners();
            owners.sort();
            (world.spec(), owners)
        };
        // New managers, which own nothing that they could let go.
        let one = run(("p", &left), ("q", &right));
        let other = run(("q", &right), ("p", &left));
        prop_assert_eq!(one, other);
    }

    /// A scalar that an applier lets go of disappears if and only if nobody else owns it.
    #[test]
    fn what_is_let_go_disappears_iff_nobody_owns_it(
        mut world in history(),
        first in spec(),
        then in spec(),
    ) {
        world.force("m", first);
        let before = leaves(&world.spec());
        let mine = owned_by(&world, "m");
        world.force("m", then);
        let after = leaves(&world.spec());
        let wanted = owned_by(&world, "m");
        let others = owned_by_others(&world, "m");
        for leaf in before.intersection(&mine).filter(|leaf| !wanted.contains(*leaf)) {
            if others.contains(leaf) {
                // Something empty may have something in it now.
                let inside = || after.iter().any(|path| path.starts_with(&format!("{leaf}/")));
                prop_assert!(after.contains(leaf) || inside(), "{} is owned by another", leaf);
            } else {
                prop_assert!(!after.contains(leaf), "{} is owned by nobody", leaf);
            }
        }
    }

    /// A manager that never wrote takes nothing away by applying.
    #[test]
    fn a_first_apply_loses_nothing(mut world in history(), config in spec()) {
        let before = leaves(&world.spec());
        world.force("newcomer", config.clone());
        let after = leaves(&world.spec());
        let applied = leaves(&config);
        for leaf in before.difference(&after) {
            // Replaced by, or filled with, something that was applied.
            let near = |path: &String| {
                path.starts_with(leaf.as_str()) || leaf.starts_with(path.as_str())
            };
            prop_assert!(applied.iter().any(near), "{}", leaf);
        }
    }

    /// What is recorded can be read, and is written again as it was.
    #[test]
    fn records_survive_the_round_trip(mut world in history()) {
        let before = world.managed_fields();
        // Sent by a client, all entries are read and written again.
        world.update_whole("u", {
            let mut same = object(world.spec());
            if !before.is_null() {
                same.metadata_mut().insert("managedFields".into(), before.clone());
            }
            same
        });
        prop_assert_eq!(world.managed_fields(), before);
    }

    /// Every leaf of what was only ever updated has exactly one owner.
    #[test]
    fn updates_leave_one_owner_for_each_leaf(specs in prop::collection::vec(spec(), 1..5)) {
        let mut world = World::new();
        for (place, spec) in specs.into_iter().enumerate() {
            world.update(["m", "n", "o"][place % 3], spec);
        }
        let owners = world.owners();
        for leaf in leaves(&world.spec()) {
            let count = owners.iter().filter(|owner| {
                owner.split(' ').any(|path| path == leaf)
            }).count();
            prop_assert_eq!(count, 1, "{} of {:?}", leaf, &owners);
        }
    }
}
