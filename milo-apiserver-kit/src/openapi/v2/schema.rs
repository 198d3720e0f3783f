//! Schemas of v3 as v2 has them, which knows no null and no alternatives.
//!
//! As upstream publishes the schemas of custom resources: what cannot be said is left out, so that
//! no client refuses what the server would accept.

use serde_json::{Map, Value};

use crate::openapi::gnostic::is_extension;

/// Those of the keywords of v2 that v3 has too. All others of v3 are left out.
const KEYWORDS: [&str; 26] = [
    "additionalProperties",
    "default",
    "description",
    "enum",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "$ref",
];

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// A schema, and all schemas in it.
pub(super) fn convert(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else { return schema };
    lift_reference(&mut schema);
    if is(&schema, "nullable") {
        // A type would refuse null.
        forget(&mut schema, &["type", "items", "properties"]);
    }
    if is(&schema, PRESERVE) {
        // kubectl would refuse fields that are not listed.
        forget(&mut schema, &["items", "properties"]);
        if schema.get("type").is_some_and(|found| found == "object") {
            schema.remove("type");
        }
    }
    if !schema.contains_key("items") && schema.get("type").is_some_and(|found| found == "array") {
        // kubectl cannot read it.
        schema.remove("type");
    }
    excuse_nullable(&mut schema);
    schema.retain(|key, _| KEYWORDS.contains(&key.as_str()) || is_extension(key));
    for (key, value) in &mut schema {
        match key.as_str() {
            "items" | "additionalProperties" => *value = convert(value.take()),
            "properties" => {
                for property in value.as_object_mut().into_iter().flat_map(Map::values_mut) {
                    *property = convert(property.take());
                }
            }
            "$ref" => *value = reference(value),
            _ => {}
        }
    }
    schema.into()
}

/// A reference to a schema of v3 as one to a definition.
fn reference(reference: &Value) -> Value {
    let name = reference.as_str().unwrap_or_default();
    name.replacen("#/components/schemas/", "#/definitions/", 1).into()
}

/// v3 wraps a reference that has a description; v2 has both side by side.
fn lift_reference(schema: &mut Map<String, Value>) {
    let wrapped = schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice);
    if let Some([one]) = wrapped
        && let Some(reference) = one.get("$ref").cloned()
    {
        schema.insert("$ref".into(), reference);
    }
}

/// A property that may be null is not required: clients would take null for nothing.
fn excuse_nullable(schema: &mut Map<String, Value>) {
    let Some(mut required) = schema.remove("required") else { return };
    if let (Some(names), Some(properties)) = (required.as_array_mut(), schema.get("properties")) {
        names.retain(|name| {
            let property = name.as_str().and_then(|name| properties.get(name)?.as_object());
            !property.is_some_and(|property| is(property, "nullable"))
        });
    }
    if required.as_array().is_some_and(|names| !names.is_empty()) {
        schema.insert("required".into(), required);
    }
}

fn is(schema: &Map<String, Value>, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

fn forget(schema: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        schema.remove(*key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_v2_cannot_say_is_left_out() {
        for (about, v3, v2) in [
            (
                "a reference with a description",
                json!({"description": "d", "allOf": [{"$ref": "#/components/schemas/a.B"}]}),
                json!({"description": "d", "$ref": "#/definitions/a.B"}),
            ),
            (
                "alternatives",
                json!({
                    "type": "object", "oneOf": [{}], "anyOf": [{}], "allOf": [{}, {}], "not": {},
                    "properties": {"a": {"type": "string", "not": {"enum": [""]}}},
                }),
                json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            ),
            (
                "null",
                json!({
                    "type": "object", "required": ["a", "b"],
                    "properties": {
                        "a": {"type": "string", "nullable": true, "description": "d"},
                        "b": {"type": "string"},
                    },
                }),
                json!({
                    "type": "object", "required": ["b"],
                    "properties": {"a": {"description": "d"}, "b": {"type": "string"}},
                }),
            ),
            (
                "unknown fields",
                json!({"type": "object", "properties": {"a": {}}, PRESERVE: true}),
                json!({PRESERVE: true}),
            ),
            (
                "a list of anything",
                json!({"type": "array", "items": {}, PRESERVE: true}),
                json!({PRESERVE: true}),
            ),
            (
                "integers or strings",
                json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
                json!({"x-kubernetes-int-or-string": true}),
            ),
            (
                "maps and lists",
                json!({"type": "array", "items": {
                    "type": "object", "additionalProperties": {"type": "integer", "nullable": true},
                }}),
                json!({"type": "array", "items": {"type": "object", "additionalProperties": {}}}),
            ),
            (
                "what both have",
                json!({
                    "type": "string", "enum": ["a"], "default": "a", "pattern": "a", "maxLength": 1,
                    "writeOnly": true, "deprecated": true, "x-kubernetes-validations": [{"rule": "true"}],
                }),
                json!({
                    "type": "string", "enum": ["a"], "default": "a", "pattern": "a", "maxLength": 1,
                    "x-kubernetes-validations": [{"rule": "true"}],
                }),
            ),
            (
                "a closed map",
                json!({"additionalProperties": false}),
                json!({"additionalProperties": false}),
            ),
        ] {
            assert_eq!(convert(v3), v2, "{about}");
        }
    }

    #[test]
    fn a_property_may_have_the_name_of_a_keyword() {
        let schema = json!({"type": "object", "properties": {
            "items": {"type": "string", "nullable": true}, "oneOf": {"type": "string"},
        }});
        let expected = json!({"type": "object", "properties": {
            "items": {}, "oneOf": {"type": "string"},
        }});
        assert_eq!(convert(schema), expected);
    }
}
