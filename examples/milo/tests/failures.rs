//! Full disks, and clients that are slow, hostile or gone.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod process;

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use http::Method;
use http_body_util::BodyExt as _;
use process::{
    Answer, Client, DEADLINE, Identity, ORGANIZATIONS, Server, Watch, connect_tls, read, signal,
    within,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command as AsyncCommand,
    task::JoinSet,
    time::timeout,
};

fn organization(name: &str, payload: &str) -> Value {
    json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
        "kind": "Organization",
        "metadata": { "name": name, "annotations": { "payload": payload } },
    })
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

async fn list(client: &mut Client) -> Vec<Value> {
    let mut list = client.get(ORGANIZATIONS).await.object();
    serde_json::from_value(list["items"].take()).unwrap()
}

/// A disk that can be full.
enum Disk {
    /// A small file system of its own, and a file that takes some of its space.
    Mounted { place: PathBuf, ballast: PathBuf },
    /// A limit to the size of the files that the server writes.
    Limited,
}

/// How large files may become under a limit, in blocks of 1024 bytes.
const LIMIT: &str = "6144";

impl Disk {
    /// A file system in memory, if this process may mount one.
    fn mounted(place: &Path) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m,mode=700", "milo-test"]).arg(place);
        let done = mount.stdin(Stdio::null()).stderr(Stdio::null()).status();
        if !done.is_ok_and(|status| status.success()) {
            println!("nothing can be mounted here: limiting the size of files instead");
            return None;
        }
        let ballast = place.join("ballast");
        File::create(&ballast).unwrap().write_all(&vec![1; 20 << 20]).unwrap();
        Some(Self::Mounted { place: place.to_owned(), ballast })
    }

    async fn start(&self, data: &Path) -> Server {
        match self {
            Self::Mounted { .. } => Server::start(data).await,
            Self::Limited => {
                let mut command = AsyncCommand::new("bash");
                // Without the signal the write fails with EFBIG. The hard limit stays.
                command.args(["-c", "trap '' XFSZ; ulimit -S -f $0; exec \"$@\"", LIMIT]);
                command.arg(env!("CARGO_BIN_EXE_milo"));
                command.args(["--secure-port", "0", "--data-dir"]).arg(data);
                command.env_remove("RUST_LOG");
                Server::spawn(command, data).await
            }
        }
    }

    /// Makes space.
    async fn free(&self, server: &Server) {
        match self {
            Self::Mounted { ballast, .. } => fs::remove_file(ballast).unwrap(),
            Self::Limited => {
                let mut command = AsyncCommand::new("prlimit");
                command.args(["--pid", &server.pid().to_string(), "--fsize=unlimited:"]);
                assert!(command.status().await.unwrap().success(), "prlimit failed");
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted { place, .. } = self {
            let _ = Command::new("umount").arg("-l").arg(place).status();
        }
    }
}

/// 503 in the form that clients retry on.
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    let status = answer.json();
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["reason"], "ServiceUnavailable");
    assert_eq!(status["code"], 503);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
}

/// Fills the disk, and goes on when there is space again.
async fn survive(disk: Disk, data: &Path) {
    let mut server = disk.start(data).await;
    let mut client = server.client().await;
    let mut watch = server.client().await.watch(&format!("{ORGANIZATIONS}?watch=true")).await;
    let payload = "x".repeat(100_000);
    let mut kept: Vec<Value> = Vec::new();
    let mut tried = 0;
    // Small writes may still fit where a large one did not: until nothing does.
    for payload in [payload.as_str(), "small"] {
        let mut refused = 0;
        while refused < 3 {
            tried += 1;
            assert!(tried < 5000, "the disk is never full");
            let object = organization(&format!("object-{tried}"), payload);
            let answer = client.post(ORGANIZATIONS, &object).await;
            if answer.status == 201 {
                kept.push(answer.object());
                refused = 0;
            } else {
                assert_unavailable(&answer);
                refused += 1;
            }
        }
    }
    println!("{} of {tried} writes were kept before the disk was full", kept.len());
    assert!(kept.len() > 3);
    assert!(server.is_running());

    // Updates and deletions are refused too, in the same way, and nothing has changed by them.
    let last =
        format!("{ORGANIZATIONS}/{}", kept.last().unwrap()["metadata"]["name"].as_str().unwrap());
    let mut changed = kept.last().unwrap().clone();
    changed["metadata"]["annotations"]["payload"] = "changed".repeat(20_000).into();
    assert_unavailable(&client.request(Method::PUT, &last, Some(&changed)).await);
    // Reads go on, and tell what was acknowledged and nothing else.
    assert_eq!(client.get(&last).await.object(), *kept.last().unwrap());
    check(&mut client, &kept).await;
    assert_eq!(client.get("/livez").await.status, 200);
    assert_eq!(client.get("/readyz").await.status, 200, "it can still be read from");

    disk.free(&server).await;
    let object = organization("after", &payload);
    let after = client.post(ORGANIZATIONS, &object).await.object();
    assert!(revision(&after) > revision(kept.last().unwrap()));
    kept.push(after);
    assert_eq!(client.get("/readyz").await.status, 200);
    check(&mut client, &kept).await;
    for object in &kept {
        let event = watch.next().await.expect("the watch ended");
        assert_eq!((&event["type"], &event["object"]), (&json!("ADDED"), object));
    }
    server.kill().await;
    let server = Server::start(data).await;
    check(&mut server.client().await, &kept).await;
}

async fn check(client: &mut Client, kept: &[Value]) {
    let found = list(client).await;
    assert_eq!(found.len(), kept.len());
    for object in kept {
        let name = &object["metadata"]["name"];
        let same = found.iter().find(|found| &found["metadata"]["name"] == name);
        assert_eq!(same.unwrap()["metadata"], object["metadata"]);
    }
}

#[tokio::test]
async fn a_full_disk_costs_nothing_but_writes() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("disk");
    let disk = Disk::mounted(&place).unwrap_or(Disk::Limited);
    survive(disk, &place.join("data")).await;
}

#[tokio::test]
async fn a_limit_to_the_size_of_files_costs_nothing_but_writes() {
    let root = tempfile::tempdir().unwrap();
    survive(Disk::Limited, &root.path().join("data")).await;
}

#[tokio::test]
async fn half_sent_requests_keep_nobody_waiting() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(root.path()).await;
    let (port, admin) = (server.port(), server.admin());
    let mut halves = Vec::new();
    let head = format!(
        "POST {ORGANIZATIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: 1000\r\n\r\n{{\"kind\":"
    );
    for text in ["GET /api", "GET / HTTP/1.1\r\nhost: x\r\nlong: ", &head] {
        for _ in 0..20 {
            let mut stream = connect_tls(port, &admin).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            halves.push(stream);
        }
    }
    let mut client = server.client().await;
    client.post(ORGANIZATIONS, &organization("whole", "")).await.object();
    // Half of them hang up, in the middle of it; the others are still there at the end.
    let mut odd = false;
    halves.retain(|_| {
        odd = !odd;
        odd
    });
    assert_eq!(list(&mut client).await.len(), 1, "half a body was taken for a whole one");
    server.signal("TERM").await;
    // Requests that never came completely are not waited for once their clients are gone.
    drop((halves, client));
    assert_eq!(server.ended().await.0.code(), Some(0));
}

#[tokio::test]
async fn connections_that_come_and_go_are_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(root.path()).await;
    let (port, admin) = (server.port(), server.admin());
    let open_files = || fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let mut client = server.client().await;
    client.get("/livez").await;
    let (files, memory) = (open_files(), server.resident_kib());
    let mut opening = JoinSet::new();
    for number in 0..500 {
        let admin = admin.clone();
        opening.spawn(async move {
            match number % 5 {
                // Nothing but a connection, and half a handshake.
                0 => drop(TcpStream::connect(("127.0.0.1", port)).await.unwrap()),
                1 => {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    stream.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
                }
                2 => drop(connect_tls(port, &admin).await.unwrap()),
                3 => {
                    let mut stream = connect_tls(port, &admin).await.unwrap();
                    stream.write_all(b"GET /api HTTP/1.1\r\n").await.unwrap();
                }
                _ => {
                    let client = Client::connect(port, &admin).await.unwrap();
                    drop(client.watch(&format!("{ORGANIZATIONS}?watch=true")).await);
                }
            }
        });
    }
    within("500 connections", opening.join_all()).await;
    client.post(ORGANIZATIONS, &organization("after", "")).await.object();
    // What was left behind is given back: asked for until it is so.
    let given_back = async {
        while open_files() > files {
            client.get("/livez").await;
        }
    };
    within("the connections to be closed", given_back).await;
    let grown = server.resident_kib().saturating_sub(memory);
    assert!(grown < 64 << 10, "{grown} KiB more than before");
}

/// Makes changes to a few objects of this many bytes, over several connections.
async fn churn(server: &Server, changes: usize, size: usize) {
    const WRITERS: usize = 16;
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let mut client = server.client().await;
        let payload = "x".repeat(size);
        writing.spawn(async move {
            let name = format!("busy-{writer}");
            let path = format!("{ORGANIZATIONS}/{name}");
            let object = organization(&name, &payload);
            let mut object = client.post(ORGANIZATIONS, &object).await.object();
            for change in 1..changes / WRITERS {
                object["metadata"]["annotations"]["change"] = change.to_string().into();
                object = client.request(Method::PUT, &path, Some(&object)).await.object();
            }
        });
    }
    timeout(DEADLINE * 4, writing.join_all()).await.expect("the writers take too long");
}

/// The number of events that a watch tells, up to and with that of the object `end`.
async fn count_to_end(mut watch: Watch, end: &str) -> (usize, u64) {
    let (mut count, mut last) = (0, 0);
    loop {
        let event = timeout(DEADLINE * 4, watch.try_next()).await.expect("no events").unwrap();
        let event = event.expect("a watch of a client that reads was ended");
        let revision = revision(&event["object"]);
        assert!(revision > last, "{revision} came after {last}");
        last = revision;
        count += 1;
        if event["object"]["metadata"]["name"] == end {
            return (count, last);
        }
    }
}

/// How long the server waits for a client to read what it is sent before it breaks the connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// The next event of a watch that was opened then and left unread for a while. None at its end,
/// which is a good one unless the machine was too slow for the server's patience.
async fn next_unread(watch: &mut Watch, opened: Instant) -> Option<Value> {
    match within("an event", watch.try_next()).await {
        Ok(event) => event,
        Err(error) if opened.elapsed() < PATIENCE => panic!("broken too early: {error}"),
        Err(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_nobody_reads_costs_little_and_ends() {
    const CHANGES: usize = 10_000;
    let root = tempfile::tempdir().unwrap();
    let server = Server::start_with(root.path(), ["--storage", "memory"]).await;
    let path = format!("{ORGANIZATIONS}?watch=true");
    let (opened, mut lazy) = (Instant::now(), Vec::new());
    for _ in 0..20 {
        lazy.push(server.client().await.watch(&path).await);
    }
    // What hyper reads of them on its own is a part of a buffer each.
    let eager = tokio::spawn(count_to_end(server.client().await.watch(&path).await, "end"));
    let before = server.resident_kib();
    churn(&server, CHANGES, 1000).await;
    let after = server.resident_kib();
    let mut client = server.client().await;
    client.post(ORGANIZATIONS, &organization("end", "")).await.object();
    let (count, _) = eager.await.unwrap();
    assert_eq!(count, CHANGES + 1, "a client that reads was not told everything");
    println!("{before} KiB before, {after} KiB after {CHANGES} changes of a kilobyte");
    // The history of all 10,000 changes and what is sent of them, once and not per client.
    assert!(after.saturating_sub(before) < 128 << 10, "{before} KiB became {after} KiB");
    for mut watch in lazy {
        let (mut told, mut last) = (0, 0);
        // In order and without gaps as far as it goes.
        while let Some(event) = next_unread(&mut watch, opened).await {
            let revision = revision(&event["object"]);
            assert!(last == 0 || revision == last + 1, "{revision} came after {last}");
            last = revision;
            told += 1;
        }
        assert!(0 < told && told < CHANGES, "{told} of {CHANGES} changes were sent");
        // And the client can go on where it was.
        let resumed = server.client().await.watch(&format!("{path}&resourceVersion={last}")).await;
        assert_eq!(count_to_end(resumed, "end").await.0, CHANGES + 1 - told);
    }
}

const CLIENT: &str = "MILO_TEST_WATCH_CLIENT";

/// Not a test by itself: the client of the next one, in a process of its own. Tells each event
/// that it reads, and goes on where it was when the server ends its watch.
#[tokio::test]
#[ignore = "run by a_client_that_was_stopped_for_a_while"]
async fn watch_client() {
    let Ok(setting) = env::var(CLIENT) else { return };
    let (port, data) = setting.split_once(' ').unwrap();
    let pki = |name: &str| read(Path::new(data).join("pki").join(name));
    let admin =
        Identity::trusting(&pki("ca.crt")).with_certificate(&pki("admin.crt"), &pki("admin.key"));
    let mut last = 1;
    loop {
        let client = Client::connect(port.parse().unwrap(), &admin).await.unwrap();
        let path = format!("{ORGANIZATIONS}?watch=true&resourceVersion={last}");
        let (opened, mut watch) = (Instant::now(), client.watch(&path).await);
        println!("\nwatching");
        while let Some(event) = next_unread(&mut watch, opened).await {
            last = revision(&event["object"]);
            let name = event["object"]["metadata"]["name"].as_str().unwrap().to_owned();
            println!("event {last} {name}");
            if name == "end" {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_stopped_for_a_while() {
    const CHANGES: usize = 6_400;
    let root = tempfile::tempdir().unwrap();
    let server = Server::start_with(root.path(), ["--storage", "memory"]).await;
    let mut other = AsyncCommand::new(env::current_exe().unwrap());
    other.args(["--exact", "watch_client", "--ignored", "--nocapture"]);
    other.env(CLIENT, format!("{} {}", server.port(), root.path().display()));
    let mut other = other.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    let mut next = async || within("the client", lines.next_line()).await.unwrap();
    while next().await.expect("the client ended") != "watching" {}

    let pid = other.id().unwrap();
    signal(pid, "STOP").await;
    let memory = server.resident_kib();
    // More than the system keeps for a connection, and more events than the server does.
    churn(&server, CHANGES, 4000).await;
    let mut client = server.client().await;
    client.post(ORGANIZATIONS, &organization("end", "")).await.object();
    let grown = server.resident_kib().saturating_sub(memory);
    assert!(grown < 256 << 10, "{grown} KiB more than before");
    signal(pid, "CONT").await;

    let (mut count, mut watches, mut last) = (0, 1, 1);
    while let Some(line) = next().await {
        if line == "watching" {
            watches += 1;
        }
        let Some(event) = line.strip_prefix("event ") else { continue };
        let (revision, name) = event.split_once(' ').unwrap();
        let revision: u64 = revision.parse().unwrap();
        assert_eq!(revision, last + 1, "{name} came after {last}");
        last = revision;
        count += 1;
    }
    assert_eq!(count, CHANGES + 1, "the client was not told everything");
    println!("{count} events in {watches} watches");
    assert!(watches > 1, "the server kept everything for a client that does not read");
    assert!(within("the client to end", other.wait()).await.unwrap().success());
}

#[tokio::test]
async fn hostile_names_are_the_fault_of_the_client() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(root.path()).await;
    let mut client = server.client().await;
    client.post(ORGANIZATIONS, &organization("acme", "")).await.object();
    let long = "a".repeat(60_000);
    let names = [
        "%2e%2e",
        "..",
        ".",
        "%2e",
        "%00",
        "a%00b",
        "%2f",
        "a%2fb",
        "..%2f..%2fetc%2fpasswd",
        "%5c",
        "%ff",
        "%c0%ae%c0%ae",
        "%ed%a0%80",
        "%",
        "%zz",
        "%e2%80%ae",
        "%20",
        "%0d%0ax:y",
        "%25%32%65",
        "A",
        "-",
        "a;b",
        "a?b=%ff&watch=%00",
        "a?labelSelector=%00",
        "a?limit=-1",
        "?fieldSelector=metadata.name%3d%00",
        "?resourceVersion=%ff",
        "?resourceVersion=99999999999999999999",
        "?resourceVersion=-1",
        "?continue=%ff%00",
        "?continue=e30",
        "?limit=99999999999999999999",
        "?labelSelector=a%3d%ff",
        "?watch=true&resourceVersion=x",
        "?timeoutSeconds=-1&watch=true",
        "?fieldSelector=%00%3d1",
        "?timeout=-5s",
        "?pretty=%ff",
        "\u{7f}",
        "*",
        "~",
        "%7b%7b7*7%7d%7d",
        &long,
    ];
    let prefixes = [
        format!("{ORGANIZATIONS}/"),
        ORGANIZATIONS.to_owned(),
        format!("{ORGANIZATIONS}/acme/"),
        "/".to_owned(),
        "/apis/".to_owned(),
        "/apis/resourcemanager.miloapis.com/v1alpha1/namespaces/".to_owned(),
        "/organizations/".to_owned(),
        "/organizations/acme/control-plane/apis/resourcemanager.miloapis.com/v1alpha1/projects/"
            .to_owned(),
        "/projects/x/control-plane/".to_owned(),
        "/openapi/v3/".to_owned(),
    ];
    let mut sent = 0;
    for prefix in &prefixes {
        for name in &names {
            for suffix in ["", "/control-plane/apis", "/status"] {
                for method in ["GET", "PUT", "DELETE", "PATCH", "POST"] {
                    let path = format!("{prefix}{name}{suffix}");
                    // Deleting with nothing but a query means everything; that is no attack.
                    if method == "DELETE" && name.starts_with('?') {
                        continue;
                    }
                    attack(&server, &mut client, method, &path).await;
                    sent += 1;
                }
            }
        }
    }
    for raw in [
        &b"/apis/\xff\xfe"[..],
        b"/\xc0\xae\xc0\xae/",
        b"/\xed\xa0\x80",
        b"apis",
        b"\x01",
        b"/a\0b",
    ] {
        attack_raw(&server, "GET", raw).await;
        attack_raw(&server, "GET", &[ORGANIZATIONS.as_bytes(), b"/", raw].concat()).await;
    }
    attack_raw(&server, "GET", "/a".repeat(100_000).as_bytes()).await;
    println!("{sent} requests were answered, none with 5xx");
    let found = list(&mut client).await;
    assert_eq!(found.len(), 1, "{found:?}");
}

/// Sends a path as it is. A path that the client's library does not take is sent by hand.
async fn attack(server: &Server, client: &mut Client, method: &str, path: &str) {
    if path.parse::<http::Uri>().is_err() {
        return attack_raw(server, method, path.as_bytes()).await;
    }
    let body = json!({});
    let sent = within(path, client.send(method.parse().unwrap(), path, Some(&body))).await;
    let response = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let (status, close) = (response.status(), response.headers().contains_key("connection"));
    assert!(!status.is_server_error(), "{method} {path}: {status}");
    if close || path.contains("watch=true") {
        *client = server.client().await;
    } else {
        within(path, response.into_body().collect()).await.unwrap();
    }
}

async fn attack_raw(server: &Server, method: &str, path: &[u8]) {
    let mut stream = connect_tls(server.port(), &server.admin()).await.unwrap();
    let after = b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let request = [method.as_bytes(), b" ", path, after].concat();
    // It may be refused before all of it has been sent.
    let _ = stream.write_all(&request).await;
    let mut answer = [0; 12];
    within("an answer", stream.read_exact(&mut answer)).await.unwrap();
    let path = String::from_utf8_lossy(path);
    let answer = String::from_utf8_lossy(&answer);
    let fine = answer.starts_with("HTTP/1.1 ") && !answer.starts_with("HTTP/1.1 5");
    assert!(fine, "{method} {path}: {answer}");
}
