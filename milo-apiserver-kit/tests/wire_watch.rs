//! `spec/wire.md` sections 4.5 to 4.7: watches that follow what happens.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod support;

use std::sync::Arc;

use milo_core::storage::{Memory, Revision};
use serde_json::json;
use support::{GROUP, Refusal, Wire, membership, refusals, soon, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PLACE: &str = "namespaces/organization-o/organizationmemberships";
const INITIAL: &str = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

#[tokio::test]
async fn requests_that_cannot_become_a_watch() {
    let wire = Wire::start().await;
    let invalid = "ListOptions.meta.k8s.io \"\" is invalid: ";
    let no_match = format!(
        "{invalid}resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    );
    let no_initial = format!(
        "{invalid}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    );
    let exact = format!(
        "{invalid}resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\""
    );
    let cases: &[Refusal<'_>] = &[
        (
            "4.5",
            "GET",
            "organizations?watch=true&sendInitialEvents=true",
            "",
            422,
            "Invalid",
            &no_match,
        ),
        (
            "4.5",
            "GET",
            "organizations?watch=true&resourceVersionMatch=NotOlderThan",
            "",
            422,
            "Invalid",
            &no_initial,
        ),
        (
            "4.5",
            "GET",
            "organizations?watch=true&sendInitialEvents=false&resourceVersionMatch=Exact",
            "",
            422,
            "Invalid",
            &exact,
        ),
        (
            "4.6",
            "GET",
            "organizations?watch=true&resourceVersion=x",
            "",
            400,
            "BadRequest",
            "invalid resource version: …",
        ),
        (
            "4.6",
            "GET",
            "organizations?watch=1&resourceVersion=-5",
            "",
            400,
            "BadRequest",
            "invalid resource version: …",
        ),
        (
            "4.6",
            "GET",
            "organizations?watch=true&timeoutSeconds=soon",
            "",
            400,
            "BadRequest",
            "…timeoutSeconds…",
        ),
        (
            "4.6",
            "GET",
            "nothings?watch=true",
            "",
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
    ];
    refusals(&wire, cases).await;
}

#[tokio::test]
async fn headers_come_before_events() {
    let wire = Wire::start().await;
    let now = version(&wire.get("organizations").await.ok());
    let url = format!("organizations?watch=true&resourceVersion={now}");
    let response = wire.call("GET", &url).respond().await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    // The same over HTTP/1.1, where it can be seen that the answer is chunked.
    let mut stream = wire.tls(b"http/1.1").await;
    let head = format!("GET {GROUP}/{url} HTTP/1.1\r\nhost: milo\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("\r\n\r\n") {
        let mut buffer = [0; 1024];
        let count = soon(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(count, 0, "4.6: the connection ended");
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(seen.starts_with("HTTP/1.1 200"), "4.6: {seen}");
    assert!(seen.to_lowercase().contains("transfer-encoding: chunked"), "4.6: {seen}");
    assert!(seen.ends_with("\r\n\r\n"), "4.6: nothing has happened yet: {seen}");
}

#[tokio::test]
async fn events_come_in_order_and_carry_what_was_written() {
    let wire = Wire::start().await;
    let start = version(&wire.get("organizations").await.ok());
    let mut events = wire.watch(&format!("organizations?watch=true&resourceVersion={start}")).await;
    let mut expected = Vec::new();
    for index in 0..20 {
        let name = format!("o{}", index % 5);
        let (kind, object) = match index / 5 {
            0 => ("ADDED", wire.organization(&name).await),
            3 => {
                let mut last = wire.get(&format!("organizations/{name}")).await.ok();
                wire.delete(&format!("organizations/{name}")).await.ok();
                let deleted = version(&wire.get("organizations").await.ok());
                last["metadata"]["resourceVersion"] = deleted.into();
                ("DELETED", last)
            }
            _ => {
                wire.touch(&name, &index.to_string()).await;
                ("MODIFIED", wire.get(&format!("organizations/{name}")).await.ok())
            }
        };
        expected.push(json!({"type": kind, "object": object}));
    }
    for event in expected {
        assert_eq!(events.next().await, event, "4.6");
    }
    let mut again = wire.watch(&format!("organizations?watch=true&resourceVersion={start}")).await;
    let mut last: u64 = start.parse().unwrap();
    for line in again.brief(20).await {
        let revision: u64 = line.split(' ').nth(2).unwrap().parse().unwrap();
        assert!(revision > last, "4.6: {line} after {last}");
        last = revision;
    }
}

#[tokio::test]
async fn every_way_to_begin() {
    let wire = Wire::start().await;
    let mut versions = Vec::new();
    for name in ["a", "b", "c"] {
        versions.push(version(&wire.organization(name).await));
    }
    let (b, c) = (&versions[1], &versions[2]);
    let state = format!("ADDED a {} ADDED b {b} ADDED c {c}", versions[0]);
    let end = format!("BOOKMARK  {c}");
    let ended = format!("{state} {end}");
    let bookmarks = "&allowWatchBookmarks=true";
    for (query, expected) in [
        ("watch=true".to_owned(), state.clone()),
        ("watch=true&resourceVersion=0".into(), state.clone()),
        (format!("watch=true&resourceVersion={b}"), format!("ADDED c {c}")),
        (format!("watch=true&resourceVersion={c}"), String::new()),
        (format!("{INITIAL}{bookmarks}"), ended.clone()),
        (format!("{INITIAL}{bookmarks}&resourceVersion=0"), ended.clone()),
        (format!("{INITIAL}{bookmarks}&resourceVersion={b}"), ended),
        (format!("{INITIAL}&resourceVersion={b}"), state),
        (format!("{INITIAL}{bookmarks}&labelSelector=none"), end),
        ("watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan".into(), String::new()),
        ("watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0".into(), String::new()),
        (format!("watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion={b}"), format!("ADDED c {c}")),
    ] {
        let mut events = wire.watch(&format!("organizations?{query}")).await;
        let count = expected.matches("ADDED").count() + expected.matches("BOOKMARK").count();
        assert_eq!(events.brief(count).await.join(" "), expected, "4.5: {query}");
    }
    // The next thing after the beginning is what happens next, once.
    let mut streams = Vec::new();
    for query in [
        "watch=true",
        INITIAL,
        "watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
    ] {
        let mut events = wire.watch(&format!("organizations?{query}")).await;
        let initial = if query.contains("=false") { 0 } else { 3 };
        events.brief(initial).await;
        streams.push(events);
    }
    let mut bookmarked = wire.watch(&format!("organizations?{INITIAL}{bookmarks}")).await;
    bookmarked.brief(3).await;
    let bookmark = bookmarked.expect("BOOKMARK").await;
    assert_eq!(
        bookmark["metadata"]["annotations"],
        json!({"k8s.io/initial-events-end": "true"}),
        "4.5"
    );
    assert_eq!(
        (&bookmark["kind"], &bookmark["apiVersion"]),
        (&"Organization".into(), &support::API_VERSION.into())
    );
    streams.push(bookmarked);
    let next = wire.touch("b", "next").await;
    for mut events in streams {
        assert_eq!(events.brief(1).await, [format!("MODIFIED b {next}")], "4.5");
    }
}

#[tokio::test]
async fn selections_have_their_own_view_of_events() {
    let wire = Wire::start().await;
    wire.organization("o").await;
    let url = format!("{PLACE}/m");
    let mut object = membership("m", "u1", "o");
    object["metadata"]["labels"] = json!({"tier": "silver"});
    let created = wire.post(PLACE, &object).await.created();
    let query = "watch=true&resourceVersion=";
    let start = version(&created);
    let mut gold = wire.watch(&format!("{PLACE}?labelSelector=tier%3Dgold&{query}{start}")).await;
    let mut user =
        wire.watch(&format!("{PLACE}?fieldSelector=spec.userRef.name%3Du1&{query}{start}")).await;
    let mut named =
        wire.watch(&format!("{PLACE}?fieldSelector=metadata.name%3Dm&{query}{start}")).await;
    let mut other =
        wire.watch(&format!("{PLACE}?fieldSelector=metadata.name%3Dmm&{query}{start}")).await;
    let mut all = wire.watch(&format!("organizationmemberships?{query}{start}")).await;
    let label = |tier: &str| json!({"metadata": {"labels": {"tier": tier}}});
    let entered = wire.merge(&url, &label("gold")).await.ok();
    assert_eq!(gold.expect("ADDED").await, entered, "4.6");
    let stayed = wire.merge(&url, &json!({"metadata": {"annotations": {"x": "y"}}})).await.ok();
    assert_eq!(gold.expect("MODIFIED").await, stayed, "4.6");
    let left = wire.merge(&url, &label("bronze")).await.ok();
    let mut old = stayed.clone();
    old["metadata"]["resourceVersion"] = version(&left).into();
    assert_eq!(gold.expect("DELETED").await, old, "4.6: the old content, the event's revision");
    let out = wire.merge(&url, &json!({"spec": {"userRef": {"name": "u2"}}})).await.ok();
    let mut before = left.clone();
    before["metadata"]["resourceVersion"] = version(&out).into();
    for expected in [&entered, &stayed, &left] {
        assert_eq!(&user.expect("MODIFIED").await, expected, "4.6");
    }
    assert_eq!(user.expect("DELETED").await, before, "4.6");
    wire.post(PLACE, &membership("mm", "u9", "o")).await.created();
    wire.delete(&url).await.ok();
    for events in [&mut named, &mut all] {
        for expected in [&entered, &stayed, &left, &out] {
            assert_eq!(&events.expect("MODIFIED").await, expected, "4.7");
        }
    }
    assert_eq!(named.expect("DELETED").await["metadata"]["name"], "m", "4.6");
    assert_eq!(all.expect("ADDED").await["metadata"]["name"], "mm");
    assert_eq!(other.expect("ADDED").await["metadata"]["name"], "mm", "4.7: not m");
    let back = wire.post(PLACE, &membership("m", "u1", "o")).await.created();
    assert_eq!(user.expect("ADDED").await, back, "4.6: nothing was told in between");
}

#[tokio::test]
async fn bookmarks_and_the_end_of_a_watch() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let now = version(&wire.post("projects", &json!({
        "metadata": {"name": "p"}, "spec": {"ownerRef": {"kind": "Organization", "name": "a"}},
    })).await.created());
    let url = format!("organizations?watch=true&timeoutSeconds=1&resourceVersion={now}");
    let mut events = wire.watch(&format!("{url}&allowWatchBookmarks=true")).await;
    let bookmark = events.expect("BOOKMARK").await;
    assert_eq!(version(&bookmark), now, "4.6: the store's revision");
    assert!(bookmark["metadata"].get("annotations").is_none(), "4.6");
    events.ends().await;
    wire.watch(&url).await.ends().await;
    // `timeout` is for other requests.
    wire.watch(&format!("{url}&timeout=1ns")).await.ends().await;
}

#[tokio::test]
async fn old_revisions_come_from_history_until_they_have_expired() {
    let storage = Arc::new(Memory::new());
    let first = Wire::on(storage.clone()).await;
    let start = version(&first.organization("a").await);
    let mut versions = vec![start.clone()];
    for index in 0..3 {
        versions.push(first.touch("a", &index.to_string()).await);
    }
    first.organization("b").await;
    first.delete("organizations/b").await.ok();
    let second = version(&first.get("organizations").await.ok());
    // A server that starts now has seen none of it; the storage has.
    let wire = Wire::on(storage.clone()).await;
    let mut events = wire.watch(&format!("organizations?watch=true&resourceVersion={start}")).await;
    let seen = events.brief(5).await;
    let modified = |at: usize| format!("MODIFIED a {}", versions[at]);
    assert_eq!(seen[..3], [modified(1), modified(2), modified(3)], "4.7");
    assert!(seen[3].starts_with("ADDED b "), "4.7: {seen:?}");
    assert_eq!(seen[4], format!("DELETED b {second}"), "4.7");
    let next = wire.touch("a", "next").await;
    assert_eq!(events.brief(1).await, [format!("MODIFIED a {next}")], "4.7: and on it goes");
    let url =
        format!("organizations?watch=true&resourceVersion={start}&fieldSelector=metadata.name%3Db");
    let seen = wire.watch(&url).await.brief(2).await;
    assert!(seen[0].starts_with("ADDED b "), "4.7: {seen:?}");

    storage_compact(&wire, &versions[2]).await;
    let mut expired =
        wire.watch(&format!("organizations?watch=true&resourceVersion={start}")).await;
    let status = expired.expect("ERROR").await;
    assert_eq!((&status["code"], &status["reason"]), (&410.into(), &"Expired".into()), "4.6");
    assert_eq!((&status["kind"], &status["status"]), (&"Status".into(), &"Failure".into()), "4.6");
    let message = format!("too old resource version: {start} ({})", versions[2]);
    assert_eq!(status["message"], message, "4.6");
    expired.ends().await;
    let mut kept =
        wire.watch(&format!("organizations?watch=true&resourceVersion={}", versions[2])).await;
    assert_eq!(kept.brief(1).await, [modified(3)], "4.7: the floor itself is kept");
}

async fn storage_compact(wire: &Wire, floor: &str) {
    wire.server.storage().compact(Revision::new(floor.parse().unwrap())).await.unwrap();
}

#[tokio::test]
async fn the_future_is_an_error_event() {
    let wire = Wire::start().await;
    for query in ["watch=true", INITIAL] {
        let url = format!("organizations?{query}&resourceVersion=999999");
        let mut events = wire.watch(&url).await;
        let status = events.expect("ERROR").await;
        assert_eq!((&status["code"], &status["reason"]), (&504.into(), &"Timeout".into()), "4.5");
        assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge", "4.5");
        events.ends().await;
    }
}

#[tokio::test]
async fn clients_that_leave_do_no_harm() {
    let wire = Wire::start().await;
    for head in [
        format!(
            "POST {GROUP}/organizations HTTP/1.1\r\nhost: milo\r\ncontent-length: 500\r\n\r\n{{\"metadata\":"
        ),
        format!(
            "POST {GROUP}/organizations HTTP/1.1\r\nhost: milo\r\ntransfer-encoding: chunked\r\n\r\n50\r\n{{"
        ),
        format!("GET {GROUP}/organizations?watch=true HTTP/1.1\r\nhost: milo\r\n\r\n"),
        "GET /apis".to_owned(),
        "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n".to_owned(),
    ] {
        let mut stream = wire.tls(b"http/1.1").await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        drop(stream);
        assert_eq!(wire.get("organizations").await.ok()["items"], json!([]), "{head}");
    }
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(wire.watch("organizations?watch=true").await);
    }
    let mut stays = watches.pop().unwrap();
    drop(watches);
    let created = wire.organization("a").await;
    assert_eq!(stays.expect("ADDED").await, created);
}

#[tokio::test]
async fn watches_end_when_the_server_does() {
    let wire = Wire::start().await;
    let mut events = wire.watch("organizations?watch=true").await;
    let Wire { server, .. } = wire;
    let (stopped, ()) = tokio::join!(soon(server.stop()), events.ends());
    assert_eq!(stopped, ());
}
