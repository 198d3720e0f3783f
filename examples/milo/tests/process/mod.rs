//! The `milo` program as a process, and a client for it that hides nothing.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test program uses a part of this"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod client;

use std::{
    ffi::OsStr,
    future::Future,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

pub use client::{Answer, Client, Identity, Watch, connect_tls};

/// Longer than anything here takes on a slow machine; a test that waits for it has failed.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The collection that tests write to.
pub const ORGANIZATIONS: &str = "/apis/resourcemanager.miloapis.com/v1alpha1/organizations";

/// Waits, but not for ever.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// The program with these arguments, not started yet.
pub fn milo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milo"));
    command.args(args).env_remove("RUST_LOG").env_remove("RUST_BACKTRACE").env_remove("COLUMNS");
    command
}

/// What a start that should fail has said.
#[derive(Debug)]
pub struct Failed {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program to its end.
pub async fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Failed {
    let mut command = milo(args);
    let said = format!("the end of {command:?}");
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = within(&said, output).await.unwrap();
    Failed {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A server that has said that it is there. It is killed when dropped.
pub struct Server {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    /// The two lines that it printed.
    pub printed: [String; 2],
    pub data: PathBuf,
    pub kubeconfig: PathBuf,
    pub url: String,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_end: JoinHandle<()>,
}

impl Server {
    /// Starts on any port.
    pub async fn start(data: &Path) -> Self {
        Self::start_with(data, [""; 0]).await
    }

    /// Starts on any port with further arguments.
    pub async fn start_with<S: AsRef<OsStr>>(
        data: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut command = milo(["--secure-port", "0", "--data-dir"]);
        command.arg(data).args(args);
        Self::spawn(command, data).await
    }

    /// Starts what the command says.
    pub async fn spawn(mut command: Command, data: &Path) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let stderr_end = tokio::spawn(collect(child.stderr.take().unwrap(), stderr.clone()));
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        while printed.len() < 2 {
            match within("the server to start", out.next_line()).await.unwrap() {
                Some(line) => printed.push(line),
                None => {
                    let _ = stderr_end.await;
                    let said = String::from_utf8_lossy(&stderr.lock().unwrap()).into_owned();
                    panic!("the server did not start: {said}");
                }
            }
        }
        let kubeconfig: PathBuf =
            printed[0].strip_prefix("export KUBECONFIG=").unwrap().trim_matches('\'').into();
        let written = std::fs::read_to_string(&kubeconfig).unwrap();
        let url = written.lines().find_map(|line| line.trim().strip_prefix("server:"));
        let url = url.unwrap().trim().trim_matches('"').to_owned();
        let printed = printed.try_into().unwrap();
        let data = data.to_owned();
        Self { child, out, printed, data, kubeconfig, url, stderr, stderr_end }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server has ended")
    }

    /// The administrator's identity.
    pub fn admin(&self) -> Identity {
        let pki = self.data.join("pki");
        Identity::trusting(&read(pki.join("ca.crt")))
            .with_certificate(&read(pki.join("admin.crt")), &read(pki.join("admin.key")))
    }

    /// A connection of the administrator's.
    pub async fn client(&self) -> Client {
        self.client_as(&self.admin()).await.unwrap()
    }

    /// A connection.
    pub async fn client_as(&self, identity: &Identity) -> Result<Client, client::Error> {
        within("a connection", Client::connect(self.port(), identity)).await
    }

    /// `kill -9`. Returns when the process is gone.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        let status = within("the server to die", self.child.wait()).await.unwrap();
        assert_eq!(status.signal(), Some(9), "it had ended before: {status}");
    }

    /// Sends a signal, say `TERM`.
    pub async fn signal(&self, name: &str) {
        signal(self.pid(), name).await;
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for it to end by itself. Returns its status, what it printed after the two lines,
    /// and all of stderr.
    pub async fn ended(mut self) -> (ExitStatus, String, String) {
        let status = within("the server to end", self.child.wait()).await.unwrap();
        let mut rest = String::new();
        self.out.get_mut().read_to_string(&mut rest).await.unwrap();
        within("the end of stderr", &mut self.stderr_end).await.unwrap();
        (status, rest, self.stderr())
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        String::from_utf8(self.stderr.lock().unwrap().clone()).unwrap()
    }

    /// The memory that the process has in RAM, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = read(format!("/proc/{}/status", self.pid()));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Sends a signal to a process that this test has started.
pub async fn signal(pid: u32, name: &str) {
    let script = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &script]).status();
    assert!(within("kill", status).await.unwrap().success(), "{script}");
}

async fn collect(mut from: impl AsyncRead + Unpin, into: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        into.lock().unwrap().extend_from_slice(&buffer[..count]);
    }
}

/// Reads a file that must be there.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Says that a test does not run here; a failure where everything must run.
pub fn skip(why: &str) {
    assert!(
        std::env::var("MILO_TEST_REQUIRE").as_deref() != Ok("all"),
        "cannot run here, but MILO_TEST_REQUIRE=all: {why}"
    );
    println!("skipped: {why}");
}
