//! The entries themselves: form, order, times, resets, and how many there may be.

use milo_core::{
    managed_fields::{Manager, ResetFields, default_manager, keep_timestamps, track_update},
    object::Object,
};
use serde_json::{Value, json};

use crate::support::{World, object, schema, whole};

#[test]
fn an_entry_looks_as_upstream_writes_it() {
    let mut world = World::new();
    world.apply("a", json!({"text": "1", "items": [{"name": "a<b"}]}));
    assert_eq!(
        world.managed_fields(),
        json!([{
            "manager": "a", "operation": "Apply", "apiVersion": "g.io/v1",
            "time": "1970-01-01T00:00:01Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {
                "f:items": {"k:{\"name\":\"a\\u003cb\"}": {".": {}, "f:name": {}}},
                "f:text": {},
            }},
        }])
    );
    // What is stored like this is found again.
    world.apply("a", json!({"text": "1"}));
    assert_eq!(world.spec(), json!({"text": "1"}));
}

#[test]
fn the_servers_own_fields_are_never_owned() {
    let metadata = json!({
        "name": "x", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 1,
        "creationTimestamp": "2024-01-01T00:00:00Z", "selfLink": "/x", "labels": {"a": "b"},
    });
    let mut world = World::new();
    world.try_apply("a", &whole(json!({"metadata": metadata})), false).unwrap();
    assert_eq!(world.owners(), ["a: f:metadata/f:labels/f:a"]);
    let mut world = World::new();
    world.update_whole("u", whole(json!({"metadata": metadata})));
    assert_eq!(world.owners(), ["u*: f:metadata/f:labels f:metadata/f:labels/f:a"]);
}

#[test]
fn null_is_no_value_for_the_servers_own_fields() {
    let mut world = World::new();
    world.apply("a", json!({"text": "1"}));
    let created = "2024-01-01T00:00:00Z";
    world.live.as_mut().unwrap().set_meta("creationTimestamp", created);
    let before = world.live().clone();
    let config = json!({"metadata": {"creationTimestamp": null}, "spec": {"text": "1"}});
    world.try_apply("a", &whole(config), false).unwrap();
    assert_eq!(*world.live(), before);
}

#[test]
fn what_clients_send_back_changes_nothing() {
    let mut world = World::new();
    world.apply("a", json!({"text": "1"})).update("u", json!({"text": "1", "flag": true}));
    let before = world.live().clone();
    world.update_whole("v", before.clone());
    assert_eq!(*world.live(), before);
}

#[test]
fn appliers_come_first_then_times_then_names() {
    let mut world = World::new();
    world.update("z", json!({"text": "1"}));
    world.update("y", json!({"text": "1", "flag": true}));
    world.apply("b", json!({"map": {"k": "1"}}));
    world.apply("a", json!({"map": {"l": "1"}}));
    assert_eq!(
        world.owners(),
        ["b: f:map/f:k", "a: f:map/f:l", "z*: f:spec f:text", "y*: f:flag",]
    );
    // Within one second, names decide.
    world.clock -= 1;
    world.force("c", json!({"map": {"m": "1"}}));
    assert_eq!(world.owners()[..3], ["b: f:map/f:k", "a: f:map/f:l", "c: f:map/f:m"]);
}

#[test]
fn times_move_only_with_changes() {
    let mut world = World::new();
    world.apply("a", json!({"text": "1", "map": {"k": "1"}})).update(
        "u",
        json!({
            "text": "1", "map": {"k": "1"}, "flag": true,
        }),
    );
    let before = world.live().clone();
    world.apply("a", json!({"text": "1", "map": {"k": "1"}}));
    assert_eq!(*world.live(), before, "apply that changes nothing");
    world.update("u", json!({"text": "1", "map": {"k": "1"}, "flag": true}));
    assert_eq!(*world.live(), before, "update that changes nothing");
    let times = |world: &World| -> Vec<Value> {
        world.managed_fields().as_array().unwrap().iter().map(|e| e["time"].clone()).collect()
    };
    world.update("u", json!({"text": "1", "map": {"k": "1"}}));
    // What was only removed changed the entry but not its time.
    assert_eq!(times(&world), ["1970-01-01T00:00:01Z"]);
    world.apply("a", json!({"text": "1"}));
    assert_eq!(times(&world), ["1970-01-01T00:00:06Z"]);
    // A new owner of what is there already has a time too.
    world.apply("b", json!({"text": "1"}));
    assert_eq!(times(&world), ["1970-01-01T00:00:06Z", "1970-01-01T00:00:07Z"]);
}

#[test]
fn stored_times_are_kept_if_they_are_all_that_differs() {
    let entry = |manager: &str, time: &str| {
        json!({"manager": manager, "operation": "Update", "apiVersion": "g.io/v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}})
    };
    let with = |entries: Value, spec: Value| -> Object {
        whole(json!({"metadata": {"managedFields": entries}, "spec": spec}))
    };
    let (early, late) = ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z");
    let live = with(json!([entry("a", early), entry("b", early)]), json!({"text": "1"}));
    let mut same = with(json!([entry("b", early), entry("a", late)]), json!({"text": "1"}));
    keep_timestamps(&live, &mut same);
    assert_eq!(same, live);
    for other in [
        with(json!([entry("b", early), entry("a", late)]), json!({"text": "2"})),
        with(json!([entry("b", early), entry("c", late)]), json!({"text": "1"})),
        with(json!([entry("a", late)]), json!({"text": "1"})),
    ] {
        let mut kept = other.clone();
        keep_timestamps(&live, &mut kept);
        assert_eq!(kept, other);
    }
}

#[test]
fn the_oldest_updates_are_merged() {
    let mut world = World::new();
    let mut map = serde_json::Map::new();
    for number in 0..12 {
        map.insert(format!("k{number:02}"), json!("1"));
        world.update(&format!("u{number}"), json!({"map": map}));
    }
    let owners = world.owners();
    assert_eq!(owners.len(), 10);
    assert_eq!(owners[0], "ancient-changes*: f:spec f:map f:map/f:k00 f:map/f:k01 f:map/f:k02");
    assert_eq!(owners[1], "u3*: f:map/f:k03");
    assert_eq!(world.managed_fields()[0]["time"], "1970-01-01T00:00:03Z");
    // Appliers do not count.
    for number in 0..12 {
        world.apply(&format!("a{number}"), json!({"map": {"k00": "1"}}));
    }
    assert_eq!(world.owners().len(), 22);
}

#[test]
fn clients_may_reset_what_is_recorded() {
    let with = |managed_fields: Value| {
        whole(json!({"metadata": {"managedFields": managed_fields}, "spec": {"text": "2"}}))
    };
    for reset in [json!([]), json!([{}]), json!([{"manager": "", "time": null}])] {
        let mut world = World::new();
        world.apply("a", json!({"text": "1"})).update_whole("u", with(reset.clone()));
        assert_eq!(world.managed_fields(), Value::Null);
        // Nothing is tracked until the next apply.
        world.update("u", json!({"text": "3"}));
        assert_eq!(world.managed_fields(), Value::Null);
        world.apply("a", json!({"text": "3"}));
        assert_eq!(world.owners(), ["a: f:text", "before-first-apply*: f:spec f:text"]);
        // Not through a subresource.
        let mut world = World::new();
        world.apply("a", json!({"text": "2"}));
        world.subresource = "status";
        world.update_whole("u", with(reset));
        assert_eq!(world.owners(), ["a: f:text"]);
    }
    // A creation is tracked all the same.
    let mut world = World::new();
    world.update_whole("u", with(json!([])));
    assert_eq!(world.owners(), ["u*: f:spec f:text"]);
}

#[test]
fn what_clients_send_counts_if_it_can_be_read() {
    let entry = |fields: Value| {
        json!({"manager": "m", "operation": "Apply", "apiVersion": "g.io/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    };
    let send = |managed_fields: Value| {
        let mut world = World::new();
        world.apply("a", json!({"text": "1"}));
        world.update_whole(
            "u",
            whole(json!({"metadata": {"managedFields": managed_fields}, "spec": {"text": "1"}})),
        );
        world.owners()
    };
    assert_eq!(send(json!([entry(json!({"f:spec": {"f:flag": {}}}))])), ["m: f:flag"]);
    let bad = |name: &str, value: Value| {
        let mut entry = entry(json!({}));
        entry[name] = value;
        json!([entry])
    };
    for unreadable in [
        Value::Null,
        json!("x"),
        json!(["x"]),
        bad("operation", json!("Patch")),
        bad("apiVersion", json!("")),
        bad("fieldsType", json!("FieldsV2")),
        bad("fieldsType", json!("")),
        bad("manager", json!(1)),
        bad("fieldsV1", json!({"spec": {}})),
        bad("fieldsV1", json!({"k:{": {}})),
        bad("fieldsV1", json!([])),
        json!([entry(json!({"f:spec": {}})), {"operation": "x"}]),
    ] {
        assert_eq!(send(unreadable.clone()), ["a: f:text"], "{unreadable}");
    }
}

#[test]
fn entries_of_one_identity_are_one() {
    let entry = |field: &str| {
        json!({"manager": "m", "operation": "Apply", "apiVersion": "g.io/v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {field: {}}}})
    };
    let mut world = World::new();
    let sent = json!([entry("f:flag"), entry("f:text")]);
    world.update_whole("u", whole(json!({"metadata": {"managedFields": sent}})));
    assert_eq!(world.owners(), ["m: f:text"]);
}

#[test]
fn programs_name_themselves() {
    for (agent, name) in [
        ("kubectl/v1.32 (linux)", "kubectl"),
        ("curl", "curl"),
        ("my tool/1", "my tool"),
        ("a\u{7}b\u{200b}\n/1", "ab"),
        ("/x", "unknown"),
        ("", "unknown"),
    ] {
        assert_eq!(default_manager(agent), name);
    }
    assert_eq!(default_manager(&"é".repeat(100)).len(), 128);
}

#[test]
fn items_that_cannot_be_told_apart_leave_what_is_stored() {
    let mut world = World::new();
    world.apply("a", json!({"text": "1"}));
    let mut new = object(json!({"items": [{"value": "1"}]}));
    let manager = Manager::new("u", "g.io/v1");
    let result =
        track_update(&schema(), Some(world.live()), &mut new, &manager, &ResetFields::none());
    assert_eq!(
        result.unwrap_err().to_string(),
        "failed to update ManagedFields: .spec.items: element 0: associative list with keys has an \
         element that omits key field \"name\" (and doesn't have default value)"
    );
    assert_eq!(new.metadata().unwrap()["managedFields"], world.managed_fields());
}
