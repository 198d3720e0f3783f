//! Gadgets, whole and in part, and patches of them.

use serde_json::{Map, Value, json};

use super::value::{key, text, value};
use crate::{choices::Choices, world};

/// What a gadget may hold: where, and what fits there or nearly does.
const FIELDS: &[(&str, &[&str])] = &[
    ("/apiVersion", &[r#""fuzz.example.com/v1""#, r#""fuzz.example.com/v2""#, r#""v1""#]),
    ("/kind", &[r#""Gadget""#, r#""Widget""#]),
    ("/metadata/name", &[r#""seed""#, r#""new""#, r#""twin""#, r#""A b""#]),
    ("/metadata/namespace", &[r#""default""#, r#""other""#]),
    ("/metadata/generateName", &[r#""seed-""#]),
    ("/metadata/uid", &[r#""x""#]),
    ("/metadata/resourceVersion", &[r#""1""#, r#""0""#, r#""""#, r#""99999999""#]),
    ("/metadata/generation", &["7", "-1", "9223372036854775807"]),
    ("/metadata/creationTimestamp", &[r#""2024-01-01T00:00:00Z""#, "null", "7"]),
    ("/metadata/deletionTimestamp", &[r#""2024-01-01T00:00:00Z""#]),
    ("/metadata/deletionGracePeriodSeconds", &["0", "-1"]),
    ("/metadata/labels", &[r#"{"app":"x"}"#, r#"{"a b":"c"}"#, r#"{"a":null}"#, "null"]),
    ("/metadata/labels/app", &[r#""other""#, "null", r#""""#]),
    ("/metadata/annotations", &["{}", r#"{"a":"b"}"#]),
    ("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", &[r#""{}""#]),
    (
        "/metadata/finalizers",
        &[r#"["example.com/wait"]"#, r#"["foregroundDeletion"]"#, "[]", "[null]"],
    ),
    ("/metadata/finalizers/-", &[r#""example.com/also""#]),
    (
        "/metadata/ownerReferences",
        &[
            r#"[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u"}]"#,
            r#"[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u","controller":true},{"apiVersion":"v1","kind":"Pod","name":"q","uid":"v","controller":true}]"#,
        ],
    ),
    (
        "/metadata/managedFields",
        &[
            "[]",
            "[{}]",
            "null",
            r#"[{"manager":"m","operation":"Update","apiVersion":"fuzz.example.com/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:color":{},".":{}}}}]"#,
            r#"[{"manager":"m","operation":"Apply","apiVersion":"fuzz.example.com/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:parts":{"k:{\"name\":\"wheel\",\"side\":1}":{".":{},"f:size":{}}},"f:tags":{"v:\"a\"":{}},"f:list":{"i:0":{}}}}}]"#,
            r#"[{"manager":"m","operation":"Update","apiVersion":"fuzz.example.com/v9","time":"x","fieldsType":"FieldsV1","fieldsV1":{"k:{":{}}}]"#,
        ],
    ),
    ("/spec", &["{}", "null", r#"{"color":"red"}"#]),
    ("/spec/color", &[r#""green""#, r#""pink""#, "null"]),
    ("/spec/replicas", &["0", "100", "101", "1.0", "1.5", "-1", "1e1", "4294967296", "null"]),
    ("/spec/ratio", &["0.5", "0.25", "1e300", "-0.0"]),
    (
        "/spec/until",
        &[
            r#""2024-01-01T00:00:00Z""#,
            r#""2024-02-30T00:00:00Z""#,
            r#""2024-01-01t00:00:00.123456789+23:59""#,
        ],
    ),
    ("/spec/note", &[r#""fine""#, r#""Not Fine""#, "null", r#""aaaaaaaaaaaaaaaaaaaaaaaaa""#]),
    ("/spec/port", &["80", r#""http""#, "1.5"]),
    (
        "/spec/tags",
        &[r#"["b","c"]"#, r#"["a","a"]"#, "[]", "[null]", r#"["forbidden"]"#, r#"{"0":"a"}"#],
    ),
    ("/spec/tags/0", &[r#""z""#, "null"]),
    ("/spec/tags/-", &[r#""z""#]),
    ("/spec/list", &["[3,2,1]", "[1,1]", "[null]", "[]"]),
    (
        "/spec/parts",
        &[
            r#"[{"name":"wheel","size":2}]"#,
            r#"[{"name":"wheel"},{"name":"wheel","side":1}]"#,
            r#"[{"name":"door","side":3},{"name":"wheel","side":2,"size":9}]"#,
            r#"[{"side":1}]"#,
            "[]",
            "[null]",
            "{}",
        ],
    ),
    ("/spec/parts/0", &["null", r#"{"name":"door"}"#]),
    ("/spec/parts/0/name", &[r#""door""#, "null"]),
    ("/spec/parts/0/side", &["2", "null"]),
    ("/spec/parts/1/inner", &[r#"[{"key":"k","value":true}]"#, r#"[{"key":"k"},{"key":"k"}]"#]),
    ("/spec/settings", &[r#"{"z":"3"}"#, r#"{"x":null}"#, r#"{"x":1}"#, "{}"]),
    ("/spec/settings/x", &[r#""9""#, "null"]),
    ("/spec/whole", &[r#"{"a":2}"#, "{}", r#"{"c":1}"#, "null"]),
    ("/spec/whole/a", &["5", "null"]),
    ("/spec/free", &[r#"{"any":[1,2]}"#, "null", "[]"]),
    ("/spec/free/any/thing/1/deep", &["1", "{}"]),
    (
        "/spec/template",
        &[
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"x":1}"#,
            r#"{"apiVersion":"v1"}"#,
        ],
    ),
    ("/spec/either", &[r#"{"left":"a"}"#, r#"{"left":"a","right":"b"}"#, "{}"]),
    ("/spec/fixed", &[r#""one""#, r#""two""#]),
    ("/spec/min", &["9", "0"]),
    ("/spec/max", &["1", "-9223372036854775808"]),
    ("/spec/unknown", &["1", "{}"]),
    ("/status", &[r#"{"conditions":[{"type":"Ready","status":"True"}]}"#, "{}", "null", "[]"]),
    (
        "/status/conditions",
        &[r#"[{"type":"Ready","status":"False"},{"type":"Ready","status":"True"}]"#],
    ),
    ("/status/replicas", &["3", r#""3""#]),
];

/// A place in a gadget, and a value for it.
fn change(choices: &mut Choices<'_>) -> (&'static str, Value) {
    let (at, values) = FIELDS[choices.below(FIELDS.len())];
    let value = match choices.below(values.len() + 2) {
        known if known < values.len() => {
            serde_json::from_str(values[known]).expect("the table holds JSON")
        }
        _ => value(choices, 3),
    };
    (at, value)
}

/// Puts a value at a pointer, and makes what is missing on the way.
fn put(target: &mut Value, pointer: &str, new: Value) {
    let mut target = target;
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if let Value::Array(list) = target {
            let index = segment.parse().unwrap_or(list.len()).min(list.len());
            if index == list.len() {
                list.push(Value::Null);
            }
            target = &mut list[index];
            continue;
        }
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        target = &mut target[segment.as_str()];
    }
    *target = new;
}

fn changed(choices: &mut Choices<'_>, mut object: Value) -> Value {
    for _ in 0..choices.below(5) {
        let (at, value) = change(choices);
        put(&mut object, at, value);
    }
    object
}

/// A gadget, more or less; sometimes something else.
pub(crate) fn object(choices: &mut Choices<'_>, name: &str) -> Value {
    match choices.below(8) {
        7 => value(choices, 5),
        6 => {
            let least = json!({
                "apiVersion": "fuzz.example.com/v1",
                "kind": "Gadget",
                "metadata": {"name": name},
                "spec": {"color": "red"},
            });
            changed(choices, least)
        }
        _ => changed(choices, world::gadget(name, "of-a-test")),
    }
}

/// A part of a gadget.
pub(crate) fn merge_patch(choices: &mut Choices<'_>) -> Value {
    match choices.below(8) {
        7 => value(choices, 5),
        _ => {
            let first = change(choices);
            let mut patch = json!({});
            put(&mut patch, first.0, first.1);
            changed(choices, patch)
        }
    }
}

fn pointer(choices: &mut Choices<'_>) -> String {
    match choices.below(8) {
        5 => "/metadata/name".to_owned(),
        6 => String::new(),
        7 => format!("/{}/{}", key(choices), text(choices)),
        _ => FIELDS[choices.below(FIELDS.len())].0.to_owned(),
    }
}

/// Operations on a gadget.
pub(crate) fn json_patch(choices: &mut Choices<'_>) -> Value {
    let mut operations = Vec::new();
    for _ in 0..=choices.below(6) {
        let (at, new) = change(choices);
        let at = if choices.one_in(4) { pointer(choices) } else { at.to_owned() };
        let operation = match choices.below(8) {
            0 => json!({"op": "add", "path": at, "value": new}),
            1 => json!({"op": "replace", "path": at, "value": new}),
            2 => json!({"op": "remove", "path": at}),
            3 => json!({"op": "test", "path": at, "value": new}),
            4 => json!({"op": "copy", "from": pointer(choices), "path": at}),
            5 => json!({"op": "move", "from": pointer(choices), "path": at}),
            6 => json!({"op": text(choices), "path": at, "value": new}),
            _ => value(choices, 2),
        };
        operations.push(operation);
    }
    operations.into()
}
