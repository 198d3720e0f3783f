//! CEL rules: `x-kubernetes-validations`.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "helpers of tests take what reads best, and say what they expect by unwrapping"
)]

use milo_core::{object::Object, schema::Schema, status::FieldError};
use serde_json::{Value, json};

fn schema(spec: Value) -> Schema {
    Schema::compile(json!({"type": "object", "properties": {"spec": spec}})).unwrap()
}

fn object(spec: Value) -> Object {
    Object::from_value(
        json!({"apiVersion": "g.io/v1", "kind": "Thing", "metadata": {"name": "x", "uid": "u"}, "spec": spec}),
    )
    .unwrap()
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn field(types: &str, rule: Value) -> Value {
    json!({"type": "object", "properties": {"f": {"type": types, "x-kubernetes-validations": [rule]}}})
}

/// Name, schema of spec, old spec, spec, errors.
type Case = (&'static str, Value, Option<Value>, Value, &'static [&'static str]);

fn check(cases: &[Case]) {
    for (name, spec, old, new, expected) in cases {
        let old = old.clone().map(object);
        let errors = schema(spec.clone()).validate(&object(new.clone()), old.as_ref());
        assert_eq!(texts(&errors), *expected, "{name}");
    }
}

#[test]
fn messages_reasons_and_paths() {
    let labels = |more: Value| {
        let mut rule = json!({"rule": "self.f > 1"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"type": "object", "x-kubernetes-validations": [rule], "properties": {
            "f": {"type": "integer"},
            "x-y": {"type": "integer"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }})
    };
    let bad = || json!({"f": 1});
    check(&[
        ("holds", labels(json!({})), None, json!({"f": 2}), &[]),
        (
            "no message",
            labels(json!({})),
            None,
            bad(),
            &[r#"spec: Invalid value: "object": failed rule: self.f > 1"#],
        ),
        (
            "message",
            labels(json!({"message": " f is small "})),
            None,
            bad(),
            &[r#"spec: Invalid value: "object": f is small"#],
        ),
        (
            "message expression",
            labels(json!({"message": "small", "messageExpression": "'f is ' + string(self.f)"})),
            None,
            bad(),
            &[r#"spec: Invalid value: "object": f is 1"#],
        ),
        (
            "message expression that fails",
            labels(json!({"message": "small", "messageExpression": "self.g"})),
            None,
            bad(),
            &[r#"spec: Invalid value: "object": small"#],
        ),
        (
            "forbidden",
            labels(json!({"message": "no", "reason": "FieldValueForbidden"})),
            None,
            bad(),
            &["spec: Forbidden: no"],
        ),
        (
            "required",
            labels(json!({"message": "no", "reason": "FieldValueRequired"})),
            None,
            bad(),
            &["spec: Required value: no"],
        ),
        (
            "duplicate",
            labels(json!({"message": "no", "reason": "FieldValueDuplicate"})),
            None,
            bad(),
            &[r#"spec: Duplicate value: "object""#],
        ),
        (
            "field path",
            labels(json!({"message": "no", "fieldPath": ".f"})),
            None,
            bad(),
            &[r#"spec.f: Invalid value: "object": no"#],
        ),
        (
            "odd field path",
            labels(json!({"message": "no", "fieldPath": "['x-y']"})),
            None,
            bad(),
            &[r#"spec.x-y: Invalid value: "object": no"#],
        ),
        (
            "map field path",
            labels(json!({"message": "no", "fieldPath": ".labels['a.b']"})),
            None,
            bad(),
            &[r#"spec.labels[a.b]: Invalid value: "object": no"#],
        ),
        (
            "evaluation error",
            field("string", json!({"rule": "self.size() / 0 == 1"})),
            None,
            json!({"f": ""}),
            &[
                r#"spec.f: Invalid value: "string": division by zero of Int(0) evaluating rule: self.size() / 0 == 1"#,
            ],
        ),
        (
            "not a bool",
            field("string", json!({"rule": "self", "message": "m"})),
            None,
            json!({"f": ""}),
            &[r#"spec.f: Invalid value: "string": the result is not a bool evaluating rule: m"#],
        ),
    ]);
}

#[test]
fn values_are_typed_by_the_schema() {
    let props = |properties: Value, rule: &str| json!({"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule}]});
    let string = || json!({"type": "string"});
    let holds: &[(&str, Value, Value)] = &[
        (
            "date-time",
            props(
                json!({"a": {"type": "string", "format": "date-time"}}),
                "self.a < timestamp('2025-01-01T00:00:00Z')",
            ),
            json!({"a": "2024-01-01T00:00:00Z"}),
        ),
        (
            "date",
            props(
                json!({"a": {"type": "string", "format": "date"}}),
                "self.a.getFullYear() == 2024",
            ),
            json!({"a": "2024-01-01"}),
        ),
        (
            "duration",
            props(
                json!({"a": {"type": "string", "format": "duration"}}),
                "self.a <= duration('2h')",
            ),
            json!({"a": "1h30m"}),
        ),
        (
            "bytes",
            props(json!({"a": {"type": "string", "format": "byte"}}), "size(self.a) == 2"),
            json!({"a": "aGk="}),
        ),
        (
            "number",
            props(json!({"a": {"type": "number"}}), "type(self.a) == double && self.a > 1"),
            json!({"a": 2}),
        ),
        (
            "whole float",
            props(json!({"a": {"type": "integer"}}), "type(self.a) == int && self.a == 2"),
            json!({"a": 2.0}),
        ),
        (
            "int or string",
            props(
                json!({"a": {"x-kubernetes-int-or-string": true}}),
                "type(self.a) == string ? self.a == '100%' : self.a == 100",
            ),
            json!({"a": 100}),
        ),
        (
            "escaped",
            props(
                json!({"x-y": string(), "namespace": string(), "a_b": string(), "c__d": string(), "e.f": string()}),
                "has(self.x__dash__y) && has(self.__namespace__) && has(self.a_b) && has(self.c__underscores__d) && has(self.e__dot__f)",
            ),
            json!({"x-y": "", "namespace": "", "a_b": "", "c__d": "", "e.f": ""}),
        ),
        (
            "map keys are not",
            props(
                json!({"m": {"type": "object", "additionalProperties": string()}}),
                "'a-b' in self.m && self.m.all(k, k.startsWith('a'))",
            ),
            json!({"m": {"a-b": ""}}),
        ),
        ("characters", props(json!({"a": string()}), "self.a.size() == 3"), json!({"a": "äöü"})),
        ("absent", props(json!({"a": string()}), "!has(self.a)"), json!({})),
        (
            "Kubernetes functions",
            props(
                json!({"a": string()}),
                "quantity(self.a).isGreaterThan(quantity('1Mi')) && self.a.matches('^[0-9]+Gi$') && isURL('https://a')",
            ),
            json!({"a": "1Gi"}),
        ),
        (
            "optional syntax",
            props(json!({"a": string()}), "self.?a.orValue('x') == 'x'"),
            json!({}),
        ),
        (
            "null",
            props(json!({"a": {"type": "string", "nullable": true}}), "self.a == null"),
            json!({"a": null}),
        ),
    ];
    for (name, spec, value) in holds {
        let errors = schema(spec.clone()).validate(&object(value.clone()), None);
        assert_eq!(texts(&errors), [""; 0], "{name}");
    }
}

#[test]
fn the_root_sees_names() {
    let schema = Schema::compile(json!({
        "type": "object", "properties": {"spec": {"type": "object"}},
        "x-kubernetes-validations": [{
            "rule": "self.metadata.name == 'y' && !has(self.metadata.uid) && self.kind == 'Thing'",
            "message": "wrong name",
        }],
    }))
    .unwrap();
    let errors = schema.validate(&object(json!({})), None);
    assert_eq!(texts(&errors), [r#"<nil>: Invalid value: "object": wrong name"#]);
}

#[test]
fn transitions() {
    let immutable = || {
        field(
            "string",
            json!({
                "rule": "type(oldSelf) == null_type || self == oldSelf",
                "message": "organization type is immutable",
            }),
        )
    };
    let was_null =
        || field("string", json!({"rule": "oldSelf == null || self == oldSelf", "message": "no"}));
    let optional = || {
        field(
            "string",
            json!({
                "rule": "!oldSelf.hasValue() || oldSelf.value() == self", "optionalOldSelf": true, "message": "no",
            }),
        )
    };
    let once = || {
        field(
            "string",
            json!({"rule": "oldSelf.hasValue()", "optionalOldSelf": true, "message": "too late"}),
        )
    };
    let changed = &[r#"spec.f: Invalid value: "string": organization type is immutable"#];
    check(&[
        ("create", immutable(), None, json!({"f": "a"}), &[]),
        ("same", immutable(), Some(json!({"f": "a"})), json!({"f": "a"}), &[]),
        ("changed", immutable(), Some(json!({"f": "a"})), json!({"f": "b"}), changed),
        ("added", immutable(), Some(json!({})), json!({"f": "b"}), &[]),
        ("removed", immutable(), Some(json!({"f": "a"})), json!({}), &[]),
        (
            "compared with null",
            was_null(),
            Some(json!({"f": "a"})),
            json!({"f": "b"}),
            &[r#"spec.f: Invalid value: "string": no"#],
        ),
        ("optional, create", optional(), None, json!({"f": "a"}), &[]),
        (
            "optional, changed",
            optional(),
            Some(json!({"f": "a"})),
            json!({"f": "b"}),
            &[r#"spec.f: Invalid value: "string": no"#],
        ),
        (
            "optional, added",
            once(),
            Some(json!({})),
            json!({"f": "a"}),
            &[r#"spec.f: Invalid value: "string": too late"#],
        ),
    ]);
}

#[test]
fn only_list_maps_tell_which_item_was_which() {
    let list = |extra: Value| {
        let mut list = json!({"type": "array", "items": {
            "type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "string"}},
            "x-kubernetes-validations": [{"rule": "self.v == oldSelf.v", "message": "v is immutable"}],
        }});
        list.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"type": "object", "properties": {"list": list}})
    };
    let map =
        || list(json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}));
    let old = || Some(json!({"list": [{"name": "a", "v": "1"}, {"name": "b", "v": "2"}]}));
    let new = || json!({"list": [{"name": "c", "v": "3"}, {"name": "b", "v": "X"}, {"name": "a", "v": "1"}]});
    check(&[
        (
            "list map",
            map(),
            old(),
            new(),
            &[r#"spec.list[1]: Invalid value: "object": v is immutable"#],
        ),
        ("atomic list", list(json!({})), old(), new(), &[]),
        ("set", list(json!({"x-kubernetes-list-type": "set"})), old(), new(), &[]),
    ]);
}

#[test]
fn maps_and_lists_are_walked() {
    let rule = json!([{"rule": "self != 'bad'", "message": "bad"}]);
    let spec = json!({"type": "object", "properties": {
        "map": {"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": rule}},
        "list": {"type": "array", "items": {"type": "string", "x-kubernetes-validations": rule}},
    }});
    check(&[
        (
            "both",
            spec.clone(),
            None,
            json!({"list": ["a", "bad"], "map": {"k.l": "bad"}}),
            &[
                r#"spec.list[1]: Invalid value: "string": bad"#,
                r#"spec.map[k.l]: Invalid value: "string": bad"#,
            ],
        ),
        (
            "unchanged",
            spec.clone(),
            Some(json!({"list": ["bad"], "map": {"k": "bad"}})),
            json!({"list": ["bad"], "map": {"k": "bad", "l": "bad"}}),
            &[r#"spec.map[l]: Invalid value: "string": bad"#],
        ),
        (
            "changed list",
            spec,
            Some(json!({"list": ["bad"]})),
            json!({"list": ["bad", ""]}),
            &[r#"spec.list[0]: Invalid value: "string": bad"#],
        ),
    ]);
}

#[test]
fn unsound_objects_are_not_shown_to_rules() {
    let spec = || {
        json!({
            "type": "object", "required": ["f"],
            "properties": {"f": {"type": "integer"}, "g": {"type": "string", "pattern": "^a"}},
            "x-kubernetes-validations": [{"rule": "self.f > 1", "message": "small"}],
        })
    };
    const NOTE: &str = "<nil>: Invalid value: null: some validation rules were not checked because \
                        the object was invalid; correct the existing errors to complete validation";
    check(&[
        (
            "wrong type",
            spec(),
            None,
            json!({"f": "a"}),
            &[
                r#"spec.f: Invalid value: "string": spec.f in body must be of type integer: "string""#,
                NOTE,
            ],
        ),
        ("required", spec(), None, json!({}), &["spec.f: Required value", NOTE]),
        (
            "a wrong pattern is sound",
            spec(),
            None,
            json!({"f": 1, "g": "b"}),
            &[
                r#"spec.g: Invalid value: "b": spec.g in body should match '^a'"#,
                r#"spec: Invalid value: "object": small"#,
            ],
        ),
    ]);
}

#[test]
fn rules_that_do_not_compile() {
    let cases = [
        ("syntax", json!({"rule": "self >"}), "rule: \"self >\": "),
        (
            "unknown function",
            json!({"rule": "self.frobnicate()"}),
            "calls frobnicate, which is not a function here",
        ),
        ("unsupported macro", json!({"rule": "[1].sortBy(x, x) == [1]"}), "calls sortBy"),
        (
            "unknown variable",
            json!({"rule": "request == 1"}),
            "refers to request, which is not a variable here",
        ),
        (
            "message",
            json!({"rule": "true", "messageExpression": "("}),
            "messageExpression: \"(\": ",
        ),
        (
            "field path",
            json!({"rule": "true", "fieldPath": ".nope"}),
            "does not refer to a valid field",
        ),
        ("reason", json!({"rule": "true", "reason": "Because"}), "unknown reason \"Because\""),
        ("no rule", json!({"message": "x"}), "missing field `rule`"),
        ("optional", json!({"rule": "true", "optionalOldSelf": true}), "oldSelf is not used"),
        ("struct", json!({"rule": "Foo{a: 1} == 1"}), "must not construct messages"),
    ];
    for (name, rule, expected) in cases {
        let spec = field("string", rule);
        let error =
            Schema::compile(json!({"type": "object", "properties": {"spec": spec}})).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(error.path().starts_with(
            "openAPIV3Schema.properties[spec].properties[f].x-kubernetes-validations[0]"
        ));
    }
}

#[test]
fn hostile_rules_do_not_exhaust_the_stack() {
    let many = |text: &str, n: usize| text.repeat(n);
    let rules = [
        format!("self{}", many(".a", 2000)),
        format!("1{} == 1", many("+1", 2000)),
        format!("{}true", many("!", 4000)),
        format!("{}1{} == 1", many("(", 1900), many(")", 1900)),
        format!("{}1{} == 1", many("[", 1900), many("]", 1900)),
        format!("{}1{} == 1", many("{1:", 1000), many("}", 1000)),
        format!("self{} == 1", many("[0]", 1300)),
        many("a?b:", 900) + "c",
        format!("true{}", many("||true", 600)),
        format!("{} == 1", many("-", 4000)),
        many("self.all(x,", 300) + "true" + &many(")", 300),
        "x".repeat(100_000),
    ];
    for rule in rules {
        // Whether it compiles is not the point; that we are still here is.
        let spec = field("string", json!({"rule": rule}));
        if let Ok(schema) = Schema::compile(json!({"type": "object", "properties": {"spec": spec}}))
        {
            let _ = schema.validate(&object(json!({"f": "a"})), None);
        }
    }
}

#[test]
fn work_is_bounded() {
    let cross = schema(json!({
        "type": "object",
        "properties": {"list": {"type": "array", "items": {"type": "integer"}}},
        "x-kubernetes-validations": [{"rule": "self.list.all(x, self.list.exists_one(y, x == y))"}],
    }));
    let few: Vec<u32> = (0..50).collect();
    assert!(cross.validate(&object(json!({"list": few})), None).is_empty());
    let many: Vec<u32> = (0..20_000).collect();
    assert_eq!(
        texts(&cross.validate(&object(json!({"list": many})), None)),
        ["spec: Invalid value: \"object\": validation failed due to running out of cost budget, \
         no further validation rules will be run",]
    );
    let range = schema(field("integer", json!({"rule": "lists.range(self).size() >= 0"})));
    let errors = texts(&range.validate(&object(json!({"f": i64::MAX})), None));
    assert!(errors[0].contains("is not between 0 and 10000"), "{errors:?}");
}
