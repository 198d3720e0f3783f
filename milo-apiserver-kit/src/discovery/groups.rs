//! Served kinds by group and version, in the order in which clients should prefer them.

use std::{cmp::Reverse, collections::BTreeMap};

use kube_core::Version;

use super::ServedResource;

/// A group and its versions, the preferred one first.
pub(crate) struct Group<'a> {
    name: &'a str,
    versions: Vec<GroupVersion<'a>>,
}

/// A version of a group and its kinds, by plural name.
pub(crate) struct GroupVersion<'a> {
    group: &'a str,
    version: &'a str,
    resources: Vec<&'a ServedResource>,
}

/// All groups by name; versions by maturity, then number (`v2`, `v1`, `v1beta1`, `v1alpha1`).
pub(crate) fn by_group(resources: &[ServedResource]) -> Vec<Group<'_>> {
    let mut sorted: BTreeMap<&str, BTreeMap<&str, Vec<&ServedResource>>> = BTreeMap::new();
    for resource in resources {
        let definition = resource.definition();
        let versions = sorted.entry(definition.group()).or_default();
        versions.entry(definition.version()).or_default().push(resource);
    }
    sorted.into_iter().map(|(name, versions)| Group::new(name, versions)).collect()
}

impl<'a> Group<'a> {
    fn new(name: &'a str, versions: BTreeMap<&'a str, Vec<&'a ServedResource>>) -> Self {
        let mut versions: Vec<_> = versions
            .into_iter()
            .map(|(version, mut resources)| {
                resources.sort_by(|a, b| a.definition().plural().cmp(b.definition().plural()));
                GroupVersion { group: name, version, resources }
            })
            .collect();
        versions.sort_by_cached_key(|found| Reverse(Version::parse(found.version).priority()));
        Self { name, versions }
    }

    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    pub(crate) fn versions(&self) -> &[GroupVersion<'a>] {
        &self.versions
    }
}

impl<'a> GroupVersion<'a> {
    /// `v1` of the core group, with no kinds.
    pub(crate) fn empty_core() -> Self {
        Self { group: "", version: "v1", resources: Vec::new() }
    }

    pub(crate) fn group(&self) -> &'a str {
        self.group
    }

    pub(crate) fn version(&self) -> &'a str {
        self.version
    }

    pub(crate) fn resources(&self) -> &[&'a ServedResource] {
        &self.resources
    }

    /// `group/version`, or just the version in the core group.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Where the kinds of this version are served: `/apis/group/version` or `/api/v1`.
    pub(crate) fn path(&self) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("/{root}/{}", self.api_version())
    }
}
