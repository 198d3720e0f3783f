//! What holds for every object and every document.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests take what reads best, and say what they expect by unwrapping"
)]

use std::sync::LazyLock;

use milo_core::{object::Object, schema::Schema};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A schema with one of everything.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::compile(json!({
        "type": "object",
        "properties": {
            "a": {
                "type": "object", "default": {},
                "properties": {
                    "a": {"type": "string", "default": "x", "minLength": 1, "pattern": "^[a-z]"},
                    "b": {"type": "integer", "maximum": 5, "nullable": true, "default": 1},
                    "c": {"type": "array", "items": {"type": "integer", "default": 3}, "maxItems": 3},
                },
                "x-kubernetes-validations": [
                    {"rule": "!has(self.b) || self.b == null || self.b > -5", "message": "b"},
                    {"rule": "self == oldSelf", "message": "immutable"},
                ],
            },
            "b": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
                "items": {
                    "type": "object", "required": ["a"],
                    "properties": {"a": {"type": "string"}, "b": {"x-kubernetes-int-or-string": true}},
                    "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                },
            },
            "c": {
                "type": "object", "minProperties": 1,
                "additionalProperties": {
                    "type": "number", "multipleOf": 0.5,
                    "x-kubernetes-validations": [{"rule": "self < 100.0"}],
                },
            },
            "d": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    }))
    .unwrap()
});

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-10_i64..10).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-d]{0,2}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            fields(inner).prop_map(Value::from),
        ]
    })
}

fn fields(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[a-e]", inner, 0..5).prop_map(|map| map.into_iter().collect())
}

fn object() -> impl Strategy<Value = Object> {
    fields(json_value()).prop_map(|fields| Object::from_value(Value::Object(fields)).unwrap())
}

/// Keywords with values that are sometimes right.
fn document() -> impl Strategy<Value = Value> {
    let keyword = prop::sample::select(vec![
        "type",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "enum",
        "pattern",
        "format",
        "minimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxItems",
        "uniqueItems",
        "nullable",
        "default",
        "allOf",
        "anyOf",
        "not",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-validations",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
    ]);
    let word = prop::sample::select(vec![
        "object", "array", "string", "integer", "map", "set", "a", "^(", "^a", "date",
    ]);
    let leaf = prop_oneof![word.prop_map(Value::from), json_value()];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(keyword.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn pruning_twice_removes_nothing_more(mut object in object()) {
        SCHEMA.prune(&mut object);
        let once = object.clone();
        prop_assert_eq!(SCHEMA.prune(&mut object), Vec::<String>::new());
        prop_assert_eq!(object, once);
    }

    #[test]
    fn defaulting_twice_adds_nothing_more(mut object in object()) {
        SCHEMA.apply_defaults(&mut object);
        let once = object.clone();
        SCHEMA.apply_defaults(&mut object);
        prop_assert_eq!(object, once);
    }

    #[test]
    fn a_processed_object_validates_the_same_again(mut object in object(), old in object()) {
        SCHEMA.prune(&mut object);
        SCHEMA.apply_defaults(&mut object);
        let errors = SCHEMA.validate(&object, Some(&old));
        prop_assert!(SCHEMA.prune(&mut object).is_empty());
        SCHEMA.apply_defaults(&mut object);
        prop_assert_eq!(SCHEMA.validate(&object, Some(&old)), errors);
    }

    #[test]
    fn nothing_changed_is_nothing_wrong(object in object()) {
        let errors = SCHEMA.validate(&object, Some(&object));
        prop_assert!(errors.is_empty(), "{:?}", errors);
    }

    #[test]
    fn documents_never_panic(mut document in document(), mut object in object()) {
        if let Some(fields) = document.as_object_mut() {
            fields.insert("type".to_owned(), "object".into());
        }
        if let Ok(schema) = Schema::compile(document) {
            let old = object.clone();
            schema.prune(&mut object);
            schema.apply_defaults(&mut object);
            let _ = schema.validate(&object, Some(&old));
            let _ = schema.validate(&object, None);
        }
    }
}
