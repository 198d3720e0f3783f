//! Who owns what after several writes.

use milo_core::managed_fields::ResetFields;
use serde_json::json;

use crate::support::{World, object, whole};

#[test]
fn the_same_value_is_owned_together() {
    let mut world = World::new();
    world.apply("a", json!({"text": "1"})).apply("b", json!({"text": "1"}));
    assert_eq!(world.owners(), ["a: f:text", "b: f:text"]);
    // Neither may change it alone.
    assert_eq!(
        world.conflict("a", json!({"text": "2"})),
        "Apply failed with 1 conflict: conflict with \"b\": .spec.text"
    );
    // When one lets go, the other keeps it.
    world.apply("a", json!({"flag": true}));
    assert_eq!(world.spec(), json!({"flag": true, "text": "1"}));
    assert_eq!(world.owners(), ["b: f:text", "a: f:flag"]);
}

#[test]
fn force_takes_from_appliers_and_updaters() {
    let mut world = World::new();
    world.update("u", json!({"text": "1", "flag": true}));
    world.force("a", json!({"text": "2"}));
    assert_eq!(world.owners(), ["a: f:text", "u*: f:spec f:flag"]);
    world.force("b", json!({"text": "3"}));
    // Who owns nothing is not listed.
    assert_eq!(world.owners(), ["b: f:text", "u*: f:spec f:flag"]);
}

#[test]
fn updates_take_without_asking() {
    let mut world = World::new();
    world.apply("a", json!({"text": "1", "map": {"k": "1", "l": "1"}}));
    world.update("u", json!({"text": "2", "map": {"k": "1", "m": "1"}}));
    assert_eq!(world.owners(), ["a: f:map/f:k", "u*: f:map/f:m f:text"]);
}

#[test]
fn appliers_merge_beside_each_other() {
    let mut world = World::new();
    world
        .apply("a", json!({"items": [{"name": "x", "value": "1"}]}))
        .apply("b", json!({"items": [{"name": "y", "value": "2"}]}));
    assert_eq!(
        world.spec(),
        json!({"items": [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}]})
    );
    world.apply("a", json!({}));
    assert_eq!(world.spec(), json!({"items": [{"name": "y", "value": "2"}]}));
    assert_eq!(world.owners()[1], "a: f:spec");
}

#[test]
fn creation_by_update_owns_containers_too() {
    let mut world = World::new();
    world.update_whole(
        "u",
        whole(json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["g.io/f"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "1"}]},
            "spec": {"map": {"k": "1"}}})),
    );
    assert_eq!(
        world.owners(),
        ["u*: f:metadata/f:finalizers f:metadata/f:finalizers/v:\"g.io/f\" f:metadata/f:labels \
         f:metadata/f:labels/f:a f:metadata/f:ownerReferences \
         f:metadata/f:ownerReferences/k:{\"uid\":\"1\"} f:spec f:map f:map/f:k"]
    );
}

#[test]
fn the_first_apply_finds_owners_for_what_is_there() {
    let mut world = World::untracked(json!({"text": "1", "set": ["a"]}));
    assert_eq!(
        world.conflict("a", json!({"text": "2"})),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using g.io/v1: \
         .spec.text"
    );
    world.apply("a", json!({"set": ["b"]}));
    assert_eq!(
        world.owners(),
        ["a: f:set/v:\"b\"", "before-first-apply*: f:spec f:set f:set/v:\"a\" f:text",]
    );
    assert_eq!(world.spec(), json!({"text": "1", "set": ["a", "b"]}));
}

#[test]
fn halves_are_owned_separately() {
    let status = json!({"spec": {"text": "1"}, "status": {"ready": true}});
    let mut world = World::new();
    world.reset = ResetFields::trees([["status"]]);
    world.try_apply("a", &whole(status.clone()), false).unwrap();
    assert_eq!(world.owners(), ["a: f:text"]);
    world.reset = ResetFields::all_but(["status"]);
    world.subresource = "status";
    let mut changed = status;
    changed["spec"]["text"] = json!("ignored");
    changed["status"]["ready"] = json!(false);
    changed["metadata"] = json!({"labels": {"ignored": "too"}});
    world.try_apply("a", &whole(changed), false).unwrap();
    assert_eq!(world.owners(), ["a: f:text", "a/status: f:status/f:ready"]);
    // Through the status, spec is nobody's business: no conflict, and nobody loses it.
    let mut world = World::new();
    world.apply("a", json!({"text": "1"}));
    world.reset = ResetFields::all_but(["status"]);
    world.subresource = "status";
    world.update_whole("u", whole(json!({"spec": {"text": "2"}, "status": {"ready": true}})));
    assert_eq!(world.owners(), ["a: f:text", "u*/status: f:status f:status/f:ready"]);
    assert_eq!(
        world
            .try_apply("b", &whole(json!({"status": {"ready": false}})), false)
            .unwrap_err()
            .to_string(),
        "Apply failed with 1 conflict: conflict with \"u\" with subresource \"status\" using \
         g.io/v1: .status.ready"
    );
}

#[test]
fn what_became_atomic_is_owned_as_one() {
    let fields = |fields| {
        whole(json!({
            "metadata": {"managedFields": [{
                "manager": "a", "operation": "Apply", "apiVersion": "g.io/v1",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields},
            }]},
            "spec": {"atomicMap": {"k": "1"}, "list": [{"x": "1"}]},
        }))
    };
    let mut world = World::new();
    world.live = Some(fields(json!({
        "f:atomicMap": {"f:k": {}}, "f:list": {"k:{\"x\":\"1\"}": {".": {}, "f:x": {}}},
    })));
    assert_eq!(
        world.conflict("b", json!({"atomicMap": {"l": "1"}, "list": []})),
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.atomicMap\n- .spec.list"
    );
    world.force("b", json!({"atomicMap": {"l": "1"}}));
    assert_eq!(world.owners(), ["a: f:list", "b: f:atomicMap"]);
}

#[test]
fn other_versions_are_kept() {
    let mut old = whole(json!({"spec": {"text": "1"}}));
    old.metadata_mut().insert(
        "managedFields".into(),
        json!([{
            "manager": "old", "operation": "Update", "apiVersion": "g.io/v0",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:text": {}}},
        }]),
    );
    let mut world = World::new();
    world.live = Some(old);
    world.apply("a", json!({"text": "2"}));
    assert_eq!(world.owners(), ["a: f:text", "old*: f:text"]);
    // What another version names is not pruned.
    world.apply("a", json!({}));
    assert_eq!(world.spec(), json!({"text": "2"}));
    assert_eq!(world.owners(), ["a: f:spec", "old*: f:text"]);
}

#[test]
fn an_applier_is_one_in_all_versions() {
    let mut world = World::new();
    world.apply("a", json!({"text": "1"}));
    let mut stored = world.live().clone();
    stored.metadata_mut()["managedFields"][0]["apiVersion"] = json!("g.io/v0");
    world.live = Some(stored);
    world.try_apply("a", &object(json!({"flag": true})), false).unwrap();
    // It is not known what the field is in this version, so it stays.
    assert_eq!(world.spec(), json!({"flag": true, "text": "1"}));
    assert_eq!(world.owners(), ["a: f:flag"]);
}
