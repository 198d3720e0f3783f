//! A storage that is away, or that does not answer at all: what can be answered is, everything else
//! says in bounded time when to come back, nothing is presented as newer than it is, and nobody has
//! to start the server again. The clock is not the machine's, so that no test takes any time.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use milo_apiserver_kit::{
    Server,
    testing::{
        Calls, FaultyStorage, Watches,
        wire::{self, Answer, Client},
    },
};
use milo_core::{definition::ResourceDefinition, storage::Memory};
use serde_json::{Value, json};
use tokio::time::Instant;

const MAPS: &str = "/api/v1/namespaces/ns/configmaps";
const CONSISTENT: &str =
    "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

/// A server with one object, and what it is stored in.
async fn start() -> (Client, Server, Arc<FaultyStorage>) {
    let storage = Arc::new(FaultyStorage::new(Arc::new(Memory::new())));
    let builder = Server::builder_on(storage.clone()).authenticators(wire::administrator());
    let maps = ResourceDefinition::of_resource::<ConfigMap>().unwrap();
    let server = builder.resource(maps).build().await.unwrap();
    let client = Client::new(server.service());
    create(&client, "a").await.ok().unwrap();
    client.get(MAPS).await.unwrap().ok().unwrap();
    (client, server, storage)
}

async fn create(client: &Client, name: &str) -> Answer {
    client.post(MAPS, &json!({"metadata": {"name": name}})).await.unwrap()
}

fn names(answer: &Answer) -> Vec<String> {
    let list = answer.ok().unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// The answer, which must come within so many seconds.
async fn within(seconds: u64, answer: impl Future<Output = Answer>) -> Answer {
    let began = Instant::now();
    let answer = answer.await;
    let took = began.elapsed();
    assert!(took <= Duration::from_secs(seconds), "after {took:?}: {answer:?}");
    answer
}

/// It says when to come back.
fn comes_back(answer: &Answer, code: u16) {
    assert_eq!(answer.code, code, "{answer:?}");
    let after: u64 = answer.header("retry-after").parse().expect("a Retry-After");
    assert!((1..=30).contains(&after), "{answer:?}");
    assert_eq!(answer.json()["details"]["retryAfterSeconds"], after, "{answer:?}");
}

async fn get(client: &Client, url: &str) -> Answer {
    client.get(url).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_does_not_answer_holds_nobody_up() {
    let (client, _server, storage) = start().await;
    let object = format!("{MAPS}/a");
    storage.calls(Calls::Hang);
    let read = async |seconds, url: String| {
        comes_back(&within(seconds, get(&client, &url)).await, 503);
    };
    let written = async {
        comes_back(&within(31, create(&client, "b")).await, 504);
    };
    let patched = async {
        let patch = json!({"data": {"a": "b"}});
        let answer = client.patch(&object, wire::MERGE_PATCH, &patch);
        comes_back(&within(31, async { answer.await.unwrap() }).await, 503);
    };
    let deleted = async {
        let answer = async { client.delete(&object, &Value::Null).await.unwrap() };
        comes_back(&within(31, answer).await, 503);
    };
    let any = async {
        let answer = within(0, get(&client, &format!("{MAPS}?resourceVersion=0"))).await;
        assert_eq!(names(&answer), ["a"], "any state will do, and one is at hand");
    };
    let watched = async {
        let mut events = client.watch(&format!("{MAPS}?watch=true&{CONSISTENT}")).await.unwrap();
        let status = events.expect("ERROR").await.unwrap();
        assert_eq!(
            (&status["code"], &status["details"]["retryAfterSeconds"]),
            (&503.into(), &1.into())
        );
    };
    tokio::join!(
        read(10, object.clone()),
        read(10, format!("{object}?resourceVersion=1")),
        read(4, MAPS.to_owned()),
        read(4, format!("{MAPS}?limit=1")),
        read(4, format!("{MAPS}?labelSelector=a")),
        written,
        patched,
        deleted,
        any,
        watched,
    );
    storage.calls(Calls::Answer);
    let names = names(&get(&client, MAPS).await);
    assert!(names.starts_with(&["a".to_owned()]), "{names:?}");
    create(&client, "c").await.ok().unwrap();
    assert_eq!(get(&client, &format!("{MAPS}/c")).await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_is_away_is_said_to_be() {
    let (client, _server, storage) = start().await;
    let mut open = client.watch(&format!("{MAPS}?watch=true&resourceVersion=2")).await.unwrap();
    for times in 0..3 {
        storage.watches(Watches::Away);
        storage.calls(Calls::Fail);
        let object = format!("{MAPS}/a");
        comes_back(&within(1, get(&client, &object)).await, 503);
        comes_back(&within(1, create(&client, "refused")).await, 503);
        comes_back(&within(4, get(&client, MAPS)).await, 503);
        let any = format!("{MAPS}?resourceVersion=0");
        while get(&client, &any).await.code == 200 {
            // The cache has not found out yet; any state will do.
            tokio::task::yield_now().await;
        }
        comes_back(&within(4, get(&client, &any)).await, 429);
        comes_back(&within(4, get(&client, &format!("{MAPS}?watch=true"))).await, 429);
        tokio::time::sleep(Duration::from_secs(60)).await;
        storage.calls(Calls::Answer);
        storage.watches(Watches::Flow);
        // What is written before the cache has found out is not missing from any answer.
        let created = create(&client, &format!("b{times}")).await.ok().unwrap();
        let list = within(6, async {
            loop {
                let answer = get(&client, MAPS).await;
                if answer.code == 200 {
                    return answer;
                }
                comes_back(&answer, 429);
            }
        });
        assert!(names(&list.await).contains(&format!("b{times}")));
        assert_eq!(open.expect("ADDED").await.unwrap(), created, "the watch went on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_tells_nothing_is_begun_anew() {
    let (client, _server, storage) = start().await;
    let mut open = client.watch(&format!("{MAPS}?watch=true&resourceVersion=2")).await.unwrap();
    // The engine answers, but what the cache is fed by has been cut without a word.
    storage.hush();
    let created = create(&client, "b").await.ok().unwrap();
    assert_eq!(names(&within(4, get(&client, MAPS)).await), ["a", "b"], "from the storage");
    let at_least = format!("{MAPS}?resourceVersion={}", version(&created));
    comes_back(&within(4, get(&client, &at_least)).await, 504);
    let list = within(10, async {
        loop {
            let answer = get(&client, &at_least).await;
            if answer.code == 200 {
                return answer;
            }
        }
    });
    assert_eq!(names(&list.await), ["a", "b"], "from the cache");
    assert_eq!(open.expect("ADDED").await.unwrap(), created, "the watch went on");
    let begun = storage.begun();
    assert_eq!(names(&within(0, get(&client, MAPS)).await), ["a", "b"], "at once again");
    assert_eq!(storage.begun(), begun);
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_finds_out_too() {
    let (client, _server, storage) = start().await;
    let url = format!("{MAPS}?watch=true&resourceVersion=2&allowWatchBookmarks=true");
    let mut open = client.watch(&url).await.unwrap();
    // Have it begin before the others are hushed.
    create(&client, "b").await.ok().unwrap();
    open.expect("ADDED").await.unwrap();
    storage.hush();
    let created = create(&client, "c").await.ok().unwrap();
    // Nobody reads anything: the bookmark of this very watch asks how far the storage is.
    let told = tokio::time::timeout(Duration::from_secs(120), async {
        loop {
            // Longer than the client of tests waits for an event.
            if let Ok(Some(event)) = open.next().await
                && event.kind == "ADDED"
            {
                return event.object;
            }
        }
    });
    assert_eq!(told.await.expect("within two bookmarks"), created);
}

#[tokio::test(start_paused = true)]
async fn watches_that_break_at_once_do_not_busy_the_storage() {
    let (client, _server, storage) = start().await;
    storage.watches(Watches::Break);
    let (begun, lists) = (storage.begun(), storage.lists());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let begun = storage.begun() - begun;
    assert!((1..40).contains(&begun), "{begun} watches were begun in a minute");
    let lists = storage.lists() - lists;
    assert!(lists < 40, "{lists} lists were made in a minute");
    storage.watches(Watches::Flow);
    create(&client, "b").await.ok().unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(names(&get(&client, MAPS).await), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_waits_for_no_storage() {
    let (client, server, storage) = start().await;
    storage.calls(Calls::Hang);
    let mut open = client.watch(&format!("{MAPS}?watch=true&resourceVersion=2")).await.unwrap();
    let ends = async { open.rest().await.unwrap() };
    let (told, ()) = tokio::join!(ends, async { drop(server) });
    assert_eq!(told, []);
}
