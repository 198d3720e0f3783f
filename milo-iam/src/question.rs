//! What is asked: who, what, where.

use std::fmt;

use milo_core::{
    identity::{SYSTEM_AUTHENTICATED, SYSTEM_UNAUTHENTICATED, UserInfo},
    scope,
};
use serde::{Deserialize, Serialize};

use crate::Permission;

/// What Go Milo's documentation calls [`SYSTEM_AUTHENTICATED`]; accepted in bindings.
const SYSTEM_AUTHENTICATED_ALIAS: &str = "system:authenticated-users";

/// Who asks, as authentication says.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Principal {
    /// The name of a user, or the UID of a service account. Empty for nobody.
    pub uid: String,
    /// Whether the request authenticated: the caller is in `system:authenticated`.
    pub authenticated: bool,
    /// Whether the request is anonymous: the caller is in `system:unauthenticated`.
    pub unauthenticated: bool,
}

impl Principal {
    /// A user or a service account that authenticated.
    #[must_use]
    pub fn new(uid: impl Into<String>) -> Self {
        Self { uid: uid.into(), authenticated: true, unauthenticated: false }
    }

    /// Whoever did not authenticate.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { uid: String::new(), authenticated: false, unauthenticated: true }
    }

    /// Whether a system group has this principal. Only the two that come from authentication can
    /// have anybody: bindings to any other name that begins with `system:` grant nothing.
    #[must_use]
    pub fn is_in_system_group(&self, name: &str) -> bool {
        match name {
            SYSTEM_AUTHENTICATED | SYSTEM_AUTHENTICATED_ALIAS => self.authenticated,
            SYSTEM_UNAUTHENTICATED => self.unauthenticated,
            _ => false,
        }
    }
}

impl From<&UserInfo> for Principal {
    fn from(user: &UserInfo) -> Self {
        Self {
            uid: user.uid.clone(),
            authenticated: user.is_in(SYSTEM_AUTHENTICATED),
            unauthenticated: user.is_in(SYSTEM_UNAUTHENTICATED),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.uid.is_empty() { "nobody" } else { &self.uid })
    }
}

/// A tenant in whose control plane something is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenantRef {
    /// The name.
    pub name: String,
    /// The UID of the object that is meant. Empty for whichever has the name now.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl TenantRef {
    /// Whichever tenant has this name now.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), uid: String::new() }
    }

    /// Whether an object with this UID is meant.
    pub(crate) fn means(&self, uid: &str) -> bool {
        self.uid.is_empty() || self.uid == uid
    }
}

impl From<&scope::Tenant> for TenantRef {
    fn from(tenant: &scope::Tenant) -> Self {
        Self { name: tenant.name().to_owned(), uid: tenant.uid().to_owned() }
    }
}

/// The control plane in which something is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Within {
    /// The root.
    #[default]
    Platform,
    /// An organization's view of the platform.
    Organization(TenantRef),
    /// A project.
    Project(TenantRef),
    /// A user's view of the platform.
    User(TenantRef),
}

impl Within {
    /// The organization that has this name now.
    #[must_use]
    pub fn organization(name: &str) -> Self {
        Self::Organization(TenantRef::named(name))
    }

    /// The project that has this name now.
    #[must_use]
    pub fn project(name: &str) -> Self {
        Self::Project(TenantRef::named(name))
    }

    /// The user who has this name now.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self::User(TenantRef::named(name))
    }
}

impl TryFrom<&scope::Scope> for Within {
    type Error = UnknownScope;

    fn try_from(scope: &scope::Scope) -> Result<Self, UnknownScope> {
        match scope {
            scope::Scope::Platform => Ok(Self::Platform),
            scope::Scope::Organization(tenant) => Ok(Self::Organization(tenant.into())),
            scope::Scope::Project { project, .. } => Ok(Self::Project(project.into())),
            scope::Scope::User(tenant) => Ok(Self::User(tenant.into())),
            _ => Err(UnknownScope),
        }
    }
}

/// A control plane of a kind that this evaluator does not know. Nothing is granted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the control plane is of a kind that the evaluator does not know")]
pub struct UnknownScope;

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("the platform"),
            Self::Organization(tenant) => write!(f, "organization {}", tenant.name),
            Self::Project(tenant) => write!(f, "project {}", tenant.name),
            Self::User(tenant) => write!(f, "user {}", tenant.name),
        }
    }
}

/// A question: may this principal do that, there?
///
/// ```
/// use milo_iam::{Principal, Question, Within};
///
/// let question = Question::new(Principal::new("ada"), "g.io/things.get".parse()?)
///     .within(Within::project("web"))
///     .namespace("default")
///     .name("a");
/// assert_eq!(question.to_string(), "may ada g.io/things.get default/a within project web");
/// # Ok::<(), milo_iam::MalformedPermission>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Question {
    /// Who.
    pub principal: Principal,
    /// What, with the verb of the request.
    pub permission: Permission,
    /// In which control plane.
    #[serde(default)]
    pub within: Within,
    /// In which namespace; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Which object; empty for a collection.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Question {
    /// About the whole collection, on the platform.
    #[must_use]
    pub fn new(principal: Principal, permission: Permission) -> Self {
        Self {
            principal,
            permission,
            within: Within::Platform,
            namespace: String::new(),
            name: String::new(),
        }
    }

    /// In a control plane.
    #[must_use]
    pub fn within(mut self, within: Within) -> Self {
        self.within = within;
        self
    }

    /// In a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// About one object.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether one object is asked about, and not a collection.
    #[must_use]
    pub fn is_about_an_object(&self) -> bool {
        !self.name.is_empty() && !self.permission.is_of_collection()
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "may {} {}", self.principal, self.permission)?;
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => {}
            ("", name) => write!(f, " {name}")?,
            (namespace, "") => write!(f, " in namespace {namespace}")?,
            (namespace, name) => write!(f, " {namespace}/{name}")?,
        }
        write!(f, " within {}", self.within)
    }
}
