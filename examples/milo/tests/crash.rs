//! `kill -9` in the middle of writes: what was acknowledged is there after the restart, what was
//! not is there or not but never half, and revisions are never used twice.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod process;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use http::Method;
use process::{Client, ORGANIZATIONS, Server, Watch, within};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet};

const CRASHES: usize = 25;
const WRITERS: usize = 8;
/// Requests after which a server is killed, at most.
const REQUESTS: u64 = 150;

/// Random enough, and the same again for the same seed.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
    std::env::var("MILO_TEST_SEED").map_or_else(|_| now(), |text| text.parse().unwrap())
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// A write that was sent and not answered.
#[derive(Clone, Debug)]
enum Open {
    Create(Value),
    Update(Value),
    Delete,
}

/// What one writer knows of one object.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The state of the last answer; none when it is not there.
    state: Option<Value>,
    open: Option<Open>,
}

#[derive(Default)]
struct Counts {
    creates: usize,
    updates: usize,
    deletes: usize,
    open_done: usize,
    open_not_done: usize,
    replayed: usize,
}

/// Tells the writers' progress to whoever kills the server.
#[derive(Default)]
struct Progress {
    sent: AtomicUsize,
    told: Notify,
}

struct Writer {
    id: usize,
    random: Random,
    made: usize,
    objects: BTreeMap<String, Known>,
    /// The revisions of all answers since the last crash.
    answered: Vec<u64>,
    counts: Counts,
}

impl Writer {
    fn new(id: usize, seed: u64) -> Self {
        let random = Random(seed ^ (id as u64) << 32);
        let (objects, answered, counts) = Default::default();
        Self { id, random, made: 0, objects, answered, counts }
    }

    /// Writes until the connection breaks.
    async fn work(mut self, mut client: Client, progress: Arc<Progress>) -> Self {
        loop {
            progress.sent.fetch_add(1, Ordering::Relaxed);
            progress.told.notify_one();
            if self.step(&mut client).await.is_none() {
                return self;
            }
        }
    }

    /// One write; none when it was not answered.
    async fn step(&mut self, client: &mut Client) -> Option<()> {
        let existing: Vec<&String> = self.objects.keys().collect();
        let choice = self.random.below(10);
        if existing.is_empty() || choice < 5 {
            return self.create(client).await;
        }
        let at = self.random.below(existing.len() as u64);
        let name = existing[usize::try_from(at).unwrap()].clone();
        if choice < 8 { self.update(client, name).await } else { self.delete(client, name).await }
    }

    /// Something to store, of any length, that shows if a part of it is missing.
    fn payload(&mut self) -> Value {
        let length = self.random.below(3000);
        let text: String = (0..length).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        json!({ "text": text, "length": length.to_string(), "id": self.random.next().to_string() })
    }

    async fn create(&mut self, client: &mut Client) -> Option<()> {
        self.made += 1;
        let name = format!("w{}-{}", self.id, self.made);
        let object = json!({
            "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
            "kind": "Organization",
            "metadata": { "name": name, "annotations": self.payload() },
            "spec": { "contactInfo": { "name": name, "email": "a@example.com" } },
        });
        let known = Known { state: None, open: Some(Open::Create(object.clone())) };
        self.objects.insert(name.clone(), known);
        let answer = client.try_request(Method::POST, ORGANIZATIONS, Some(&object)).await.ok()?;
        assert_eq!(answer.status, 201, "{}", answer.text);
        self.counts.creates += 1;
        self.acknowledged(name, answer.object());
        Some(())
    }

    async fn update(&mut self, client: &mut Client, name: String) -> Option<()> {
        let payload = self.payload();
        let known = self.objects.get_mut(&name).unwrap();
        let mut object = known.state.clone().unwrap();
        object["metadata"]["annotations"] = payload;
        known.open = Some(Open::Update(object.clone()));
        let path = format!("{ORGANIZATIONS}/{name}");
        let answer = client.try_request(Method::PUT, &path, Some(&object)).await.ok()?;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.counts.updates += 1;
        self.acknowledged(name, answer.object());
        Some(())
    }

    async fn delete(&mut self, client: &mut Client, name: String) -> Option<()> {
        self.objects.get_mut(&name).unwrap().open = Some(Open::Delete);
        let path = format!("{ORGANIZATIONS}/{name}");
        let answer = client.try_request(Method::DELETE, &path, None).await.ok()?;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.counts.deletes += 1;
        self.objects.remove(&name);
        Some(())
    }

    fn acknowledged(&mut self, name: String, object: Value) {
        self.answered.push(revision(&object));
        self.objects.insert(name, Known { state: Some(object), open: None });
    }

    /// Compares what is there with what was answered, and takes it over.
    fn check(&mut self, found: &mut BTreeMap<String, Value>) {
        let objects = std::mem::take(&mut self.objects);
        for (name, known) in objects {
            let found = found.remove(&name);
            let done = match &known.open {
                None => {
                    assert_eq!(found, known.state, "an acknowledged write of {name} is not there");
                    None
                }
                Some(open) if found != known.state => {
                    check_done(open, known.state.as_ref(), found.as_ref());
                    Some(true)
                }
                Some(_) => Some(false),
            };
            match done {
                Some(true) => self.counts.open_done += 1,
                Some(false) => self.counts.open_not_done += 1,
                None => {}
            }
            if let Some(state) = found {
                self.objects.insert(name, Known { state: Some(state), open: None });
            }
        }
    }
}

/// A write that was not answered but happened has happened completely.
fn check_done(open: &Open, before: Option<&Value>, found: Option<&Value>) {
    match open {
        Open::Create(sent) => {
            let found = found.unwrap();
            assert_eq!(found["metadata"]["annotations"], sent["metadata"]["annotations"]);
            assert_eq!(found["spec"], sent["spec"]);
            assert_eq!(found["metadata"]["uid"].as_str().unwrap().len(), 36);
            assert_eq!(found["metadata"]["generation"], 1);
        }
        Open::Update(sent) => {
            let (found, before) = (found.expect("an update removed an object"), before.unwrap());
            let mut expected = sent.clone();
            for volatile in ["resourceVersion", "managedFields"] {
                expected["metadata"][volatile] = found["metadata"][volatile].clone();
            }
            assert_eq!(found["metadata"]["uid"], before["metadata"]["uid"]);
            assert_eq!(without_nulls(found), without_nulls(&expected));
            assert!(revision(found) > revision(before));
        }
        Open::Delete => assert!(found.is_none(), "half a deletion: {found:?}"),
    }
}

fn without_nulls(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

/// What a watch has told.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    revision: u64,
    kind: String,
    object: Value,
}

fn told(event: Value) -> Told {
    let kind = event["type"].as_str().unwrap().to_owned();
    assert_ne!(kind, "ERROR", "{event}");
    Told { revision: revision(&event["object"]), kind, object: event["object"].clone() }
}

/// Reads until the connection breaks.
async fn follow(mut watch: Watch) -> Vec<Told> {
    let mut events = Vec::new();
    while let Ok(Some(event)) = watch.try_next().await {
        events.push(told(event));
    }
    events
}

async fn open_watch(server: &Server, after: u64) -> Watch {
    let path = format!("{ORGANIZATIONS}?watch=true&resourceVersion={after}");
    server.client().await.watch(&path).await
}

async fn list(client: &mut Client) -> (u64, BTreeMap<String, Value>) {
    let mut list = client.get(ORGANIZATIONS).await.object();
    let items = list["items"].take();
    let Value::Array(items) = items else { unreachable!("{items}") };
    let version = |mut object: Value| {
        object["apiVersion"] = "resourcemanager.miloapis.com/v1alpha1".into();
        object["kind"] = "Organization".into();
        (name(&object).to_owned(), object)
    };
    (revision(&list), items.into_iter().map(version).collect())
}

/// The whole run: what has been seen so far.
struct Run {
    random: Random,
    writers: Vec<Writer>,
    /// The highest revision that anybody was told.
    highest: u64,
    /// Which revisions are taken.
    used: HashSet<u64>,
    markers: HashMap<String, Value>,
    replayed: usize,
}

impl Run {
    /// Lets everybody write and kills the server in the middle of it. Returns from where a watch
    /// was followed, and what it told.
    async fn crash(&mut self, server: Server) -> (u64, Vec<Told>) {
        let start = self.highest;
        let progress = Arc::new(Progress::default());
        let watch = tokio::spawn(follow(open_watch(&server, start).await));
        let mut working = JoinSet::new();
        for writer in self.writers.drain(..) {
            working.spawn(writer.work(server.client().await, progress.clone()));
        }
        let enough = usize::try_from(1 + self.random.below(REQUESTS)).unwrap();
        let reached = async {
            while progress.sent.load(Ordering::Relaxed) < enough {
                progress.told.notified().await;
            }
        };
        within("the writers", reached).await;
        for _ in 0..self.random.below(50) {
            tokio::task::yield_now().await;
        }
        server.kill().await;
        self.writers = within("the writers to stop", working.join_all()).await;
        self.writers.sort_by_key(|writer| writer.id);
        (start, within("the watch to stop", watch).await.unwrap())
    }

    /// What the writers and the watch were told is there.
    async fn check(&mut self, server: &Server, start: u64, seen: Vec<Told>) {
        let mut client = server.client().await;
        let (listed_at, mut found) = list(&mut client).await;
        for writer in &mut self.writers {
            writer.check(&mut found);
            for revision in writer.answered.drain(..) {
                assert!(self.used.insert(revision), "revision {revision} was given out twice");
                self.highest = self.highest.max(revision);
            }
        }
        for (name, marker) in &self.markers {
            assert_eq!(found.remove(name).as_ref(), Some(marker), "{name} has changed");
        }
        assert!(found.is_empty(), "nobody wrote {:?}", found.keys());
        self.highest = seen.iter().map(|told| told.revision).chain([self.highest]).max().unwrap();
        assert!(listed_at >= self.highest, "{listed_at} was told after {}", self.highest);
        self.mark(&mut client, listed_at).await;
        self.resume(server, start, seen).await;
    }

    /// A new write has a higher revision than all before.
    async fn mark(&mut self, client: &mut Client, listed_at: u64) {
        let name = format!("marker-{}", self.markers.len());
        let marker = json!({
            "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
            "kind": "Organization",
            "metadata": { "name": name },
        });
        let marker = client.post(ORGANIZATIONS, &marker).await.object();
        assert!(revision(&marker) > listed_at.max(self.highest));
        self.highest = revision(&marker);
        assert!(self.used.insert(self.highest), "{} was given out twice", self.highest);
        self.markers.insert(name, marker);
    }

    /// A watch from any revision that was seen before the crash tells everything that came after
    /// it, and what had been told before the crash is told again.
    async fn resume(&mut self, server: &Server, start: u64, seen: Vec<Told>) {
        let end = self.highest;
        let mut points = vec![start];
        points.extend(seen.last().map(|told| told.revision));
        if !seen.is_empty() {
            let at = usize::try_from(self.random.below(seen.len() as u64)).unwrap();
            points.push(seen[at].revision);
        }
        let mut all: Option<Vec<Told>> = None;
        for point in points {
            let mut watch = open_watch(server, point).await;
            let mut replay = Vec::new();
            while replay.last().is_none_or(|told: &Told| told.revision < end) {
                replay.push(told(watch.next().await.expect("the watch ended")));
            }
            let mut last = point;
            for told in &replay {
                assert!(told.revision > last, "{} came after {last}", told.revision);
                last = told.revision;
            }
            let before = seen.iter().filter(|told| told.revision > point);
            for (before, again) in before.zip(&replay) {
                assert_eq!(before, again, "history has changed");
            }
            match &all {
                None => {
                    self.check_history(&replay);
                    all = Some(replay);
                }
                Some(all) => {
                    let rest: Vec<_> =
                        all.iter().filter(|told| told.revision > point).cloned().collect();
                    assert_eq!(rest, replay, "a watch from {point} left something out");
                }
            }
        }
        self.replayed += all.map_or(0, |all| all.len());
    }

    /// The last event of each object is its state now.
    fn check_history(&self, replay: &[Told]) {
        let objects = self.writers.iter().flat_map(|writer| &writer.objects);
        let now: HashMap<&String, &Value> =
            objects.filter_map(|(name, known)| Some((name, known.state.as_ref()?))).collect();
        let mut last = HashMap::new();
        for told in replay {
            last.insert(name(&told.object).to_owned(), told);
        }
        for (name, told) in last {
            let state = now.get(&name).copied().or_else(|| self.markers.get(&name));
            let told_state = (told.kind != "DELETED").then_some(&told.object);
            assert_eq!(told_state, state, "the watch told something else of {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let seed = seed();
    println!("seed {seed} (repeat with MILO_TEST_SEED={seed})");
    let started = Instant::now();
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let mut server = Server::start(&data).await;
    let (highest, nothing) = list(&mut server.client().await).await;
    assert!(nothing.is_empty());
    let mut run = Run {
        random: Random(seed),
        writers: (0..WRITERS).map(|id| Writer::new(id, seed)).collect(),
        highest,
        used: HashSet::new(),
        markers: HashMap::new(),
        replayed: 0,
    };
    for _ in 0..CRASHES {
        let (start, seen) = run.crash(server).await;
        server = Server::start(&data).await;
        run.check(&server, start, seen).await;
    }
    let mut sum = Counts { replayed: run.replayed, ..Counts::default() };
    for writer in &run.writers {
        sum.creates += writer.counts.creates;
        sum.updates += writer.counts.updates;
        sum.deletes += writer.counts.deletes;
        sum.open_done += writer.counts.open_done;
        sum.open_not_done += writer.counts.open_not_done;
    }
    println!(
        "{CRASHES} crashes in {:.1?}: {} creates, {} updates and {} deletes were acknowledged and \
         kept; of the writes without an answer {} happened and {} did not; {} events replayed; \
         revision {}",
        started.elapsed(),
        sum.creates,
        sum.updates,
        sum.deletes,
        sum.open_done,
        sum.open_not_done,
        sum.replayed,
        run.highest,
    );
    assert!(sum.creates > 0 && sum.updates > 0 && sum.deletes > 0);
}
