//! Control planes: the scope in which a request acts and an object lives.
//!
//! A [`Scope`] is *resolved*: it carries the tenant's UID, because storage is keyed by UID and a
//! name that is used again must start empty. What a URL says is only a [`ScopeName`]; the server
//! turns one into the other from stored facts, or answers 404.

use std::{fmt, sync::Arc};

/// Where a kind can live, and what a control plane is the control plane of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ScopeKind {
    /// The one root control plane of a deployment.
    Platform,
    /// An organization's view.
    Organization,
    /// A project: a key space of its own.
    Project,
    /// A user's own view.
    User,
}

impl ScopeKind {
    /// The word used in storage keys and in the `platform.miloapis.com/scope.type` annotation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Organization => "organization",
            Self::Project => "project",
            Self::User => "user",
        }
    }

    /// The kind of the object that such a control plane belongs to, as in the
    /// `iam.miloapis.com/parent-type` extra. The platform belongs to none.
    #[must_use]
    pub fn tenant_kind(self) -> Option<&'static str> {
        match self {
            Self::Platform => None,
            Self::Organization => Some("Organization"),
            Self::Project => Some("Project"),
            Self::User => Some("User"),
        }
    }
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A control plane as a URL names it: not yet known to exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScopeName {
    /// No prefix.
    Platform,
    /// `/apis/resourcemanager.miloapis.com/v1alpha1/organizations/{name}/control-plane`, or short.
    Organization(String),
    /// `/apis/resourcemanager.miloapis.com/v1alpha1/projects/{name}/control-plane`, or short.
    Project(String),
    /// `/apis/iam.miloapis.com/v1alpha1/users/{name}/control-plane`, or short.
    User(String),
}

impl ScopeName {
    /// Which kind of control plane is named.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        match self {
            Self::Platform => ScopeKind::Platform,
            Self::Organization(_) => ScopeKind::Organization,
            Self::Project(_) => ScopeKind::Project,
            Self::User(_) => ScopeKind::User,
        }
    }
}

/// A tenant that exists: its name for people, its UID for keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenant {
    name: Arc<str>,
    uid: Arc<str>,
}

/// Why a [`Tenant`] could not be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("tenant {what} `{value}` must be 1 to 253 letters, digits, `-`, `.` or `_`")]
pub struct InvalidTenant {
    what: &'static str,
    value: String,
}

impl Tenant {
    /// A tenant from the stored object's `metadata.name` and `metadata.uid`.
    ///
    /// # Errors
    /// When either is empty, longer than 253 bytes, or holds a character that could end a key
    /// segment: the UID becomes part of storage keys.
    pub fn new(name: impl Into<Arc<str>>, uid: impl Into<Arc<str>>) -> Result<Self, InvalidTenant> {
        let (name, uid) = (name.into(), uid.into());
        for (what, value) in [("name", &name), ("uid", &uid)] {
            if !is_tenant_id(value) {
                return Err(InvalidTenant { what, value: value.to_string() });
            }
        }
        Ok(Self { name, uid })
    }

    /// The name, as in URLs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The UID, as in storage keys.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }
}

/// Whether `id` may name a tenant in a URL or a key.
#[must_use]
pub fn is_tenant_id(id: &str) -> bool {
    (1..=253).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && id.bytes().any(|b| b.is_ascii_alphanumeric())
}

/// A control plane that exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// The root.
    Platform,
    /// An organization.
    Organization(Tenant),
    /// A project, with the organization that owns it.
    Project {
        /// The project itself.
        project: Tenant,
        /// Its organization, from stored facts.
        organization: Tenant,
    },
    /// A user.
    User(Tenant),
}

impl Scope {
    /// Which kind of control plane this is.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        match self {
            Self::Platform => ScopeKind::Platform,
            Self::Organization(_) => ScopeKind::Organization,
            Self::Project { .. } => ScopeKind::Project,
            Self::User(_) => ScopeKind::User,
        }
    }

    /// The tenant whose control plane this is; none for the platform.
    #[must_use]
    pub fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::Platform => None,
            Self::Organization(tenant) | Self::User(tenant) | Self::Project { project: tenant, .. } => {
                Some(tenant)
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant() {
            None => f.write_str("platform"),
            Some(tenant) => write!(f, "{}/{}", self.kind(), tenant.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_cannot_smuggle_a_separator() {
        for bad in ["", "a/b", "a b", "..", "-", "a\0", "é", &"x".repeat(254)] {
            assert!(Tenant::new("acme", bad).is_err(), "uid {bad:?}");
            assert!(Tenant::new(bad, "u").is_err(), "name {bad:?}");
        }
        assert!(Tenant::new("acme", "0b6e0c43-8a5b-4b8a-9d4e-3f5b8c7d6e5f").is_ok());
    }
}
