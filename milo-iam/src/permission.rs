//! Permissions: what a role lists and a request needs.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::Text;

/// The service that stands for the core API group, whose name is empty.
pub const CORE_SERVICE: &str = "core.miloapis.com";

/// Verbs that act on a collection, whatever name a request carries. `create` is one because the
/// object does not exist yet.
const COLLECTION_VERBS: [&str; 4] = ["list", "watch", "create", "deletecollection"];

/// A permission: `{service}/{plural}.{verb}`, or `{service}/{plural}/{subresource}.{verb}`.
///
/// ```
/// use milo_iam::Permission;
///
/// let permission: Permission = "resourcemanager.miloapis.com/projects.create".parse()?;
/// assert_eq!((permission.plural(), permission.verb()), ("projects", "create"));
/// assert!("projects".parse::<Permission>().is_err());
/// # Ok::<(), milo_iam::MalformedPermission>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permission {
    /// As it is written, which says all.
    text: Text,
    /// Where its parts are.
    parts: Parts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Parts {
    service_end: usize,
    plural_end: usize,
    verb: usize,
}

impl Hash for Permission {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// A text that is not a permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "permission `{0}` must be written SERVICE/PLURAL.VERB or SERVICE/PLURAL/SUBRESOURCE.VERB, in \
     lower-case ASCII letters, digits, `-` and `.`"
)]
pub struct MalformedPermission(pub String);

impl Permission {
    /// From its parts; the subresource is empty for the object itself. The core group may be
    /// written as the empty service.
    ///
    /// # Errors
    /// When a part is empty or holds anything but lower-case ASCII letters, digits and `-` (a
    /// service, `.` too): names that look alike must not be taken for one another.
    pub fn new(
        service: &str,
        plural: &str,
        subresource: &str,
        verb: &str,
    ) -> Result<Self, MalformedPermission> {
        let service = if service.is_empty() { CORE_SERVICE } else { service };
        let plain = |part: &str| part.bytes().all(is_plain);
        let is_valid = service.bytes().all(|b| is_plain(b) || b == b'.')
            && [plural, subresource, verb].into_iter().all(plain)
            && !plural.is_empty()
            && !verb.is_empty();
        let separator = if subresource.is_empty() { "" } else { "/" };
        let text = format!("{service}/{plural}{separator}{subresource}.{verb}");
        let plural_end = service.len() + 1 + plural.len();
        let parts = Parts { service_end: service.len(), plural_end, verb: text.len() - verb.len() };
        if is_valid {
            Ok(Self { text: text.into(), parts })
        } else {
            Err(MalformedPermission(text))
        }
    }

    fn part(&self, from: usize, to: usize) -> &str {
        // INVARIANT: all parts are ASCII, and `parts` is made with the text.
        self.text.get(from..to).unwrap_or_default()
    }

    /// The service, which is an API group.
    #[must_use]
    pub fn service(&self) -> &str {
        self.part(0, self.parts.service_end)
    }

    /// The plural of the kind.
    #[must_use]
    pub fn plural(&self) -> &str {
        self.part(self.parts.service_end + 1, self.parts.plural_end)
    }

    /// The subresource; empty for the object itself.
    #[must_use]
    pub fn subresource(&self) -> &str {
        self.part(self.parts.plural_end + 1, self.parts.verb - 1)
    }

    /// The verb.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.part(self.parts.verb, self.text.len())
    }

    /// Whether the verb acts on a collection.
    #[must_use]
    pub fn is_of_collection(&self) -> bool {
        COLLECTION_VERBS.contains(&self.verb())
    }

    /// As it is registered: to delete a collection is to delete.
    #[must_use]
    pub fn registered_form(&self) -> Self {
        if self.verb() == "deletecollection" {
            return self.with(self.subresource(), "delete");
        }
        self.clone()
    }

    fn with(&self, subresource: &str, verb: &str) -> Self {
        let changed = Self::new(self.service(), self.plural(), subresource, verb);
        // INVARIANT: the parts of a permission are valid, and so is `delete`.
        changed.unwrap_or_else(|_| self.clone())
    }

    /// The permission on the object itself, to which one on a subresource falls back.
    #[must_use]
    pub fn of_main_resource(&self) -> Self {
        self.with("", self.verb())
    }

    /// What a `ProtectedResource` lists for it: `get`, or `status.update`.
    #[must_use]
    pub fn entry(&self) -> String {
        match self.subresource() {
            "" => self.verb().to_owned(),
            subresource => format!("{subresource}.{}", self.verb()),
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Permission {
    type Err = MalformedPermission;

    fn from_str(text: &str) -> Result<Self, MalformedPermission> {
        let malformed = || MalformedPermission(text.to_owned());
        let (path, verb) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (service, resource) = path.split_once('/').ok_or_else(malformed)?;
        let (plural, subresource) = match resource.split_once('/') {
            Some((_, "")) => return Err(malformed()),
            Some(parts) => parts,
            None => (resource, ""),
        };
        if service.is_empty() {
            return Err(malformed());
        }
        Self::new(service, plural, subresource, verb).map_err(|_| malformed())
    }
}

impl TryFrom<String> for Permission {
    type Error = MalformedPermission;

    fn try_from(text: String) -> Result<Self, MalformedPermission> {
        text.parse()
    }
}

impl From<Permission> for String {
    fn from(permission: Permission) -> Self {
        String::from(&*permission.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_and_written() {
        for text in [
            "resourcemanager.miloapis.com/projects.create",
            "core.miloapis.com/secrets.get",
            "apps/deployments/scale.update",
            "g.io/things.use",
        ] {
            assert_eq!(text.parse::<Permission>().unwrap().to_string(), text);
        }
        let core = Permission::new("", "pods", "", "get").unwrap();
        assert_eq!(core.to_string(), "core.miloapis.com/pods.get");
    }

    #[test]
    fn malformed_permissions_are_refused() {
        for text in [
            "",
            ".",
            "/",
            "g.io",
            "g.io/things",
            "things.get",
            "/things.get",
            "g.io/.get",
            "g.io/things.",
            "g.io/things/.get",
            "g.io/a/b/c.get",
            "g.io/Things.get",
            "g.io/things.get ",
            "g.io/things.*",
            "g.io/*.get",
            "g.io/th\u{456}ngs.get",
            "g.io:things.get",
        ] {
            assert_eq!(text.parse::<Permission>(), Err(MalformedPermission(text.into())), "{text}");
        }
    }

    #[test]
    fn deleting_a_collection_is_deleting() {
        let all: Permission = "g.io/things.deletecollection".parse().unwrap();
        assert!(all.is_of_collection());
        assert_eq!(all.registered_form().to_string(), "g.io/things.delete");
        let status: Permission = "g.io/things/status.update".parse().unwrap();
        assert_eq!(status.entry(), "status.update");
        assert_eq!(status.of_main_resource().to_string(), "g.io/things.update");
    }
}
