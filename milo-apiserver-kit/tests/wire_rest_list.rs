//! `spec/wire.md` sections 2.7, 2.9 and 4.2 to 4.4, for kinds whose objects live behind handlers.

mod rest_support;
mod support;

use std::sync::Arc;

use milo_apiserver_kit::{Kind, rest::Handlers};
use milo_core::{
    definition::{ResourceDefinition, View},
    scope::ScopeKind,
    storage::Memory,
};
use rest_support::{Book, GROUP, Shelf, book, books, complete};
use serde_json::{Value, json};
use support::{TABLE, Wire, names, version};

async fn library() -> (Wire, Shelf) {
    let shelf = Shelf::default();
    let kind = Kind::of::<Book>().handlers(complete(&shelf));
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().serve(kind)).await;
    for (name, author) in [("emma", "austen"), ("hamlet", "shakespeare"), ("persuasion", "austen")]
    {
        wire.post(&books(""), &book(name, author)).await.created();
    }
    (wire, shelf)
}

#[tokio::test]
async fn lists_have_the_revision_of_the_store() {
    let (wire, shelf) = library().await;
    let list = wire.get(&books("")).await.ok();
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&"BookList".into(), &"library.example.com/v1".into()),
        "4.2"
    );
    assert_eq!(names(&list), ["emma", "hamlet", "persuasion"]);
    assert_eq!(version(&list), shelf.revision().to_string());
    let empty = wire.get(&format!("{GROUP}/namespaces/other/books")).await.ok();
    assert_eq!((&empty["items"], version(&empty)), (&json!([]), "4".into()), "4.2");
    let other = format!("{GROUP}/namespaces/other/books");
    wire.post(&other, &book("emma", "austen")).await.created();
    assert_eq!(names(&wire.get(&format!("{GROUP}/books")).await.ok()).len(), 4);
    let url = format!("{GROUP}/books?fieldSelector=metadata.namespace%3Dother");
    assert_eq!(names(&wire.get(&url).await.ok()), ["emma"]);
}

#[tokio::test]
async fn selectors_are_looked_at_even_if_the_handler_does_not() {
    let (wire, _) = library().await;
    for (selector, expected) in [
        ("labelSelector=by%3Dausten", vec!["emma", "persuasion"]),
        // The shelf knows nothing of fields.
        ("fieldSelector=spec.author%3Dausten", vec!["emma", "persuasion"]),
        ("fieldSelector=metadata.name%3Dhamlet", vec!["hamlet"]),
        ("fieldSelector=metadata.name%3Dnothing", vec![]),
    ] {
        let list = wire.get(&books(&format!("?{selector}"))).await.ok();
        assert_eq!(names(&list), expected, "{selector}");
    }
    let unknown = wire.get(&books("?fieldSelector=spec.pages%3D1")).await;
    unknown.refused("4.1", 400, "BadRequest", "…\"spec.pages\" is not a known field selector…");
}

#[tokio::test]
async fn pages_show_one_snapshot() {
    let (wire, shelf) = library().await;
    let first = wire.get(&books("?limit=1")).await.ok();
    assert_eq!(names(&first), ["emma"], "4.4");
    assert_eq!(first["metadata"]["remainingItemCount"], 2, "4.4");
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    wire.post(&books(""), &book("macbeth", "shakespeare")).await.created();
    let rest = wire.get(&books(&format!("?limit=5&continue={token}"))).await.ok();
    assert_eq!(names(&rest), ["hamlet", "persuasion"], "4.4");
    assert_eq!(version(&rest), version(&first), "4.4");
    assert_eq!(rest["metadata"].get("continue"), None);
    let selected = wire.get(&books("?limit=1&labelSelector=by%3Dausten")).await.ok();
    assert_eq!(selected["metadata"].get("remainingItemCount"), None, "4.4");

    shelf.forget();
    let gone = wire.get(&books(&format!("?limit=5&continue={token}"))).await;
    let status = gone.refused("4.4", 410, "Expired", "The provided continue parameter is too old…");
    let token = status["metadata"]["continue"].as_str().unwrap();
    let rest = wire.get(&books(&format!("?limit=5&continue={token}"))).await.ok();
    assert_eq!(names(&rest), ["hamlet", "macbeth", "persuasion"], "4.4: inconsistent");
    assert_eq!(version(&rest), shelf.revision().to_string());

    for token in ["!", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJhIn0"] {
        let refused = wire.get(&books(&format!("?continue={token}"))).await;
        refused.refused(
            "4.4",
            400,
            "BadRequest",
            "invalid continue token: continue key is not valid",
        );
    }
}

#[tokio::test]
async fn resource_versions_of_lists() {
    let (wire, shelf) = library().await;
    let now = shelf.revision();
    let at = |query: String| {
        let wire = &wire;
        async move { wire.get(&books(&format!("?{query}"))).await }
    };
    let exact = at(format!("resourceVersion={}&resourceVersionMatch=Exact", now - 1)).await.ok();
    assert_eq!(names(&exact), ["emma", "hamlet"], "4.3");
    assert_eq!(version(&exact), (now - 1).to_string(), "4.3");
    for query in ["resourceVersion=0".to_owned(), format!("resourceVersion={now}")] {
        assert_eq!(names(&at(query).await.ok()).len(), 3, "4.3");
    }
    for query in ["", "&resourceVersionMatch=NotOlderThan"] {
        let future = at(format!("resourceVersion={}{query}", now + 9)).await;
        let status = future.refused(
            "4.3",
            504,
            "Timeout",
            "Timeout: Too large resource version: 13, current: 4",
        );
        assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge", "4.3");
    }
    shelf.forget();
    let old = at(format!("resourceVersion={}&resourceVersionMatch=Exact", now - 1)).await;
    old.refused("4.3", 410, "Expired", "…");
}

#[tokio::test]
async fn collections_are_deleted_as_far_as_selected() {
    let (wire, shelf) = library().await;
    let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    wire.merge(&books("/emma"), &held).await.ok();
    let deleted = wire.delete(&books("?labelSelector=by%3Dausten")).await.ok();
    assert_eq!(names(&deleted), ["emma", "persuasion"], "2.7");
    let left = wire.get(&books("")).await.ok();
    assert_eq!(names(&left), ["emma", "hamlet"], "2.7");
    assert!(left["items"][0]["metadata"]["deletionTimestamp"].is_string(), "2.7");
    let released = json!({"metadata": {"finalizers": null}});
    wire.merge(&books("/emma"), &released).await.ok();
    assert_eq!(names(&wire.get(&books("")).await.ok()), ["hamlet"], "2.7");
    assert_eq!(shelf.writes(), 7);
}

#[tokio::test]
async fn tables_are_laid_out_by_the_kind_or_by_its_handler() {
    let (wire, shelf) = library().await;
    let table = wire.call("GET", &books("")).header("accept", TABLE).send().await.ok();
    let cells: Vec<&Value> =
        table["rows"].as_array().unwrap().iter().map(|r| &r["cells"]).collect();
    assert_eq!(cells[1], &json!(["hamlet", "shakespeare"]), "2.9");

    let handlers = Handlers::of(shelf).get().list().watch().table().build();
    let kind = Kind::of::<Book>().handlers(handlers);
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.serve(kind)).await;
    for url in [books(""), books("/emma")] {
        let table = wire.call("GET", &url).header("accept", TABLE).send().await.ok();
        let columns: Vec<&Value> =
            table["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(columns, ["Name", "Thick", "Note"], "2.9");
        assert_eq!(table["rows"][0]["cells"], json!(["emma", false, "0 pages"]), "2.9");
    }
    let url = books("?watch=true");
    let mut watch = wire.call("GET", &url).header("accept", TABLE).watch().await;
    let first = watch.expect("ADDED").await;
    assert_eq!(first["columnDefinitions"][1]["name"], "Thick", "2.9");
    assert_eq!(first["rows"][0]["cells"], json!(["emma", false, "0 pages"]), "2.9");
}

#[tokio::test]
async fn what_is_seen_from_elsewhere_is_what_belongs_there() {
    let shelf = Shelf::default();
    let view = View::Label("by".into());
    let definition = ResourceDefinition::of::<Book>().unwrap();
    let kind = Kind::from(definition.seen_from(ScopeKind::Organization, view));
    let kind = kind.handlers(complete(&shelf));
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().serve(kind)).await;
    wire.organization("austen").await;
    for (name, author) in [("emma", "austen"), ("hamlet", "shakespeare")] {
        wire.post(&books(""), &book(name, author)).await.created();
    }
    let seen = |rest: &str| format!("/organizations/austen/control-plane{}", books(rest));
    assert_eq!(names(&wire.get(&seen("")).await.ok()), ["emma"]);
    wire.get(&seen("/emma")).await.ok();
    assert_eq!(wire.get(&seen("/hamlet")).await.code, 404);
    assert_eq!(wire.delete(&seen("/hamlet")).await.code, 404);
    let theirs = wire.post(&seen(""), &book("macbeth", "shakespeare")).await;
    assert_eq!(theirs.code, 403, "{}", theirs.text());
    let mut watch = wire.watch(&seen("?watch=true")).await;
    assert_eq!(watch.brief(1).await, ["ADDED emma 2"]);
    let sold = json!({"metadata": {"labels": {"by": "someone"}}});
    wire.merge(&books("/emma"), &sold).await.ok();
    assert_eq!(watch.brief(1).await, ["DELETED emma 4"]);
}

#[tokio::test]
async fn tenants_have_books_of_their_own() {
    let shelf = Shelf::default();
    let definition = ResourceDefinition::of::<Book>().unwrap().living_in(ScopeKind::Organization);
    let kind = Kind::from(definition).handlers(complete(&shelf));
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().serve(kind)).await;
    for name in ["acme", "umbrella"] {
        wire.organization(name).await;
    }
    let of =
        |tenant: &str, rest: &str| format!("/organizations/{tenant}/control-plane{}", books(rest));
    wire.post(&of("acme", ""), &book("emma", "austen")).await.created();
    wire.post(&of("umbrella", ""), &book("emma", "shakespeare")).await.created();
    let list = wire.get(&of("acme", "")).await.ok();
    assert_eq!(list["items"][0]["spec"]["author"], "austen");
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let mut watch = wire.watch(&of("acme", "?watch=true&resourceVersion=1")).await;
    wire.delete(&of("umbrella", "/emma")).await.ok();
    wire.delete(&of("acme", "/emma")).await.ok();
    assert_eq!(watch.brief(2).await, ["ADDED emma 2", "DELETED emma 5"]);
    assert_eq!(wire.get(&books("")).await.code, 404);
}
