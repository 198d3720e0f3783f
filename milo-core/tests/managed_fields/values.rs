//! How values of each type are merged and owned.

use serde_json::{Value, json};

use crate::support::World;

/// Name, live spec (written by `u`), applied spec (by `a`, forced), merged spec, what `a` owns.
type Case = (&'static str, Value, Value, Value, &'static str);

fn check(cases: &[Case]) {
    for (name, live, config, merged, owned) in cases {
        let mut world = World::new();
        world.update("u", live.clone()).force("a", config.clone());
        assert_eq!(world.spec(), *merged, "{name}");
        let owners = world.owners();
        let own = owners.iter().find_map(|owner| owner.strip_prefix("a: ")).unwrap_or_default();
        assert_eq!(own, *owned, "{name}");
        // Applying again changes nothing, not even the time.
        let before = world.live().clone();
        world.apply("a", config.clone());
        assert_eq!(*world.live(), before, "{name}: again");
    }
}

#[test]
fn scalars() {
    check(&[
        ("replaced", json!({"text": "a"}), json!({"text": "b"}), json!({"text": "b"}), "f:text"),
        ("added", json!({}), json!({"flag": true}), json!({"flag": true}), "f:flag"),
        ("same", json!({"number": 1}), json!({"number": 1}), json!({"number": 1}), "f:number"),
        ("equal", json!({"number": 1}), json!({"number": 1.0}), json!({"number": 1}), "f:number"),
        (
            "turned",
            json!({"either": 1}),
            json!({"either": "1"}),
            json!({"either": "1"}),
            "f:either",
        ),
        (
            "explicit null",
            json!({"nullable": "a"}),
            json!({"nullable": null}),
            json!({"nullable": null}),
            "f:nullable",
        ),
    ]);
}

#[test]
fn objects() {
    check(&[
        (
            "per field",
            json!({"pair": {"x": "1", "y": "1"}}),
            json!({"pair": {"x": "2"}}),
            json!({"pair": {"x": "2", "y": "1"}}),
            "f:pair/f:x",
        ),
        (
            "per key",
            json!({"map": {"k": "1"}}),
            json!({"map": {"l": "2"}}),
            json!({"map": {"k": "1", "l": "2"}}),
            "f:map/f:l",
        ),
        (
            "keys of structs are owned themselves",
            json!({}),
            json!({"pairs": {"k": {"x": "1"}}}),
            json!({"pairs": {"k": {"x": "1"}}}),
            "f:pairs/f:k f:pairs/f:k/f:x",
        ),
        (
            "empty into full",
            json!({"map": {"k": "1"}}),
            json!({"map": {}}),
            json!({"map": {"k": "1"}}),
            "f:map",
        ),
        (
            "null into full",
            json!({"map": {"k": "1"}}),
            json!({"map": null}),
            json!({"map": {"k": "1"}}),
            "f:map",
        ),
        ("empty", json!({}), json!({"pair": {}}), json!({"pair": {}}), "f:pair"),
        ("null for empty", json!({"map": {}}), json!({"map": null}), json!({"map": null}), "f:map"),
        (
            "atomic map",
            json!({"atomicMap": {"k": "1"}}),
            json!({"atomicMap": {"l": "2"}}),
            json!({"atomicMap": {"l": "2"}}),
            "f:atomicMap",
        ),
        (
            "atomic struct",
            json!({"atomicPair": {"x": "1"}}),
            json!({"atomicPair": {"y": "2"}}),
            json!({"atomicPair": {"y": "2"}}),
            "f:atomicPair",
        ),
    ]);
}

#[test]
fn lists() {
    check(&[
        (
            "atomic",
            json!({"list": [{"x": "1"}]}),
            json!({"list": [{"y": "2"}]}),
            json!({"list": [{"y": "2"}]}),
            "f:list",
        ),
        (
            "atomic and empty",
            json!({"list": [{}]}),
            json!({"list": []}),
            json!({"list": []}),
            "f:list",
        ),
        (
            "set",
            json!({"set": ["a", "b"]}),
            json!({"set": ["c", "b"]}),
            json!({"set": ["a", "c", "b"]}),
            "f:set/v:\"b\" f:set/v:\"c\"",
        ),
        (
            "set of numbers",
            json!({"numbers": [1, 2.5]}),
            json!({"numbers": [1.0, 3]}),
            json!({"numbers": [1, 2.5, 3]}),
            "f:numbers/v:1 f:numbers/v:3",
        ),
        (
            "map",
            json!({"items": [{"name": "a", "value": "1"}]}),
            json!({"items": [{"name": "a", "pair": {"x": "2"}}, {"name": "b"}]}),
            json!({"items": [{"name": "a", "value": "1", "pair": {"x": "2"}}, {"name": "b"}]}),
            "f:items/k:{\"name\":\"a\"} f:items/k:{\"name\":\"a\"}/f:name \
             f:items/k:{\"name\":\"a\"}/f:pair/f:x f:items/k:{\"name\":\"b\"} \
             f:items/k:{\"name\":\"b\"}/f:name",
        ),
        (
            "default keys",
            json!({"ports": [{"port": 80, "protocol": "TCP"}]}),
            json!({"ports": [{"port": 80, "name": "web"}]}),
            json!({"ports": [{"port": 80, "protocol": "TCP", "name": "web"}]}),
            "f:ports/k:{\"port\":80,\"protocol\":\"TCP\"} \
             f:ports/k:{\"port\":80,\"protocol\":\"TCP\"}/f:name \
             f:ports/k:{\"port\":80,\"protocol\":\"TCP\"}/f:port",
        ),
        ("empty list with keys", json!({}), json!({"set": []}), json!({"set": []}), ""),
        ("null list", json!({"set": ["a"]}), json!({"set": null}), json!({"set": ["a"]}), "f:set"),
    ]);
}

#[test]
fn undeclared() {
    check(&[
        (
            "maps have parts, lists have not",
            json!({"free": {"m": {"a": 1}, "l": [1]}}),
            json!({"free": {"m": {"b": 2}, "l": [2]}}),
            json!({"free": {"m": {"a": 1, "b": 2}, "l": [2]}}),
            "f:free/f:l f:free/f:m f:free/f:m/f:b",
        ),
        (
            "declared beside undeclared",
            json!({"half": {"pair": {"x": "1"}, "k": 1}}),
            json!({"half": {"pair": {"y": "2"}, "l": {}}}),
            json!({"half": {"pair": {"x": "1", "y": "2"}, "k": 1, "l": {}}}),
            "f:half/f:l f:half/f:pair/f:y",
        ),
        (
            "scalar to map",
            json!({"any": 1}),
            json!({"any": {"a": 1}}),
            json!({"any": {"a": 1}}),
            "f:any/f:a",
        ),
        ("map to scalar", json!({"any": {"a": 1}}), json!({"any": 2}), json!({"any": 2}), "f:any"),
        (
            "map to list",
            json!({"any": {"a": 1}}),
            json!({"any": [2]}),
            json!({"any": [2]}),
            "f:any",
        ),
        (
            "list to map",
            json!({"any": [2]}),
            json!({"any": {"a": 1}}),
            json!({"any": {"a": 1}}),
            "f:any/f:a",
        ),
        (
            "null to map",
            json!({"any": null}),
            json!({"any": {"a": 1}}),
            json!({"any": {"a": 1}}),
            "f:any/f:a",
        ),
    ]);
}

#[test]
fn embedded_objects_own_their_metadata() {
    check(&[(
        "embedded",
        json!({}),
        json!({"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}},
            "spec": {"x": "1"}}}),
        json!({"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}},
            "spec": {"x": "1"}}}),
        "f:template/f:apiVersion f:template/f:kind f:template/f:metadata/f:labels/f:a \
         f:template/f:spec/f:x",
    )]);
}
