//! The server under test: the built binary, on a free port, with a storage of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::process::Process;

/// A server that serves. It ends with its owner.
pub(super) struct Server {
    process: Process,
    kubeconfig: PathBuf,
    port: u16,
}

impl Server {
    /// Starts the server on a free port and waits until it says that it serves.
    pub(super) fn start(directory: &Path, flags: &[String]) -> Self {
        Self::start_on(0, directory, flags)
    }

    /// Kills it without warning, if it still runs, and starts it again where it was.
    pub(super) fn kill_and_restart(self, directory: &Path, flags: &[String]) -> Self {
        let port = self.port;
        drop(self);
        Self::start_on(port, directory, flags)
    }

    /// Asks it to stop, waits until it has, and starts it again where it was.
    pub(super) fn stop_and_restart(mut self, directory: &Path, flags: &[String]) -> Self {
        self.process.terminate();
        self.process.wait_for_end();
        self.kill_and_restart(directory, flags)
    }

    fn start_on(port: u16, directory: &Path, flags: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milo"));
        command
            .args(["--secure-port", &port.to_string(), "--data-dir"])
            .arg(directory.join("data"))
            .args(flags)
            .env_remove("RUST_LOG");
        let process = Process::start("milo", &mut command);
        let first = process.line();
        let kubeconfig = first.strip_prefix("export KUBECONFIG=").map(PathBuf::from);
        assert_eq!(process.line(), "kubectl get organizations");
        let kubeconfig = kubeconfig.unwrap_or_else(|| panic!("printed {first:?}"));
        let port = port_in(&fs::read_to_string(&kubeconfig).unwrap());
        Self { process, kubeconfig, port }
    }

    /// The administrator's kubeconfig.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

/// The port of the server that a kubeconfig names.
fn port_in(kubeconfig: &str) -> u16 {
    let server = kubeconfig.lines().find(|line| line.trim_start().starts_with("server:"));
    let port = server.and_then(|line| line.trim_end_matches(['"', '\'']).rsplit(':').next());
    port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port in {kubeconfig}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the server said:\n{}", self.process.complaints());
        }
    }
}
