//! `spec/wire.md` sections 4.5 and 4.6, for kinds whose objects live behind handlers.

mod rest_support;
mod support;

use std::sync::Arc;

use milo_apiserver_kit::Kind;
use milo_core::storage::Memory;
use rest_support::{Book, Shelf, book, books, complete};
use serde_json::json;
use support::{Wire, version};

async fn library() -> (Wire, Shelf) {
    let shelf = Shelf::default();
    let kind = Kind::of::<Book>().handlers(complete(&shelf));
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.serve(kind)).await;
    wire.post(&books(""), &book("emma", "austen")).await.created();
    wire.post(&books(""), &book("hamlet", "shakespeare")).await.created();
    (wire, shelf)
}

fn watching(query: &str) -> String {
    books(&format!("?watch=true{query}"))
}

const INITIAL: &str =
    "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
const NOTHING_INITIAL: &str = "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";

#[tokio::test]
async fn every_beginning_of_a_watch() {
    let (wire, _) = library().await;
    let state = ["ADDED emma 2", "ADDED hamlet 3"];
    let mut watches = Vec::new();
    for (query, expected) in [
        ("".to_owned(), &state[..]),
        ("&resourceVersion=0".to_owned(), &state[..]),
        ("&resourceVersion=1".to_owned(), &state[..]),
        ("&resourceVersion=2".to_owned(), &state[1..]),
        ("&resourceVersion=3".to_owned(), &[]),
        (NOTHING_INITIAL.to_owned(), &[]),
        (format!("{NOTHING_INITIAL}&resourceVersion=0"), &[]),
        (format!("{NOTHING_INITIAL}&resourceVersion=2"), &state[1..]),
        ("&fieldSelector=metadata.name%3Dhamlet".to_owned(), &state[1..]),
    ] {
        let mut watch = wire.watch(&watching(&query)).await;
        assert_eq!(watch.brief(expected.len()).await, expected, "4.5: {query}");
        watches.push((query, watch));
    }
    for version in ["", "&resourceVersion=0", "&resourceVersion=3"] {
        let query = format!("{INITIAL}{version}");
        let mut watch = wire.watch(&watching(&query)).await;
        assert_eq!(watch.brief(2).await, state, "4.5: {query}");
        let mark = watch.expect("BOOKMARK").await;
        let expected = json!({
            "apiVersion": "library.example.com/v1", "kind": "Book",
            "metadata": {
                "resourceVersion": "3", "creationTimestamp": null,
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        });
        assert_eq!(mark, expected, "4.5: {query}");
        watches.push((query, watch));
    }
    wire.merge(&books("/hamlet"), &json!({"spec": {"pages": 100}})).await.ok();
    for (query, watch) in &mut watches {
        assert_eq!(watch.brief(1).await, ["MODIFIED hamlet 4"], "4.5: {query}");
    }
}

#[tokio::test]
async fn what_cannot_be_watched_is_told_as_the_last_event() {
    let (wire, shelf) = library().await;
    for query in ["&resourceVersion=99".to_owned(), format!("{INITIAL}&resourceVersion=99")] {
        let mut watch = wire.watch(&watching(&query)).await;
        let error = watch.expect("ERROR").await;
        assert_eq!((&error["code"], &error["reason"]), (&504.into(), &"Timeout".into()), "4.5");
        assert_eq!(error["details"]["causes"][0]["reason"], "ResourceVersionTooLarge", "4.5");
        watch.ends().await;
    }
    shelf.forget();
    let mut watch = wire.watch(&watching("&resourceVersion=2")).await;
    let error = watch.expect("ERROR").await;
    assert_eq!((&error["code"], &error["reason"]), (&410.into(), &"Expired".into()), "4.5");
    watch.ends().await;
    let bad = wire.get(&watching("&sendInitialEvents=true")).await;
    assert_eq!(bad.code, 422, "4.5");
}

#[tokio::test]
async fn what_begins_and_ends_to_be_selected() {
    let (wire, _) = library().await;
    let mut watch = wire.watch(&watching("&labelSelector=by%3Dausten&resourceVersion=3")).await;
    let by = |author: &str| json!({"metadata": {"labels": {"by": author}}});
    wire.merge(&books("/hamlet"), &by("austen")).await.ok();
    wire.merge(&books("/hamlet"), &json!({"spec": {"pages": 1}})).await.ok();
    wire.merge(&books("/hamlet"), &by("shakespeare")).await.ok();
    wire.delete(&books("/emma")).await.ok();
    let expected = ["ADDED hamlet 4", "MODIFIED hamlet 5", "DELETED hamlet 6", "DELETED emma 7"];
    assert_eq!(watch.brief(4).await, expected, "4.6");
    let mut watch = wire.watch(&watching("&resourceVersion=5")).await;
    let left = watch.expect("MODIFIED").await;
    assert_eq!(left["metadata"]["labels"]["by"], "shakespeare");
}

#[tokio::test]
async fn bookmarks_come_before_the_end() {
    let (wire, shelf) = library().await;
    let query = "&resourceVersion=2&allowWatchBookmarks=true&timeoutSeconds=3";
    let mut watch = wire.watch(&watching(query)).await;
    assert_eq!(watch.brief(1).await, ["ADDED hamlet 3"]);
    let other = "/apis/library.example.com/v1/namespaces/other/books";
    wire.post(other, &book("emma", "austen")).await.created();
    let bookmark = watch.expect("BOOKMARK").await;
    assert_eq!(version(&bookmark), shelf.revision().to_string(), "4.6");
    watch.ends().await;
}

#[tokio::test]
async fn a_long_state_is_sent_in_pages_and_nothing_is_left_out() {
    let (wire, shelf) = library().await;
    shelf.fill(600);
    let mut watch = wire.watch(&watching("&labelSelector=by%3Dmany")).await;
    let first = watch.expect("ADDED").await;
    assert_eq!(first["metadata"]["name"], "b000");
    // While the rest is still to be sent.
    wire.merge(&books("/b599"), &json!({"spec": {"pages": 1}})).await.ok();
    for index in 1..600 {
        let added = watch.expect("ADDED").await;
        assert_eq!(added["metadata"]["name"], format!("b{index:03}").as_str());
    }
    let changed = watch.expect("MODIFIED").await;
    assert_eq!(changed["metadata"]["name"], "b599", "4.6");
}

#[tokio::test]
async fn watches_end_with_the_server() {
    let (wire, _) = library().await;
    let mut watch = wire.watch(&watching("&resourceVersion=3")).await;
    let Wire { server, .. } = wire;
    tokio::join!(server.stop(), watch.ends());
}
