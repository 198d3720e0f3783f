//! One document of OpenAPI v3. Together they describe the server.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::Value;

use super::{
    forms::{Forms, not_acceptable},
    plain, v3,
};
use crate::discovery::{Group, GroupVersion, ServedResource, by_group};

/// A document and the forms in which it was asked for so far.
pub(super) struct Part {
    content: Content,
    forms: Forms,
}

/// What a document is about.
pub(super) enum Content {
    /// `/api/`: the versions of the core group.
    CoreVersions,
    /// `/apis/`: the other groups.
    Groups,
    /// `/apis/{group}/`: the versions of a group.
    Group { name: String },
    /// `/apis/{group}/{version}/`: the kinds of a version of a group, and their paths.
    Version { key: String, resources: Vec<ServedResource>, patch_types: Arc<[String]> },
    /// `/version/`: the version of the server.
    ServerVersion,
}

impl Part {
    pub(super) fn new(content: Content) -> Self {
        Self { content, forms: Forms::new(&v3::PROTOBUF) }
    }

    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.content == other.content
    }

    pub(super) fn respond(&self, query: Option<&str>, request: &HeaderMap) -> Response<Bytes> {
        let document = self.forms.choose(request, || self.render());
        document.map_or_else(not_acceptable, |found| v3::respond(found, query, request))
    }

    pub(super) fn hash(&self) -> &str {
        self.forms.json(|| self.render()).hash()
    }

    pub(super) fn render(&self) -> Value {
        match &self.content {
            Content::CoreVersions => plain::core_versions(),
            Content::Groups => plain::groups(),
            Content::Group { name } => plain::group(name),
            Content::ServerVersion => plain::server_version(),
            Content::Version { resources, patch_types, .. } => {
                let groups = by_group(resources);
                // One group with one version: that is how the content was made.
                let version = groups.iter().flat_map(Group::versions).next();
                version.map(|found| v3::of_version(found, patch_types)).unwrap_or_default()
            }
        }
    }
}

impl Content {
    pub(super) fn group(group: &Group<'_>) -> Self {
        Self::Group { name: group.name().to_owned() }
    }

    pub(super) fn version(version: &GroupVersion<'_>, patch_types: Arc<[String]>) -> Self {
        let key = version.path().trim_start_matches('/').to_owned();
        let resources = version.resources().iter().map(|&found| found.clone()).collect();
        Self::Version { key, resources, patch_types }
    }

    /// The path, as the index of v3 names it.
    pub(super) fn key(&self) -> String {
        match self {
            Self::CoreVersions => "api".to_owned(),
            Self::Groups => "apis".to_owned(),
            Self::Group { name } => format!("apis/{name}"),
            Self::Version { key, .. } => key.clone(),
            Self::ServerVersion => "version".to_owned(),
        }
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        let Self::Version { resources, patch_types, .. } = self else {
            return self.key() == other.key();
        };
        let Self::Version { resources: others, patch_types: their_types, .. } = other else {
            return false;
        };
        let same = |(one, other): (&ServedResource, &ServedResource)| one.is_same_as(other);
        patch_types == their_types
            && resources.len() == others.len()
            && resources.iter().zip(others).all(same)
    }
}
