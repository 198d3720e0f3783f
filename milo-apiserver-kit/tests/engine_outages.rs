//! A server whose database is cut off, silent, or killed while clients read and write: every answer
//! comes in bounded time and says when to come back, nothing that was acknowledged is missing from
//! any list that follows it, and all goes on without anybody starting the server again.

#![cfg(any(feature = "postgres", feature = "etcd"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use milo_apiserver_kit::{
    Server,
    testing::wire::{self, Answer, Client},
};
use milo_core::{definition::ResourceDefinition, storage::Storage, testing::Proxy};
use serde_json::json;
use tokio::{sync::Notify, time::Instant};

const MAPS: &str = "/api/v1/namespaces/ns/configmaps";
/// Longer than any answer may take: a write has 34 s.
const BOUND: Duration = Duration::from_secs(36);
/// How much is written before an outage, and after it.
const SOME: usize = 20;

/// What happens to the database.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Cut,
    Silent,
    Killed,
}

/// A database behind a proxy.
struct Database<S> {
    server: S,
    proxy: Proxy,
    kill: fn(&mut S),
    restart: fn(&mut S),
}

impl<S> Database<S> {
    fn begin(&mut self, outage: Outage) {
        match outage {
            Outage::Cut => self.proxy.cut(),
            Outage::Silent => self.proxy.silence(),
            Outage::Killed => (self.kill)(&mut self.server),
        }
    }

    fn end(&mut self, outage: Outage) {
        match outage {
            Outage::Cut | Outage::Silent => self.proxy.heal(),
            Outage::Killed => (self.restart)(&mut self.server),
        }
    }
}

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    acknowledged: Mutex<BTreeSet<String>>,
    /// Names of which nobody knows whether they were created.
    uncertain: Mutex<BTreeSet<String>>,
    refused: AtomicUsize,
    news: Notify,
    over: AtomicBool,
}

impl Seen {
    fn acknowledged(&self) -> BTreeSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Waits until the clients have come so far.
    async fn until(&self, far: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let news = self.news.notified();
                if far(self) {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), waiting).await.expect("it comes so far");
    }

    /// An answer that is not the one that was hoped for: it says when to come back.
    fn refuse(&self, answer: &Answer) {
        assert!(matches!(answer.code, 429 | 503 | 504), "{answer:?}");
        let after = answer.header("retry-after").parse::<u64>();
        assert!(after.is_ok_and(|seconds| seconds >= 1), "no Retry-After: {answer:?}");
        self.refused.fetch_add(1, Ordering::SeqCst);
        self.news.notify_waiters();
    }
}

async fn bounded(answer: impl Future<Output = Result<Answer, wire::WireError>>) -> Answer {
    let began = Instant::now();
    let answer = tokio::time::timeout(BOUND, answer).await;
    answer.unwrap_or_else(|_| panic!("no answer after {:?}", began.elapsed())).unwrap()
}

async fn write(client: &Client, seen: &Seen, who: usize) {
    for n in 0.. {
        let name = format!("w{who}-{n}");
        while !seen.over.load(Ordering::SeqCst) {
            let body = json!({"metadata": {"name": name}});
            let answer = bounded(client.post(MAPS, &body)).await;
            match answer.code {
                201 => {
                    seen.acknowledged.lock().unwrap().insert(name.clone());
                    seen.news.notify_waiters();
                    break;
                }
                // The one of which nobody knew had happened.
                409 if seen.uncertain.lock().unwrap().contains(&name) => {
                    seen.acknowledged.lock().unwrap().insert(name.clone());
                    break;
                }
                504 => {
                    seen.uncertain.lock().unwrap().insert(name.clone());
                    seen.refuse(&answer);
                }
                _ => seen.refuse(&answer),
            }
        }
        if seen.over.load(Ordering::SeqCst) {
            return;
        }
    }
}

async fn read(client: &Client, seen: &Seen) {
    while !seen.over.load(Ordering::SeqCst) {
        let known = seen.acknowledged();
        let answer = bounded(client.get(MAPS)).await;
        if answer.code == 200 {
            let listed = names(&answer);
            let missing: Vec<_> = known.difference(&listed).collect();
            assert!(missing.is_empty(), "a list is older than what it follows: {missing:?}");
        } else {
            seen.refuse(&answer);
        }
        tokio::task::yield_now().await;
    }
}

fn names(answer: &Answer) -> BTreeSet<String> {
    let list = answer.json();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Reads and writes through all outages.
async fn survive<S>(storage: Arc<dyn Storage>, mut database: Database<S>) {
    let builder = Server::builder_on(storage).authenticators(wire::administrator());
    let maps = ResourceDefinition::of_resource::<ConfigMap>().unwrap();
    let server = builder.resource(maps).build().await.unwrap();
    let (client, seen) = (Client::new(server.service()), Seen::default());
    let start = client.get(MAPS).await.unwrap().ok().unwrap();
    let start = start["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let happening = async {
        for outage in [Outage::Cut, Outage::Silent, Outage::Killed] {
            let before = seen.acknowledged().len();
            seen.until(|seen| seen.acknowledged().len() >= before + SOME).await;
            let refused = seen.refused.load(Ordering::SeqCst);
            database.begin(outage);
            seen.until(|seen| seen.refused.load(Ordering::SeqCst) >= refused + 3).await;
            let before = seen.acknowledged().len();
            database.end(outage);
            seen.until(|seen| seen.acknowledged().len() >= before + SOME).await;
        }
        seen.over.store(true, Ordering::SeqCst);
    };
    tokio::join!(
        happening,
        write(&client, &seen, 0),
        write(&client, &seen, 1),
        read(&client, &seen),
    );
    let listed = names(&client.get(MAPS).await.unwrap());
    let acknowledged = seen.acknowledged();
    assert!(acknowledged.is_subset(&listed), "{:?}", acknowledged.difference(&listed));
    let uncertain = seen.uncertain.lock().unwrap().clone();
    let unasked: Vec<_> = listed.iter().filter(|name| !acknowledged.contains(*name)).collect();
    assert!(unasked.iter().all(|name| uncertain.contains(*name)), "{unasked:?}");
    // Each was created once, and the history says so.
    let url = format!("{MAPS}?watch=true&resourceVersion={start}");
    let mut events = client.watch(&url).await.unwrap();
    let mut told = BTreeSet::new();
    while told.len() < listed.len() {
        let created = events.expect("ADDED").await.unwrap();
        let name = created["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(told.insert(name), "{created} was created twice");
    }
    assert_eq!(told, listed);
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_goes_and_comes_back() {
    use milo_core::{storage::Postgres, testing::PostgresServer};
    let Some(server) = PostgresServer::start().unwrap() else { return };
    let url = server.create_database().unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let behind = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let second = Duration::from_secs(1);
    let builder = Postgres::builder(behind).connect_timeout(second).timeout(second);
    let storage = Arc::new(builder.connect().await.unwrap());
    let (kill, restart) = (PostgresServer::kill, |server: &mut _| {
        PostgresServer::restart(server).unwrap();
    });
    survive(storage, Database { server, proxy, kill, restart }).await;
}

#[cfg(feature = "etcd")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_goes_and_comes_back() {
    use milo_core::{storage::Etcd, testing::EtcdServer};
    let Some(server) = EtcdServer::start().unwrap() else { return };
    let host = server.host(0);
    let port = host.rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(port).await.unwrap();
    let behind = server.url("outages").replace(&host, &format!("127.0.0.1:{}", proxy.port()));
    let second = Duration::from_secs(1);
    let builder = Etcd::builder(behind).connect_timeout(second).operation_timeout(second);
    let storage = Arc::new(builder.connect().await.unwrap());
    let kill = |server: &mut EtcdServer| server.kill(0).unwrap();
    let restart = |server: &mut EtcdServer| server.restart(0).unwrap();
    survive(storage, Database { server, proxy, kill, restart }).await;
}
