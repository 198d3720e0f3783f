//! What is asked: the attributes of a request, parsed once at the edge.

use std::{fmt, sync::Arc};

use crate::{identity::UserInfo, key::GroupResource, scope::Scope};

/// A Kubernetes API verb. Requests for paths that are not resources use the lower-case HTTP method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// `create`
    Create,
    /// `delete`
    Delete,
    /// `deletecollection`
    DeleteCollection,
    /// `get`
    Get,
    /// `list`
    List,
    /// `patch`
    Patch,
    /// `update`
    Update,
    /// `watch`
    Watch,
    /// Any other word: a lower-case HTTP method on a path that is not a resource.
    Other(String),
}

impl Verb {
    /// The verb for resources that this word is.
    #[must_use]
    pub fn of_resource(word: &str) -> Self {
        use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
        let known = [Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch];
        let found = known.into_iter().find(|verb| verb.as_str() == word);
        found.unwrap_or_else(|| Self::Other(word.to_owned()))
    }

    /// The word, as in RBAC rules and error messages.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
            Self::Other(word) => word,
        }
    }

    /// Whether the verb may change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Create | Self::Delete | Self::DeleteCollection | Self::Patch | Self::Update
        )
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The resource part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceAttributes {
    /// Group and plural.
    pub resource: GroupResource,
    /// API version.
    pub version: String,
    /// `status`, for example; empty for the object itself.
    pub subresource: String,
    /// Empty when none was named.
    pub namespace: String,
    /// Empty for collections and for creation by `POST`.
    pub name: String,
}

/// Everything that an authorizer or an admission step may know of a request.
#[derive(Clone, Debug)]
pub struct RequestAttributes {
    /// Who.
    pub user: Arc<UserInfo>,
    /// In which control plane.
    pub scope: Scope,
    /// What is done.
    pub verb: Verb,
    /// To what; none for paths such as `/version`.
    pub resource: Option<ResourceAttributes>,
    /// The path inside the control plane.
    pub path: String,
}
