//! Who is asking.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Members of this group pass every authorization check, as in Kubernetes.
pub const SYSTEM_MASTERS: &str = "system:masters";
/// Every request that authenticated belongs to this group.
pub const SYSTEM_AUTHENTICATED: &str = "system:authenticated";
/// Every anonymous request belongs to this group.
pub const SYSTEM_UNAUTHENTICATED: &str = "system:unauthenticated";

/// An authenticated caller: what `authentication.k8s.io/v1` calls `UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// The login name, for people to read.
    pub username: String,
    /// The stable identity. Milo decides by UID; names are aliases.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Groups, `system:*` ones included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Further facts from the authenticator, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A caller with a name and no groups.
    #[must_use]
    pub fn new(username: impl Into<String>) -> Self {
        Self { username: username.into(), ..Self::default() }
    }

    /// Adds a group, once.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        let group = group.into();
        if !self.is_in(&group) {
            self.groups.push(group);
        }
        self
    }

    /// Sets the UID.
    #[must_use]
    pub fn with_uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = uid.into();
        self
    }

    /// Whether the caller is a member of `group`.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}
