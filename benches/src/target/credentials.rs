//! Address, trust and identity: what a connection needs.

use std::path::Path;

use anyhow::{Context as _, bail};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::cli::TargetArgs;

/// Everything needed to talk to one server.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// `https://host[:port][/prefix]`.
    pub(crate) server: String,
    /// Name to expect in the certificate, when it is not the host of `server`.
    pub(crate) tls_server_name: Option<String>,
    pub(crate) trust: Trust,
    pub(crate) identity: Identity,
}

/// Which server certificates are accepted.
#[derive(Debug)]
pub(crate) enum Trust {
    /// Any.
    Insecure,
    /// Those certified by one of these.
    Authorities(Vec<CertificateDer<'static>>),
}

/// Who we are.
#[derive(Debug)]
pub(crate) enum Identity {
    Anonymous,
    Token(String),
    Certificate(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
}

impl Credentials {
    /// Credentials for `server` from the options of the command line.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or nothing says which certificates to trust.
    pub(crate) fn from_args(server: &str, args: &TargetArgs) -> anyhow::Result<Self> {
        let trust = match &args.ca {
            Some(path) => Trust::from_pem(&read(path)?)
                .with_context(|| format!("{} holds no certificate", path.display()))?,
            None if args.insecure => Trust::Insecure,
            None => bail!("give --ca or --insecure"),
        };
        let identity = match (&args.token, &args.client_cert, &args.client_key) {
            (Some(token), _, _) => Identity::Token(token.clone()),
            (None, Some(certificate), Some(key)) => {
                Identity::from_pem(&read(certificate)?, &read(key)?).with_context(|| {
                    format!("{} or {} is unusable", certificate.display(), key.display())
                })?
            }
            _ => Identity::Anonymous,
        };
        Ok(Self { server: server.to_owned(), tls_server_name: None, trust, identity })
    }

    /// For polling the readiness of a server that we started, of which nothing is known yet.
    pub(crate) fn anonymous(server: String) -> Self {
        Self {
            server,
            tls_server_name: None,
            trust: Trust::Insecure,
            identity: Identity::Anonymous,
        }
    }
}

impl Trust {
    pub(crate) fn from_pem(pem: &[u8]) -> anyhow::Result<Self> {
        Ok(Self::Authorities(certificates(pem)?))
    }
}

impl Identity {
    pub(crate) fn from_pem(certificate: &[u8], key: &[u8]) -> anyhow::Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(key).context("no private key in the PEM text")?;
        Ok(Self::Certificate(certificates(certificate)?, key))
    }
}

/// Reads a file, naming it when that fails.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if all.is_empty() {
        bail!("no certificate in the PEM text");
    }
    Ok(all)
}
