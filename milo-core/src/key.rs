//! Storage keys. The tenant is in the key's type: without a [`Scope`] there is no key.
//!
//! A key is `/{group}/{resource}/{scope}/{namespace}/{name}`, always five segments; the namespace
//! of a cluster-scoped object is empty. The scope is `platform` or `{kind}:{uid}`. Resource first,
//! tenant second: one tenant is a sub-range, all tenants are one range.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::scope::Scope;

/// A resource by group and plural name, for example `organizations.resourcemanager.miloapis.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    group: Arc<str>,
    resource: Arc<str>,
}

impl GroupResource {
    /// From an API group (empty for the core group) and a plural, lower-case resource name.
    #[must_use]
    pub fn new(group: impl Into<Arc<str>>, resource: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The plural resource name.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

/// `resource.group`, or just `resource` in the core group: the form that error messages use.
impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// The key of one stored object. Ordered bytewise.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Bytes);

/// Why a [`Key`] could not be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid key segment `{segment}`: a segment must not be `.`, `..`, nor hold `/` or NUL")]
pub struct InvalidKey {
    segment: String,
}

impl Key {
    /// The key of the object `name` of `resource` in `scope`; `namespace` is empty for a
    /// cluster-scoped kind.
    ///
    /// # Errors
    /// When a segment could be read as more or less than one segment.
    pub fn object(
        resource: &GroupResource,
        scope: &Scope,
        namespace: &str,
        name: &str,
    ) -> Result<Self, InvalidKey> {
        let mut buffer = prefix(resource, Some(scope), Some(namespace))?;
        if name.is_empty() {
            return Err(InvalidKey { segment: String::new() });
        }
        buffer.extend_from_slice(segment(name)?.as_bytes());
        Ok(Self(buffer.into()))
    }

    /// A key as a storage engine wrote it. For engines that read their own files back; everyone
    /// else builds keys with [`Key::object`].
    #[must_use]
    pub fn from_storage(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes that a storage engine orders and keeps.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The five segments: group, resource, scope, namespace, name. None when the key was not made
    /// by [`Key::object`].
    #[must_use]
    pub fn segments(&self) -> Option<KeySegments<'_>> {
        let mut parts = std::str::from_utf8(&self.0).ok()?.strip_prefix('/')?.split('/');
        let segments = KeySegments {
            group: parts.next()?,
            resource: parts.next()?,
            scope: parts.next()?,
            namespace: parts.next()?,
            name: parts.next()?,
        };
        parts.next().is_none().then_some(segments)
    }
}

/// A key taken apart; see [`Key::segments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySegments<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// `platform` or `{kind}:{uid}`.
    pub scope: &'a str,
    /// Empty for a cluster-scoped kind.
    pub namespace: &'a str,
    /// Object name.
    pub name: &'a str,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// A half-open, non-empty range of keys, `start <= key < end`.
///
/// Ranges end at a segment boundary: the range of namespace `a` never holds a key of namespace
/// `ab`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    start: Bytes,
    end: Bytes,
}

impl KeyRange {
    /// Every object of a resource, in all scopes. For caches and operators, never for a tenant.
    ///
    /// # Errors
    /// As [`Key::object`].
    pub fn resource(resource: &GroupResource) -> Result<Self, InvalidKey> {
        Ok(Self::of_prefix(prefix(resource, None, None)?))
    }

    /// Every object of a resource in one scope, in all its namespaces.
    ///
    /// # Errors
    /// As [`Key::object`].
    pub fn scope(resource: &GroupResource, scope: &Scope) -> Result<Self, InvalidKey> {
        Ok(Self::of_prefix(prefix(resource, Some(scope), None)?))
    }

    /// Every object of a resource in one namespace of one scope.
    ///
    /// # Errors
    /// As [`Key::object`].
    pub fn namespace(
        resource: &GroupResource,
        scope: &Scope,
        namespace: &str,
    ) -> Result<Self, InvalidKey> {
        Ok(Self::of_prefix(prefix(resource, Some(scope), Some(namespace))?))
    }

    /// Exactly one key.
    #[must_use]
    pub fn key(key: &Key) -> Self {
        let mut end = key.0.to_vec();
        end.push(0);
        Self { start: key.0.clone(), end: end.into() }
    }

    /// Every key there is. For engines, snapshots and tests.
    #[must_use]
    pub fn all() -> Self {
        Self { start: Bytes::new(), end: Bytes::from_static(&[0xff]) }
    }

    /// The part of this range that begins at `start`, or none when nothing is left of it or
    /// `start` lies before the range.
    #[must_use]
    pub fn starting_at(&self, start: Bytes) -> Option<Self> {
        (self.start <= start && start < self.end).then(|| Self { start, end: self.end.clone() })
    }

    /// Any range, for tests.
    #[cfg(test)]
    pub(crate) fn between(start: Bytes, end: Bytes) -> Self {
        Self { start, end }
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.start <= key.0 && key.0 < self.end
    }

    /// The first key that could be in the range.
    #[must_use]
    pub fn start(&self) -> &Bytes {
        &self.start
    }

    /// The first key past the range.
    #[must_use]
    pub fn end(&self) -> &Bytes {
        &self.end
    }

    fn of_prefix(prefix: Vec<u8>) -> Self {
        // INVARIANT: a prefix ends in `/`, so its successor is the prefix with a last byte of `0`.
        debug_assert_eq!(prefix.last(), Some(&b'/'), "prefixes end at a segment boundary");
        let mut end = prefix.clone();
        if let Some(last) = end.last_mut() {
            *last = b'/' + 1;
        }
        Self { start: prefix.into(), end: end.into() }
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRange({}..{})", self.start.escape_ascii(), self.end.escape_ascii())
    }
}

fn prefix(
    resource: &GroupResource,
    scope: Option<&Scope>,
    namespace: Option<&str>,
) -> Result<Vec<u8>, InvalidKey> {
    let mut buffer = Vec::with_capacity(128);
    let mut push = |text: &str| {
        buffer.extend_from_slice(text.as_bytes());
    };
    push("/");
    push(segment(resource.group())?);
    push("/");
    push(segment(resource.resource())?);
    push("/");
    if let Some(scope) = scope {
        push(scope.kind().as_str());
        if let Some(tenant) = scope.tenant() {
            push(":");
            push(segment(tenant.uid())?);
        }
        push("/");
        if let Some(namespace) = namespace {
            push(segment(namespace)?);
            push("/");
        }
    }
    Ok(buffer)
}

fn segment(text: &str) -> Result<&str, InvalidKey> {
    let hostile = matches!(text, "." | "..") || text.bytes().any(|b| matches!(b, b'/' | 0 | 0xff));
    if hostile { Err(InvalidKey { segment: text.to_owned() }) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Tenant;

    fn widgets() -> GroupResource {
        GroupResource::new("demo.example.com", "widgets")
    }

    #[test]
    fn keys_run_resource_first_and_tenant_second() {
        let key = Key::object(&widgets(), &Scope::Platform, "", "a").unwrap();
        assert_eq!(key.to_string(), "/demo.example.com/widgets/platform//a");
        let org = Scope::Organization(Tenant::new("acme", "u-1").unwrap());
        let key = Key::object(&widgets(), &org, "ns", "a").unwrap();
        assert_eq!(key.to_string(), "/demo.example.com/widgets/organization:u-1/ns/a");
        let segments = key.segments().unwrap();
        assert_eq!(
            (segments.scope, segments.namespace, segments.name),
            ("organization:u-1", "ns", "a")
        );
    }

    #[test]
    fn ranges_end_at_a_segment() {
        let scope = Scope::Platform;
        let range = KeyRange::namespace(&widgets(), &scope, "a").unwrap();
        assert!(range.contains(&Key::object(&widgets(), &scope, "a", "x").unwrap()));
        assert!(!range.contains(&Key::object(&widgets(), &scope, "ab", "x").unwrap()));
        let key = Key::object(&widgets(), &scope, "a", "x").unwrap();
        assert!(KeyRange::key(&key).contains(&key));
        assert!(
            !KeyRange::key(&key).contains(&Key::object(&widgets(), &scope, "a", "xy").unwrap())
        );
        assert!(KeyRange::all().contains(&key));
    }

    #[test]
    fn hostile_segments_are_refused() {
        for bad in ["..", ".", "a/b", "a\0"] {
            assert!(Key::object(&widgets(), &Scope::Platform, bad, "x").is_err());
            assert!(Key::object(&widgets(), &Scope::Platform, "", bad).is_err());
        }
        assert!(Key::object(&widgets(), &Scope::Platform, "", "").is_err());
    }
}
