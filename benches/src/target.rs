//! A server under measurement: how to reach it, and its processes.

mod credentials;
mod kubeconfig;
mod spawn;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

pub(crate) use self::credentials::{Credentials, Identity, Trust};
use self::spawn::Spawned;
use crate::cli::{Cli, TargetArgs};
use crate::client::Endpoint;
use crate::memory::{Processes, Usage};

/// A target as named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetSpec {
    name: String,
    kind: TargetKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TargetKind {
    Spawn(String),
    Kubeconfig(PathBuf),
    Server(String),
}

impl TargetSpec {
    /// All targets of the command line, in order.
    ///
    /// # Errors
    ///
    /// When there is none, or two have the same name, or a --pid names none of them.
    pub(crate) fn all(args: &TargetArgs) -> anyhow::Result<Vec<Self>> {
        let kind = if let Some(command) = &args.spawn {
            Some(TargetKind::Spawn(command.clone()))
        } else if let Some(path) = &args.kubeconfig {
            Some(TargetKind::Kubeconfig(path.clone()))
        } else {
            args.server.clone().map(TargetKind::Server)
        };
        let mut specs = args.target.clone();
        specs.extend(kind.map(|kind| Self { name: "server".to_owned(), kind }));
        if specs.is_empty() {
            bail!("no target: give --server, --kubeconfig, --spawn or --target (see --help)");
        }
        for (index, spec) in specs.iter().enumerate() {
            if specs[..index].iter().any(|other| other.name == spec.name) {
                bail!("two targets are named {:?}", spec.name);
            }
        }
        for name in args.pid.iter().filter_map(|pid| pid.target.as_ref()) {
            if !specs.iter().any(|spec| spec.name == *name) {
                bail!("--pid {name}=...: there is no target of that name");
            }
        }
        Ok(specs)
    }
}

impl FromStr for TargetSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('=').and_then(|(name, rest)| {
            let (kind, value) = rest.split_once(':')?;
            (!name.is_empty() && !value.is_empty()).then_some((name, kind, value))
        });
        let (name, kind, value) =
            parts.ok_or_else(|| format!("{text:?} is not NAME=KIND:VALUE"))?;
        let kind = match kind {
            "spawn" => TargetKind::Spawn(value.to_owned()),
            "kubeconfig" => TargetKind::Kubeconfig(value.into()),
            "server" => TargetKind::Server(value.to_owned()),
            other => {
                return Err(format!("unknown kind {other:?}: use spawn, kubeconfig or server"));
            }
        };
        Ok(Self { name: name.to_owned(), kind })
    }
}

/// A server that can be measured now.
pub(crate) struct Target {
    name: String,
    endpoint: Arc<Endpoint>,
    processes: Processes,
    spawned: Option<Spawned>,
}

impl Target {
    /// Reads the credentials, and starts the server if it is ours to start.
    ///
    /// # Errors
    ///
    /// When credentials cannot be read, or the server does not become ready.
    pub(crate) async fn open(spec: &TargetSpec, cli: &Cli) -> anyhow::Result<Self> {
        let args = &cli.target;
        let mut spawned = None;
        let credentials = match &spec.kind {
            TargetKind::Server(url) => Credentials::from_args(url, args),
            TargetKind::Kubeconfig(path) => kubeconfig::load(path),
            TargetKind::Spawn(command) => {
                let server = Spawned::start(command, args.ready_timeout).await?;
                let credentials = server.credentials(args);
                spawned = Some(server);
                credentials
            }
        };
        let credentials =
            credentials.with_context(|| format!("no credentials for target {:?}", spec.name))?;
        let mut pids: Vec<u32> = args
            .pid
            .iter()
            .filter(|pid| pid.target.as_ref().is_none_or(|name| *name == spec.name))
            .map(|pid| pid.pid)
            .collect();
        pids.extend(spawned.as_ref().map(Spawned::pid));
        Ok(Self {
            name: spec.name.clone(),
            endpoint: Arc::new(Endpoint::new(&credentials, cli.load.timeout)?),
            processes: Processes::new(pids),
            spawned,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) const fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Time from starting the process to the first 200 of /readyz, if we started it.
    pub(crate) fn time_to_ready(&self) -> Option<Duration> {
        self.spawned.as_ref().map(Spawned::time_to_ready)
    }

    /// What the server's processes used when it became ready, if we started it.
    pub(crate) fn usage_when_ready(&self) -> Option<Usage> {
        self.spawned.as_ref().and_then(Spawned::usage_when_ready)
    }

    /// Stops the server if we started it: SIGTERM, and SIGKILL if that does not help.
    pub(crate) async fn close(self) {
        if let Some(spawned) = self.spawned {
            spawned.stop().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_parsed() {
        let spec: TargetSpec = "milo=spawn:./milo --data={dir}".parse().unwrap();
        assert_eq!(spec.name, "milo");
        assert_eq!(spec.kind, TargetKind::Spawn("./milo --data={dir}".to_owned()));
        let spec: TargetSpec = "kube=kubeconfig:/tmp/k".parse().unwrap();
        assert_eq!(spec.kind, TargetKind::Kubeconfig("/tmp/k".into()));
        let spec: TargetSpec = "a=server:https://h:1".parse().unwrap();
        assert_eq!(spec.kind, TargetKind::Server("https://h:1".to_owned()));
        for bad in ["", "a", "a=b", "a=ftp:x", "=spawn:x", "a=spawn:"] {
            assert!(bad.parse::<TargetSpec>().is_err(), "{bad}");
        }
    }
}
