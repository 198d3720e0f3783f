//! OpenAPI: the published schemas and operations of the served kinds, in version 3 and version 2.
//!
//! kubectl reads them before it creates or applies anything, and `kubectl explain` prints them.
//! Everything is derived from the served kinds; the schemas of `ObjectMeta` and its like come
//! from k8s-openapi, completed by what it leaves out. Version 2 is derived from version 3, so that
//! the two cannot disagree.
//!
//! Nothing is rendered before somebody asks for it, and nothing is rendered twice.

mod forms;
mod gnostic;
mod names;
mod operations;
mod parameters;
mod part;
mod paths;
mod plain;
mod schemas;
mod v2;
mod v3;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use milo_core::status::StatusError;

use crate::{
    discovery::{Group, ServedResource, by_group},
    document::Document,
};
use forms::Forms;
use part::{Content, Part};

/// Where the document of version 2 lives.
pub const V2: &str = "/openapi/v2";
/// Where the index of version 3 lives. Its documents live below.
pub const V3: &str = "/openapi/v3";

/// The OpenAPI documents of one kind of control plane.
pub struct OpenApi {
    /// The documents of version 3 by key: `apis/{group}/{version}`, `api/v1`, `version`.
    parts: BTreeMap<String, Arc<Part>>,
    index: OnceLock<Document>,
    v2: Forms,
}

impl OpenApi {
    /// Of `resources`.
    ///
    /// `patch_types` are the media types of the patches that the server takes, such as
    /// `application/merge-patch+json`: clients choose their way of patching by them.
    #[must_use]
    pub fn new(resources: &[ServedResource], patch_types: &[&str]) -> Self {
        let patch_types: Arc<[String]> = patch_types.iter().map(|&found| found.into()).collect();
        let groups = by_group(resources);
        let contents = [Content::CoreVersions, Content::Groups, Content::ServerVersion];
        let named = groups.iter().filter(|group| !group.name().is_empty());
        let contents = contents.into_iter().chain(named.map(Content::group));
        let versions = groups.iter().flat_map(Group::versions);
        let contents =
            contents.chain(versions.map(|found| Content::version(found, patch_types.clone())));
        let parts = contents.map(|content| (content.key(), Arc::new(Part::new(content))));
        Self { parts: parts.collect(), index: OnceLock::new(), v2: Forms::new(&v2::PROTOBUF) }
    }

    /// Takes over those documents of `other` that say the same: control planes of several kinds
    /// often serve the same version of a group, and its document is then kept once.
    #[must_use]
    pub fn sharing(mut self, other: &Self) -> Self {
        for (key, part) in &mut self.parts {
            if let Some(same) = other.parts.get(key).filter(|found| found.says_the_same_as(part)) {
                *part = same.clone();
            }
        }
        self
    }

    /// Answers `GET path?query`; none for a path that is not of OpenAPI.
    ///
    /// A reader that names the hash of a document of version 3 may keep it for ever; one that names
    /// another is redirected. The redirect is relative, so that it holds under any prefix. When
    /// `Accept` allows neither JSON nor protobuf the answer is 406 without a body, as upstream.
    ///
    /// The error, 404, says that version 3 has no such document.
    #[must_use]
    pub fn respond(
        &self,
        path: &str,
        query: Option<&str>,
        request: &HeaderMap,
    ) -> Option<Result<Response<Bytes>, StatusError>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == V2 {
            return Some(Ok(self.v2.respond(request, || self.render_v2())));
        }
        if path == V3 {
            let index = self.index.get_or_init(|| v3::index(&self.parts));
            return Some(Ok(index.respond(request)));
        }
        let part = self.parts.get(path.strip_prefix(V3)?.strip_prefix('/')?);
        Some(part.map(|part| part.respond(query, request)).ok_or_else(StatusError::no_route))
    }

    /// The paths that have a document, for the server's index.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        let below = self.parts.keys().map(|key| format!("{V3}/{key}"));
        [V2.to_owned(), V3.to_owned()].into_iter().chain(below)
    }

    fn render_v2(&self) -> serde_json::Value {
        v2::document(self.parts.values().map(|part| part.render()))
    }
}

impl fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenApi").field("keys", &self.parts.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
