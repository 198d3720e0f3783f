//! The unaggregated documents: one per list of groups, group, and version.

use base64::{Engine, engine::general_purpose::STANDARD};
use milo_core::definition::ResourceDefinition;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Group, GroupVersion, ServedResource, Subresource};

/// `/api`. The `apiVersion` is absent upstream too. There is one address for all clients: the one
/// that they came by.
pub(super) fn api_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`.
pub(super) fn group_list(groups: &[&Group<'_>]) -> Value {
    let groups: Vec<Value> = groups.iter().map(|group| Value::Object(facts(group))).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/{group}`.
pub(super) fn group(group: &Group<'_>) -> Value {
    let mut document = facts(group);
    document.insert("kind".into(), "APIGroup".into());
    document.insert("apiVersion".into(), "v1".into());
    Value::Object(document)
}

fn facts(group: &Group<'_>) -> Map<String, Value> {
    let versions: Vec<Value> = group
        .versions()
        .iter()
        .map(|found| json!({"groupVersion": found.api_version(), "version": found.version()}))
        .collect();
    let mut facts = Map::new();
    facts.insert("name".into(), group.name().into());
    facts.insert("preferredVersion".into(), versions.first().cloned().unwrap_or_default());
    facts.insert("versions".into(), versions.into());
    facts
}

/// `/apis/{group}/{version}` and `/api/v1`.
pub(super) fn resource_list(version: &GroupVersion<'_>) -> Value {
    let resources: Vec<Value> =
        version.resources().iter().flat_map(|found| entries(found)).collect();
    let mut document = json!({
        "kind": "APIResourceList",
        "groupVersion": version.api_version(),
        "resources": resources,
    });
    if !version.group().is_empty() {
        document["apiVersion"] = "v1".into();
    }
    document
}

/// The entry of a kind, then those of its subresources.
fn entries(resource: &ServedResource) -> Vec<Value> {
    let definition = resource.definition();
    let subresources = resource.subresources().iter();
    [main_entry(resource)]
        .into_iter()
        .chain(subresources.map(|found| subresource_entry(definition, found)))
        .collect()
}

fn main_entry(resource: &ServedResource) -> Value {
    let definition = resource.definition();
    let mut entry = json!({
        "name": definition.plural(),
        "singularName": definition.singular(),
        "namespaced": definition.is_namespaced(),
        "kind": definition.kind(),
        "verbs": words(resource.verbs()),
    });
    if resource.is_kept() {
        entry["storageVersionHash"] = storage_version_hash(definition).into();
    }
    if !definition.short_names().is_empty() {
        entry["shortNames"] = json!(definition.short_names());
    }
    if !definition.categories().is_empty() {
        entry["categories"] = json!(definition.categories());
    }
    entry
}

fn subresource_entry(definition: &ResourceDefinition, subresource: &Subresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", definition.plural(), subresource.name()),
        "singularName": "",
        "namespaced": definition.is_namespaced(),
        "kind": definition.kind(),
        "verbs": words(subresource.verbs()),
    });
    if let Some(gvk) = subresource.gvk() {
        entry["group"] = gvk.group.as_str().into();
        entry["version"] = gvk.version.as_str().into();
        entry["kind"] = gvk.kind.as_str().into();
    }
    entry
}

/// The verbs as JSON.
pub(super) fn words(verbs: &[milo_core::request::Verb]) -> Vec<&str> {
    verbs.iter().map(milo_core::request::Verb::as_str).collect()
}

/// Tells clients when the stored version of a kind changes: eight bytes of a hash over
/// `group/version/kind`.
fn storage_version_hash(definition: &ResourceDefinition) -> String {
    let stored = format!("{}/{}/{}", definition.group(), definition.version(), definition.kind());
    let hash = Sha256::digest(stored);
    STANDARD.encode(&hash[..8])
}
