//! What handlers are asked, and what they answer.

use milo_core::{
    definition::ResourceDefinition,
    identity::UserInfo,
    object::Object,
    request::RequestAttributes,
    scope::Scope,
    selector::{FieldSelector, LabelSelector},
    storage::Revision,
};

/// A request that has been parsed, authenticated and authorized.
#[derive(Clone, Copy, Debug)]
pub struct RestRequest<'a> {
    pub(crate) attributes: &'a RequestAttributes,
    pub(crate) definition: &'a ResourceDefinition,
    pub(crate) scope: &'a Scope,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> RestRequest<'a> {
    /// Who asks, and for what.
    #[must_use]
    pub fn attributes(&self) -> &'a RequestAttributes {
        self.attributes
    }

    /// Who asks.
    #[must_use]
    pub fn user(&self) -> &'a UserInfo {
        &self.attributes.user
    }

    /// The kind.
    #[must_use]
    pub fn definition(&self) -> &'a ResourceDefinition {
        self.definition
    }

    /// The control plane that the objects live in. Objects of one are never those of another: a
    /// handler keeps them apart by [`Tenant::uid`](milo_core::scope::Tenant::uid), because names
    /// are used again.
    #[must_use]
    pub fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// The namespace; empty for all of them, and for kinds that have none.
    #[must_use]
    pub fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// The name of the object; empty for collections.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }
}

/// What a list is to hold.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListQuery {
    /// Only objects with these labels.
    pub labels: LabelSelector,
    /// Only objects with these fields.
    pub fields: FieldSelector,
    /// At most so many objects; zero for all.
    pub limit: usize,
    /// Goes on after an earlier page: the [`ObjectList::next`] of that page. Clients bring it, and
    /// may have made it up: believe it no more than a name.
    pub after: Option<String>,
    /// The revision of the first page when this is a later one. A handler that can answers from
    /// that state; one that cannot says `Expired`, or answers from the present when its
    /// documentation says so.
    pub at: Option<Revision>,
}

/// A list, or a page of it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ObjectList {
    /// The objects, in a stable order, each with its `resourceVersion`.
    pub items: Vec<Object>,
    /// The revision at which the list is true: a watch after it tells everything that follows.
    /// Never zero.
    pub revision: Revision,
    /// Where the next page begins, in the handler's own words; none on the last page.
    pub next: Option<String>,
    /// How many selected objects follow, if that is known at little cost.
    pub remaining: Option<u64>,
}

impl ObjectList {
    /// A whole list.
    #[must_use]
    pub fn new(items: Vec<Object>, revision: Revision) -> Self {
        Self { items, revision, next: None, remaining: None }
    }

    /// Says that more follows, and where.
    #[must_use]
    pub fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Says how many selected objects follow.
    #[must_use]
    pub fn with_remaining(mut self, remaining: u64) -> Self {
        self.remaining = Some(remaining);
        self
    }
}

/// What a watch is to tell.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatchQuery {
    /// Changes after this revision.
    pub after: Revision,
}

/// A change of an object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchEvent {
    /// The object was created or replaced.
    Put {
        /// As it is now, with its `resourceVersion`.
        object: Object,
        /// As it was before; none when it is new. Without it no selector can tell when an object
        /// leaves what is selected.
        previous: Option<Object>,
    },
    /// The object was removed.
    Deleted {
        /// As it was last.
        object: Object,
        /// The revision of the removal.
        revision: Revision,
    },
    /// Nothing that concerns this watch happened up to this revision.
    Progress(Revision),
}
