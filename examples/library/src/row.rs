//! Books as rows, and back.

use milo_core::object::Object;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};
use serde_json::{Map, Value};

use crate::{
    book::{Book, BookSpec, BookStatus},
    database::Failure,
};

/// What [`read`] reads, of a table `books` that is called `b`.
pub(crate) const COLUMNS: &str = "b.namespace, b.name, b.revision, b.uid, b.generation, b.created, \
     b.title, b.author, b.shelf, b.pages, b.lent_to, b.metadata, \
     (SELECT json_group_object(l.key, l.value) FROM labels l \
      WHERE l.scope = b.scope AND l.namespace = b.namespace AND l.name = b.name) AS labels";

/// The metadata that has columns, or a table, of its own.
const APART: [&str; 7] =
    ["namespace", "name", "resourceVersion", "uid", "generation", "creationTimestamp", "labels"];

/// Which book is meant.
#[derive(Clone, Debug)]
pub(crate) struct Id {
    pub(crate) scope: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The object of a row.
pub(crate) fn read(row: &Row<'_>) -> Result<Object, Failure> {
    let text = |column: &str| row.get::<_, String>(column);
    let mut metadata: Map<String, Value> = serde_json::from_str(&text("metadata")?)?;
    for (field, column) in [
        ("namespace", "namespace"),
        ("name", "name"),
        ("uid", "uid"),
        ("creationTimestamp", "created"),
    ] {
        metadata.insert(field.to_owned(), text(column)?.into());
    }
    metadata.insert("generation".to_owned(), row.get::<_, i64>("generation")?.into());
    let revision: i64 = row.get("revision")?;
    metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    let labels: Map<String, Value> = serde_json::from_str(&text("labels")?)?;
    if !labels.is_empty() {
        metadata.insert("labels".to_owned(), labels.into());
    }
    let spec = BookSpec {
        title: text("title")?,
        author: text("author")?,
        shelf: text("shelf")?,
        pages: row.get("pages")?,
    };
    let mut object = Object::new("library.example.com/v1", "Book", "");
    let fields = object.fields_mut();
    fields.insert("metadata".to_owned(), metadata.into());
    fields.insert("spec".to_owned(), serde_json::to_value(spec)?);
    if let Some(lent_to) = row.get("lent_to")? {
        let status = BookStatus { lent_to: Some(lent_to) };
        fields.insert("status".to_owned(), serde_json::to_value(status)?);
    }
    Ok(object)
}

/// The book as it is.
pub(crate) fn find(transaction: &Transaction<'_>, id: &Id) -> Result<Option<Object>, Failure> {
    let query = format!(
        "SELECT {COLUMNS} FROM books b WHERE b.scope = ? AND b.namespace = ? AND b.name = ?"
    );
    let mut statement = transaction.prepare_cached(&query)?;
    let key = [&id.scope, &id.namespace, &id.name];
    statement.query_row(key, |row| Ok(read(row))).optional()?.transpose()
}

/// Writes the row of a book, whether there is one or not.
pub(crate) fn write(
    transaction: &Transaction<'_>,
    id: &Id,
    object: &Object,
    revision: i64,
) -> Result<(), Failure> {
    let book: Book = object.to_typed()?;
    let mut metadata = object.metadata().cloned().unwrap_or_default();
    metadata.retain(|field, _| !APART.contains(&field.as_str()));
    let mut statement = transaction.prepare_cached(
        "INSERT INTO books VALUES (:scope, :namespace, :name, :revision, :uid, :generation, \
         :created, :title, :author, :shelf, :pages, :lent_to, :metadata) \
         ON CONFLICT DO UPDATE SET revision = :revision, uid = :uid, generation = :generation, \
         created = :created, title = :title, author = :author, shelf = :shelf, pages = :pages, \
         lent_to = :lent_to, metadata = :metadata",
    )?;
    statement.execute(named_params! {
        ":scope": id.scope, ":namespace": id.namespace, ":name": id.name,
        ":revision": revision, ":uid": object.uid(), ":generation": object.generation(),
        ":created": object.meta("creationTimestamp"), ":title": book.spec.title,
        ":author": book.spec.author, ":shelf": book.spec.shelf, ":pages": book.spec.pages,
        ":lent_to": book.status.and_then(|status| status.lent_to),
        ":metadata": serde_json::to_string(&metadata)?,
    })?;
    let key = [&id.scope, &id.namespace, &id.name];
    transaction
        .prepare_cached("DELETE FROM labels WHERE scope = ? AND namespace = ? AND name = ?")?
        .execute(key)?;
    let mut insert = transaction.prepare_cached("INSERT INTO labels VALUES (?, ?, ?, ?, ?)")?;
    for (label, value) in object.labels() {
        insert.execute([&id.scope, &id.namespace, &id.name, label, value])?;
    }
    Ok(())
}

/// Removes the row of a book.
pub(crate) fn remove(transaction: &Transaction<'_>, id: &Id) -> Result<(), Failure> {
    let delete = "DELETE FROM books WHERE scope = ? AND namespace = ? AND name = ?";
    transaction.prepare_cached(delete)?.execute([&id.scope, &id.namespace, &id.name])?;
    Ok(())
}
