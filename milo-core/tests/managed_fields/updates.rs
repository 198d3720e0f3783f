//! What updates come to own.

use serde_json::{Value, json};

use crate::support::World;

/// Name, live spec (written by `u`), new spec (by `v`), what each owns.
type Case = (&'static str, Value, Value, &'static [&'static str]);

#[test]
fn changes_are_owned() {
    let cases: &[Case] = &[
        ("nothing", json!({"text": "1"}), json!({"text": "1"}), &["u*: f:spec f:text"]),
        ("equal number", json!({"number": 1}), json!({"number": 1.0}), &["u*: f:spec f:number"]),
        ("changed", json!({"text": "1"}), json!({"text": "2"}), &["u*: f:spec", "v*: f:text"]),
        (
            "removed",
            json!({"text": "1", "flag": true}),
            json!({"flag": true}),
            &["u*: f:spec f:flag"],
        ),
        (
            "struct",
            json!({}),
            json!({"pair": {"x": "1"}}),
            &["u*: f:spec", "v*: f:pair f:pair/f:x"],
        ),
        ("emptied", json!({"map": {"k": "1"}}), json!({"map": {}}), &["u*: f:spec f:map"]),
        ("null for full", json!({"map": {"k": "1"}}), json!({"map": null}), &["u*: f:spec f:map"]),
        ("null for empty", json!({"map": {}}), json!({"map": null}), &["u*: f:spec", "v*: f:map"]),
        (
            "atomic",
            json!({"list": [{"x": "1"}]}),
            json!({"list": [{"x": "2"}]}),
            &["u*: f:spec", "v*: f:list"],
        ),
        (
            "set",
            json!({"set": ["a", "b"]}),
            json!({"set": ["b", "c"]}),
            &["u*: f:spec f:set f:set/v:\"b\"", "v*: f:set/v:\"c\""],
        ),
        (
            "order",
            json!({"set": ["a", "b"]}),
            json!({"set": ["b", "a"]}),
            &["u*: f:spec f:set f:set/v:\"a\" f:set/v:\"b\""],
        ),
        (
            "item",
            json!({"items": [{"name": "a", "value": "1"}]}),
            json!({"items": [{"name": "a", "value": "2"}, {"name": "b"}]}),
            &[
                "u*: f:spec f:items f:items/k:{\"name\":\"a\"} f:items/k:{\"name\":\"a\"}/f:name",
                "v*: f:items/k:{\"name\":\"a\"}/f:value f:items/k:{\"name\":\"b\"} \
                 f:items/k:{\"name\":\"b\"}/f:name",
            ],
        ),
        (
            "undeclared scalar to map",
            json!({"any": 1}),
            json!({"any": {"a": 1}}),
            &["u*: f:spec", "v*: f:any f:any/f:a"],
        ),
        (
            "undeclared map to scalar",
            json!({"any": {"a": 1}}),
            json!({"any": 1}),
            &["u*: f:spec", "v*: f:any"],
        ),
    ];
    for (name, live, new, owners) in cases {
        let mut world = World::new();
        world.update("u", live.clone()).update("v", new.clone());
        assert_eq!(world.spec(), *new, "{name}");
        assert_eq!(world.owners(), *owners, "{name}");
    }
}

#[test]
fn a_manager_gathers_what_it_changed() {
    let mut world = World::new();
    world.update("u", json!({"text": "1"})).update("u", json!({"text": "1", "flag": true}));
    assert_eq!(world.owners(), ["u*: f:spec f:flag f:text"]);
    // By its own updates too it loses what it removes.
    world.update("u", json!({"flag": false}));
    assert_eq!(world.owners(), ["u*: f:spec f:flag"]);
}

#[test]
fn updates_and_applies_of_one_name_are_two_managers() {
    let mut world = World::new();
    world.update("m", json!({"text": "1"}));
    assert_eq!(
        world.conflict("m", json!({"text": "2"})),
        "Apply failed with 1 conflict: conflict with \"m\" using g.io/v1: .spec.text"
    );
    world.force("m", json!({"text": "2"}));
    assert_eq!(world.owners(), ["m: f:text", "m*: f:spec"]);
}
