//! Lists and watches that must fit together while others write.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    case::{Case, Outcome},
    fixture::Cx,
    support::{Events, MERGE, version},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::code("4.6", "stream-list-then-watch-has-no-gap", |cx| Box::pin(no_gap(cx))),
        Case::code("4.6", "stream-versions-grow-strictly", |cx| Box::pin(growing(cx))),
        Case::code("4.6", "stream-resumes-from-any-event", |cx| Box::pin(resuming(cx))),
        Case::code("4.6", "stream-many-watchers-see-the-same", |cx| Box::pin(alike(cx))),
        Case::code("4.6", "stream-bookmark-is-not-older-than-events", |cx| Box::pin(bookmarks(cx))),
        Case::code("4.5", "watch-initial-events-precede-the-bookmark", |cx| Box::pin(marker(cx))),
        Case::code("4.4", "page-size-1-under-writes-is-one-snapshot", |cx| Box::pin(snapshot(cx))),
        Case::code("4.2", "list-of-a-thousand", |cx| Box::pin(thousand(cx))),
    ]
}

async fn create(cx: &Cx, name: &str) -> Value {
    cx.call("POST", "widgets").json(&json!({"metadata": {"name": name}})).send().await.created()
}

/// Some writes of each kind, side by side.
async fn writes(cx: &Cx) {
    let one = async |n: usize| {
        let name = format!("w{n}");
        create(cx, &name).await;
        let url = format!("widgets/{name}");
        let patch = json!({"metadata": {"labels": {"n": n.to_string()}}});
        cx.call("PATCH", &url).json(&patch).header("content-type", MERGE).send().await.ok();
        if n.is_multiple_of(3) {
            cx.call("DELETE", &url).send().await.ok();
        }
    };
    join_all((0..30).map(one)).await;
    create(cx, "last").await;
}

async fn watch(cx: &Cx, query: &str) -> Events {
    cx.call("GET", &format!("widgets?watch=true{query}")).watch().await
}

/// All events up to the creation of `last`.
async fn until_last(events: &mut Events) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        let event = events.next().await;
        let last = event["object"]["metadata"]["name"] == "last";
        seen.push(event);
        if last {
            return seen;
        }
    }
}

/// What an informer holds after these events.
fn replayed(
    mut held: BTreeMap<String, String>,
    events: &[Value],
) -> Result<BTreeMap<String, String>, String> {
    for event in events {
        let object = &event["object"];
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let known = held.contains_key(&name);
        let fits = match event["type"].as_str().unwrap() {
            "ADDED" => !known,
            "MODIFIED" | "DELETED" => known,
            _ => false,
        };
        if !fits {
            return Err(format!(
                "{event} while the object is{} known",
                if known { "" } else { " not" }
            ));
        }
        if event["type"] == "DELETED" {
            held.remove(&name);
        } else {
            held.insert(name, version(object));
        }
    }
    Ok(held)
}

async fn listed(cx: &Cx) -> (BTreeMap<String, String>, String) {
    let list = cx.call("GET", "widgets").send().await.ok();
    let items = list["items"].as_array().unwrap().iter();
    let held =
        items.map(|item| (item["metadata"]["name"].as_str().unwrap().to_owned(), version(item)));
    (held.collect(), version(&list))
}

async fn no_gap(cx: Cx) -> Outcome {
    let informer = async {
        let (held, from) = listed(&cx).await;
        let mut events = watch(&cx, &format!("&resourceVersion={from}")).await;
        replayed(held, &until_last(&mut events).await)
    };
    let (held, ()) = futures_util::join!(informer, writes(&cx));
    let (held, wanted) = (held?, listed(&cx).await.0);
    if held == wanted {
        Ok(())
    } else {
        Err(format!("the informer holds {held:?}, not {wanted:?}"))
    }
}

async fn growing(cx: Cx) -> Outcome {
    let (_, from) = listed(&cx).await;
    let mut events = watch(&cx, &format!("&resourceVersion={from}")).await;
    let (events, ()) = futures_util::join!(until_last(&mut events), writes(&cx));
    let versions: Vec<u64> =
        events.iter().map(|event| version(&event["object"]).parse().unwrap()).collect();
    let grows =
        versions.windows(2).all(|pair| pair[0] < pair[1]) && versions[0] > from.parse().unwrap();
    if grows { Ok(()) } else { Err(format!("after {from}: {versions:?}")) }
}

async fn resuming(cx: Cx) -> Outcome {
    let (_, from) = listed(&cx).await;
    writes(&cx).await;
    let mut events = watch(&cx, &format!("&resourceVersion={from}")).await;
    let all = until_last(&mut events).await;
    for at in [1, all.len() / 2, all.len() - 1] {
        let from = version(&all[at - 1]["object"]);
        let mut events = watch(&cx, &format!("&resourceVersion={from}")).await;
        let rest = until_last(&mut events).await;
        if rest != all[at..] {
            return Err(format!(
                "from event {at} the rest is {} events, not {}",
                rest.len(),
                all.len() - at
            ));
        }
    }
    Ok(())
}

async fn alike(cx: Cx) -> Outcome {
    let (_, from) = listed(&cx).await;
    let query = format!("&resourceVersion={from}");
    let watchers = join_all((0..20).map(|_| watch(&cx, &query))).await;
    let seeing =
        join_all(watchers.into_iter().map(async |mut events| until_last(&mut events).await));
    let (seen, ()) = futures_util::join!(seeing, writes(&cx));
    match seen.windows(2).all(|pair| pair[0] == pair[1]) {
        true => Ok(()),
        false => Err("two watchers have seen different events".to_owned()),
    }
}

async fn bookmarks(cx: Cx) -> Outcome {
    let query = "&allowWatchBookmarks=true&timeoutSeconds=4";
    let mut events = watch(&cx, query).await;
    writes(&cx).await;
    let (mut newest, mut marks) = (0, 0);
    while let Some(event) = events.try_next().await {
        let at: u64 = version(&event["object"]).parse().unwrap();
        let mark = event["type"] == "BOOKMARK";
        marks += usize::from(mark);
        if at < newest || (at == newest && !mark) {
            return Err(format!("{event} comes after version {newest}"));
        }
        newest = at;
    }
    if marks > 0 { Ok(()) } else { Err("there is no bookmark before the timeout".to_owned()) }
}

async fn marker(cx: Cx) -> Outcome {
    for n in 0..10 {
        create(&cx, &format!("old{n}")).await;
    }
    let query =
        "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let initial = async {
        let mut events = watch(&cx, query).await;
        let (mut versions, mut count) = (Vec::new(), 0);
        loop {
            let event = events.next().await;
            let at: u64 = version(&event["object"]).parse().unwrap();
            if event["type"] == "BOOKMARK" {
                let later = version(&events.next().await["object"]).parse::<u64>().unwrap();
                return (versions.iter().all(|version| *version <= at) && later > at, count);
            }
            count += usize::from(event["type"] == "ADDED");
            versions.push(at);
        }
    };
    let writing = async {
        for n in 0..10 {
            create(&cx, &format!("new{n}")).await;
        }
        tokio::task::yield_now().await;
        writes(&cx).await;
    };
    let ((ordered, count), ()) = futures_util::join!(initial, writing);
    if ordered && count >= 10 {
        Ok(())
    } else {
        Err(format!("{count} initial events, ordered: {ordered}"))
    }
}

async fn snapshot(cx: Cx) -> Outcome {
    for n in 0..8 {
        create(&cx, &format!("w{n}")).await;
    }
    let (wanted, _) = listed(&cx).await;
    let (mut held, mut token) = (BTreeMap::new(), String::new());
    for n in 0.. {
        let list = cx.call("GET", &format!("widgets?limit=1&continue={token}")).send().await.ok();
        for item in list["items"].as_array().unwrap() {
            held.insert(item["metadata"]["name"].as_str().unwrap().to_owned(), version(item));
        }
        match list["metadata"]["continue"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut token),
            _ => break,
        }
        create(&cx, &format!("x{n}")).await;
        cx.call("DELETE", &format!("widgets/w{}", 7 - n)).send().await;
    }
    if held == wanted { Ok(()) } else { Err(format!("the pages hold {held:?}, not {wanted:?}")) }
}

async fn thousand(cx: Cx) -> Outcome {
    let long = "x".repeat(2000);
    let post = async |n: usize| {
        let body = json!({"metadata": {"name": format!("w{n:04}")}, "spec": {"note": long}});
        cx.call("POST", "widgets").json(&body).send().await.created();
    };
    join_all((0..1000).map(post)).await;
    let (held, _) = listed(&cx).await;
    if held.len() == 1000 { Ok(()) } else { Err(format!("{} items", held.len())) }
}
