//! Permissions: what a role lists and a request needs.

use std::{fmt, str::FromStr};

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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permission {
    service: Text,
    plural: Text,
    subresource: Text,
    verb: Text,
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
        let permission = Self {
            service: service.into(),
            plural: plural.into(),
            subresource: subresource.into(),
            verb: verb.into(),
        };
        if is_valid { Ok(permission) } else { Err(MalformedPermission(permission.to_string())) }
    }

    /// The service, which is an API group.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The plural of the kind.
    #[must_use]
    pub fn plural(&self) -> &str {
        &self.plural
    }

    /// The subresource; empty for the object itself.
    #[must_use]
    pub fn subresource(&self) -> &str {
        &self.subresource
    }

    /// The verb.
    #[must_use]
    pub fn verb(&self) -> &str {
        &self.verb
    }

    /// Whether the verb acts on a collection.
    #[must_use]
    pub fn is_of_collection(&self) -> bool {
        COLLECTION_VERBS.contains(&&*self.verb)
    }

    /// As it is registered: to delete a collection is to delete.
    #[must_use]
    pub fn registered_form(&self) -> Self {
        let mut form = self.clone();
        if &*self.verb == "deletecollection" {
            form.verb = "delete".into();
        }
        form
    }

    /// The permission on the object itself, to which one on a subresource falls back.
    #[must_use]
    pub fn of_main_resource(&self) -> Self {
        Self { subresource: "".into(), ..self.clone() }
    }

    /// What a `ProtectedResource` lists for it: `get`, or `status.update`.
    #[must_use]
    pub fn entry(&self) -> String {
        if self.subresource.is_empty() {
            self.verb.to_string()
        } else {
            format!("{}.{}", self.subresource, self.verb)
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.plural)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        write!(f, ".{}", self.verb)
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
        permission.to_string()
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
