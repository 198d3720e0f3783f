//! What goes when an applier lets go of it.

use serde_json::{Value, json};

use crate::support::World;

/// What `a` applies first and then, and what is left.
type Case = (&'static str, Value, Value, Value);

#[test]
fn what_nobody_else_owns_goes() {
    let cases: &[Case] = &[
        (
            "scalar",
            json!({"text": "1", "flag": true}),
            json!({"flag": true}),
            json!({"flag": true}),
        ),
        ("all", json!({"text": "1"}), json!({}), json!({})),
        ("emptied map", json!({"map": {"k": "1"}}), json!({"map": {}}), json!({"map": {}})),
        (
            "emptied set",
            json!({"set": ["a"], "flag": true}),
            json!({"set": [], "flag": true}),
            json!({"set": [], "flag": true}),
        ),
        (
            "key",
            json!({"map": {"k": "1", "l": "1"}}),
            json!({"map": {"k": "1"}}),
            json!({"map": {"k": "1"}}),
        ),
        (
            "struct",
            json!({"pair": {"x": "1", "deep": {"y": "1"}}, "flag": true}),
            json!({"flag": true}),
            json!({"flag": true}),
        ),
        (
            "inner struct",
            json!({"pair": {"x": "1", "deep": {"y": "1"}}}),
            json!({"pair": {"x": "1"}}),
            json!({"pair": {"x": "1"}}),
        ),
        (
            "key of struct",
            json!({"pairs": {"k": {"x": "1"}, "l": {"x": "1"}}}),
            json!({"pairs": {"l": {"x": "1"}}}),
            json!({"pairs": {"l": {"x": "1"}}}),
        ),
        ("set item", json!({"set": ["a", "b"]}), json!({"set": ["b"]}), json!({"set": ["b"]})),
        (
            "last set item",
            json!({"set": ["a"], "flag": true}),
            json!({"flag": true}),
            json!({"flag": true}),
        ),
        (
            "list item",
            json!({"items": [{"name": "a"}, {"name": "b"}]}),
            json!({"items": [{"name": "b"}]}),
            json!({"items": [{"name": "b"}]}),
        ),
        (
            "field of item",
            json!({"items": [{"name": "a", "value": "1"}]}),
            json!({"items": [{"name": "a"}]}),
            json!({"items": [{"name": "a"}]}),
        ),
        (
            "set in item",
            json!({"items": [{"name": "a", "tags": ["s", "t"]}]}),
            json!({"items": [{"name": "a", "tags": ["t"]}]}),
            json!({"items": [{"name": "a", "tags": ["t"]}]}),
        ),
        (
            "atomic list",
            json!({"list": [{}], "flag": true}),
            json!({"flag": true}),
            json!({"flag": true}),
        ),
        (
            "undeclared",
            json!({"free": {"m": {"a": 1, "b": 1}}}),
            json!({"free": {"m": {"a": 1}}}),
            json!({"free": {"m": {"a": 1}}}),
        ),
        (
            "null",
            json!({"nullable": null, "flag": true}),
            json!({"flag": true}),
            json!({"flag": true}),
        ),
        (
            "replaced map",
            json!({"atomicMap": {"k": "1"}}),
            json!({"atomicMap": {}}),
            json!({"atomicMap": {}}),
        ),
    ];
    for (name, first, then, left) in cases {
        let mut world = World::new();
        world.apply("a", first.clone()).apply("a", then.clone());
        assert_eq!(world.spec(), *left, "{name}");
        let before = world.live().clone();
        world.apply("a", then.clone());
        assert_eq!(*world.live(), before, "{name}: again");
    }
}

#[test]
fn what_somebody_else_owns_stays() {
    let cases: &[Case] = &[
        ("scalar", json!({"text": "1"}), json!({}), json!({"text": "1"})),
        ("set item", json!({"set": ["a"]}), json!({}), json!({"set": ["a"]})),
        (
            "list item",
            json!({"items": [{"name": "a", "value": "1"}]}),
            json!({}),
            json!({"items": [{"name": "a", "value": "1"}]}),
        ),
    ];
    for (name, first, then, left) in cases {
        for other in ["applier", "updater"] {
            let mut world = World::new();
            if other == "applier" {
                world.apply("o", first.clone()).apply("a", first.clone());
            } else {
                world.update("o", first.clone()).apply("a", first.clone());
            }
            world.apply("a", then.clone());
            assert_eq!(world.spec(), *left, "{name}, {other}");
        }
    }
}

#[test]
fn unowned_fields_go_with_the_struct_that_nobody_fills_any_more() {
    let mut world = World::new();
    world.apply("a", json!({"pair": {"x": "1"}, "items": [{"name": "i"}]}));
    // A default, say: nobody's.
    let mut live = world.live().clone();
    live.fields_mut()["spec"]["pair"]["y"] = json!("default");
    live.fields_mut()["spec"]["items"][0]["value"] = json!("default");
    world.live = Some(live);
    let mut stays = World { live: world.live.clone(), ..World::new() };
    stays.apply("a", json!({"pair": {"deep": {"x": "1"}}, "items": [{"name": "i"}]}));
    assert_eq!(
        stays.spec(),
        json!({"pair": {"y": "default", "deep": {"x": "1"}},
            "items": [{"name": "i", "value": "default"}]})
    );
    world.apply("a", json!({"flag": true}));
    assert_eq!(world.spec(), json!({"flag": true}));
}

#[test]
fn an_item_goes_although_an_updater_changed_something_in_it() {
    let mut world = World::new();
    world.apply("a", json!({"items": [{"name": "i", "value": "1"}], "flag": true}));
    world.update("u", json!({"items": [{"name": "i", "value": "2"}], "flag": true}));
    assert_eq!(
        world.owners(),
        [
            "a: f:flag f:items/k:{\"name\":\"i\"} f:items/k:{\"name\":\"i\"}/f:name",
            "u*: f:items/k:{\"name\":\"i\"}/f:value",
        ]
    );
    world.apply("a", json!({"flag": true}));
    assert_eq!(world.spec(), json!({"flag": true}));
    assert_eq!(world.owners(), ["a: f:flag"]);
}

#[test]
fn an_emptied_container_goes_even_if_somebody_owns_the_container() {
    let mut world = World::new();
    world.update("u", json!({"map": {"k": "1"}, "flag": true}));
    world.force("a", json!({"map": {"k": "2"}}));
    assert_eq!(world.owners(), ["a: f:map/f:k", "u*: f:spec f:flag f:map"]);
    world.apply("a", json!({"text": "1"}));
    assert_eq!(world.spec(), json!({"flag": true, "text": "1"}));
    assert_eq!(world.owners(), ["a: f:text", "u*: f:spec f:flag"]);
}

#[test]
fn metadata_is_pruned_alike() {
    let config = |metadata: Value| crate::support::whole(json!({"metadata": metadata}));
    let mut world = World::new();
    let full = config(json!({"labels": {"a": "1", "b": "1"}, "finalizers": ["g.io/f"]}));
    world.try_apply("a", &full, false).unwrap();
    world.try_apply("a", &config(json!({"labels": {"b": "1"}})), false).unwrap();
    let metadata = world.live().metadata().unwrap();
    assert_eq!(metadata["labels"], json!({"b": "1"}));
    assert!(!metadata.contains_key("finalizers"));
    world.try_apply("a", &config(json!({})), false).unwrap();
    assert!(!world.live().metadata().unwrap().contains_key("labels"));
    assert_eq!(world.live().name(), "x");
    assert!(world.owners().is_empty());
}
