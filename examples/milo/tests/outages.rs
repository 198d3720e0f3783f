//! A database that goes away while the server is at work: stopped, killed, cut off, or silent. Every
//! request is answered in bounded time and says when to come back; nothing that was acknowledged is
//! lost or doubled; nothing is shown that may be old; and nobody starts the server again.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use milo_core::testing::{EtcdServer, PostgresServer, Proxy};
use process::{Answer, Client, Identity, ORGANIZATIONS, Server, within};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

const WRITERS: usize = 4;
/// Acknowledged creates between two outages, of all writers.
const CREATES: usize = 60;
/// A request is answered within its own limit (34 s for writes) and what a busy machine adds.
const ANSWERED: Duration = Duration::from_secs(45);
/// How often a watch that has ended is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

/// A database behind a cable.
enum Database {
    Postgres(PostgresServer),
    Etcd(EtcdServer),
}

#[derive(Clone, Copy, Debug)]
enum Outage {
    Stopped,
    Killed,
    Cut,
    Silent,
}

impl Database {
    fn port(&self) -> u16 {
        match self {
            Self::Postgres(server) => server.port(),
            Self::Etcd(server) => server.host(0).rsplit(':').next().unwrap().parse().unwrap(),
        }
    }

    /// Its address through a proxy.
    fn url(&self, proxy: &Proxy) -> String {
        let url = match self {
            Self::Postgres(server) => server.create_database().unwrap(),
            Self::Etcd(server) => server.url("outages"),
        };
        url.replace(&format!(":{}", self.port()), &format!(":{}", proxy.port()))
    }

    fn begin(&mut self, outage: Outage, proxy: &Proxy) {
        match (outage, self) {
            (Outage::Stopped, Self::Postgres(server)) => server.stop().unwrap(),
            (Outage::Stopped, Self::Etcd(server)) => server.stop(0).unwrap(),
            (Outage::Killed, Self::Postgres(server)) => server.kill(),
            (Outage::Killed, Self::Etcd(server)) => server.kill(0).unwrap(),
            (Outage::Cut, _) => proxy.cut(),
            (Outage::Silent, _) => proxy.silence(),
        }
    }

    fn end(&mut self, outage: Outage, proxy: &Proxy) {
        match (outage, self) {
            (Outage::Stopped | Outage::Killed, Self::Postgres(server)) => server.restart().unwrap(),
            (Outage::Stopped | Outage::Killed, Self::Etcd(server)) => server.restart(0).unwrap(),
            (Outage::Cut | Outage::Silent, _) => proxy.heal(),
        }
    }
}

/// What a writer was told of the objects that it created.
#[derive(Default)]
struct Told {
    /// Names of what is there, with their UIDs.
    created: BTreeMap<String, String>,
    /// Of what was refused before anything was written.
    refused: BTreeSet<String>,
    /// Of what may be there.
    unknown: BTreeSet<String>,
}

#[derive(Default)]
struct Progress {
    created: AtomicUsize,
    failed: [AtomicUsize; WRITERS],
    stop: AtomicBool,
    /// Changes with every answer.
    told: watch::Sender<()>,
}

impl Progress {
    async fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let mut told = self.told.subscribe();
        within(what, async {
            while !reached(self) {
                told.changed().await.unwrap();
            }
        })
        .await;
    }
}

fn organization(name: &str) -> Value {
    json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
        "kind": "Organization",
        "metadata": {"name": name},
        "spec": {"type": "Standard"},
    })
}

/// Says when to come back: 503 and 429 with the header too, as 504 in the body.
fn check_failure(answer: &Answer) {
    let told = [429, 503, 504].contains(&answer.status.as_u16());
    assert!(told, "{} {}", answer.status, answer.text);
    let status = answer.json();
    let header = answer.headers.contains_key("retry-after");
    assert!(
        header && status["details"]["retryAfterSeconds"].is_u64(),
        "{:?} {status}",
        answer.headers
    );
}

/// Creates one organization after the other.
async fn write(id: usize, mut client: Client, progress: Arc<Progress>) -> Told {
    let mut told = Told::default();
    for number in 0.. {
        if progress.stop.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("org-{id}-{number}");
        let began = Instant::now();
        let body = organization(&name);
        let answer = client.try_request(Method::POST, ORGANIZATIONS, Some(&body)).await.unwrap();
        assert!(began.elapsed() < ANSWERED, "{:?}: {}", began.elapsed(), answer.text);
        if answer.status == StatusCode::CREATED {
            let uid = answer.json()["metadata"]["uid"].as_str().unwrap().to_owned();
            told.created.insert(name, uid);
            progress.created.fetch_add(1, Ordering::SeqCst);
        } else {
            check_failure(&answer);
            let nothing = answer.text.contains("nothing was changed");
            let names = if nothing { &mut told.refused } else { &mut told.unknown };
            names.insert(name);
            progress.failed[id].fetch_add(1, Ordering::SeqCst);
        }
        progress.told.send_replace(());
    }
    told
}

/// Watches from the beginning, resuming whenever the watch ends, until it has seen `last`. Returns
/// the name and UID of everything added, in order.
async fn follow(port: u16, identity: Identity, last: &str) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let mut version = "1".to_owned();
    let mut again = tokio::time::interval(AGAIN);
    loop {
        again.tick().await;
        let path = format!("{ORGANIZATIONS}?watch=true&resourceVersion={version}");
        let client = Client::connect(port, &identity).await.unwrap();
        let mut watch = match client.try_watch(&path).await.unwrap() {
            Ok(watch) => watch,
            Err(status) => {
                assert!([429, 503, 504].contains(&status.as_u16()), "{status}");
                continue;
            }
        };
        while let Ok(Some(event)) = watch.try_next().await {
            assert_eq!(event["type"], "ADDED", "{event}");
            let meta = &event["object"]["metadata"];
            let text = |field: &str| meta[field].as_str().unwrap().to_owned();
            let newer = text("resourceVersion");
            let numbers = [&newer, &version].map(|v| v.parse::<u64>().unwrap());
            assert!(numbers[0] > numbers[1], "{newer} after {version}");
            version = newer;
            seen.push((text("name"), text("uid")));
            if text("name") == last {
                return seen;
            }
        }
    }
}

/// While nobody can know what is in the database, nobody is told.
async fn check_reads_during(client: &mut Client, name: &str) {
    for path in [ORGANIZATIONS.to_owned(), format!("{ORGANIZATIONS}/{name}")] {
        let began = Instant::now();
        let answer = client.get(&path).await;
        assert!(began.elapsed() < ANSWERED);
        check_failure(&answer);
    }
}

/// The list, once the server knows again what is in the database; until then it says when to ask.
async fn list(client: &mut Client) -> Value {
    let mut again = tokio::time::interval(AGAIN);
    within("a list", async {
        loop {
            again.tick().await;
            let answer = client.get(ORGANIZATIONS).await;
            if answer.status == StatusCode::OK {
                return answer.object();
            }
            check_failure(&answer);
        }
    })
    .await
}

async fn survive(mut database: Database) {
    let proxy = Proxy::start(database.port()).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let url = database.url(&proxy);
    let server = Server::start_with(data.path(), ["--storage", &url]).await;
    let progress = Arc::new(Progress::default());
    let mut writers: Vec<JoinHandle<Told>> = Vec::new();
    for id in 0..WRITERS {
        let client = server.client().await;
        writers.push(tokio::spawn(write(id, client, Arc::clone(&progress))));
    }
    let follower = tokio::spawn(follow(server.port(), server.admin(), "the-last"));
    let mut reader = server.client().await;
    for outage in [Outage::Stopped, Outage::Killed, Outage::Cut, Outage::Silent] {
        let goal = progress.created.load(Ordering::SeqCst) + CREATES;
        let reached = |progress: &Progress| progress.created.load(Ordering::SeqCst) >= goal;
        progress.until(&format!("creates before {outage:?}"), reached).await;
        let before: Vec<_> = progress.failed.iter().map(|n| n.load(Ordering::SeqCst)).collect();
        database.begin(outage, &proxy);
        let all_failed = |progress: &Progress| {
            progress
                .failed
                .iter()
                .zip(&before)
                .all(|(now, then)| now.load(Ordering::SeqCst) > *then)
        };
        progress.until(&format!("failures while {outage:?}"), all_failed).await;
        check_reads_during(&mut reader, "org-0-0").await;
        database.end(outage, &proxy);
        println!("{outage:?}: {} created so far", progress.created.load(Ordering::SeqCst));
    }
    let goal = progress.created.load(Ordering::SeqCst) + CREATES;
    progress.until("creates at the end", |p| p.created.load(Ordering::SeqCst) >= goal).await;
    progress.stop.store(true, Ordering::SeqCst);
    let mut told = Told::default();
    for writer in writers {
        let one = within("a writer", writer).await.unwrap();
        told.created.extend(one.created);
        told.refused.extend(one.refused);
        told.unknown.extend(one.unknown);
    }
    let last = reader.post(ORGANIZATIONS, &organization("the-last")).await.object();
    let uid = last["metadata"]["uid"].as_str().unwrap();
    told.created.insert("the-last".to_owned(), uid.to_owned());
    check_end(&told, &list(&mut reader).await);
    let seen = within("the watch", follower).await.unwrap();
    let unique: BTreeMap<_, _> = seen.iter().cloned().collect();
    assert_eq!(unique.len(), seen.len(), "no event twice");
    let listed = list(&mut reader).await;
    assert_eq!(unique, by_name(&listed), "no event lost");
}

fn by_name(list: &Value) -> BTreeMap<String, String> {
    let items = list["items"].as_array().unwrap();
    let meta = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap().to_owned();
    items.iter().map(|item| (meta(item, "name"), meta(item, "uid"))).collect()
}

fn check_end(told: &Told, list: &Value) {
    let there = by_name(list);
    for (name, uid) in &told.created {
        assert_eq!(there.get(name), Some(uid), "{name} was acknowledged");
    }
    for name in &told.refused {
        assert!(!there.contains_key(name), "{name} was said not to be written");
    }
    for name in there.keys() {
        let known = told.created.contains_key(name) || told.unknown.contains(name);
        assert!(known, "{name} was never sent");
    }
    let (created, refused, unknown) = (told.created.len(), told.refused.len(), told.unknown.len());
    println!("{created} acknowledged, {refused} refused, {unknown} left open");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_goes_away_and_comes_back() {
    if let Some(server) = PostgresServer::start().unwrap() {
        survive(Database::Postgres(server)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_goes_away_and_comes_back() {
    if let Some(server) = EtcdServer::start().unwrap() {
        survive(Database::Etcd(server)).await;
    }
}
