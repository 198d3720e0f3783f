//! `milo storage`: back up, restore, check and move, with the program as its operator has it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod process;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::Method;
use milo_core::{
    bytes::Bytes,
    key::{GroupResource, Key},
    scope::Scope,
    storage::{Embedded, Storage as _, Transaction},
    testing::{EtcdServer, PostgresServer},
};
use process::{Client, Failed, ORGANIZATIONS, Server, run, within};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command as AsyncCommand;

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn organization(name: &str) -> Value {
    json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
        "kind": "Organization",
        "metadata": { "name": name, "annotations": { "payload": "x".repeat(2000) } },
    })
}

/// `milo storage ...`, which succeeds. Returns what it printed.
async fn storage(data: &Path, args: &[&str]) -> String {
    let done = ran(data, args).await;
    assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
    done.stdout
}

async fn ran(data: &Path, args: &[&str]) -> Failed {
    run([&["storage"], args, &["--data-dir", text(data)]].concat()).await
}

/// `milo storage ...`, which fails. Returns the last line on stderr.
async fn refused(data: &Path, args: &[&str]) -> String {
    let failed = ran(data, args).await;
    assert_eq!(failed.code, Some(1), "{args:?}: {failed:?}");
    let line = failed.stderr.lines().last().unwrap();
    line.strip_prefix("milo: ").unwrap_or_else(|| panic!("{failed:?}")).to_owned()
}

/// All organizations by name, as they are at a resource version or now.
async fn organizations(client: &mut Client, at: Option<&str>) -> BTreeMap<String, Value> {
    let path = match at {
        Some(at) => format!("{ORGANIZATIONS}?resourceVersion={at}&resourceVersionMatch=Exact"),
        None => ORGANIZATIONS.to_owned(),
    };
    let mut list = client.get(&path).await.object();
    let items: Vec<Value> = serde_json::from_value(list["items"].take()).unwrap();
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    items.into_iter().map(|item| (name(&item), item)).collect()
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// The number that follows these words.
fn number_after(words: &str, text: &str) -> u64 {
    let rest = text.split(words).nth(1).unwrap_or_else(|| panic!("no `{words}`: {text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// A data directory in which there are some organizations, and no server.
async fn filled(data: &Path) -> BTreeMap<String, Value> {
    let server = Server::start(data).await;
    let mut client = server.client().await;
    for name in ["a", "b", "c", "d"] {
        client.post(ORGANIZATIONS, &organization(name)).await.object();
    }
    let mut changed = client.get(&format!("{ORGANIZATIONS}/b")).await.object();
    changed["metadata"]["annotations"]["changed"] = "yes".into();
    client.request(Method::PUT, &format!("{ORGANIZATIONS}/b"), Some(&changed)).await.object();
    client.request(Method::DELETE, &format!("{ORGANIZATIONS}/c"), None).await.object();
    let found = organizations(&mut client, None).await;
    drop(client);
    server.signal("TERM").await;
    assert_eq!(server.ended().await.0.code(), Some(0));
    found
}

#[tokio::test]
async fn help_is_readable() {
    for command in ["", "snapshot", "restore", "verify", "copy"] {
        let args = ["storage", command, "--help"];
        let help = run(args.into_iter().filter(|arg| !arg.is_empty())).await;
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
        let trimmed: Vec<&str> = help.stdout.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(format!("storage_{command}_help"), trimmed.join("\n"));
    }
}

#[tokio::test]
async fn what_was_backed_up_is_restored_with_its_versions() {
    let root = temporary();
    let (data, file) = (root.path().join("data"), root.path().join("backup.milo"));
    let expected = filled(&data).await;
    let path = text(&file);
    let done = ran(&data, &["snapshot", path]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with(&format!("wrote {path}: ")), "{}", done.stdout);
    // Not a terminal: progress is told in lines.
    let line = done.stderr.lines().last().unwrap();
    assert!(line.starts_with("writing: 100%, ") && line.ends_with(" objects/s"), "{done:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);

    let verified = storage(&data, &["verify", path]).await;
    assert!(verified.contains("organizations.resourcemanager.miloapis.com"), "{verified}");
    // The storage itself, however it is named, has the same contents.
    let place = data.join("storage");
    let location = format!("embedded:{}", place.display());
    for args in [
        &["verify"][..],
        &["verify", text(&data)],
        &["verify", text(&place)],
        &["verify", &location],
    ] {
        assert_eq!(storage(&data, args).await, verified, "{args:?}");
    }

    let other = root.path().join("other");
    let told = storage(&other, &["restore", path]).await;
    assert!(told.contains("objects keep their resource versions"), "{told}");
    let revision = number_after("the storage is at revision ", &told);
    let server = Server::start(&other).await;
    let mut client = server.client().await;
    assert_eq!(organizations(&mut client, None).await, expected);
    // What clients remember: an object is still what it was, and can be changed as such.
    let mut changed = expected["b"].clone();
    changed["metadata"]["annotations"]["changed"] = "again".into();
    let path = format!("{ORGANIZATIONS}/b");
    let changed = client.request(Method::PUT, &path, Some(&changed)).await.object();
    assert!(version(&changed) > revision);
    // A watch that goes on from before is told that it has missed something.
    let newest = expected.values().map(version).max().unwrap();
    for old in [newest, newest + 1, revision - 1] {
        let watch = client.get(&format!("{ORGANIZATIONS}?watch=true&resourceVersion={old}")).await;
        let event = watch.json();
        let code = if watch.status == 200 { &event["object"]["code"] } else { &event["code"] };
        assert_eq!(code, 410, "{old}: {}", watch.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_is_backed_up_while_it_is_written_to() {
    const WRITERS: usize = 4;
    let root = temporary();
    let data = root.path().join("data");
    let server = Server::start(&data).await;
    let created = Arc::new(AtomicU64::new(0));
    let writing: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (admin, port, created) = (server.admin(), server.port(), Arc::clone(&created));
            tokio::spawn(async move {
                let mut client = Client::connect(port, &admin).await.unwrap();
                for number in 0.. {
                    let name = format!("w{writer}-{number}");
                    client.post(ORGANIZATIONS, &organization(&name)).await.object();
                    created.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let mut client = server.client().await;
    for number in 0..3 {
        let mark = format!("mark-{number}");
        client.post(ORGANIZATIONS, &organization(&mark)).await.object();
        let acknowledged = created.load(Ordering::SeqCst);
        let file = root.path().join(format!("backup-{number}"));
        let told = storage(&data, &["snapshot", text(&file)]).await;
        assert!(told.trim_end().ends_with("from its running server"), "{told}");
        let revision = number_after("at revision ", &told).to_string();
        let expected = organizations(&mut client, Some(&revision)).await;
        assert!(expected.contains_key(&mark));
        assert!(expected.len() as u64 > acknowledged, "something acknowledged is missing");
        let other = root.path().join(format!("restored-{number}"));
        storage(&other, &["restore", text(&file)]).await;
        let restored = Server::start(&other).await;
        assert_eq!(organizations(&mut restored.client().await, None).await, expected);
    }
    writing.iter().for_each(tokio::task::JoinHandle::abort);
    // Nothing else may use the directory, and it says so.
    let place = data.join("storage");
    let file = root.path().join("backup-0");
    assert_eq!(
        refused(&data, &["restore", text(&file)]).await,
        format!(
            "{} is in use by another process: stop that one, or choose another directory",
            place.display()
        )
    );
    // After a crash the socket is still there, and nobody behind it.
    server.kill().await;
    assert!(place.join("snapshot.sock").exists());
    let told = storage(&data, &["snapshot", text(&root.path().join("after"))]).await;
    assert!(!told.contains("running server"), "{told}");
    let server = Server::start(&data).await;
    let told = storage(&data, &["snapshot", text(&root.path().join("again"))]).await;
    assert!(told.contains("running server"), "{told}");
    server.signal("TERM").await;
    server.ended().await;
    assert!(!place.join("snapshot.sock").exists());
}

#[tokio::test]
async fn what_cannot_be_done_is_told_in_a_line_and_changes_nothing() {
    let root = temporary();
    let (data, file) = (root.path().join("data"), root.path().join("backup"));
    let missing = root.path().join("missing");
    let path = text(&file);
    let snapshot = ["snapshot", path];
    let place = missing.join("storage");
    assert_eq!(
        refused(&missing, &snapshot).await,
        format!("there is no storage in {}: check the path", place.display())
    );
    assert!(!missing.exists());
    filled(&data).await;
    storage(&data, &snapshot).await;
    let good = fs::read(&file).unwrap();
    assert_eq!(
        refused(&data, &snapshot).await,
        format!("{path} is there already: choose another name, or say --force to replace it")
    );
    assert_eq!(fs::read(&file).unwrap(), good);
    storage(&data, &["snapshot", "--force", path]).await;
    let told = refused(&data, &["restore", path]).await;
    assert!(told.contains(" is not empty: there are ") && told.contains("organizations"), "{told}");

    // Files that are no snapshots, cut or damaged.
    let bad = root.path().join("bad");
    let other = root.path().join("other");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    let mut newer = good.clone();
    newer[8] = 9;
    for (bytes, expected) in [
        (b"apiVersion: v1".to_vec(), "is not a Milo snapshot: check the path"),
        (good[..good.len() - 1].to_vec(), "it was not copied completely; use another snapshot"),
        (flipped, "use another snapshot, and check the disk"),
        (newer, "has format 9, but this version reads up to 1"),
    ] {
        fs::write(&bad, bytes).unwrap();
        for command in ["verify", "restore"] {
            let told = refused(&other, &[command, text(&bad)]).await;
            assert!(told.starts_with(text(&bad)) && told.contains(expected), "{told}");
        }
    }
    assert!(!other.join("storage/milo.redb").exists());
    assert!(!other.join("storage/milo.redb.new").exists());

    // Storages that cannot be used for this.
    let memory = run(["--storage", "memory", "storage", "snapshot", text(&other)]).await;
    assert_eq!(memory.code, Some(1), "{memory:?}");
    assert!(memory.stderr.contains("gone with its server"), "{memory:?}");
    let wrong = ran(&data, &["copy", "embedded", "paper"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    let told = refused(&data, &["copy", "embedded", "memory"]).await;
    assert!(told.contains("gone with this program"), "{told}");
    let told = refused(&data, &["copy", "embedded", "embedded"]).await;
    assert!(told.contains("cannot be copied to itself"), "{told}");
}

#[tokio::test]
async fn objects_that_are_not_as_they_should_be_are_named() {
    let root = temporary();
    let data = root.path().join("data");
    filled(&data).await;
    assert!(ran(&data, &["verify"]).await.code == Some(0));
    let engine = Embedded::open(data.join("storage")).unwrap();
    let widgets = GroupResource::new("demo.example.com", "widgets");
    for number in 0..130 {
        let name = format!("bad-{number:03}");
        let key = Key::object(&widgets, &Scope::Platform, "", &name).unwrap();
        engine.commit(Transaction::new().put(key, Bytes::from_static(b"{"))).await.unwrap();
    }
    drop(engine);
    let failed = ran(&data, &["verify"]).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.ends_with("milo: 130 objects are not as they should be\n"), "{failed:?}");
    let named: Vec<&str> =
        failed.stdout.lines().filter(|line| line.contains("it is not an object")).collect();
    assert_eq!(named.len(), 100);
    assert!(named[0].starts_with("/demo.example.com/widgets/platform//bad-000: "), "{}", named[0]);
    // It can be backed up all the same, as it is.
    let file = root.path().join("backup");
    storage(&data, &["snapshot", text(&file)]).await;
    assert_eq!(
        refused(&data, &["verify", text(&file)]).await,
        "130 objects are not as they should be"
    );
}

#[tokio::test]
async fn one_directory_is_copied_to_another() {
    let root = temporary();
    let (data, target) = (root.path().join("data"), root.path().join("copy"));
    let expected = filled(&data).await;
    let to = format!("embedded:{}", target.join("storage").display());
    let server = Server::start(&data).await;
    let told = storage(&data, &["copy", "embedded", &to]).await;
    assert!(told.contains("and compared them"), "{told}");
    assert!(told.ends_with("what it writes after that revision is not in the copy\n"), "{told}");
    let copied = Server::start(&target).await;
    assert_eq!(organizations(&mut copied.client().await, None).await, expected);
    drop(copied);
    let told = refused(&data, &["copy", "embedded", &to]).await;
    assert!(told.contains("in use") || told.contains("is not empty"), "{told}");
    drop(server);
}

/// The whole move, as an operator makes it.
#[tokio::test]
async fn moving_to_postgres_is_one_command() {
    let Some(postgres) = PostgresServer::builder().fast().start().unwrap() else { return };
    let root = temporary();
    let data = root.path().join("data");
    let expected = filled(&data).await;
    let url = postgres.create_database().unwrap();
    let told = storage(&data, &["copy", "embedded", &url]).await;
    assert!(told.contains("objects keep their resource versions"), "{told}");
    let server = Server::start_with(&data, ["--storage", &url]).await;
    let mut client = server.client().await;
    assert_eq!(organizations(&mut client, None).await, expected);
    let created = client.post(ORGANIZATIONS, &organization("new")).await.object();
    assert!(version(&created) > number_after("the storage is at revision ", &told));
    // A second server on the same database, with a data directory of its own.
    let other = Server::start_with(&root.path().join("other"), ["--storage", &url]).await;
    let found = other.client().await.get(&format!("{ORGANIZATIONS}/new")).await.object();
    assert_eq!(found, created);
    // A backup while both run, from the database itself.
    let file = root.path().join("backup");
    let args = ["storage", "snapshot", text(&file), "--storage", &url];
    let backup = run(args).await;
    assert_eq!(backup.code, Some(0), "{backup:?}");
    let restored = root.path().join("restored");
    storage(&restored, &["restore", text(&file)]).await;
    let restored = Server::start(&restored).await;
    let found = organizations(&mut restored.client().await, None).await;
    assert_eq!(found, organizations(&mut client, None).await);
}

#[tokio::test]
async fn moving_to_etcd_is_one_command() {
    let Some(etcd) = EtcdServer::start().unwrap() else { return };
    let root = temporary();
    let data = root.path().join("data");
    let expected = filled(&data).await;
    let url = etcd.url("milo");
    let told = storage(&data, &["copy", "embedded", &url]).await;
    assert!(told.contains("new resource versions, in the order of their last changes"), "{told}");
    let server = Server::start_with(&data, ["--storage", &url]).await;
    let mut client = server.client().await;
    let found = organizations(&mut client, None).await;
    let without_version = |objects: &BTreeMap<String, Value>| -> Vec<Value> {
        let mut objects: Vec<Value> = objects.values().cloned().collect();
        for object in &mut objects {
            object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        }
        objects
    };
    assert_eq!(without_version(&found), without_version(&expected));
    let in_order = |objects: &BTreeMap<String, Value>| -> Vec<String> {
        let mut names: Vec<_> =
            objects.iter().map(|(name, object)| (version(object), name)).collect();
        names.sort();
        names.into_iter().map(|(_, name)| name.clone()).collect()
    };
    assert_eq!(in_order(&found), in_order(&expected));
    // What clients remember of the old storage is refused, never mistaken.
    let newest = expected.values().map(version).max().unwrap();
    assert!(found.values().all(|object| version(object) > newest));
    let watch = client.get(&format!("{ORGANIZATIONS}?watch=true&resourceVersion={newest}")).await;
    assert!(watch.text.contains("\"code\":410"), "{}", watch.text);
}

/// `milo` with a limit to the size of the files that it writes, in KiB.
async fn limited(kib: u64, args: &[&str]) -> Failed {
    let mut command = AsyncCommand::new("bash");
    // Without the signal the write fails with EFBIG.
    command.args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", &kib.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_milo")).args(args).env_remove("RUST_LOG");
    let output = within("milo", command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let output = output.unwrap();
    Failed {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file system in memory, if this process may mount one.
struct Mounted(PathBuf);

impl Mounted {
    fn new(place: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "milo-test"]).arg(place);
        let done = mount.stdin(Stdio::null()).stderr(Stdio::null()).status();
        if done.is_ok_and(|status| status.success()) {
            return Some(Self(place.to_owned()));
        }
        println!("nothing can be mounted here: only the size of files is limited");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Objects that do not compress well, 3 MB of them.
async fn large(data: &Path) {
    let engine = Embedded::open(data.join("storage")).unwrap();
    let widgets = GroupResource::new("demo.example.com", "widgets");
    let mut state = 1_u32;
    for number in 0..30 {
        let key = Key::object(&widgets, &Scope::Platform, "", &format!("w{number}")).unwrap();
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        engine.commit(Transaction::new().put(key, noise.take(100_000).collect())).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_done() {
    let root = temporary();
    let (data, out) = (root.path().join("data"), root.path().join("out"));
    fs::create_dir(&out).unwrap();
    large(&data).await;
    let file = out.join("backup");
    let snapshot = ["storage", "snapshot", text(&file), "--data-dir", text(&data)];
    let failed = limited(1024, &snapshot).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let told = failed.stderr.lines().last().unwrap().to_owned();
    let begin = format!("milo: cannot write the snapshot {}: File too large", file.display());
    assert!(told.starts_with(&begin), "{told}");
    assert_eq!(names_in(&out), [""; 0], "half a snapshot was left");
    storage(&data, &["snapshot", text(&file)]).await;

    let other = root.path().join("other");
    let restore = ["storage", "restore", text(&file), "--data-dir", text(&other)];
    // A new data file alone has a mebibyte.
    let failed = limited(2048, &restore).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let place = other.join("storage");
    let told = failed.stderr.lines().last().unwrap().to_owned();
    let begin = format!("milo: cannot write to embedded:{}: ", place.display());
    assert!(told.starts_with(&begin) && told.contains("File too large"), "{told}");
    assert_eq!(names_in(&place), ["lock"]);
    storage(&other, &["restore", text(&file)]).await;

    // A disk that is really full, and one that cannot be written to.
    let Some(disk) = Mounted::new(&root.path().join("disk"), "size=2m,mode=700") else { return };
    let full = disk.0.join("backup");
    let told = refused(&data, &["snapshot", text(&full)]).await;
    assert!(told.contains(": No space left on device"), "{told}");
    assert_eq!(names_in(&disk.0), [""; 0]);
    let told = refused(&disk.0.join("data"), &["restore", text(&file)]).await;
    assert!(told.contains("No space left on device"), "{told}");
    assert_eq!(names_in(&disk.0.join("data/storage")), ["lock"]);
    drop(disk);
    let read_only = Mounted::new(&root.path().join("read-only"), "ro").unwrap();
    let told = refused(&data, &["snapshot", text(&read_only.0.join("backup"))]).await;
    assert!(told.contains(": Read-only file system"), "{told}");
    let told = refused(&read_only.0.join("data"), &["restore", text(&file)]).await;
    assert!(told.contains("Read-only file system") && told.contains("check that it is"), "{told}");
    let told = refused(&read_only.0.join("data"), &["restore", text(&file)]).await;
    assert!(told.contains("Read-only file system"), "{told}");
}
