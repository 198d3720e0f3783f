//! A running server and a kubectl that talks to it, each of its own: nothing is shared between
//! tests, and nothing is left behind.

mod kubectl;
mod process;
mod server;
mod text;
mod workshop;

use std::{ops::Deref, path::Path};

use tempfile::TempDir;

pub(crate) use kubectl::Kubectl;
use server::Server;
pub(crate) use workshop::Workshop;

/// A server with an empty embedded storage, and its administrator's kubectl.
pub(crate) struct Milo {
    kubectl: Kubectl,
    server: Option<Server>,
    flags: Vec<String>,
    /// Last, so that it is removed when the server has ended.
    directory: TempDir,
}

impl Milo {
    /// Starts the built binary. None, with a note, when there is no kubectl; with
    /// `MILO_TEST_REQUIRE=all` that is a failure.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new())
    }

    /// Starts the built binary with further flags, which may name files in the directory of the
    /// test.
    pub(crate) fn start_with(flags: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        if !Kubectl::is_there() {
            return None;
        }
        let directory = TempDir::new().unwrap();
        let flags = flags(directory.path());
        let server = Server::start(directory.path(), &flags);
        let kubectl = Kubectl::new(directory.path().join("home"), server.kubeconfig());
        Some(Self { kubectl, server: Some(server), flags, directory })
    }

    /// Kills the server without warning and starts it again on what it left.
    pub(crate) fn kill_and_restart(&mut self) {
        let server = self.server.take().unwrap();
        self.server = Some(server.kill_and_restart(self.directory.path(), &self.flags));
    }

    /// Asks the server to stop, and starts it again on what it left.
    pub(crate) fn stop_and_restart(&mut self) {
        let server = self.server.take().unwrap();
        self.server = Some(server.stop_and_restart(self.directory.path(), &self.flags));
    }
}

impl Deref for Milo {
    type Target = Kubectl;

    fn deref(&self) -> &Kubectl {
        &self.kubectl
    }
}

/// An organization without any settings.
pub(crate) fn organization(name: &str) -> String {
    format!(
        "apiVersion: resourcemanager.miloapis.com/v1alpha1\n\
         kind: Organization\n\
         metadata:\n  name: {name}\n"
    )
}

/// An organization as most scenarios begin with it.
pub(crate) const ACME: &str = "
    apiVersion: resourcemanager.miloapis.com/v1alpha1
    kind: Organization
    metadata:
      name: acme
      annotations:
        kubernetes.io/display-name: Acme Inc.
    spec:
      type: Standard
";
