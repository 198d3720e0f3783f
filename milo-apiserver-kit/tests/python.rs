//! Python's `kubernetes` client, from its registry, against a server: its typed and its dynamic
//! half.
//!
//! The package is installed once, below the target directory. Without Python, or without the
//! package, the tests are skipped, or fail with `MILO_TEST_REQUIRE=all`.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use milo_apiserver_kit::{ServerBuilder, testing::TestServer};
use tempfile::TempDir;

/// What is installed. Pinned, so that a new release is tried when we say so.
const PACKAGE: &str = "kubernetes==37.0.2";
/// Far more than a script takes.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn custom_objects_are_listed_watched_and_patched() {
    run("custom_objects").await;
}

#[tokio::test]
async fn the_dynamic_client_finds_and_changes_kinds() {
    run("dynamic").await;
}

#[tokio::test]
async fn the_dynamic_client_watches() {
    run("dynamic_watch").await;
}

#[tokio::test]
async fn the_dynamic_client_applies() {
    run("dynamic_apply").await;
}

/// Runs a function of `python/client.py` against a server of its own.
async fn run(function: &str) {
    let Some(python) = python() else { return };
    let server = TestServer::start(ServerBuilder::hierarchy).await.unwrap();
    let scratch = TempDir::new().unwrap();
    let kubeconfig = scratch.path().join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig().unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/client.py");
    let script = tokio::process::Command::new(python)
        .arg(script)
        .arg(function)
        .env("KUBECONFIG", kubeconfig)
        // The client keeps what it discovered in a file there.
        .env("TMPDIR", scratch.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(LIMIT, script).await.expect("the script hangs").unwrap();
    assert!(ended.status.success(), "{function}: {}", said(&ended));
    server.stop().await;
}

/// A Python that has the package; none when there cannot be one.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PYTHON.get_or_init(install) {
        Ok(python) => Some(python),
        Err(why) => {
            let required = std::env::var("MILO_TEST_REQUIRE").is_ok_and(|value| value == "all");
            assert!(!required, "{why}, and MILO_TEST_REQUIRE=all");
            println!("skipped: {why}");
            None
        }
    }
}

fn install() -> Result<PathBuf, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = home.join("bin/python");
    // Written last: an installation without it was interrupted.
    let complete = home.join("complete");
    if fs::read_to_string(&complete).is_ok_and(|package| package == PACKAGE) {
        return Ok(python);
    }
    call("python3", ["-m".as_ref(), "venv".as_ref(), "--clear".as_ref(), home.as_os_str()])?;
    call(&python, ["-m", "pip", "install", "--quiet", PACKAGE])?;
    fs::write(&complete, PACKAGE).map_err(|error| error.to_string())?;
    Ok(python)
}

fn call<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Result<(), String> {
    let mut command = Command::new(program);
    let ended = command.args(arguments).env("PIP_DISABLE_PIP_VERSION_CHECK", "1").output();
    match ended {
        Ok(ended) if ended.status.success() => Ok(()),
        Ok(ended) => Err(format!("{command:?} failed: {}", said(&ended))),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn said(ended: &Output) -> String {
    [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}
