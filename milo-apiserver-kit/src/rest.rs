//! Kinds whose objects live somewhere of their own: in SQL tables, behind another API, nowhere.
//!
//! Most kinds are kept in the server's [storage](milo_core::storage), and then all of Kubernetes
//! comes for free. A kind with a home of its own brings a handler: one type that implements as many
//! of the traits below as it can. Whatever a handler can do is what is served; discovery tells the
//! verbs, and the rest is 405.
//!
//! | trait | verbs | what the kit adds |
//! |---|---|---|
//! | [`Get`] | get | tables, metadata alone, YAML, selectors, views |
//! | [`List`] | list | the same |
//! | [`Watch`] | watch | framing, bookmarks, initial events, selector transitions |
//! | [`Create`] | create | decoding, defaults, names, validation, admission, dry run |
//! | [`Update`] with [`Get`] | update, patch, apply | all patch types, conflicts, finalizers, generation |
//! | [`Delete`] with [`Get`] | delete | preconditions, finalizers; with [`List`] deletecollection |
//! | [`Table`] | | columns and cells of its own for `kubectl get` |
//! | [`Connect`] | any | for subresources: whatever HTTP can carry |
//!
//! A handler sees objects as JSON with metadata; [`Object::to_typed`] and [`Object::from_typed`]
//! turn them into a Rust type and back. It keeps `metadata` as it is given, and it numbers its
//! changes: [`Revision`]s grow with every change of any of its objects, and `resourceVersion` of an
//! object is the revision of its last change.

mod connect;
mod handlers;
mod request;
mod table;

pub use connect::{Connect, ConnectOptions, ConnectRequest};
pub use handlers::{Handlers, HandlersBuilder};
pub use request::{ListQuery, ObjectList, RestRequest, WatchEvent, WatchQuery};
pub use table::{Table, TableColumn};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use milo_core::{object::Object, status::StatusError, storage::Revision};

/// The changes of a kind, in the order of their revisions. An error ends the watch; the client
/// sees it as its last event.
pub type EventStream = BoxStream<'static, Result<WatchEvent, StatusError>>;

/// Reads one object.
#[async_trait]
pub trait Get: Send + Sync + 'static {
    /// The object of [`RestRequest::name`] with its `resourceVersion`, or none.
    ///
    /// # Errors
    /// When it cannot be known whether there is one.
    async fn get(&self, request: &RestRequest<'_>) -> Result<Option<Object>, StatusError>;
}

/// Reads a collection.
#[async_trait]
pub trait List: Send + Sync + 'static {
    /// The selected objects, at most as many as asked for, in a stable order.
    ///
    /// The kit looks at the selection again, so a handler may answer with more than was selected;
    /// it must push down what it can for its own sake, and it must not count what is not selected.
    ///
    /// # Errors
    /// 410 `Expired` when a continue token can no longer be honoured; see
    /// [`StatusError::expired`].
    async fn list(
        &self,
        request: &RestRequest<'_>,
        query: &ListQuery,
    ) -> Result<ObjectList, StatusError>;
}

/// Stores new objects, or acts on them and stores nothing.
#[async_trait]
pub trait Create: Send + Sync + 'static {
    /// Stores the object and answers with it as it was stored, `resourceVersion` included. An
    /// object that is only acted on, as a review, is answered without one.
    ///
    /// # Errors
    /// [`StatusError::already_exists`] when the name is taken.
    async fn create(
        &self,
        request: &RestRequest<'_>,
        object: Object,
    ) -> Result<Object, StatusError>;
}

/// Replaces objects.
#[async_trait]
pub trait Update: Get {
    /// Replaces the object if it is still at the revision `expected`, and answers with it as it
    /// was stored. Comparing and writing must be one step.
    ///
    /// # Errors
    /// [`StatusError::conflict`] when it has changed since, 404 when it is gone. The kit then reads
    /// it again and decides whether the client has to know.
    async fn update(
        &self,
        request: &RestRequest<'_>,
        object: Object,
        expected: Revision,
    ) -> Result<Object, StatusError>;
}

/// Removes objects.
#[async_trait]
pub trait Delete: Get {
    /// Removes the object if it is still at the revision `expected`; answers with the revision of
    /// the removal. Comparing and removing must be one step.
    ///
    /// # Errors
    /// As for [`Update::update`].
    async fn delete(
        &self,
        request: &RestRequest<'_>,
        expected: Revision,
    ) -> Result<Revision, StatusError>;
}

/// Tells changes.
#[async_trait]
pub trait Watch: List {
    /// Every change after [`WatchQuery::after`] of objects of the request's scope and namespace, in
    /// order, none left out. The stream goes on until it is dropped.
    ///
    /// # Errors
    /// 410 `Expired` when changes after that revision may have been forgotten.
    async fn watch(
        &self,
        request: &RestRequest<'_>,
        query: &WatchQuery,
    ) -> Result<EventStream, StatusError>;
}
