//! Schemas: that of gadgets with a few changes.

use serde_json::Value;

use super::value::value;
use crate::choices::Choices;

const KEYWORDS: &[(&str, &[&str])] = &[
    ("type", &[r#""object""#, r#""string""#, r#""array""#, r#""integer""#, r#""x""#]),
    ("default", &["1", r#""x""#, "{}", "[]", r#"{"unknown":1}"#, r#"[{"name":"a"}]"#, "null"]),
    ("nullable", &["true", "false"]),
    ("enum", &["[]", r#"["a",1,null]"#]),
    ("pattern", &[r#""(""#, r#""^a*$""#, r#""(a+)+$""#, r#""(x{1000}){1000}""#, r#""\\p{L}""#]),
    (
        "format",
        &[
            r#""date-time""#,
            r#""int32""#,
            r#""ipv4""#,
            r#""byte""#,
            r#""duration""#,
            r#""uuid""#,
            r#""x""#,
        ],
    ),
    ("minimum", &["0", "-1e308", "1.5"]),
    ("maximum", &["0", "9223372036854775807"]),
    ("multipleOf", &["0", "0.1", "-1", "1e-308"]),
    ("minLength", &["1", "-1", "9223372036854775807"]),
    ("maxItems", &["0", "1", "-1"]),
    ("uniqueItems", &["true"]),
    ("required", &[r#"["a"]"#, "[]", r#"["color","color"]"#]),
    ("properties", &["{}", r#"{"a":{"type":"string"},"":{"type":"integer"}}"#]),
    ("additionalProperties", &["true", "false", r#"{"type":"integer","default":1}"#]),
    (
        "items",
        &["{}", r#"{"type":"object","properties":{"name":{"type":"string","default":"x"}}}"#],
    ),
    ("allOf", &[r#"[{"required":["a"]}]"#, "[]", "[{}]"]),
    ("anyOf", &[r#"[{"type":"integer"},{"type":"string"}]"#, "[{}]"]),
    ("oneOf", &["[{},{}]", r#"[{"minimum":1},{"maximum":1}]"#]),
    ("not", &["{}", r#"{"not":{"not":{}}}"#]),
    ("x-kubernetes-list-type", &[r#""set""#, r#""map""#, r#""atomic""#, r#""x""#]),
    ("x-kubernetes-list-map-keys", &[r#"["name"]"#, "[]", r#"["none"]"#]),
    ("x-kubernetes-map-type", &[r#""atomic""#, r#""granular""#]),
    ("x-kubernetes-preserve-unknown-fields", &["true", "false"]),
    ("x-kubernetes-int-or-string", &["true"]),
    ("x-kubernetes-embedded-resource", &["true"]),
    (
        "x-kubernetes-validations",
        &[
            r#"[{"rule":"self == oldSelf"}]"#,
            r#"[{"rule":"true","message":"m"}]"#,
            r#"[{"rule":"self.all(a, self.all(b, self.all(c, a == b || b == c)))"}]"#,
            r#"[{"rule":"self.size() > 0 && self.matches('(a+)+')"}]"#,
            r#"[{"rule":"has(self.a) ? self.a / 0 == 1 : self.x"}]"#,
            r#"[{"rule":"("}]"#,
            r#"[{"rule":"9223372036854775807 + 1 > 0"}]"#,
            r#"[{"rule":"duration('1h') < timestamp('2024-01-01T00:00:00Z') - timestamp(self)"}]"#,
            r#"[{"rule":"1","fieldPath":".a"}]"#,
        ],
    ),
    ("$ref", &[r##""#/x""##]),
];

/// The document of a schema.
pub(crate) fn schema(choices: &mut Choices<'_>) -> Value {
    let gadget: Value =
        serde_json::from_str(include_str!("../gadget.json")).expect("gadget.json is JSON");
    let mut document = gadget["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    for _ in 0..=choices.below(6) {
        let (keyword, values) = KEYWORDS[choices.below(KEYWORDS.len())];
        let new = match choices.below(values.len() + 2) {
            known if known < values.len() => {
                serde_json::from_str(values[known]).expect("the table holds JSON")
            }
            _ => value(choices, 3),
        };
        if let Value::Object(node) = node(choices, &mut document) {
            node.insert(keyword.to_owned(), new);
        }
    }
    document
}

/// A schema somewhere in a schema.
fn node<'d>(choices: &mut Choices<'_>, document: &'d mut Value) -> &'d mut Value {
    let below = match document {
        Value::Object(map) if map.contains_key("properties") && !choices.one_in(8) => "properties",
        Value::Object(map) if map.contains_key("items") && choices.one_in(2) => "items",
        _ => return document,
    };
    if below == "items" {
        return node(choices, &mut document["items"]);
    }
    let count = document[below].as_object().map_or(0, serde_json::Map::len);
    let chosen = choices.below(count);
    let key = document[below].as_object().and_then(|map| map.keys().nth(chosen)).cloned();
    match key {
        Some(key) => node(choices, &mut document[below][key]),
        None => document,
    }
}
