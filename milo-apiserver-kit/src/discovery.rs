//! Discovery: which kinds are served, under which names, with which verbs.
//!
//! All documents are rendered when the server starts, from the served kinds alone: they answer
//! while storage is down, which the aggregator's availability probe relies on, and their hashes
//! are the same on every replica.
//!
//! Discovery differs per kind of control plane; [`Discovery::for_scope`] builds one for each.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Response};
use milo_core::{scope::ScopeKind, status::StatusError};
use serde_json::json;

use crate::document::{Conversion, Document, JSON, Negotiated};

mod aggregated;
mod groups;
mod legacy;
mod served;

pub(crate) use groups::{Group, GroupVersion, by_group};
pub(crate) use served::{Connection, Parameter};
pub use served::{ServedResource, Subresource, served_in};

/// What a client asks for to get every group in one answer, and the exact content type of it.
/// Old clients compare it literally, parameters in this order.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The same, as parameters of an `Accept` clause.
const AGGREGATED_LIST: Conversion =
    Conversion { group: "apidiscovery.k8s.io", version: "v2", kind: "APIGroupDiscoveryList" };

/// The discovery documents of one kind of control plane.
#[derive(Clone, Debug)]
pub struct Discovery {
    documents: BTreeMap<String, Negotiated>,
    /// The aggregated form of `/api`, whose plain form is different for every address.
    core: Document,
}

impl Discovery {
    /// Renders the documents of `resources`.
    ///
    /// `/api` always lists `v1`, which is empty when no kind of the core group is served: kube-rs
    /// fails its whole discovery over a 404 or an empty list there.
    #[must_use]
    pub fn new(resources: &[ServedResource]) -> Self {
        let groups = by_group(resources);
        let (core, named): (Vec<&Group<'_>>, Vec<_>) =
            groups.iter().partition(|group| group.name().is_empty());
        let no_kinds = GroupVersion::empty_core();

        let mut documents = BTreeMap::new();
        let mut add = |path: String, document: Negotiated| documents.insert(path, document);
        add("/apis".into(), both_forms(&legacy::group_list(&named), aggregate(&named)));
        for group in &named {
            let document = Document::json(&legacy::group(group));
            add(format!("/apis/{}", group.name()), Negotiated::json_or_yaml(document));
        }
        let versions = groups.iter().flat_map(Group::versions).chain([&no_kinds]);
        for version in versions {
            let document = Document::json(&legacy::resource_list(version));
            documents.entry(version.path()).or_insert_with(|| Negotiated::json_or_yaml(document));
        }
        Self { documents, core: aggregate(&core) }
    }

    /// Renders the documents of those `resources` that control planes of the kind `scope` serve.
    #[must_use]
    pub fn for_scope(resources: &[ServedResource], scope: ScopeKind) -> Self {
        Self::new(&served_in(resources, scope))
    }

    /// Answers `GET path`. `None` when no discovery document lives there. A trailing slash is
    /// ignored. `address` is where the client reached the server, as `host:port`, which `/api` tells.
    ///
    /// The error, 406, says that `Accept` allows none of the forms; aggregated discovery falls
    /// through to plain JSON when the client lists it.
    #[must_use]
    pub fn respond(
        &self,
        path: &str,
        address: &str,
        request: &HeaderMap,
    ) -> Option<Result<Response<Bytes>, StatusError>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == "/api" {
            let forms = both_forms(&legacy::api_versions(address), self.core.clone());
            return Some(forms.respond(request));
        }
        self.documents.get(path).map(|document| document.respond(request))
    }

    /// The paths that have a document, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        std::iter::once("/api").chain(self.documents.keys().map(String::as_str))
    }

    /// The document behind `/`: every path of discovery and the `others`, such as `/version`.
    #[must_use]
    pub fn index<'a>(&'a self, others: impl IntoIterator<Item = &'a str>) -> Document {
        let mut paths: Vec<&str> = self.paths().chain(others).collect();
        paths.sort_unstable();
        paths.dedup();
        Document::pretty_json(&json!({ "paths": paths }))
    }
}

/// A plain document, and the aggregated one of the same groups.
fn both_forms(plain: &serde_json::Value, aggregated: Document) -> Negotiated {
    Negotiated::json_or_yaml(Document::json(plain)).offer(JSON, Some(AGGREGATED_LIST), aggregated)
}

fn aggregate(groups: &[&Group<'_>]) -> Document {
    Document::json(&aggregated::group_list(groups))
        .with_content_type(AGGREGATED)
        .with_cache_control("public")
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
