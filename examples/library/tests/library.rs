//! The library with the clients that people use: kubectl and kube-rs, over TLS, with a file.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::{collections::BTreeMap, path::Path, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    runtime::{WatchStreamExt, reflector, watcher},
};
use library::{Book, BookSpec, Database, Shelf};
use milo_apiserver_kit::testing::TestServer;
use serde_json::json;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("nothing came")
}

async fn start(directory: &Path) -> TestServer {
    serve(Database::open(directory.join("library.sqlite")).unwrap()).await
}

async fn serve(database: Database) -> TestServer {
    TestServer::start(move |server| library::serve(server.hierarchy(), &database)).await.unwrap()
}

fn books(client: &Client) -> Api<Book> {
    Api::namespaced(client.clone(), "default")
}

fn book(name: &str, author: &str, shelf: &str) -> Book {
    let (title, author, shelf) = (name.to_uppercase(), author.to_owned(), shelf.to_owned());
    let by = BTreeMap::from([("by".to_owned(), author.clone())]);
    let mut book = Book::new(name, BookSpec { title, author, shelf, pages: 100 });
    book.metadata.labels = Some(by);
    book
}

async fn fill(api: &Api<Book>, count: usize) {
    for index in 0..count {
        let author = if index % 2 == 0 { "austen" } else { "woolf" };
        let book = book(&format!("book-{index:02}"), author, "novels");
        api.create(&PostParams::default(), &book).await.unwrap();
    }
}

fn names<K: Resource>(items: &[K]) -> Vec<String> {
    items.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn a_book_is_what_was_written_and_outlives_the_server() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path()).await;
    let api = books(&server.client().unwrap());
    let mut emma = book("emma", "austen", "novels");
    emma.annotations_mut().insert("note".to_owned(), "worn".to_owned());
    emma.metadata.finalizers = Some(vec!["library.example.com/return".to_owned()]);
    let created = api.create(&PostParams::default(), &emma).await.unwrap();
    assert_eq!(created.spec, emma.spec);
    assert_eq!(created.finalizers(), emma.finalizers());
    let again = api.create(&PostParams::default(), &emma).await.unwrap_err();
    assert!(matches!(again, kube::Error::Api(status) if status.reason == "AlreadyExists"));

    let lent = json!({"status": {"lentTo": "knightley"}});
    let lent =
        api.patch_status("emma", &PatchParams::default(), &Patch::Merge(lent)).await.unwrap();
    assert_eq!(lent.metadata.generation, Some(1));
    let moved = json!({"apiVersion": "library.example.com/v1", "kind": "Book",
        "spec": {"title": "Emma", "author": "Jane Austen", "shelf": "classics"}});
    let apply = PatchParams::apply("librarian").force();
    let moved = api.patch("emma", &apply, &Patch::Apply(moved)).await.unwrap();
    assert_eq!((moved.metadata.generation, moved.spec.shelf.as_str()), (Some(2), "classics"));
    let stale = api.replace("emma", &PostParams::default(), &created).await.unwrap_err();
    assert!(matches!(stale, kube::Error::Api(status) if status.reason == "Conflict"));
    server.stop().await;

    let server = start(directory.path()).await;
    let api = books(&server.client().unwrap());
    let kept = api.get("emma").await.unwrap();
    assert_eq!(kept, moved);
    api.delete("emma", &DeleteParams::default()).await.unwrap();
    assert!(api.get("emma").await.unwrap().metadata.deletion_timestamp.is_some());
    let returned = json!({"metadata": {"finalizers": null}});
    api.patch("emma", &PatchParams::default(), &Patch::Merge(returned)).await.unwrap();
    assert!(api.get_opt("emma").await.unwrap().is_none());
}

#[tokio::test]
async fn pages_show_one_revision_whatever_is_written_meanwhile() {
    let directory = TempDir::new().unwrap();
    let database = Database::open(directory.path().join("library.sqlite")).unwrap();
    let server = serve(database.remembering(20)).await;
    let api = books(&server.client().unwrap());
    fill(&api, 10).await;
    let first = api.list(&ListParams::default().limit(4)).await.unwrap();
    assert_eq!(names(&first.items), ["book-00", "book-01", "book-02", "book-03"]);
    let token = first.metadata.continue_.unwrap();
    api.delete("book-05", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &book("book-055", "woolf", "novels")).await.unwrap();
    let thin = json!({"spec": {"pages": 1}});
    api.patch("book-06", &PatchParams::default(), &Patch::Merge(thin)).await.unwrap();
    let rest = ListParams::default().limit(3).continue_token(&token);
    let second = api.list(&rest).await.unwrap();
    assert_eq!(names(&second.items), ["book-04", "book-05", "book-06"]);
    assert_eq!(second.items[2].spec.pages, 100);
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);

    let woolf =
        ListParams::default().labels("by in (woolf),by!=austen").fields("spec.shelf=novels");
    let selected = api.list(&woolf.clone().limit(2)).await.unwrap();
    assert_eq!(names(&selected.items), ["book-01", "book-03"]);
    assert_eq!(api.list(&woolf).await.unwrap().items.len(), 5);

    for pages in 2..30 {
        let patch = json!({"spec": {"pages": pages}});
        api.patch("book-06", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    let expired = api.list(&rest).await.unwrap_err();
    assert!(matches!(expired, kube::Error::Api(status) if status.code == 410));
    let old = first.metadata.resource_version.unwrap();
    let mut events = api.watch(&WatchParams::default(), &old).await.unwrap().boxed();
    let first = soon(events.try_next()).await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Error(status) if status.code == 410));
}

#[tokio::test]
async fn a_reflector_sees_all_that_many_write() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path()).await;
    let client = server.client().unwrap();
    fill(&books(&client), 10).await;
    for config in
        [watcher::Config::default().page_size(3), watcher::Config::default().streaming_lists()]
    {
        let (reader, writer) = reflector::store();
        let stream = watcher(books(&client), config).default_backoff().reflect(writer);
        let following = tokio::spawn(stream.for_each(|event| async move {
            event.unwrap();
        }));
        let writers = (0..4).map(|worker| {
            let api = books(&client);
            tokio::spawn(async move {
                for index in 0..10 {
                    let name = format!("w{worker}-{index}");
                    api.create(&PostParams::default(), &book(&name, "many", "new")).await.unwrap();
                    let patch = json!({"spec": {"pages": index + 1000}});
                    api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
                    if index % 2 == 0 {
                        api.delete(&name, &DeleteParams::default()).await.unwrap();
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let versions = |books: Vec<Book>| -> BTreeMap<String, Option<String>> {
            books.into_iter().map(|book| (book.name_any(), book.resource_version())).collect()
        };
        let listed = versions(books(&client).list(&ListParams::default()).await.unwrap().items);
        assert_eq!(listed.len(), 30);
        let same = async {
            while versions(reader.state().iter().map(|book| (**book).clone()).collect()) != listed {
                tokio::task::yield_now().await;
            }
        };
        soon(same).await;
        following.abort();
        let all = ListParams::default().labels("by=many");
        books(&client).delete_collection(&DeleteParams::default(), &all).await.unwrap();
    }
}

#[tokio::test]
async fn tenants_have_libraries_of_their_own() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path()).await;
    let client = server.client().unwrap();
    fill(&books(&client), 2).await;
    let organization = json!({"metadata": {"name": "acme"}, "spec": {"type": "Standard"}});
    let request = http::Request::post("/apis/resourcemanager.miloapis.com/v1alpha1/organizations")
        .header("content-type", "application/json");
    let request = request.body(organization.to_string().into_bytes()).unwrap();
    client.request_text(request).await.unwrap();
    let mut config = server.client_config().unwrap();
    config.cluster_url =
        format!("{}/organizations/acme/control-plane", server.url()).parse().unwrap();
    let acme = Client::try_from(config).unwrap();
    assert_eq!(books(&acme).list(&ListParams::default()).await.unwrap().items.len(), 0);
    books(&acme).create(&PostParams::default(), &book("book-00", "woolf", "own")).await.unwrap();
    let platform = books(&client).get("book-00").await.unwrap();
    assert_eq!(platform.spec.shelf, "novels");
    let shelves: Api<Shelf> = Api::namespaced(acme, "default");
    assert_eq!(names(&shelves.list(&ListParams::default()).await.unwrap().items), ["own"]);
}

#[tokio::test]
async fn shelves_can_only_be_read() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path()).await;
    let client = server.client().unwrap();
    fill(&books(&client), 3).await;
    let shelves: Api<Shelf> = Api::namespaced(client, "default");
    let novels = shelves.get("novels").await.unwrap().status.unwrap();
    assert_eq!((novels.books, novels.pages), (3, 300));
    assert!(shelves.get_opt("comics").await.unwrap().is_none());
    let refused = shelves.delete("novels", &DeleteParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 405));
}
