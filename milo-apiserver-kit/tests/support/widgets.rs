//! A kind of which everything can be seen: defaults, lists of each type, a status.

use std::sync::Arc;

use milo_apiserver_kit::{Kind, ServerBuilder};
use milo_core::{definition::ResourceDefinition, storage::Memory};
use serde_json::{Value, json};

use super::{Answer, Wire};

pub(crate) const WIDGETS: &str = "/apis/example.com/v1/widgets";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

pub(crate) fn definition() -> ResourceDefinition {
    let text = json!({"type": "string"});
    let spec = json!({"type": "object", "properties": {
        "size": {"type": "integer"},
        "color": {"type": "string", "default": "red"},
        "owner": text,
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
        "ports": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {
                "name": text, "number": {"type": "integer"},
            }},
        },
        "args": {"type": "array", "items": text},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Cluster",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": spec,
                    "status": {"type": "object", "properties": {
                        "ready": {"type": "boolean"}, "note": text,
                    }},
                }}},
            }],
        },
    });
    ResourceDefinition::from_crd(&serde_json::from_value(crd).unwrap()).unwrap()
}

/// A server of widgets and nothing else.
pub(crate) async fn start(
    kind: impl FnOnce(Kind) -> Kind,
    assemble: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> Wire {
    let serve = |server: ServerBuilder| assemble(server.serve(kind(Kind::from(definition()))));
    Wire::with(Arc::new(Memory::new()), serve).await
}

pub(crate) fn url(name: &str) -> String {
    format!("{WIDGETS}/{name}")
}

pub(crate) fn widget(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// Applies a configuration; `query` begins with the name of the widget.
pub(crate) async fn apply(wire: &Wire, query: &str, config: &Value) -> Answer {
    apply_text(wire, query, &config.to_string()).await
}

pub(crate) async fn apply_text(wire: &Wire, query: &str, config: &str) -> Answer {
    let call = wire.call("PATCH", &url(query)).body(config.to_owned());
    call.header("content-type", APPLY).send().await
}

/// Managers, operations and subresources, with what they own.
pub(crate) fn owners(object: &Value) -> Vec<(String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let owner = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (text("apiVersion"), text("fieldsType")),
            ("example.com/v1".into(), "FieldsV1".into())
        );
        assert_eq!(text("time").len(), 20, "{entry}");
        let subresource = text("subresource");
        let slash = if subresource.is_empty() { "" } else { "/" };
        let who = format!("{} {}{slash}{subresource}", text("manager"), text("operation"));
        (who, entry["fieldsV1"].clone())
    };
    entries.iter().map(owner).collect()
}
