//! One operation: a method on a path.

use kube_core::gvk::GroupVersionKind;
use serde_json::{Map, Value, json};

use super::names;
use crate::document::{JSON, YAML};

/// A method on a path, on its way to becoming JSON.
pub(super) struct Operation {
    /// The HTTP method, in lower case.
    pub(super) method: &'static str,
    /// The first word of the operation's identifier.
    pub(super) verb: &'static str,
    /// `x-kubernetes-action`.
    pub(super) action: &'static str,
    /// What follows group and version in the identifier.
    pub(super) object: String,
    /// For people.
    pub(super) description: String,
    /// Beside those of the path.
    pub(super) parameters: Vec<Value>,
    /// `requestBody`.
    pub(super) body: Option<Value>,
    /// By status code; 401 is added to all.
    pub(super) responses: Value,
}

impl Operation {
    /// The operation as JSON. `home` is the group and version under which it is served, `gvk` the
    /// kind that it speaks: a single object here, an array in schemas.
    pub(super) fn render(self, home: (&str, &str), gvk: &GroupVersionKind) -> Value {
        let (group, version) = home;
        let mut responses = self.responses;
        responses["401"] = json!({"description": "Unauthorized"});
        let mut operation = json!({
            "description": self.description,
            "operationId": names::operation(self.verb, group, version, &self.object),
            "responses": responses,
            "tags": [names::tag(group, version)],
            "x-kubernetes-action": self.action,
            "x-kubernetes-group-version-kind": kind(gvk),
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

/// A kind as `x-kubernetes-group-version-kind` names it.
pub(super) fn kind(gvk: &GroupVersionKind) -> Value {
    json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind})
}

/// The encodings that objects are sent and answered in.
const ENCODINGS: [&str; 2] = [JSON, YAML];

/// A body of one schema.
pub(super) fn body(schema: &str) -> Value {
    json!({"required": true, "content": content(schema, &ENCODINGS)})
}

/// A body that may be left out.
pub(super) fn optional_body(schema: &str) -> Value {
    json!({"content": content(schema, &ENCODINGS)})
}

/// The body of a patch. Clients choose their way of patching by these keys.
pub(super) fn patch_body(patch_types: &[String]) -> Value {
    let patch = format!("{}.Patch", names::META);
    let patch_types: Vec<&str> = patch_types.iter().map(String::as_str).collect();
    json!({"required": true, "content": content(&patch, &patch_types)})
}

/// Answers of one schema under several status codes.
pub(super) fn answers(codes: &[&str], schema: &str) -> Value {
    answers_in(codes, schema, &ENCODINGS)
}

/// The answer of a list, which may be a stream of events instead where the kind can be watched.
pub(super) fn list_answers(schema: &str, can_be_watched: bool) -> Value {
    match can_be_watched {
        true => answers_in(&["200"], schema, &[JSON, "application/json;stream=watch", YAML]),
        false => answers(&["200"], schema),
    }
}

/// The answer of a connection, of which nothing is known.
pub(super) fn any_answer() -> Value {
    json!({"200": {
        "description": "OK",
        "content": {"*/*": {"schema": {"type": "string"}}},
    }})
}

fn answers_in(codes: &[&str], schema: &str, media_types: &[&str]) -> Value {
    let answer = |code: &&str| {
        let description = match *code {
            "201" => "Created",
            "202" => "Accepted",
            _ => "OK",
        };
        let answer = json!({"description": description, "content": content(schema, media_types)});
        ((*code).to_owned(), answer)
    };
    Value::Object(codes.iter().map(answer).collect())
}

fn content(schema: &str, media_types: &[&str]) -> Value {
    let reference = json!({"schema": {"$ref": names::reference(schema)}});
    let entries: Map<String, Value> =
        media_types.iter().map(|found| ((*found).to_owned(), reference.clone())).collect();
    Value::Object(entries)
}
