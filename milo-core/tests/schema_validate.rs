//! Structural validation: error texts and causes, case by case.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "helpers of tests take what reads best, and say what they expect by unwrapping"
)]

use milo_core::{
    object::Object,
    schema::Schema,
    status::{FieldError, StatusError},
};
use serde_json::{Value, json};

/// A schema whose `spec` has these properties.
fn schema(properties: Value) -> Schema {
    Schema::compile(json!({
        "type": "object",
        "properties": {"metadata": {"type": "object"}, "spec": {"type": "object", "properties": properties}},
    }))
    .unwrap()
}

fn object(spec: Value) -> Object {
    Object::from_value(json!({
        "apiVersion": "g.io/v1", "kind": "Thing", "metadata": {"name": "x", "labels": {"a": "b"}},
        "spec": spec,
    }))
    .unwrap()
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Name, schema of `spec.f`, value of `spec.f`, errors.
type Case = (&'static str, Value, Value, &'static [&'static str]);

fn check(cases: &[Case]) {
    for (name, document, value, expected) in cases {
        let schema = schema(json!({"f": document}));
        let errors = schema.validate(&object(json!({"f": value})), None);
        assert_eq!(texts(&errors), *expected, "{name}");
    }
}

#[test]
fn types() {
    let int = || json!({"type": "integer"});
    check(&[
        ("integer", int(), json!(1), &[]),
        ("whole float", int(), json!(1.0), &[]),
        (
            "string for integer",
            int(),
            json!("a"),
            &[
                r#"spec.f: Invalid value: "string": spec.f in body must be of type integer: "string""#,
            ],
        ),
        (
            "float for integer",
            int(),
            json!(1.5),
            &[
                r#"spec.f: Invalid value: "number": spec.f in body must be of type integer: "number""#,
            ],
        ),
        (
            "huge integer",
            int(),
            json!(u64::MAX),
            &[
                r#"spec.f: Invalid value: "number": spec.f in body must be of type integer: "number""#,
            ],
        ),
        (
            "huge float",
            int(),
            json!(1e300),
            &[
                r#"spec.f: Invalid value: "number": spec.f in body must be of type integer: "number""#,
            ],
        ),
        (
            "null",
            int(),
            json!(null),
            &[r#"spec.f: Invalid value: "null": spec.f in body must be of type integer: "null""#],
        ),
        ("nullable", json!({"type": "integer", "nullable": true}), json!(null), &[]),
        (
            "float for int64",
            json!({"type": "integer", "format": "int64"}),
            json!(1.5),
            &[
                r#"spec.f: Invalid value: "float64": spec.f in body must be of type int64: "float64""#,
            ],
        ),
        (
            "too big for int32",
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_i64),
            &[
                "spec.f: Invalid value: 3000000000: Checked value must be of type integer with format int32 in spec.f",
            ],
        ),
        ("integer for number", json!({"type": "number"}), json!(1), &[]),
        (
            "object for string",
            json!({"type": "string"}),
            json!({}),
            &[
                r#"spec.f: Invalid value: "object": spec.f in body must be of type string: "object""#,
            ],
        ),
        (
            "boolean",
            json!({"type": "boolean"}),
            json!("true"),
            &[
                r#"spec.f: Invalid value: "string": spec.f in body must be of type boolean: "string""#,
            ],
        ),
        ("int or string", json!({"x-kubernetes-int-or-string": true}), json!("50%"), &[]),
        (
            "int or string",
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            &[
                r#"spec.f: Invalid value: "boolean": spec.f in body must be of type integer,string: "boolean""#,
            ],
        ),
        (
            "anything",
            json!({"x-kubernetes-preserve-unknown-fields": true}),
            json!([{"a": null}]),
            &[],
        ),
        (
            "item",
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a", 1]),
            &[
                r#"spec.f[1]: Invalid value: "integer": spec.f[1] in body must be of type string: "integer""#,
            ],
        ),
        (
            "map entry",
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"a.b": 1}),
            &[
                r#"spec.f.a.b: Invalid value: "integer": spec.f.a.b in body must be of type string: "integer""#,
            ],
        ),
    ]);
}

#[test]
fn strings() {
    let text = |more: Value| {
        let mut schema = json!({"type": "string"});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    check(&[
        (
            "enum",
            text(json!({"enum": ["Personal", "Standard"]})),
            json!("Team"),
            &[r#"spec.f: Unsupported value: "Team": supported values: "Personal", "Standard""#],
        ),
        (
            "enum and type",
            text(json!({"enum": ["a"]})),
            json!(5),
            &[
                r#"spec.f: Invalid value: "integer": spec.f in body must be of type string: "integer""#,
                r#"spec.f: Unsupported value: 5: supported values: "a""#,
            ],
        ),
        ("nullable enum", text(json!({"enum": ["a"], "nullable": true})), json!(null), &[]),
        (
            "too long",
            text(json!({"maxLength": 2})),
            json!("äöü"),
            &["spec.f: Too long: may not be more than 2 bytes"],
        ),
        ("characters", text(json!({"maxLength": 3, "minLength": 3})), json!("äöü"), &[]),
        (
            "too short",
            text(json!({"minLength": 1})),
            json!(""),
            &[r#"spec.f: Invalid value: "": spec.f in body should be at least 1 chars long"#],
        ),
        (
            "pattern",
            text(json!({"pattern": "^[A-Z]{2}$"})),
            json!("x"),
            &[r#"spec.f: Invalid value: "x": spec.f in body should match '^[A-Z]{2}$'"#],
        ),
        (
            "the first problem only",
            text(json!({"minLength": 3, "pattern": "^a"})),
            json!("x"),
            &[r#"spec.f: Invalid value: "x": spec.f in body should be at least 3 chars long"#],
        ),
        (
            "format",
            text(json!({"format": "date-time"})),
            json!("today"),
            &[
                r#"spec.f: Invalid value: "today": spec.f in body must be of type date-time: "today""#,
            ],
        ),
        (
            "integer for format",
            text(json!({"format": "date-time"})),
            json!(1),
            &[
                r#"spec.f: Invalid value: "int64": spec.f in body must be of type date-time: "int64""#,
            ],
        ),
        ("unknown format", text(json!({"format": "poem"})), json!("roses"), &[]),
    ]);
}

#[test]
fn numbers() {
    let int = |field: &str, limit: Value| json!({"type": "integer", field: limit});
    check(&[
        (
            "maximum",
            int("maximum", json!(10)),
            json!(11),
            &["spec.f: Invalid value: 11: spec.f in body should be less than or equal to 10"],
        ),
        ("maximum from a float", int("maximum", json!(10.0)), json!(10), &[]),
        (
            "minimum",
            int("minimum", json!(0)),
            json!(-1),
            &["spec.f: Invalid value: -1: spec.f in body should be greater than or equal to 0"],
        ),
        (
            "exclusive",
            json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}),
            json!(1),
            &["spec.f: Invalid value: 1: spec.f in body should be greater than 1"],
        ),
        (
            "exclusive limit",
            int("exclusiveMaximum", json!(5)),
            json!(5),
            &["spec.f: Invalid value: 5: spec.f in body should be less than 5"],
        ),
        ("big limit", int("maximum", json!(i64::MAX)), json!(i64::MAX), &[]),
        (
            "float",
            json!({"type": "number", "maximum": 1_000_000}),
            json!(1_000_000.5),
            &[
                "spec.f: Invalid value: 1000000.5: spec.f in body should be less than or equal to 1e+06",
            ],
        ),
        (
            "multiple",
            int("multipleOf", json!(5)),
            json!(12),
            &["spec.f: Invalid value: 12: spec.f in body should be a multiple of 5"],
        ),
        ("float multiple", json!({"type": "number", "multipleOf": 0.1}), json!(0.3), &[]),
        (
            "number enum",
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            &[r#"spec.f: Unsupported value: 3: supported values: "1", "2""#],
        ),
        ("number enum by value", json!({"type": "integer", "enum": [1, 2]}), json!(2.0), &[]),
    ]);
}

#[test]
fn lists() {
    let list = |field: &str, value: Value| json!({"type": "array", "items": {"type": "integer"}, field: value});
    let map = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}},
    });
    let pairs = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
        "items": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
    });
    check(&[
        (
            "too few",
            list("minItems", json!(1)),
            json!([]),
            &["spec.f: Invalid value: 0: spec.f in body should have at least 1 items"],
        ),
        (
            "too many",
            list("maxItems", json!(1)),
            json!([1, 2]),
            &["spec.f: Too many: 2: must have at most 1 item"],
        ),
        (
            "unique",
            list("uniqueItems", json!(true)),
            json!([1, 1]),
            &[r#"spec.f: Invalid value: "": spec.f in body shouldn't contain duplicates"#],
        ),
        (
            "set",
            list("x-kubernetes-list-type", json!("set")),
            json!([1, 2, 1, 1]),
            &["spec.f[2]: Duplicate value: 1"],
        ),
        (
            "map",
            map.clone(),
            json!([{"name": "x"}, {"name": "y"}, {"name": "x", "n": 1}]),
            &[r#"spec.f[2]: Duplicate value: {"name":"x"}"#],
        ),
        (
            "map without keys",
            map.clone(),
            json!([{}, {"n": 1}]),
            &["spec.f[1]: Duplicate value: {}"],
        ),
        (
            "map of scalars",
            map,
            json!(["a"]),
            &[
                r#"spec.f[0]: Invalid value: "string": spec.f[0] in body must be of type object: "string""#,
                r#"spec.f[0]: Invalid value: "a": must be an object for an array of list-type map"#,
            ],
        ),
        (
            "two keys",
            pairs,
            json!([{"a": "1", "b": "2"}, {"a": "1"}, {"a": "1", "b": "2"}]),
            &[r#"spec.f[2]: Duplicate value: {"a":"1","b":"2"}"#],
        ),
    ]);
}

#[test]
fn long_lists_are_searched_by_hash() {
    let set = schema(json!({"f": {
        "type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set",
    }}));
    let mut items: Vec<u32> = (0..20_000).collect();
    items[19_000] = 7;
    let errors = set.validate(&object(json!({"f": items})), None);
    assert_eq!(texts(&errors), ["spec.f[19000]: Duplicate value: 7"]);
}

#[test]
fn objects() {
    check(&[
        (
            "required, in order",
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"]}),
            json!({"a": 1}),
            &[
                r#"spec.f.a: Invalid value: "integer": spec.f.a in body must be of type string: "integer""#,
                "spec.f.b: Required value",
            ],
        ),
        (
            "too few",
            json!({"type": "object", "additionalProperties": true, "minProperties": 1}),
            json!({}),
            &["spec.f: Invalid value: 0: spec.f in body should have at least 1 properties"],
        ),
        (
            "too many",
            json!({"type": "object", "additionalProperties": true, "maxProperties": 1}),
            json!({"a": 1, "b": 2}),
            &["spec.f: Too many: 2: must have at most 1 item"],
        ),
        (
            "forbidden",
            json!({"type": "object", "additionalProperties": false}),
            json!({"a": 1}),
            &[r#"spec.f: Invalid value: "a": spec.f.a in body is a forbidden property"#],
        ),
    ]);
}

#[test]
fn compositions() {
    let one = json!({
        "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    });
    check(&[
        ("one", one.clone(), json!({"a": "x"}), &[]),
        (
            "none of one",
            one.clone(),
            json!({}),
            &[
                r#"<nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found none valid"#,
                "spec.f.a: Required value",
            ],
        ),
        (
            "two of one",
            one,
            json!({"a": "x", "b": "y"}),
            &[
                r#"<nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
            ],
        ),
        (
            "any",
            json!({"type": "string", "anyOf": [{"pattern": "^a"}, {"maxLength": 1}]}),
            json!("bc"),
            &[
                r#"<nil>: Invalid value: "": "spec.f" must validate at least one schema (anyOf)"#,
                r#"spec.f: Invalid value: "bc": spec.f in body should match '^a'"#,
            ],
        ),
        (
            "all",
            json!({"type": "string", "allOf": [{"pattern": "^a"}, {"maxLength": 2}]}),
            json!("bc"),
            &[
                r#"spec.f: Invalid value: "bc": spec.f in body should match '^a'"#,
                r#"<nil>: Invalid value: "": "spec.f" must validate all the schemas (allOf)"#,
            ],
        ),
        (
            "not",
            json!({"type": "string", "not": {"enum": ["root"]}}),
            json!("root"),
            &[r#"<nil>: Invalid value: "": "spec.f" must not validate the schema (not)"#],
        ),
    ]);
}

#[test]
fn type_and_metadata_are_not_validated() {
    let schema = Schema::compile(json!({
        "type": "object", "required": ["spec", "metadata", "kind"],
        "properties": {
            "apiVersion": {"type": "string", "maxLength": 1}, "kind": {"type": "integer"},
            "metadata": {"type": "object", "properties": {"name": {"type": "integer"}}},
            "spec": {"type": "object"},
        },
    }))
    .unwrap();
    let mut object = object(json!({}));
    assert!(schema.validate(&object, None).is_empty());
    assert!(schema.prune(&mut object).is_empty());
    object.fields_mut().remove("spec");
    assert_eq!(texts(&schema.validate(&object, None)), ["spec: Required value"]);
}

#[test]
fn causes_are_those_of_upstream() {
    let schema = schema(json!({
        "a": {"type": "string"}, "b": {"type": "string", "maxLength": 1}, "c": {"type": "string", "enum": ["x"]},
    }));
    let errors = schema.validate(&object(json!({"a": 1, "b": "xx", "c": "y"})), None);
    let status = StatusError::invalid("Thing", "g.io", "x", &errors);
    let causes = status.details().unwrap().causes.as_ref().unwrap();
    let reasons: Vec<_> = causes.iter().map(|cause| cause.reason.as_deref().unwrap()).collect();
    assert_eq!(reasons, ["FieldValueTypeInvalid", "FieldValueTooLong", "FieldValueNotSupported"]);
}

#[test]
fn what_was_wrong_before_is_no_error() {
    let schema = schema(json!({
        "f": {"type": "string", "maxLength": 1},
        "atomic": {"type": "array", "items": {"type": "string", "maxLength": 1}},
        "map": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {
                "name": {"type": "string"}, "v": {"type": "string", "maxLength": 1},
            }},
        },
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    }));
    // Name, old, new, errors.
    let cases: &[(&str, Value, Value, &[&str])] = &[
        ("the same", json!({"f": "ab"}), json!({"f": "ab", "set": []}), &[]),
        (
            "changed",
            json!({"f": "ab"}),
            json!({"f": "abc"}),
            &["spec.f: Too long: may not be more than 1 bytes"],
        ),
        (
            "atomic list, the same",
            json!({"atomic": ["ab"]}),
            json!({"atomic": ["ab"], "f": ""}),
            &[],
        ),
        (
            "atomic list, other",
            json!({"atomic": ["ab"]}),
            json!({"atomic": ["ab", "c"]}),
            &["spec.atomic[0]: Too long: may not be more than 1 bytes"],
        ),
        (
            "list map, by key",
            json!({"map": [{"name": "a", "v": "xx"}]}),
            json!({"map": [{"name": "b", "v": "yy"}, {"name": "a", "v": "xx"}]}),
            &["spec.map[0].v: Too long: may not be more than 1 bytes"],
        ),
        ("duplicates before", json!({"set": ["a", "a"]}), json!({"set": ["a", "a", "b"]}), &[]),
        (
            "new duplicates",
            json!({"set": ["a"]}),
            json!({"set": ["a", "a"]}),
            &[r#"spec.set[1]: Duplicate value: "a""#],
        ),
    ];
    for (name, old, new, expected) in cases {
        let errors = schema.validate(&object(new.clone()), Some(&object(old.clone())));
        assert_eq!(texts(&errors), *expected, "{name}");
    }
}

/// Each thing that is wrong is named by its path: long keys above many of them would make far more
/// text than the object has.
#[test]
fn what_is_told_is_bounded() {
    let schema = schema(json!({"f": {
        "type": "object",
        "additionalProperties": {"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "string"}},
        }},
    }}));
    let unknown: serde_json::Map<_, _> =
        (0..2_000).map(|number| (format!("u{number}"), json!(1))).collect();
    let mut value = Value::Object(unknown);
    value["list"] = vec![1; 2_000].into();
    let fields = serde_json::Map::from_iter([("k".repeat(4096), value)]);
    let mut object = object(json!({"f": fields}));
    let removed = schema.prune(&mut object);
    assert!((1..=100).contains(&removed.len()), "{}", removed.len());
    assert!(removed.iter().all(|path| path.len() <= 4096));
    let errors = texts(&schema.validate(&object, None));
    assert!((1..=101).contains(&errors.len()), "{}", errors.len());
    // A text holds its path once or twice.
    assert!(errors.iter().all(|text| text.len() <= 3 * 4096), "{}", errors[0].len());
}
