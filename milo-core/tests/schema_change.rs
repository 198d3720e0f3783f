//! Pruning, defaulting, and documents that do not compile.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "helpers of tests take what reads best, and say what they expect by unwrapping"
)]

use milo_core::{object::Object, schema::Schema};
use serde_json::{Value, json};

fn schema(spec: Value) -> Schema {
    Schema::compile(json!({"type": "object", "properties": {"spec": spec}})).unwrap()
}

fn object(spec: Value) -> Object {
    Object::from_value(json!({"apiVersion": "g.io/v1", "kind": "Thing", "spec": spec})).unwrap()
}

#[test]
fn unknown_fields_are_pruned() {
    // Name, schema of spec, spec, pruned spec, removed paths.
    let cases: &[(&str, Value, Value, Value, &[&str])] = &[
        (
            "nested and in lists",
            json!({"type": "object", "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "string"}}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
            }}),
            json!({"a": {"b": "", "c": 1}, "foo": 1, "list": [{"x": "", "bar": 1}, {"odd.key": 2}]}),
            json!({"a": {"b": ""}, "list": [{"x": ""}, {}]}),
            &["spec.a.c", "spec.foo", "spec.list[0].bar", "spec.list[1].odd.key"],
        ),
        (
            "map",
            json!({"type": "object", "additionalProperties": {"type": "object", "properties": {"b": {"type": "string"}}}}),
            json!({"any": {"b": "", "c": 1}}),
            json!({"any": {"b": ""}}),
            &["spec.any.c"],
        ),
        (
            "preserved, but declared fields are known",
            json!({
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"a": {"type": "object", "properties": {}}},
            }),
            json!({"a": {"x": 1}, "free": {"y": [{"z": 1}]}}),
            json!({"a": {}, "free": {"y": [{"z": 1}]}}),
            &["spec.a.x"],
        ),
        (
            "additionalProperties: true",
            json!({"type": "object", "additionalProperties": true}),
            json!({"a": {"b": 1}}),
            json!({"a": {"b": 1}}),
            &[],
        ),
        (
            "additionalProperties: false",
            json!({"type": "object", "additionalProperties": false}),
            json!({"a": 1}),
            json!({}),
            &["spec.a"],
        ),
        (
            "embedded resource",
            json!({
                "type": "object", "x-kubernetes-embedded-resource": true,
                "properties": {"spec": {"type": "object"}},
            }),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": 1}, "status": {}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {}}),
            &["spec.spec.x", "spec.status"],
        ),
    ];
    for (name, spec, before, after, removed) in cases {
        let mut pruned = object(before.clone());
        let paths = schema(spec.clone()).prune(&mut pruned);
        assert_eq!(pruned, object(after.clone()), "{name}");
        assert_eq!(paths, *removed, "{name}");
    }
}

#[test]
fn defaults_and_nulls() {
    // Name, schema of spec, spec, spec with defaults.
    let props = |properties: Value| json!({"type": "object", "properties": properties});
    let cases: &[(&str, Value, Value, Value)] = &[
        (
            "missing",
            props(json!({"a": {"type": "integer", "default": 1}})),
            json!({}),
            json!({"a": 1}),
        ),
        (
            "present",
            props(json!({"a": {"type": "integer", "default": 1}})),
            json!({"a": 2}),
            json!({"a": 2}),
        ),
        (
            "null",
            props(json!({"a": {"type": "integer", "default": 1}})),
            json!({"a": null}),
            json!({"a": 1}),
        ),
        (
            "nullable null",
            props(json!({"a": {"type": "integer", "default": 1, "nullable": true}})),
            json!({"a": null}),
            json!({"a": null}),
        ),
        (
            "null without default",
            props(json!({"a": {"type": "integer"}})),
            json!({"a": null}),
            json!({}),
        ),
        (
            "below a missing object",
            props(json!({"a": props(json!({"b": {"type": "integer", "default": 1}}))})),
            json!({}),
            json!({}),
        ),
        (
            "below a defaulted object",
            props(json!({"a": {
                "type": "object", "default": {},
                "properties": {"b": {"type": "integer", "default": 1}},
            }})),
            json!({}),
            json!({"a": {"b": 1}}),
        ),
        (
            "items and entries",
            props(json!({
                "list": {"type": "array", "items": props(json!({"b": {"type": "integer", "default": 1}}))},
                "nulls": {"type": "array", "items": {"type": "integer", "default": 5}},
                "map": {"type": "object", "additionalProperties": props(json!({"b": {"type": "integer", "default": 1}}))},
            })),
            json!({"list": [{}, {"b": 2}], "nulls": [null, 1], "map": {"k": {}, "gone": null}}),
            json!({"list": [{"b": 1}, {"b": 2}], "nulls": [5, 1], "map": {"k": {"b": 1}}}),
        ),
    ];
    for (name, spec, before, after) in cases {
        let mut defaulted = object(before.clone());
        schema(spec.clone()).apply_defaults(&mut defaulted);
        assert_eq!(defaulted, object(after.clone()), "{name}");
    }
}

#[test]
fn conditions_are_defaulted_only_below_a_status() {
    let schema = Schema::compile(json!({"type": "object", "properties": {"status": {
        "type": "object",
        "properties": {"conditions": {
            "type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "default": [{"type": "Ready", "status": "Unknown"}],
        }},
    }}}))
    .unwrap();
    let mut without = Object::from_value(json!({})).unwrap();
    schema.apply_defaults(&mut without);
    assert_eq!(without, Object::from_value(json!({})).unwrap());
    let mut with = Object::from_value(json!({"status": {}})).unwrap();
    schema.apply_defaults(&mut with);
    assert_eq!(with.fields()["status"]["conditions"][0]["type"], "Ready");
}

#[test]
fn documents_that_are_not_structural() {
    let spec = |spec: Value| json!({"type": "object", "properties": {"spec": spec}});
    let field = |f: Value| spec(json!({"type": "object", "properties": {"f": f}}));
    let cases: &[(&str, Value, &str)] = &[
        ("not an object", json!([]), "openAPIV3Schema: must be an object"),
        ("no type at the root", json!({}), "openAPIV3Schema.type: must be object"),
        ("no type", spec(json!({})), "openAPIV3Schema.properties[spec].type: must be specified"),
        (
            "unknown type",
            field(json!({"type": "text"})),
            "openAPIV3Schema.properties[spec].properties[f].type: unknown type \"text\"",
        ),
        (
            "several types",
            field(json!({"type": ["string", "null"]})),
            "openAPIV3Schema.properties[spec].properties[f].type: must be a string, but is [\"string\",\"null\"]",
        ),
        (
            "no items",
            field(json!({"type": "array"})),
            "openAPIV3Schema.properties[spec].properties[f].items: must be specified",
        ),
        (
            "reference",
            field(json!({"$ref": "#/x"})),
            "openAPIV3Schema.properties[spec].properties[f].$ref: references are not supported",
        ),
        (
            "negative length",
            field(json!({"type": "string", "minLength": -1})),
            "openAPIV3Schema.properties[spec].properties[f].minLength: must be a number of at least 0, but is -1",
        ),
        (
            "no list map keys",
            field(
                json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}),
            ),
            "openAPIV3Schema.properties[spec].properties[f].x-kubernetes-list-map-keys: \
             must not be empty if x-kubernetes-list-type is map",
        ),
        (
            "unknown list map key",
            field(json!({
                "type": "array", "items": {"type": "object"},
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            })),
            "openAPIV3Schema.properties[spec].properties[f].x-kubernetes-list-map-keys: \
             \"name\" is not a property of the items",
        ),
        (
            "wrong default",
            field(json!({"type": "integer", "maximum": 1, "default": 2})),
            "openAPIV3Schema.properties[spec].properties[f].default: \
             <nil>: Invalid value: 2:  in body should be less than or equal to 1",
        ),
        (
            "unknown field in a default",
            field(json!({"type": "object", "default": {"a": {"b": 1}}, "properties": {
                "a": {"type": "object"},
            }})),
            "openAPIV3Schema.properties[spec].properties[f].default: unknown field \"a.b\"",
        ),
        (
            "rules in a nested context",
            field(
                json!({"type": "string", "allOf": [{"x-kubernetes-validations": [{"rule": "true"}]}]}),
            ),
            "openAPIV3Schema.properties[spec].properties[f].allOf[0].x-kubernetes-validations: \
             must be empty to be structural",
        ),
    ];
    for (name, document, expected) in cases {
        let error = Schema::compile(document.clone()).unwrap_err();
        assert_eq!(error.to_string(), *expected, "{name}");
    }
    let error = Schema::compile(field(json!({"type": "string", "pattern": "("}))).unwrap_err();
    assert_eq!(error.path(), "openAPIV3Schema.properties[spec].properties[f].pattern");
    assert!(error.to_string().contains("must be a valid regular expression, but isn't"), "{error}");
}

#[test]
fn nesting_is_bounded() {
    let mut document = json!({"type": "string"});
    for _ in 0..100 {
        document = json!({"type": "object", "properties": {"a": document}});
    }
    let error = Schema::compile(document).unwrap_err();
    assert!(error.to_string().ends_with("is nested deeper than 64 levels"), "{error}");
}
