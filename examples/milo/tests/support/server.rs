//! The server under test: the built binary, on a free port, with a storage of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::process::Process;

/// A server that serves. It ends with its owner.
pub(super) struct Server {
    process: Process,
    kubeconfig: PathBuf,
}

impl Server {
    /// Starts the server and waits until it says that it serves.
    pub(super) fn start(directory: &Path, flags: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milo"));
        command
            .args(["--secure-port", "0", "--data-dir"])
            .arg(directory.join("data"))
            .args(flags)
            .env_remove("RUST_LOG");
        let process = Process::start("milo", &mut command);
        let first = process.line();
        let kubeconfig = first.strip_prefix("export KUBECONFIG=").map(PathBuf::from);
        assert_eq!(process.line(), "kubectl get organizations");
        Self { process, kubeconfig: kubeconfig.unwrap_or_else(|| panic!("printed {first:?}")) }
    }

    /// The administrator's kubeconfig.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the server said:\n{}", self.process.complaints());
        }
    }
}
