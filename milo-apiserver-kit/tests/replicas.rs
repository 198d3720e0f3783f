//! Two servers on one store behave as one API: each has a cache of its own, and no client can tell
//! by which of them it was answered.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod engines;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::future::join_all;
use milo_apiserver_kit::{
    Kind, Server,
    strategy::Strategy,
    testing::wire::{self, APPLY_PATCH, Answer, Client, Event, Events, MERGE_PATCH},
};
use milo_core::{
    definition::ResourceDefinition,
    storage::{
        Storage,
        conformance::{Harness, Skip},
    },
};
use serde_json::{Value, json};

const WIDGETS: &str = "/apis/replicas.milo.test/v1/namespaces/ns/widgets";

/// One test of each case for an engine of which a store can be opened twice.
macro_rules! on {
    ($engine:ident, $harness:expr) => {
        on!($engine, $harness,
            own_writes_are_read_elsewhere, watches_go_on_elsewhere, bookmarks_count_elsewhere,
            pages_go_on_elsewhere, generated_names_are_unique, names_that_are_taken_are_tried_anew,
            names_are_taken_once, updates_are_not_lost, patches_are_not_lost,
            stale_updates_are_refused, appliers_conflict_and_lose_nothing, objects_are_deleted_once,
            collections_are_deleted_while_they_grow, owners_do_not_leave_while_others_come,
        );
    };
    ($engine:ident, $harness:expr, $($case:ident),* $(,)?) => {
        mod $engine {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::with_replicas($harness, super::$case).await;
            })*
        }
    };
}

on!(memory, crate::engines::InMemory);
#[cfg(feature = "postgres")]
on!(postgres, crate::engines::OnPostgres);
#[cfg(feature = "etcd")]
on!(etcd, crate::engines::OnEtcd);

/// Runs a case on one store that two servers have open.
async fn with_replicas<H: Harness>(harness: H, case: impl AsyncFnOnce(Replicas)) {
    assert!(harness.capabilities().replicas);
    let store = match harness.create().await {
        Ok(store) => store,
        // It has said why on standard output.
        Err(cause) if cause.is::<Skip>() => return,
        Err(cause) => panic!("{cause}"),
    };
    let (first, second) = tokio::join!(harness.open(&store), harness.open(&store));
    case(Replicas::new(first.unwrap(), second.unwrap()).await).await;
}

/// Two servers, and a client of each.
struct Replicas {
    clients: [Client; 2],
    _servers: [Server; 2],
}

/// Names count up, so that two servers that know nothing of one another generate the same.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Strategy for Counting {
    fn generate_name(&self, base: &str) -> String {
        if base != "counted-" {
            return milo_core::meta::generate_name(base);
        }
        format!("{base}{}", self.0.fetch_add(1, Ordering::SeqCst))
    }
}

fn definition() -> ResourceDefinition {
    let text = json!({"type": "string"});
    let spec = json!({"type": "object", "properties": {
        "count": {"type": "integer"},
        "note": text,
        "settings": {"type": "object", "additionalProperties": text},
    }});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.replicas.milo.test"},
        "spec": {
            "group": "replicas.milo.test", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
            }],
        },
    });
    ResourceDefinition::from_crd(&serde_json::from_value(crd).unwrap()).unwrap()
}

impl Replicas {
    async fn new(first: Arc<dyn Storage>, second: Arc<dyn Storage>) -> Self {
        let start = async |storage| {
            let builder = Server::builder_on(storage).authenticators(wire::administrator());
            let widgets = Kind::from(definition()).strategy(Counting::default());
            builder.hierarchy().serve(widgets).build().await.unwrap()
        };
        let servers = [start(first).await, start(second).await];
        let clients = [Client::new(servers[0].service()), Client::new(servers[1].service())];
        Self { clients, _servers: servers }
    }

    /// One of them, in turn.
    fn nth(&self, n: usize) -> &Client {
        &self.clients[n % 2]
    }
}

fn url(name: &str) -> String {
    format!("{WIDGETS}/{name}")
}

fn widget(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"count": 0}})
}

async fn create(client: &Client, name: &str) -> Value {
    client.post(WIDGETS, &widget(name)).await.unwrap().ok().unwrap()
}

async fn get(client: &Client, name: &str) -> Value {
    client.get(&url(name)).await.unwrap().ok().unwrap()
}

async fn merge(client: &Client, name: &str, patch: &Value) -> Answer {
    client.patch(&url(name), MERGE_PATCH, patch).await.unwrap()
}

async fn list(client: &Client, query: &str) -> Value {
    client.get(&format!("{WIDGETS}?{query}")).await.unwrap().ok().unwrap()
}

async fn watch(client: &Client, query: &str) -> Events {
    client.watch(&format!("{WIDGETS}?watch=true&{query}")).await.unwrap()
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

fn names(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(name).collect()
}

/// Names and versions of a list.
fn held(list: &Value) -> BTreeMap<String, u64> {
    list["items"].as_array().unwrap().iter().map(|item| (name(item), version(item))).collect()
}

fn count(answers: &[Answer], code: u16) -> usize {
    answers.iter().filter(|answer| answer.code == code).count()
}

async fn own_writes_are_read_elsewhere(replicas: Replicas) {
    let mut before = version(&list(replicas.nth(0), "").await);
    for n in 0..30 {
        let (here, there) = (replicas.nth(n), replicas.nth(n + 1));
        let created = create(here, &format!("w{n:02}")).await;
        let (name, at) = (name(&created), version(&created));
        let watched = async {
            let mut events = watch(there, &format!("resourceVersion={before}")).await;
            assert_eq!(events.expect("ADDED").await.unwrap(), created, "a watch");
        };
        let got = async {
            let url = format!("{}?resourceVersion={at}", url(&name));
            assert_eq!(there.get(&url).await.unwrap().ok().unwrap(), created, "a get");
            assert_eq!(get(there, &name).await, created, "a get of the newest state");
        };
        let listed = async |query: String| {
            let list = list(there, &query).await;
            assert!(version(&list) >= at, "{query}: {} is older than {at}", version(&list));
            assert_eq!(list["items"].as_array().unwrap().last(), Some(&created), "{query}");
        };
        let not_older = format!("resourceVersion={at}&resourceVersionMatch=NotOlderThan");
        let exact = format!("resourceVersion={at}&resourceVersionMatch=Exact");
        tokio::join!(
            watched,
            got,
            listed(String::new()),
            listed(format!("resourceVersion={at}")),
            listed(not_older),
            listed(exact),
        );
        before = at;
    }
}

/// Writes of each kind, side by side on both, and then one last creation.
async fn write(replicas: &Replicas) {
    join_all((0..24).map(async |n| {
        let name = format!("w{n:02}");
        create(replicas.nth(n), &name).await;
        let patch = json!({"spec": {"count": n}});
        merge(replicas.nth(n + 1), &name, &patch).await.ok().unwrap();
        if n % 3 == 0 {
            replicas.nth(n).delete(&url(&name), &Value::Null).await.unwrap().ok().unwrap();
        }
    }))
    .await;
    create(replicas.nth(0), "last").await;
}

/// Up to `most` events, or all up to the creation of `last`, which ends it.
async fn read(events: &mut Events, most: usize) -> (Vec<Event>, bool) {
    let mut seen = Vec::new();
    while seen.len() < most {
        let event = events.next().await.unwrap().unwrap();
        let last = name(&event.object) == "last";
        seen.push(event);
        if last {
            return (seen, true);
        }
    }
    (seen, false)
}

async fn watches_go_on_elsewhere(replicas: Replicas) {
    let start = version(&list(replicas.nth(0), "").await);
    let wandering = async {
        let (mut seen, mut at) = (Vec::new(), start);
        for n in 0.. {
            let mut events = watch(replicas.nth(n), &format!("resourceVersion={at}")).await;
            let (some, over) = read(&mut events, 1 + n % 5).await;
            at = some.last().map_or(at, |event| version(&event.object));
            seen.extend(some);
            if over {
                break;
            }
        }
        seen
    };
    let (seen, ()) = tokio::join!(wandering, write(&replicas));
    for client in &replicas.clients {
        let mut events = watch(client, &format!("resourceVersion={start}")).await;
        let (all, _) = read(&mut events, usize::MAX).await;
        assert_eq!(all.len(), seen.len(), "events are missing, or come twice");
        assert_eq!(all, seen);
    }
    let versions: Vec<u64> = seen.iter().map(|event| version(&event.object)).collect();
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
}

async fn bookmarks_count_elsewhere(replicas: Replicas) {
    let (here, there) = (replicas.nth(0), replicas.nth(1));
    create(here, "before").await;
    let initial =
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = watch(here, initial).await;
    events.expect("ADDED").await.unwrap();
    let mark = version(&events.expect("BOOKMARK").await.unwrap());
    let mut elsewhere = watch(there, &format!("resourceVersion={mark}")).await;
    let created = create(there, "after").await;
    assert_eq!(elsewhere.expect("ADDED").await.unwrap(), created);
    // What a server tells of its idle watches is known to the other one.
    let query = format!("resourceVersion={mark}&allowWatchBookmarks=true&timeoutSeconds=3");
    let told = watch(there, &query).await.rest().await.unwrap();
    let mark = told.iter().rev().find(|event| event.kind == "BOOKMARK").expect("a bookmark");
    let mark = version(&mark.object);
    assert!(mark >= version(&created));
    let mut events = watch(here, &format!("resourceVersion={mark}")).await;
    let later = create(there, "later").await;
    assert_eq!(events.expect("ADDED").await.unwrap(), later);
}

async fn pages_go_on_elsewhere(replicas: Replicas) {
    for n in 0..10 {
        create(replicas.nth(n), &format!("w{n}")).await;
    }
    let expected = held(&list(replicas.nth(0), "").await);
    let (mut found, mut token, mut versions) = (BTreeMap::new(), String::new(), HashSet::new());
    for n in 0.. {
        let page = list(replicas.nth(n), &format!("limit=2&continue={token}")).await;
        versions.insert(version(&page));
        found.extend(held(&page));
        match page["metadata"]["continue"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut token),
            _ => break,
        }
        // What happens meanwhile is not shown, whoever did it.
        create(replicas.nth(n), &format!("v{n}")).await;
        merge(replicas.nth(n), "w9", &json!({"spec": {"count": n + 1}})).await.ok().unwrap();
        replicas.nth(n).delete(&url(&format!("w{}", 8 - n)), &Value::Null).await.unwrap();
    }
    assert_eq!(found, expected);
    assert_eq!(versions.len(), 1, "{versions:?}");
}

async fn generated_names_are_unique(replicas: Replicas) {
    let body = json!({"metadata": {"generateName": "g-"}});
    let post = async |n| replicas.nth(n).post(WIDGETS, &body).await.unwrap().ok().unwrap();
    let created = join_all((0..100).map(post)).await;
    let unique: BTreeSet<String> = created.iter().map(name).collect();
    assert_eq!(unique.len(), 100);
    for client in &replicas.clients {
        assert_eq!(names(&list(client, "").await), Vec::from_iter(unique.clone()));
    }
}

async fn names_that_are_taken_are_tried_anew(replicas: Replicas) {
    let body = json!({"metadata": {"generateName": "counted-"}});
    let mut unique = HashSet::new();
    for n in 0..12 {
        // Both count from zero: each finds that the other one was there before.
        let created = replicas.nth(n).post(WIDGETS, &body).await.unwrap().ok().unwrap();
        assert!(unique.insert(name(&created)), "{created} was created twice");
    }
}

async fn names_are_taken_once(replicas: Replicas) {
    for round in 0..5 {
        let body = widget(&format!("w{round}"));
        let post = async |n| replicas.nth(n).post(WIDGETS, &body).await.unwrap();
        let answers = join_all((0..8).map(post)).await;
        assert_eq!(count(&answers, 201), 1);
        for refused in answers.iter().filter(|answer| answer.code != 201) {
            refused.refused(409, "AlreadyExists", "already exists").unwrap();
        }
    }
}

async fn updates_are_not_lost(replicas: Replicas) {
    create(replicas.nth(0), "counter").await;
    let conflicts = AtomicU64::new(0);
    join_all((0..6).map(async |n| {
        for _ in 0..8 {
            loop {
                // Read here, written there.
                let mut object = get(replicas.nth(n), "counter").await;
                object["spec"]["count"] = (object["spec"]["count"].as_u64().unwrap() + 1).into();
                let put = replicas.nth(n + 1).put(&url("counter"), &object).await.unwrap();
                if put.code == 200 {
                    break;
                }
                put.refused(409, "Conflict", "has been modified").unwrap();
                conflicts.fetch_add(1, Ordering::SeqCst);
            }
        }
    }))
    .await;
    for client in &replicas.clients {
        let object = get(client, "counter").await;
        assert_eq!(object["spec"]["count"], 48, "after {conflicts:?} conflicts");
        assert_eq!(object["metadata"]["generation"], 49);
    }
}

async fn patches_are_not_lost(replicas: Replicas) {
    create(replicas.nth(0), "w").await;
    let patch = async |n: usize| {
        let patch = json!({"spec": {"settings": {format!("k{n}"): "v"}}});
        merge(replicas.nth(n), "w", &patch).await.ok().unwrap()
    };
    let answers = join_all((0..24).map(patch)).await;
    let unique: HashSet<u64> = answers.iter().map(version).collect();
    assert_eq!(unique.len(), 24, "two patches have one version");
    for client in &replicas.clients {
        let object = get(client, "w").await;
        assert_eq!(object["spec"]["settings"].as_object().unwrap().len(), 24);
    }
}

async fn stale_updates_are_refused(replicas: Replicas) {
    let (here, there) = (replicas.nth(0), replicas.nth(1));
    let old = create(here, "w").await;
    let new = merge(there, "w", &json!({"spec": {"note": "new"}})).await.ok().unwrap();
    // Refused at once by the one that has not done it, whatever its cache knows.
    here.put(&url("w"), &old).await.unwrap().refused(409, "Conflict", "modified").unwrap();
    let preconditions = json!({"resourceVersion": old["metadata"]["resourceVersion"]});
    let options = json!({"preconditions": preconditions});
    let refused = here.delete(&url("w"), &options).await.unwrap();
    refused.refused(409, "Conflict", "precondition").unwrap();
    assert_eq!(get(here, "w").await, new);
    // Deleted and created anew there, it is another object here.
    there.delete(&url("w"), &Value::Null).await.unwrap().ok().unwrap();
    let again = create(there, "w").await;
    let options = json!({"preconditions": {"uid": old["metadata"]["uid"]}});
    let refused = here.delete(&url("w"), &options).await.unwrap();
    refused.refused(409, "Conflict", "UID in the precondition").unwrap();
    assert_eq!(get(here, "w").await, again);
}

async fn apply(client: &Client, manager: &str, spec: Value, force: bool) -> Answer {
    let body = json!({
        "apiVersion": "replicas.milo.test/v1", "kind": "Widget", "metadata": {"name": "w"},
        "spec": spec,
    });
    let url = format!("{}?fieldManager={manager}&force={force}", url("w"));
    client.patch(&url, APPLY_PATCH, &body).await.unwrap()
}

async fn appliers_conflict_and_lose_nothing(replicas: Replicas) {
    let (here, there) = (replicas.nth(0), replicas.nth(1));
    assert_eq!(apply(here, "one", json!({"note": "one"}), false).await.code, 201);
    // Who owns the field was written elsewhere.
    let refused = apply(there, "two", json!({"note": "two"}), false).await;
    refused.refused(409, "Conflict", "conflict with \"one\"").unwrap();
    apply(there, "two", json!({"note": "two"}), true).await.ok().unwrap();
    let refused = apply(here, "one", json!({"note": "one"}), false).await;
    refused.refused(409, "Conflict", "conflict with \"two\"").unwrap();
    let applied = join_all((0..12).map(async |n| {
        let settings = json!({"settings": {format!("k{n}"): "v"}});
        apply(replicas.nth(n), &format!("m{n}"), settings, false).await
    }));
    assert_eq!(count(&applied.await, 200), 12);
    for client in &replicas.clients {
        let object = get(client, "w").await;
        assert_eq!(object["spec"]["settings"].as_object().unwrap().len(), 12);
        // The twelve, and the one that took the note.
        assert_eq!(object["metadata"]["managedFields"].as_array().unwrap().len(), 13);
    }
}

async fn objects_are_deleted_once(replicas: Replicas) {
    for round in 0..5 {
        let name = format!("w{round}");
        create(replicas.nth(round), &name).await;
        let delete = async |n| replicas.nth(n).delete(&url(&name), &Value::Null).await.unwrap();
        let answers = join_all((0..6).map(delete)).await;
        assert_eq!((count(&answers, 200), count(&answers, 404)), (1, 5), "{answers:?}");
    }
}

async fn collections_are_deleted_while_they_grow(replicas: Replicas) {
    let (here, there) = (replicas.nth(0), replicas.nth(1));
    let start = version(&list(here, "").await);
    let creating = async {
        for n in 0..60 {
            create(here, &format!("w{n:02}")).await;
        }
    };
    let deleting = async {
        let mut deleted = BTreeSet::new();
        for _ in 0..8 {
            let answer = there.delete(WIDGETS, &Value::Null).await.unwrap().ok().unwrap();
            for name in names(&answer) {
                assert!(deleted.insert(name.clone()), "{name} was deleted twice");
            }
        }
        deleted
    };
    let ((), deleted) = tokio::join!(creating, deleting);
    create(here, "last").await;
    let left = held(&list(there, "").await);
    assert_eq!(left, held(&list(here, "").await));
    for client in &replicas.clients {
        let mut events = watch(client, &format!("resourceVersion={start}")).await;
        let (events, _) = read(&mut events, usize::MAX).await;
        let (mut told, mut gone) = (BTreeMap::new(), BTreeSet::new());
        for event in events {
            let name = name(&event.object);
            if event.kind == "DELETED" {
                assert!(told.remove(&name).is_some(), "{name} was not there");
                gone.insert(name);
            } else {
                assert_eq!(told.insert(name, version(&event.object)), None);
            }
        }
        assert_eq!((&told, &gone), (&left, &deleted));
    }
    assert_eq!(left.len() + deleted.len(), 61, "60, and the last one");
}

const MILO: &str = "/apis/resourcemanager.miloapis.com/v1alpha1";

/// What admission relies on is part of the commit, whoever else writes at the time.
async fn owners_do_not_leave_while_others_come(replicas: Replicas) {
    for round in 0..8 {
        let (here, there) = (replicas.nth(round), replicas.nth(round + 1));
        let name = format!("owner-{round}");
        let body = json!({"metadata": {"name": name}, "spec": {"type": "Standard"}});
        here.post(&format!("{MILO}/organizations"), &body).await.unwrap().ok().unwrap();
        let project = json!({
            "metadata": {"name": format!("project-{round}")},
            "spec": {"ownerRef": {"kind": "Organization", "name": name}},
        });
        let organization = format!("{MILO}/organizations/{name}");
        let projects = format!("{MILO}/projects");
        let (came, left) = tokio::join!(
            there.post(&projects, &project),
            here.delete(&organization, &Value::Null),
        );
        let (came, left) = (came.unwrap(), left.unwrap());
        let gone = there.get(&organization).await.unwrap().code == 404;
        let project = here.get(&format!("{projects}/project-{round}")).await.unwrap().code;
        assert!(!(gone && project == 200), "{name} has gone from its project: {came:?} {left:?}");
        assert_eq!((came.code == 201, left.code == 200), (project == 200, gone));
        assert!(came.code == 201 || left.code == 200, "neither: {came:?} {left:?}");
    }
}
