//! `spec/wire.md` sections 4.3, 4.6 and 4.7: what the watch cache promises when the storage behind
//! it stalls, goes away or forgets.

mod support;

use std::{sync::Arc, time::Duration};

use milo_apiserver_kit::testing::{FaultyStorage, Watches};
use milo_core::storage::Memory;
use serde_json::json;
use support::{Refusal, Wire, names, refusals, soon, version};
use tokio::time::Instant;

const UNREADY: &str = "storage is (re)initializing";

async fn faulty() -> (Wire, Arc<FaultyStorage>) {
    let storage = Arc::new(FaultyStorage::new(Arc::new(Memory::new())));
    (Wire::on(storage.clone()).await, storage)
}

#[tokio::test]
async fn consistent_reads_fall_back_to_the_storage() {
    let (wire, storage) = faulty().await;
    wire.organization("a").await;
    wire.get("organizations").await.ok();
    storage.watches(Watches::Stall);
    let b = version(&wire.organization("b").await);
    let began = Instant::now();
    let initial =
        "organizations?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let newest = async {
        let list = wire.get("organizations").await.ok();
        assert_eq!((names(&list), version(&list)), (vec!["a", "b"], b.clone()), "4.7");
        assert!(began.elapsed() >= Duration::from_secs(3), "4.7: the cache had its time");
    };
    let page = async {
        let list = wire.get("organizations?limit=1&labelSelector=!x").await.ok();
        assert_eq!((names(&list), version(&list)), (vec!["a"], b.clone()), "4.7");
        assert!(list["metadata"]["continue"].is_string(), "4.4");
    };
    let any = async {
        let list = wire.get("organizations?resourceVersion=0").await.ok();
        assert_eq!(names(&list), ["a"], "4.3: any will do");
        assert!(began.elapsed() < Duration::from_secs(3), "4.3: at once");
    };
    let known = async {
        let got = wire.get("organizations/b").await.ok();
        assert_eq!(version(&got), b, "2.4: a GET is of the newest state");
    };
    let at_least = async {
        let answer = wire.get(&format!("organizations?resourceVersion={b}")).await;
        let text = format!("Timeout: Too large resource version: {b}, current: …");
        let status = answer.refused("4.3", 504, "Timeout", &text);
        let cause = &status["details"]["causes"][0]["reason"];
        assert_eq!(cause, "ResourceVersionTooLarge", "4.3");
        assert_eq!(answer.header("retry-after"), "1", "4.3");
    };
    let watched = async {
        let mut events = wire.watch(&format!("{initial}&resourceVersion={b}")).await;
        let status = events.expect("ERROR").await;
        assert_eq!((&status["code"], &status["reason"]), (&504.into(), &"Timeout".into()), "4.5");
        events.ends().await;
    };
    tokio::join!(newest, page, any, known, at_least, watched);
    storage.watches(Watches::Flow);
    let list = wire.get(&format!("organizations?resourceVersion={b}")).await.ok();
    assert_eq!(names(&list), ["a", "b"], "4.7: and when it has caught up");
}

#[tokio::test]
async fn a_cache_that_lost_the_storage_says_so() {
    let (wire, storage) = faulty().await;
    let a = version(&wire.organization("a").await);
    let mut open = wire.watch(&format!("organizations?watch=true&resourceVersion={a}")).await;
    storage.watches(Watches::Away);
    let b = version(&wire.organization("b").await);
    let refused = async |url: &str| {
        let answer = wire.get(url).await;
        let status = answer.refused(&format!("4.3: {url}"), 429, "TooManyRequests", UNREADY);
        assert_eq!(answer.header("retry-after"), "1", "4.3: {url}");
        assert_eq!(status["details"]["retryAfterSeconds"], 1, "4.3: {url}");
    };
    // All at once: each is given some time.
    tokio::join!(
        refused("organizations"),
        refused("organizations?resourceVersion=0"),
        refused("organizations?limit=5&labelSelector=!x"),
        refused("organizations?limit=5&fieldSelector=metadata.name!%3Db"),
        refused("organizations?watch=true"),
        refused("organizations?watch=true&resourceVersion=1"),
    );
    for query in ["limit=1", "limit=1&resourceVersion=0"] {
        let page = wire.get(&format!("organizations?{query}")).await.ok();
        assert_eq!((names(&page), version(&page)), (vec!["a"], b.clone()), "4.3: {query}");
        assert_eq!(page["metadata"]["remainingItemCount"], 1, "4.4: {query}");
        let next = page["metadata"]["continue"].as_str().unwrap();
        let page = wire.get(&format!("organizations?limit=1&continue={next}")).await.ok();
        assert_eq!(names(&page), ["b"], "4.4: {query}");
    }
    wire.get("organizations/b").await.ok();
    let url = "organizations?limit=1&resourceVersionMatch=NotOlderThan&resourceVersion=999999";
    wire.get(url).await.refused("4.3", 504, "Timeout", "Timeout: Too large resource version: …");
    // It goes on where it was, and so does whoever watched.
    storage.watches(Watches::Flow);
    assert_eq!(open.brief(1).await, [format!("ADDED b {b}")], "4.7: nothing is left out");
    assert_eq!(names(&wire.get("organizations").await.ok()), ["a", "b"]);
}

#[tokio::test]
async fn a_cache_that_is_built_anew_ends_watches_and_loses_nothing() {
    let (wire, storage) = faulty().await;
    let start = version(&wire.organization("a").await);
    let url = format!("organizations?watch=true&resourceVersion={start}");
    let mut open = wire.watch(&url).await;
    let b = version(&wire.organization("b").await);
    assert_eq!(open.brief(1).await, [format!("ADDED b {b}")]);
    storage.forget();
    let c = version(&wire.organization("c").await);
    wire.delete("organizations/a").await.ok();
    storage.watches(Watches::Flow);
    open.ends().await;
    // Resumed from what was seen last, also from before the cache was built.
    let gone = version(&wire.get("organizations").await.ok());
    for (from, expected) in [
        (&b, vec![format!("ADDED c {c}"), format!("DELETED a {gone}")]),
        (&c, vec![format!("DELETED a {gone}")]),
    ] {
        let mut again =
            wire.watch(&format!("organizations?watch=true&resourceVersion={from}")).await;
        assert_eq!(again.brief(expected.len()).await, expected, "4.7");
    }
    let list = wire.get("organizations").await.ok();
    assert_eq!(names(&list), ["b", "c"], "4.7");
}

#[tokio::test]
async fn what_cannot_begin_is_an_http_error() {
    let (wire, storage) = faulty().await;
    wire.organization("a").await;
    storage.watches(Watches::Away);
    let cases: &[Refusal<'_>] = &[
        ("4.6", "GET", "organizations?watch=true", "", 429, "TooManyRequests", UNREADY),
        ("4.6", "GET", "watch/organizations/a", "", 429, "TooManyRequests", UNREADY),
    ];
    refusals(&wire, cases).await;
    storage.watches(Watches::Flow);
    let events = async { wire.watch("organizations?watch=true").await.brief(1).await };
    assert!(soon(events).await[0].starts_with("ADDED a "));
    assert_eq!(wire.get("organizations").await.ok()["items"][0]["kind"], json!("Organization"));
}
