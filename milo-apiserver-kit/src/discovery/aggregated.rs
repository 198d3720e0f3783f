//! Aggregated discovery, `apidiscovery.k8s.io/v2`: all groups, versions and kinds in one document.

use kube_core::gvk::GroupVersionKind;
use serde_json::{Value, json};

use super::{Group, GroupVersion, ServedResource, Subresource, legacy::words};

/// The aggregated form of `/apis`, or of `/api` for the core group.
pub(super) fn group_list(groups: &[&Group<'_>]) -> Value {
    let items: Vec<Value> = groups.iter().map(|found| group(found)).collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn group(group: &Group<'_>) -> Value {
    let metadata = match group.name() {
        "" => json!({}),
        name => json!({ "name": name }),
    };
    let versions: Vec<Value> = group.versions().iter().map(version).collect();
    json!({"metadata": metadata, "versions": versions})
}

fn version(version: &GroupVersion<'_>) -> Value {
    let resources: Vec<Value> = version.resources().iter().map(|found| resource(found)).collect();
    // Rendered from memory, so never stale.
    json!({"version": version.version(), "freshness": "Current", "resources": resources})
}

fn resource(resource: &ServedResource) -> Value {
    let definition = resource.definition();
    let mut entry = json!({
        "resource": definition.plural(),
        "responseKind": kind(&resource.gvk()),
        "scope": if definition.is_namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": definition.singular(),
        "verbs": words(resource.verbs()),
    });
    let subresources = resource.subresources();
    let entries: Vec<Value> =
        subresources.iter().map(|found| subresource(resource, found)).collect();
    for (name, list) in [
        ("shortNames", json!(definition.short_names())),
        ("categories", json!(definition.categories())),
        ("subresources", Value::Array(entries)),
    ] {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            entry[name] = list;
        }
    }
    entry
}

fn subresource(parent: &ServedResource, subresource: &Subresource) -> Value {
    let response_kind = subresource.gvk().map_or_else(|| kind(&parent.gvk()), kind);
    json!({
        "subresource": subresource.name(),
        "responseKind": response_kind,
        "verbs": words(subresource.verbs()),
    })
}

fn kind(gvk: &GroupVersionKind) -> Value {
    json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind})
}
