//! What a kind with a home of its own can do.

use std::{fmt, sync::Arc};

use milo_core::request::Verb;

use super::{Create, Delete, Get, List, Table, Update, Watch};

/// What can be done with the objects of a kind: nothing, until a handler says otherwise.
#[derive(Clone, Default)]
pub struct Handlers {
    pub(crate) get: Option<Arc<dyn Get>>,
    pub(crate) list: Option<Arc<dyn List>>,
    pub(crate) watch: Option<Arc<dyn Watch>>,
    pub(crate) create: Option<Arc<dyn Create>>,
    pub(crate) update: Option<Arc<dyn Update>>,
    pub(crate) delete: Option<Arc<dyn Delete>>,
    pub(crate) table: Option<Arc<dyn Table>>,
    /// Whether what is created is only answered, and never kept.
    pub(crate) reviews: bool,
}

/// Says what one handler is used for; see [`Handlers::of`].
#[must_use = "pass it on with build()"]
pub struct HandlersBuilder<H> {
    handler: Arc<H>,
    handlers: Handlers,
}

impl Handlers {
    /// Begins with a handler, of which each capability is named: a trait that it does not implement
    /// does not compile.
    ///
    /// ```
    /// use milo_apiserver_kit::rest::{Get, Handlers, List};
    ///
    /// fn read_only<H: Get + List>(handler: H) -> Handlers {
    ///     Handlers::of(handler).get().list().build()
    /// }
    /// ```
    pub fn of<H>(handler: H) -> HandlersBuilder<H> {
        HandlersBuilder { handler: Arc::new(handler), handlers: Self::default() }
    }

    /// The verbs that can be served.
    #[must_use]
    pub fn verbs(&self) -> Vec<Verb> {
        let mut verbs = Vec::new();
        let mut add = |can: bool, more: &[Verb]| {
            if can {
                verbs.extend_from_slice(more);
            }
        };
        add(self.get.is_some(), &[Verb::Get]);
        add(self.list.is_some(), &[Verb::List]);
        add(self.watch.is_some(), &[Verb::Watch]);
        add(self.create.is_some(), &[Verb::Create]);
        add(self.update.is_some(), &[Verb::Update, Verb::Patch]);
        add(self.delete.is_some(), &[Verb::Delete]);
        add(self.delete.is_some() && self.list.is_some(), &[Verb::DeleteCollection]);
        verbs
    }
}

impl<H: 'static> HandlersBuilder<H> {
    /// Serves `get`.
    pub fn get(mut self) -> Self
    where
        H: Get,
    {
        self.handlers.get = Some(self.handler.clone());
        self
    }

    /// Serves `list`.
    pub fn list(mut self) -> Self
    where
        H: List,
    {
        self.handlers.list = Some(self.handler.clone());
        self
    }

    /// Serves `watch`.
    pub fn watch(mut self) -> Self
    where
        H: Watch,
    {
        self.handlers.watch = Some(self.handler.clone());
        self
    }

    /// Serves `create`.
    pub fn create(mut self) -> Self
    where
        H: Create,
    {
        self.handlers.create = Some(self.handler.clone());
        self
    }

    /// Serves `create` of objects that are questions: answered at once and never kept. They need
    /// no name and get no UID, and a dry run asks all the same, because nothing changes.
    pub fn review(mut self) -> Self
    where
        H: Create,
    {
        self.handlers.reviews = true;
        self.create()
    }

    /// Serves `update` and `patch`.
    pub fn update(mut self) -> Self
    where
        H: Update,
    {
        self.handlers.update = Some(self.handler.clone());
        self
    }

    /// Serves `delete`, and with [`list`](Self::list) also `deletecollection`.
    pub fn delete(mut self) -> Self
    where
        H: Delete,
    {
        self.handlers.delete = Some(self.handler.clone());
        self
    }

    /// Shows the objects in tables of its own.
    pub fn table(mut self) -> Self
    where
        H: Table,
    {
        self.handlers.table = Some(self.handler.clone());
        self
    }

    /// What has been named.
    #[must_use]
    pub fn build(self) -> Handlers {
        self.handlers
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.verbs()).finish()
    }
}

impl<H> fmt::Debug for HandlersBuilder<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HandlersBuilder").field(&self.handlers).finish()
    }
}
