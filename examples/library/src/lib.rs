//! A library whose books live in tables of its own: the model of a service that serves what it
//! already has, in its own storage, as a Kubernetes API.
//!
//! Three kinds of work are to be done, and each has its place:
//!
//! | file | what it shows |
//! |---|---|
//! | `book.rs`, `shelf.rs` | kinds, declared with kube's derive |
//! | `schema.sql`, `database.rs` | a database behind async code, and one counter of revisions |
//! | `row.rs` | objects as rows, and back |
//! | `books.rs` | `Get`, `Create`, `Update`, `Delete`: compare and write in one transaction |
//! | `list.rs`, `select.rs` | `List`: pages and selectors as SQL, at any revision that is remembered |
//! | `feed.rs` | `Watch`: a table of changes, from any revision that is remembered |
//! | `shelf.rs` | a kind that can only be read, computed from others |
//! | `log.rs` | `Connect`: a stream that `kubectl get --raw` follows |
//!
//! The kit adds all else: names, defaults, validation, admission, patches, apply, conflicts,
//! finalizers, tables, selectors that SQL does not understand, the framing of watches.

mod book;
mod books;
mod database;
mod feed;
mod list;
mod log;
mod row;
mod select;
mod shelf;

use milo_apiserver_kit::{
    Kind, ServerBuilder,
    rest::{ConnectOptions, Handlers},
};
use milo_core::definition::ResourceDefinition;

pub use book::{Book, BookSpec, BookStatus};
pub use database::Database;
pub use shelf::{Shelf, ShelfSpec, ShelfStatus};

/// Adds books and shelves to a server, on the platform and in every tenant's control plane.
pub fn serve(server: ServerBuilder, database: &Database) -> ServerBuilder {
    let books = Handlers::of(books::Books(database.clone()));
    let books = books.get().list().watch().create().update().delete().build();
    let follow = ConnectOptions::get().long_running();
    let shelves = Handlers::of(shelf::Shelves(database.clone())).get().list().build();
    let everywhere = ResourceDefinition::living_everywhere;
    server
        .serve(
            Kind::from(ResourceDefinition::of::<Book>().map(everywhere)).handlers(books).connect(
                "log",
                follow,
                log::Log(database.clone()),
            ),
        )
        .serve(Kind::from(ResourceDefinition::of::<Shelf>().map(everywhere)).handlers(shelves))
}
