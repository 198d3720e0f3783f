//! Paths of v3 as v2 has them: the body is a parameter, and media types are lists.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{schema, take};

/// A path: its operations and the parameters that they share.
pub(super) fn path(item: Value) -> Value {
    let Value::Object(item) = item else { return item };
    let converted = item.into_iter().map(|(key, value)| {
        let value = match key.as_str() {
            "parameters" => parameters(value).into(),
            _ => operation(value),
        };
        (key, value)
    });
    Value::Object(converted.collect())
}

fn operation(mut operation: Value) -> Value {
    let (produces, responses) = responses(take(&mut operation, "responses"));
    let body = take(&mut operation, "requestBody");
    let Value::Object(mut operation) = operation else { return operation };
    let mut parameters = operation.remove("parameters").map(parameters).unwrap_or_default();
    operation.remove("requestBody");
    if let Some(content) = body.get("content").and_then(Value::as_object) {
        operation.insert("consumes".into(), content.keys().cloned().collect());
        parameters.insert(0, body_parameter(content, body.get("required")));
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    operation.insert("produces".into(), produces.into_iter().collect());
    operation.insert("responses".into(), responses.into());
    operation.insert("schemes".into(), json!(["https"]));
    operation.into()
}

fn parameters(parameters: Value) -> Vec<Value> {
    let Value::Array(parameters) = parameters else { return Vec::new() };
    parameters.into_iter().map(parameter).collect()
}

/// A parameter in the path or the query: what the schema says stands beside its name.
fn parameter(mut parameter: Value) -> Value {
    let schema = take(&mut parameter, "schema");
    if let Some(parameter) = parameter.as_object_mut() {
        parameter.remove("schema");
        parameter.extend(schema);
    }
    parameter
}

fn body_parameter(content: &Map<String, Value>, required: Option<&Value>) -> Value {
    let mut parameter = json!({"name": "body", "in": "body", "schema": schema_of(content)});
    if let Some(required) = required {
        parameter["required"] = required.clone();
    }
    parameter
}

/// The media types of all responses, and the responses without them.
fn responses(responses: Map<String, Value>) -> (BTreeSet<String>, Map<String, Value>) {
    let mut media_types = BTreeSet::new();
    let responses = responses.into_iter().map(|(code, mut response)| {
        let content = take(&mut response, "content");
        if let Some(response) = response.as_object_mut() {
            response.remove("content");
            if !content.is_empty() {
                response.insert("schema".into(), schema_of(&content));
            }
        }
        media_types.extend(content.into_iter().map(|(media_type, _)| media_type));
        (code, response)
    });
    let responses = responses.collect();
    (media_types, responses)
}

/// The schema of a body: it is the same in every media type.
fn schema_of(content: &Map<String, Value>) -> Value {
    let schema = content.values().find_map(|found| found.get("schema"));
    schema.cloned().map(schema::convert).unwrap_or_default()
}
