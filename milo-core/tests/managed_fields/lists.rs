//! The order of merged lists.

use serde_json::{Value, json};

use crate::support::World;

/// Live order, applied order, merged order. One letter is one item.
const CASES: &[(&str, &str, &str)] = &[
    ("", "ab", "ab"),
    ("ab", "", "ab"),
    ("ab", "ab", "ab"),
    ("ab", "ba", "ba"),
    ("abc", "cba", "cba"),
    ("ab", "cd", "abcd"),
    ("ab", "b", "ab"),
    ("abc", "b", "abc"),
    ("ab", "bc", "abc"),
    ("ab", "ca", "cab"),
    ("abc", "xby", "axbcy"),
    ("abc", "xa", "xabc"),
    ("axb", "ba", "xba"),
    ("abcd", "dxa", "bcdxa"),
    ("aXbYc", "cba", "XYcba"),
    ("Xa", "aY", "XaY"),
    ("abX", "Yba", "YbXa"),
];

fn letters(order: &str) -> Vec<Value> {
    order.chars().map(|letter| Value::from(letter.to_string())).collect()
}

#[test]
fn applied_order_wins_for_shared_items() {
    for &(live, applied, merged) in CASES {
        let mut world = World::new();
        world
            .update("u", json!({"set": letters(live)}))
            .apply("a", json!({"set": letters(applied)}));
        assert_eq!(world.spec(), json!({"set": letters(merged)}), "set: {live} + {applied}");

        let items = |order: &str| -> Vec<Value> {
            letters(order).into_iter().map(|name| json!({"name": name})).collect()
        };
        let mut world = World::new();
        world
            .update("u", json!({"items": items(live)}))
            .apply("a", json!({"items": items(applied)}));
        assert_eq!(world.spec(), json!({"items": items(merged)}), "map: {live} + {applied}");
    }
}

#[test]
fn order_is_not_owned() {
    let mut world = World::new();
    world.apply("a", json!({"set": ["x", "y"]})).apply("b", json!({"set": ["y", "x"]}));
    assert_eq!(world.spec(), json!({"set": ["y", "x"]}));
    assert_eq!(
        world.owners(),
        ["a: f:set/v:\"x\" f:set/v:\"y\"", "b: f:set/v:\"x\" f:set/v:\"y\"",]
    );
}

#[test]
fn duplicates_in_live_lists_are_endured() {
    let items = json!([{"name": "a", "value": "1"}, {"name": "b"}, {"name": "a", "value": "2"}]);
    // Not applied: they stay as they are.
    let mut world = World::new();
    world.update("u", json!({"items": items})).apply("a", json!({"items": [{"name": "c"}]}));
    let mut all = items.as_array().unwrap().clone();
    all.push(json!({"name": "c"}));
    assert_eq!(world.spec(), json!({"items": all}));
    assert!(world.owners()[1].contains("f:items/k:{\"name\":\"a\"} f:items/k:{\"name\":\"b\"}"));
    // Applied: one item takes the place of all.
    let mut world = World::new();
    world.update("u", json!({"items": items})).force("a", json!({"items": [{"name": "a"}]}));
    assert_eq!(world.spec(), json!({"items": [{"name": "a"}, {"name": "b"}]}));
}
