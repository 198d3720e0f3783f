//! Input that means harm: errors, no panic, and no more time than its size deserves.

use std::time::{Duration, Instant};

use milo_core::object::Object;
use serde_json::{Value, json};

use crate::support::{World, object, whole};

/// Generous: a quadratic walk over these sizes takes minutes in a debug build.
const SOON: Duration = Duration::from_secs(20);

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"a": inner}))
}

#[test]
fn deep_configurations_are_refused() {
    let error = World::new().error(json!({"free": nested(1_000)}));
    assert!(error.ends_with("is nested deeper than 256 levels"), "{error}");
    World::new().apply("a", json!({"free": nested(100)}));
}

#[test]
fn deep_and_large_entries_are_dropped() {
    let sent = |fields: Value| {
        whole(json!({"metadata": {"managedFields": [{"manager": "m", "operation": "Apply",
            "apiVersion": "g.io/v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]}}))
    };
    let mut deep = json!({});
    for _ in 0..1_000 {
        deep = json!({"f:a": deep});
    }
    let mut world = World::new();
    world.update_whole("u", sent(deep));
    assert!(world.owners().is_empty());
    let wide: serde_json::Map<String, Value> =
        (0..100_000).map(|n| (format!("k:{{\"n\": {n}}}"), json!({}))).collect();
    let start = Instant::now();
    world.update_whole("u", sent(json!({"f:spec": {"f:items": wide}})));
    world.apply("a", json!({"text": "1"}));
    assert!(start.elapsed() < SOON);
}

#[test]
fn long_lists_take_no_square_time() {
    const COUNT: usize = 10_000;
    let items = |prefix: &str| -> Vec<Value> {
        (0..COUNT).map(|n| json!({"name": format!("{prefix}{n}"), "value": "1"})).collect()
    };
    let start = Instant::now();
    let mut world = World::new();
    world.apply("a", json!({"items": items("a")}));
    let mut reversed = items("a");
    reversed.reverse();
    world.apply("b", json!({"items": reversed}));
    world.apply("a", json!({"items": items("c")}));
    world.update("u", json!({"items": items("a")}));
    assert_eq!(world.spec()["items"].as_array().unwrap().len(), COUNT);
    world.apply("b", json!({"items": []}));
    assert_eq!(world.spec(), json!({"items": []}));
    let numbers: Vec<usize> = (0..COUNT).rev().collect();
    world.apply("a", json!({"numbers": numbers}));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn many_duplicates_are_reported_briefly() {
    let error = World::new().error(json!({"set": vec!["a"; 10_000]}));
    assert!(error.len() < 10_000, "{}", error.len());
    let long = "x".repeat(1_000_000);
    assert!(World::new().error(json!({"number": 1, "map": long})).len() < 1_000);
}

#[test]
fn many_managers_are_read_in_no_square_time() {
    let entries: Vec<Value> = (0..20_000)
        .map(|n| {
            json!({"manager": format!("m{}", n % 10_000), "operation": "Apply",
                "apiVersion": "g.io/v1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:text": {}}}})
        })
        .collect();
    let start = Instant::now();
    let mut world = World::new();
    world.update_whole("u", whole(json!({"metadata": {"managedFields": entries}})));
    assert_eq!(world.owners().len(), 10_000);
    world.force("a", json!({"text": "1"}));
    assert!(start.elapsed() < SOON);
}

#[test]
fn wrong_types_everywhere() {
    let values = || {
        [
            json!(null),
            json!(true),
            json!(1),
            json!(1.5),
            json!("x"),
            json!([]),
            json!([1]),
            json!([null]),
            json!([[]]),
            json!([{}]),
            json!({}),
            json!({"a": 1}),
            json!({"x": "1"}),
            json!({"x": null}),
            json!([{"name": "a"}]),
            json!([{"name": {"a": 1}}]),
        ]
    };
    let fields = [
        "text",
        "number",
        "flag",
        "either",
        "nullable",
        "pair",
        "map",
        "pairs",
        "atomicMap",
        "atomicPair",
        "list",
        "set",
        "numbers",
        "items",
        "ports",
        "free",
        "half",
        "any",
        "template",
    ];
    for field in fields {
        for live in values() {
            for config in values() {
                let mut world = World::new();
                let before = object(json!({field: live}));
                world.live = Some(before.clone());
                let _ = world.try_apply("a", &object(json!({field: config})), true);
                let _ = world.try_apply("a", &object(json!({})), true);
                let mut new = object(json!({field: config}));
                let manager = milo_core::managed_fields::Manager::new("u", "g.io/v1");
                let _ = milo_core::managed_fields::track_update(
                    &world.schema,
                    Some(&before),
                    &mut new,
                    &manager,
                    &world.reset,
                );
            }
        }
    }
    let metadata = Object::from_value(json!({"metadata": {"managedFields": 7, "labels": 1}}));
    let mut world = World::new();
    world.live = metadata.ok();
    let _ = world.try_apply("a", &object(json!({"text": "1"})), false);
}
