//! Shelves: a kind that can only be read, computed from the books that stand on them.

use async_trait::async_trait;
use kube::CustomResource;
use milo_apiserver_kit::rest::{Get, List, ListQuery, ObjectList, RestRequest};
use milo_core::{object::Object, status::StatusError};
use rusqlite::{Row, Transaction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Database, Failure, counter, revision, scope_key};

/// A shelf. It is there as long as a book stands on it.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default)]
#[kube(group = "library.example.com", version = "v1", kind = "Shelf", plural = "shelves")]
#[kube(namespaced, status = "ShelfStatus")]
#[kube(
    printcolumn = r#"{"name": "Books", "type": "integer", "jsonPath": ".status.books"}"#,
    printcolumn = r#"{"name": "Pages", "type": "integer", "jsonPath": ".status.pages"}"#
)]
pub struct ShelfSpec {}

/// What stands on a shelf.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
pub struct ShelfStatus {
    /// How many books.
    pub books: i64,
    /// How many pages all of them have.
    pub pages: i64,
}

/// Serves the shelves of a database.
pub(crate) struct Shelves(pub(crate) Database);

const SHELVES: &str = "SELECT namespace, shelf, COUNT(*) AS books, SUM(pages) AS pages, \
     MAX(revision) AS revision FROM books \
     WHERE scope = ?1 AND ?2 IN ('', namespace) AND ?3 IN ('', shelf) \
     GROUP BY namespace, shelf ORDER BY namespace, shelf";

#[async_trait]
impl Get for Shelves {
    async fn get(&self, request: &RestRequest<'_>) -> Result<Option<Object>, StatusError> {
        let found = self.find(request).await?;
        Ok(found.items.into_iter().next())
    }
}

#[async_trait]
impl List for Shelves {
    async fn list(
        &self,
        request: &RestRequest<'_>,
        _: &ListQuery,
    ) -> Result<ObjectList, StatusError> {
        self.find(request).await
    }
}

impl Shelves {
    /// One shelf when the request names it, else all. There are few of them, so that the kit may
    /// select, and all are on one page.
    async fn find(&self, request: &RestRequest<'_>) -> Result<ObjectList, StatusError> {
        let key =
            [scope_key(request.scope()), request.namespace().to_owned(), request.name().to_owned()];
        let find = move |transaction: &Transaction<'_>| {
            let (now, _) = counter(transaction)?;
            let mut statement = transaction.prepare_cached(SHELVES)?;
            let mut rows = statement.query(key)?;
            let mut shelves = Vec::new();
            while let Some(row) = rows.next()? {
                shelves.push(read(row)?);
            }
            Ok(ObjectList::new(shelves, revision(now)))
        };
        self.0.read(find).await
    }
}

fn read(row: &Row<'_>) -> Result<Object, Failure> {
    let name: String = row.get("shelf")?;
    let mut shelf = Object::new("library.example.com/v1", "Shelf", &name);
    shelf.set_meta("namespace", &row.get::<_, String>("namespace")?);
    shelf.set_meta("resourceVersion", &row.get::<_, i64>("revision")?.to_string());
    let status = ShelfStatus { books: row.get("books")?, pages: row.get("pages")? };
    shelf.fields_mut().insert("spec".to_owned(), json!({}));
    shelf.fields_mut().insert("status".to_owned(), serde_json::to_value(status)?);
    Ok(shelf)
}
