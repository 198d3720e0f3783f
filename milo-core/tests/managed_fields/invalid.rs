//! Configurations that do not fit, with upstream's texts.

use milo_core::managed_fields::{ApplyError, Manager, ResetFields, apply};
use serde_json::{Value, json};

use crate::support::{World, object, schema, whole};

const PREFIX: &str = "failed to create typed patch object (/x; g.io/v1, Kind=Thing): ";

#[test]
fn what_does_not_fit_the_schema() {
    let cases: &[(&str, Value, &str)] = &[
        ("unknown field", json!({"foo": 1}), ".spec.foo: field not declared in schema"),
        (
            "unknown inside",
            json!({"items": [{"name": "a", "foo": 1}]}),
            ".spec.items[name=\"a\"].foo: field not declared in schema",
        ),
        (
            "unknown in an atomic list",
            json!({"list": [{}, {"z": 1}]}),
            ".spec.list[1].z: field not declared in schema",
        ),
        (
            "unknown in an atomic map",
            json!({"atomicPair": {"z": 1}}),
            ".spec.atomicPair.z: field not declared in schema",
        ),
        (
            "string",
            json!({"text": 1}),
            ".spec.text: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            "string from object",
            json!({"text": {"a": 1}}),
            ".spec.text: expected string, got &value.valueUnstructured{Value:map[string]interface {}{\"a\":1}}",
        ),
        (
            "number",
            json!({"number": "1"}),
            ".spec.number: expected numeric (int or float), got string",
        ),
        ("boolean", json!({"flag": "yes"}), ".spec.flag: expected boolean, got &{yes}"),
        ("map", json!({"map": [1]}), ".spec.map: expected map, got &{[1]}"),
        ("list", json!({"set": {"a": "b"}}), ".spec.set: expected list, got &{map[a:b]}"),
        ("int or string", json!({"either": [1]}), ".spec.either: expected any scalar, got &{[1]}"),
        (
            "missing key",
            json!({"items": [{"name": "a"}, {"value": "1"}]}),
            ".spec.items: element 1: associative list with keys has an element that omits key field \"name\" (and doesn't have default value)",
        ),
        (
            "null item",
            json!({"items": [null]}),
            ".spec.items: element 0: associative list with keys may not have a null element",
        ),
        (
            "scalar item",
            json!({"items": ["a"]}),
            ".spec.items: element 0: associative list with keys may not have non-map elements",
        ),
        (
            "object in a set",
            json!({"set": [{}]}),
            ".spec.set: element 0: associative list without keys has an element that's a map type",
        ),
        (
            "list in a set",
            json!({"set": [[]]}),
            ".spec.set: element 0: not supported: associative list with lists as elements",
        ),
        (
            "null in a set",
            json!({"set": [null]}),
            ".spec.set: element 0: associative list without keys has an element that's an explicit null",
        ),
        (
            "duplicate key",
            json!({"items": [{"name": "b"}, {"name": "a"}, {"name": "b"}]}),
            ".spec.items: duplicate entries for key [name=\"b\"]",
        ),
        (
            "duplicate by default",
            json!({"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}]}),
            ".spec.ports: duplicate entries for key [port=1,protocol=\"TCP\"]",
        ),
        (
            "duplicate value",
            json!({"set": ["a", "a"]}),
            ".spec.set: duplicate entries for key [=\"a\"]",
        ),
        (
            "duplicate number",
            json!({"numbers": [1, 1.0]}),
            ".spec.numbers: duplicate entries for key [=1]",
        ),
        (
            "several",
            json!({"flag": 1, "text": 1}),
            "errors:\n  .spec.flag: expected boolean, got &{1}\n  .spec.text: expected string, got &value.valueUnstructured{Value:1}",
        ),
    ];
    for (name, spec, text) in cases {
        assert_eq!(World::new().error(spec.clone()), format!("{PREFIX}{text}"), "{name}");
    }
}

#[test]
fn metadata_has_a_schema_too() {
    for (metadata, text) in [
        (json!({"foo": 1}), ".metadata.foo: field not declared in schema"),
        (
            json!({"labels": {"a": 1}}),
            ".metadata.labels.a: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            json!({"ownerReferences": [{"name": "n"}]}),
            ".metadata.ownerReferences: element 0: associative list with keys has an element that omits key field \"uid\" (and doesn't have default value)",
        ),
    ] {
        let error = World::new().try_apply("a", &whole(json!({"metadata": metadata})), false);
        assert_eq!(error.unwrap_err().to_string(), format!("{PREFIX}{text}"));
    }
}

#[test]
fn unknown_fields_below_preserved_ones_are_fine() {
    World::new().apply("a", json!({"half": {"pair": {"unknown": 1}, "other": [1, {}]}}));
}

#[test]
fn requests_that_are_wrong_whatever_the_schema() {
    let refused = |config: Value, version: &str| {
        let config = whole(config);
        let manager = Manager::new("a", version);
        match apply(&schema(), None, &config, &manager, &ResetFields::none(), false) {
            Err(ApplyError::Request(text)) => text,
            other => panic!("not refused: {other:?}"),
        }
    };
    assert_eq!(
        refused(json!({"metadata": {"managedFields": []}}), "g.io/v1"),
        "metadata.managedFields must be nil"
    );
    assert_eq!(
        refused(json!({}), "g.io/v2"),
        "Incorrect version specified in apply patch. Specified patch version: g.io/v1, expected: \
         g.io/v2"
    );
    let mut world = World::new();
    world.try_apply("a", &whole(json!({"metadata": {"managedFields": null}})), false).unwrap();
}

#[test]
fn a_live_object_that_does_not_fit_is_endured() {
    let mut world = World::new();
    world.update("u", json!({"text": 7, "map": "x", "unknown": {"a": 1}, "set": "y"}));
    world.force("a", json!({"text": "ok", "map": {"k": "1"}, "set": ["z"]}));
    assert_eq!(
        world.spec(),
        json!({"text": "ok", "map": {"k": "1"}, "unknown": {"a": 1}, "set": ["z"]})
    );
}

#[test]
fn live_items_without_keys_cannot_be_merged() {
    let mut world = World::new();
    world.live = Some(object(json!({"items": [{"value": "1"}]})));
    let error = world.try_apply("a", &object(json!({"items": [{"name": "a"}]})), false);
    assert_eq!(
        error.unwrap_err().to_string(),
        "failed to create typed live object (/x; g.io/v1, Kind=Thing): .spec.items: element 0: \
         associative list with keys has an element that omits key field \"name\" (and doesn't have \
         default value)"
    );
}
