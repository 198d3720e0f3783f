//! `/healthz`, `/livez` and `/readyz` (`spec/wire.md` section 7.1).

use std::{fmt::Write, sync::Arc, time::Duration};

use http::{Response, StatusCode};
use milo_core::storage::Storage;
use tokio_util::sync::CancellationToken;

use crate::{body::Body, cache::Cache, request::Query, respond};

/// A storage that takes longer to answer is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// What health depends on.
pub(crate) struct Health {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) caches: Vec<Arc<Cache>>,
    pub(crate) closing: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Ping,
    Storage,
    InformerSync,
    Shutdown,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            // The name that probes and dashboards know, whatever the engine.
            Self::Storage => "etcd",
            Self::InformerSync => "informer-sync",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Health {
    /// Answers a health path; none for other paths.
    pub(crate) async fn respond(&self, path: &str, query: &Query<'_>) -> Option<Response<Body>> {
        let mut parts = path.trim_matches('/').splitn(2, '/');
        let endpoint = parts.next()?;
        let checks: &[Check] = match endpoint {
            "livez" => &[Check::Ping],
            "healthz" => &[Check::Ping, Check::Storage],
            "readyz" => &[Check::Ping, Check::Storage, Check::InformerSync, Check::Shutdown],
            _ => return None,
        };
        match parts.next() {
            None => Some(self.all(endpoint, checks, query).await),
            Some(name) => {
                let check = checks.iter().find(|check| check.name() == name)?;
                Some(match self.run(*check).await {
                    Ok(()) => respond::text(StatusCode::OK, "ok"),
                    Err(cause) => {
                        let text = format!("internal server error: {cause}");
                        respond::text(StatusCode::INTERNAL_SERVER_ERROR, text)
                    }
                })
            }
        }
    }

    async fn all(&self, endpoint: &str, checks: &[Check], query: &Query<'_>) -> Response<Body> {
        let mut excluded: Vec<&str> = query.all("exclude").collect();
        let (mut text, mut failed) = (String::new(), false);
        for check in checks {
            let name = check.name();
            if let Some(at) = excluded.iter().position(|other| *other == name) {
                excluded.remove(at);
                let _ = writeln!(text, "[+]{name} excluded: ok");
                continue;
            }
            match self.run(*check).await {
                Ok(()) => {
                    let _ = writeln!(text, "[+]{name} ok");
                }
                Err(cause) => {
                    tracing::warn!(endpoint, check = name, %cause, "health check failed");
                    failed = true;
                    let _ = writeln!(text, "[-]{name} failed: reason withheld");
                }
            }
        }
        if !excluded.is_empty() {
            let names: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
            let names = names.join(",");
            let _ = writeln!(
                text,
                "warn: some health checks cannot be excluded: no matches for {names}"
            );
        }
        if failed {
            let _ = writeln!(text, "{endpoint} check failed");
            return respond::text(StatusCode::INTERNAL_SERVER_ERROR, text);
        }
        if query.has("verbose") {
            let _ = writeln!(text, "{endpoint} check passed");
            return respond::text(StatusCode::OK, text);
        }
        respond::text(StatusCode::OK, "ok")
    }

    async fn run(&self, check: Check) -> Result<(), String> {
        match check {
            Check::Ping => Ok(()),
            Check::Storage => match tokio::time::timeout(PATIENCE, self.storage.ping()).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err("the storage did not answer in time".to_owned()),
            },
            Check::InformerSync => {
                let empty = self.caches.iter().find(|cache| !cache.is_filled());
                empty.map_or(Ok(()), |cache| {
                    Err(format!("{} is not read yet", cache.definition().group_resource()))
                })
            }
            Check::Shutdown if self.closing.is_cancelled() => Err("shutting down".to_owned()),
            Check::Shutdown => Ok(()),
        }
    }
}
