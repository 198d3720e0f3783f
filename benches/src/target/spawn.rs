//! Starting a server on a fresh directory, and stopping it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::credentials::Credentials;
use super::kubeconfig;
use crate::cli::TargetArgs;
use crate::client;
use crate::memory::{Processes, Usage};

/// How often readiness is asked for: the resolution of the time to ready.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// How long a server may take to stop after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A server process of ours, alone in its process group.
pub(super) struct Spawned {
    child: Child,
    pid: u32,
    server: String,
    kubeconfig: PathBuf,
    time_to_ready: Duration,
    usage_when_ready: Option<Usage>,
    /// Holds the data and the server's log; removed when dropped.
    _folder: TempDir,
}

impl Spawned {
    /// Starts `command` and waits until /readyz answers 200.
    ///
    /// # Errors
    ///
    /// When the command cannot be started, ends early, or is not ready in `timeout`;
    /// the message has the end of its output.
    pub(super) async fn start(command: &str, timeout: Duration) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("milo-bench-").tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let log = folder.path().join("server.log");
        let kubeconfig = folder.path().join("kubeconfig");
        let port = free_port()?;
        let words = fill(command, &data, port, &kubeconfig)?;
        let started = Instant::now();
        let child = launch(&words, &log)?;
        let pid = child.id().context("the server ended at once")?;
        let mut spawned = Self {
            child,
            pid,
            server: format!("https://127.0.0.1:{port}"),
            kubeconfig,
            time_to_ready: Duration::ZERO,
            usage_when_ready: None,
            _folder: folder,
        };
        tokio::time::timeout(timeout, spawned.wait_until_ready())
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("not ready after {timeout:?}")))
            .with_context(|| {
                format!("{command:?} did not become ready; its output ends with:\n{}", tail(&log))
            })?;
        spawned.time_to_ready = started.elapsed();
        spawned.usage_when_ready = Processes::new(vec![pid]).usage();
        Ok(spawned)
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) const fn time_to_ready(&self) -> Duration {
        self.time_to_ready
    }

    pub(super) const fn usage_when_ready(&self) -> Option<Usage> {
        self.usage_when_ready
    }

    /// From the kubeconfig that the server left, or else from the command line.
    pub(super) fn credentials(&self, args: &TargetArgs) -> anyhow::Result<Credentials> {
        if self.kubeconfig.exists() {
            kubeconfig::load(&self.kubeconfig)
        } else {
            Credentials::from_args(&self.server, args)
        }
    }

    /// SIGTERM to the whole group, then SIGKILL.
    pub(super) async fn stop(mut self) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            eprintln!("the server ignored SIGTERM for {STOP_TIMEOUT:?}; killing it");
        }
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let probe = client::ReadinessProbe::new(&Credentials::anonymous(self.server.clone()))?;
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}");
            }
            if probe.is_ready().await {
                return Ok(());
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // It fails when the whole group has ended already, which is what we want.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Another process could take the port before the server does; then the server says so.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

fn fill(command: &str, data: &Path, port: u16, kubeconfig: &Path) -> anyhow::Result<Vec<String>> {
    let words = shlex::split(command)
        .with_context(|| format!("{command:?} has an unfinished quotation"))?;
    let fill_word = |word: String| {
        word.replace("{dir}", &data.to_string_lossy())
            .replace("{port}", &port.to_string())
            .replace("{kubeconfig}", &kubeconfig.to_string_lossy())
    };
    Ok(words.into_iter().map(fill_word).collect())
}

fn launch(words: &[String], log: &Path) -> anyhow::Result<Child> {
    let (program, arguments) = words.split_first().context("the command to spawn is empty")?;
    let log = std::fs::File::create(log)?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {program:?}"))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    const LINES: usize = 20;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_word_by_word() {
        let words =
            fill("'a b' --d={dir} {port} {kubeconfig}", Path::new("/x y"), 7, Path::new("/k"));
        assert_eq!(words.unwrap(), ["a b", "--d=/x y", "7", "/k"]);
        assert!(fill("'a", Path::new(""), 7, Path::new("")).is_err());
    }

    #[tokio::test]
    async fn a_server_that_ends_early_is_reported_with_its_output() {
        let command = "sh -c 'echo no such flag; exit 3'";
        let error = Spawned::start(command, Duration::from_secs(20)).await.err().unwrap();
        let message = format!("{error:#}");
        assert!(message.contains("no such flag"), "{message}");
        assert!(message.contains("exit status: 3"), "{message}");
    }
}
