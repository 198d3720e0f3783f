//! Books on a shelf: a storage of one's own, in memory, that does all that a handler can do.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kube::CustomResource;
use milo_apiserver_kit::rest::{
    Create, Delete, EventStream, Get, Handlers, List, ListQuery, ObjectList, RestRequest, Table,
    TableColumn, Update, Watch, WatchEvent, WatchQuery,
};
use milo_core::{definition::ColumnKind, object::Object, status::StatusError, storage::Revision};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

/// A book.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "library.example.com", version = "v1", kind = "Book", namespaced)]
#[kube(status = "BookStatus", selectable = ".spec.author")]
#[kube(printcolumn(name = "Author", type_ = "string", json_path = ".spec.author"))]
pub(crate) struct BookSpec {
    /// Who wrote it.
    pub(crate) author: String,
    /// How long it is.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub(crate) pages: i32,
}

/// Where it is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct BookStatus {
    /// Who has it.
    pub(crate) lent_to: Option<String>,
}

/// Tenant, namespace and name.
type Id = (String, String, String);
type Books = BTreeMap<Id, Object>;

/// Clones share the same books.
#[derive(Clone)]
pub(crate) struct Shelf {
    state: Arc<Mutex<State>>,
    progress: Arc<watch::Sender<u64>>,
    calls: Arc<AtomicUsize>,
}

struct State {
    revision: u64,
    books: Books,
    /// Every revision that is still remembered.
    past: BTreeMap<u64, Books>,
    log: Vec<(u64, Id, WatchEvent)>,
}

impl Default for Shelf {
    fn default() -> Self {
        let state = State {
            revision: 1,
            books: Books::new(),
            past: BTreeMap::from([(1, Books::new())]),
            log: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            progress: Arc::new(watch::Sender::new(1)),
            calls: Arc::default(),
        }
    }
}

impl Shelf {
    /// How often it was asked to write.
    pub(crate) fn writes(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn revision(&self) -> u64 {
        self.state.lock().revision
    }

    /// Only remembers the present from here on.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        let revision = state.revision;
        state.past.retain(|at, _| *at == revision);
        state.log.clear();
    }

    /// Puts so many books by `many` there at once.
    pub(crate) fn fill(&self, count: u64) {
        let mut state = self.state.lock();
        for index in 0..count {
            let name = format!("b{index:03}");
            let mut object = Object::from_value(book(&name, "many")).unwrap();
            object.set_meta("namespace", "default");
            object.set_meta("uid", &name);
            state.revision += 1;
            object.set_meta("resourceVersion", &state.revision.to_string());
            state.books.insert((String::new(), "default".to_owned(), name), object);
        }
        let (revision, books) = (state.revision, state.books.clone());
        state.past.insert(revision, books);
        drop(state);
        self.progress.send_replace(revision);
    }

    fn change(
        &self,
        id: Id,
        change: impl FnOnce(&mut State, &Id, u64) -> Result<WatchEvent, StatusError>,
    ) -> Result<u64, StatusError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        let revision = state.revision + 1;
        let event = change(&mut state, &id, revision)?;
        state.revision = revision;
        let books = state.books.clone();
        state.past.insert(revision, books);
        state.log.push((revision, id, event));
        drop(state);
        self.progress.send_replace(revision);
        Ok(revision)
    }

    fn put(&self, id: Id, object: &Object, expected: Option<Revision>) -> Result<Object, Refusal> {
        let mut stored = object.clone();
        let mut refusal = None;
        let put = self.change(id, |state, id, revision| {
            let previous = state.books.get(id).cloned();
            let at = previous.as_ref().map(|old| old.meta("resourceVersion").to_owned());
            if at != expected.map(|revision| revision.to_string()) {
                refusal = Some(if at.is_some() { Refusal::Changed } else { Refusal::Gone });
                return Err(StatusError::internal("refused"));
            }
            stored.set_meta("resourceVersion", &revision.to_string());
            state.books.insert(id.clone(), stored.clone());
            Ok(WatchEvent::Put { object: stored.clone(), previous })
        });
        match (put, refusal) {
            (_, Some(refusal)) => Err(refusal),
            _ => Ok(stored),
        }
    }
}

enum Refusal {
    Changed,
    Gone,
}

fn id(request: &RestRequest<'_>) -> Id {
    let uid = request.scope().tenant().map(|tenant| tenant.uid().to_owned()).unwrap_or_default();
    (uid, request.namespace().to_owned(), request.name().to_owned())
}

fn refused(request: &RestRequest<'_>, refusal: &Refusal) -> StatusError {
    let (resource, name) = (request.definition().group_resource(), request.name());
    match refusal {
        Refusal::Changed => StatusError::conflict(resource, name, "changed"),
        Refusal::Gone => StatusError::not_found(resource, name),
    }
}

fn concerns(request: &RestRequest<'_>, found: &Id) -> bool {
    let (uid, namespace, _) = id(request);
    found.0 == uid && (namespace.is_empty() || found.1 == namespace)
}

#[async_trait]
impl Get for Shelf {
    async fn get(&self, request: &RestRequest<'_>) -> Result<Option<Object>, StatusError> {
        Ok(self.state.lock().books.get(&id(request)).cloned())
    }
}

#[async_trait]
impl List for Shelf {
    async fn list(
        &self,
        request: &RestRequest<'_>,
        query: &ListQuery,
    ) -> Result<ObjectList, StatusError> {
        let state = self.state.lock();
        let at = query.at.map_or(state.revision, Revision::get);
        let books = state.past.get(&at).ok_or_else(|| StatusError::expired("too old"))?;
        let after = query.after.clone().unwrap_or_default();
        let mut found = books
            .iter()
            .filter(|(id, _)| concerns(request, id) && format!("{}/{}", id.1, id.2) > after)
            .filter(|(_, book)| query.labels.matches_object(book));
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let page: Vec<(&Id, &Object)> = found.by_ref().take(limit).collect();
        let rest = found.count();
        let items = page.iter().map(|(_, book)| (*book).clone()).collect();
        let list = ObjectList::new(items, Revision::new(at));
        Ok(match page.last() {
            Some((id, _)) if rest > 0 => {
                list.with_next(format!("{}/{}", id.1, id.2)).with_remaining(rest as u64)
            }
            _ => list,
        })
    }
}

#[async_trait]
impl Create for Shelf {
    async fn create(
        &self,
        request: &RestRequest<'_>,
        object: Object,
    ) -> Result<Object, StatusError> {
        self.put(id(request), &object, None).map_err(|_| {
            StatusError::already_exists(request.definition().group_resource(), request.name())
        })
    }
}

#[async_trait]
impl Update for Shelf {
    async fn update(
        &self,
        request: &RestRequest<'_>,
        object: Object,
        expected: Revision,
    ) -> Result<Object, StatusError> {
        self.put(id(request), &object, Some(expected)).map_err(|why| refused(request, &why))
    }
}

#[async_trait]
impl Delete for Shelf {
    async fn delete(
        &self,
        request: &RestRequest<'_>,
        expected: Revision,
    ) -> Result<Revision, StatusError> {
        let removed = self.change(id(request), |state, id, revision| {
            let Some(object) = state.books.get(id).cloned() else {
                return Err(refused(request, &Refusal::Gone));
            };
            if object.meta("resourceVersion") != expected.to_string() {
                return Err(refused(request, &Refusal::Changed));
            }
            state.books.remove(id);
            Ok(WatchEvent::Deleted { object, revision: Revision::new(revision) })
        });
        removed.map(Revision::new)
    }
}

#[async_trait]
impl Watch for Shelf {
    async fn watch(
        &self,
        request: &RestRequest<'_>,
        query: &WatchQuery,
    ) -> Result<EventStream, StatusError> {
        let after = query.after.get();
        if !self.state.lock().past.contains_key(&after) {
            return Err(StatusError::expired("too old"));
        }
        let (uid, namespace, _) = id(request);
        let (shelf, progress) = (self.clone(), self.progress.subscribe());
        let stream = futures_util::stream::unfold((after, progress), move |(at, mut progress)| {
            let (shelf, uid, namespace) = (shelf.clone(), uid.clone(), namespace.clone());
            async move {
                let reached = *progress.wait_for(|reached| *reached > at).await.ok()?;
                let state = shelf.state.lock();
                let mut events: Vec<Result<WatchEvent, StatusError>> = state
                    .log
                    .iter()
                    .filter(|(revision, id, _)| {
                        (at + 1..=reached).contains(revision)
                            && id.0 == uid
                            && (namespace.is_empty() || id.1 == namespace)
                    })
                    .map(|(_, _, event)| Ok(event.clone()))
                    .collect();
                events.push(Ok(WatchEvent::Progress(Revision::new(reached))));
                drop(state);
                Some((futures_util::stream::iter(events), (reached, progress)))
            }
        });
        Ok(stream.flatten().boxed())
    }
}

/// Everything that a shelf can do.
pub(crate) fn complete(shelf: &Shelf) -> Handlers {
    Handlers::of(shelf.clone()).get().list().watch().create().update().delete().build()
}

impl Table for Shelf {
    fn columns(&self) -> Vec<TableColumn> {
        vec![
            TableColumn::new("Thick", ColumnKind::Boolean).with_description("Whether it is."),
            TableColumn::new("Note", ColumnKind::String).with_priority(1),
        ]
    }

    fn cells(&self, object: &Object) -> Vec<Value> {
        let pages = object.fields()["spec"]["pages"].as_i64().unwrap_or(0);
        vec![(pages > 300).into(), format!("{pages} pages").into()]
    }
}

pub(crate) fn book(name: &str, author: &str) -> Value {
    json!({
        "apiVersion": "library.example.com/v1", "kind": "Book",
        "metadata": {"name": name, "labels": {"by": author}}, "spec": {"author": author},
    })
}

pub(crate) const GROUP: &str = "/apis/library.example.com/v1";

/// The books of a namespace, or one of them.
pub(crate) fn books(rest: &str) -> String {
    format!("{GROUP}/namespaces/default/books{rest}")
}
