//! A kubeconfig file: where the server is, whom to trust, and who one is.
//!
//! A file written here holds one cluster, one user and one context. It replaces an earlier file
//! only if that file holds nothing else, so that a path that points at somebody's own
//! configuration costs them nothing: see [`Kubeconfig::write`].

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::pki::{PemPair, files};

/// Why a kubeconfig was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// The file that is there cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file that is there holds something that would be lost.
    #[error("{path} is not overwritten: {reason}; choose another file, or move it away")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What it holds.
        reason: String,
    },
    /// The configuration cannot be expressed as YAML.
    #[error("cannot write the kubeconfig as YAML: {0}")]
    Format(String),
}

/// The contents of a kubeconfig with one cluster, one user and one context.
#[derive(Clone)]
pub struct Kubeconfig {
    name: String,
    server: String,
    ca_certificate: String,
    user: String,
    credential: User,
}

impl Kubeconfig {
    /// A configuration without credentials. `name` names the cluster, the context and, until a
    /// credential says otherwise, the user; `server` is the base URL, for instance
    /// `https://127.0.0.1:6443`; `ca_certificate` is the PEM of the authority to trust.
    #[must_use]
    pub fn new(name: &str, server: &str, ca_certificate: &str) -> Self {
        Self {
            name: name.to_owned(),
            server: server.to_owned(),
            ca_certificate: ca_certificate.to_owned(),
            user: name.to_owned(),
            credential: User::default(),
        }
    }

    /// Authenticates as `user` with a client certificate.
    #[must_use]
    pub fn with_client_certificate(mut self, user: &str, pair: &PemPair) -> Self {
        user.clone_into(&mut self.user);
        self.credential = User {
            client_certificate_data: Some(STANDARD.encode(pair.certificate())),
            client_key_data: Some(STANDARD.encode(pair.key())),
            token: None,
        };
        self
    }

    /// Authenticates as `user` with a bearer token.
    #[must_use]
    pub fn with_token(mut self, user: &str, token: &str) -> Self {
        user.clone_into(&mut self.user);
        self.credential = User { token: Some(token.to_owned()), ..User::default() };
        self
    }

    /// The file's text.
    ///
    /// # Errors
    ///
    /// [`KubeconfigError::Format`] if a name cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, KubeconfigError> {
        let config = Config {
            api_version: "v1",
            kind: "Config",
            clusters: [NamedCluster {
                name: &self.name,
                cluster: Cluster {
                    server: &self.server,
                    certificate_authority_data: STANDARD.encode(&self.ca_certificate),
                },
            }],
            users: [NamedUser { name: &self.user, user: &self.credential }],
            contexts: [NamedContext {
                name: &self.name,
                context: Context { cluster: &self.name, user: &self.user },
            }],
            current_context: &self.name,
        };
        // One line per value: people take these files apart with grep.
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(&config, options)
            .map_err(|error| KubeconfigError::Format(error.to_string()))
    }

    /// Writes the file with mode 0600, all at once.
    ///
    /// A file that is already there is replaced only if it is empty, or a kubeconfig in which every
    /// cluster and context has this configuration's name and every user its user's name. If
    /// nothing would change, it is not touched.
    ///
    /// # Errors
    ///
    /// [`KubeconfigError`], one line that names the file and what to do.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), KubeconfigError> {
        let path = path.as_ref();
        let content = self.to_yaml()?;
        let present = files::read_optional(path)
            .map_err(|source| KubeconfigError::Read { path: path.to_owned(), source })?;
        match present {
            Some(present) if present == content => return Ok(()),
            Some(present) => self
                .check_ours(&present)
                .map_err(|reason| KubeconfigError::NotOurs { path: path.to_owned(), reason })?,
            None => {}
        }
        files::write_private(path, &content)
            .map_err(|source| KubeconfigError::Write { path: path.to_owned(), source })
    }

    /// As [`write`](Self::write), but replaces whatever is there: for a file in a directory of ours.
    ///
    /// # Errors
    ///
    /// [`KubeconfigError`], one line that names the file and what to do.
    pub fn overwrite(&self, path: impl AsRef<Path>) -> Result<(), KubeconfigError> {
        let path = path.as_ref();
        files::write_private(path, &self.to_yaml()?)
            .map_err(|source| KubeconfigError::Write { path: path.to_owned(), source })
    }

    fn check_ours(&self, present: &str) -> Result<(), String> {
        if present.trim().is_empty() {
            return Ok(());
        }
        // The parser's own text may quote the file, and the file may hold a secret.
        let present: Present = serde_saphyr::from_str(present)
            .map_err(|_| "it is there already and is not a kubeconfig".to_owned())?;
        if present.kind.as_deref() != Some("Config") {
            return Err("it is there already and is not a kubeconfig".into());
        }
        check_names("cluster", present.clusters, &self.name)?;
        check_names("context", present.contexts, &self.name)?;
        check_names("user", present.users, &self.user)
    }
}

fn check_names(what: &str, present: Option<Vec<Named>>, ours: &str) -> Result<(), String> {
    match present.into_iter().flatten().find(|named| named.name != ours) {
        Some(other) => Err(format!("it holds the {what} {:?}", other.name)),
        None => Ok(()),
    }
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("name", &self.name)
            .field("server", &self.server)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    api_version: &'static str,
    kind: &'static str,
    clusters: [NamedCluster<'a>; 1],
    users: [NamedUser<'a>; 1],
    contexts: [NamedContext<'a>; 1],
    #[serde(rename = "current-context")]
    current_context: &'a str,
}

#[derive(Serialize)]
struct NamedCluster<'a> {
    name: &'a str,
    cluster: Cluster<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: &'a str,
    certificate_authority_data: String,
}

#[derive(Serialize)]
struct NamedUser<'a> {
    name: &'a str,
    user: &'a User,
}

#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize)]
struct NamedContext<'a> {
    name: &'a str,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: &'a str,
    user: &'a str,
}

/// As much of a file that is there as is needed to tell whose it is.
#[derive(Deserialize)]
struct Present {
    kind: Option<String>,
    clusters: Option<Vec<Named>>,
    users: Option<Vec<Named>>,
    contexts: Option<Vec<Named>>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}
