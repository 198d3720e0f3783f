//! TLS: the one place that builds a rustls configuration.
//!
//! TLS 1.2 and 1.3 with ring, HTTP/2 and HTTP/1.1 by ALPN, session resumption. When a client
//! authority is configured, clients are asked for a certificate and may do without; one that they
//! do present must be valid, or the handshake fails.
//!
//! A configuration that came from files follows them: [`Listener`](crate::listener::Listener)
//! calls [`Tls::reload`] every minute, and each new connection uses what is current. Files that
//! cannot be used, say because only one of two has been replaced yet, are reported and the last
//! good ones stay in service.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ServerSessionMemoryCache, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::pki::Pki;

/// Sessions that clients may resume. Resumption saves a signature per connection; a session is
/// about a kilobyte.
const RESUMABLE_SESSIONS: usize = 1024;

/// Why TLS cannot be configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A text is not the PEM that it should be.
    #[error("{origin} does not hold {expected} in PEM: {reason}")]
    Pem {
        /// The file, or what it was to be.
        origin: String,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate cannot be used as an authority for client certificates.
    #[error("{origin} cannot be used to verify client certificates: {reason}")]
    ClientCa {
        /// The file, or what it was to be.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate and the key do not work together.
    #[error("{certificate} and {key} cannot be used together: {source}")]
    Pair {
        /// The certificate's file, or what it was to be.
        certificate: String,
        /// The key's file, or what it was to be.
        key: String,
        /// What rustls said.
        source: rustls::Error,
    },
}

/// The files of a TLS server, all in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Vec<PathBuf>,
}

impl TlsFiles {
    /// The server's certificate, followed by its intermediates, and its private key.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), client_ca: Vec::new() }
    }

    /// Accepts client certificates of the authorities in this file too.
    #[must_use]
    pub fn with_client_ca(mut self, client_ca: impl Into<PathBuf>) -> Self {
        self.client_ca.push(client_ca.into());
        self
    }

    fn read(&self) -> Result<Material, TlsError> {
        let client_ca = Text::read_all(&self.client_ca)?;
        let (certificate, key) = (Text::read(&self.certificate)?, Text::read(&self.key)?);
        Ok(Material { certificate, key, client_ca })
    }
}

/// The TLS side of a server. Clones share the configuration.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<ServerConfig>,
    files: Option<TlsFiles>,
    /// What was read last, good or bad: a bad file is reported once, not every minute.
    seen: Mutex<Fingerprint>,
}

type Fingerprint = [u8; 32];

impl Tls {
    /// From files, which are followed when they change.
    ///
    /// # Errors
    ///
    /// [`TlsError`], one line that names the file.
    pub fn from_files(files: TlsFiles) -> Result<Self, TlsError> {
        let material = files.read()?;
        Self::build(&material, Some(files))
    }

    /// From texts in PEM: the certificate with its intermediates, its key, and the authorities
    /// whose client certificates are accepted.
    ///
    /// # Errors
    ///
    /// [`TlsError`], one line.
    pub fn from_pem(
        certificate: &str,
        key: &str,
        client_ca: Option<&str>,
    ) -> Result<Self, TlsError> {
        let text = |origin: &str, pem: &str| Text { origin: origin.into(), pem: pem.into() };
        let material = Material {
            certificate: text("the serving certificate", certificate),
            key: text("the serving key", key),
            client_ca: client_ca.map(|pem| text("the client authority", pem)),
        };
        Self::build(&material, None)
    }

    /// From the server's own authority, which also vouches for clients.
    ///
    /// # Errors
    ///
    /// [`TlsError`], one line.
    pub fn from_pki(pki: &Pki) -> Result<Self, TlsError> {
        match pki.directory() {
            Some(directory) => {
                let file = |name| directory.join(name);
                let files = TlsFiles::new(file("serving.crt"), file("serving.key"));
                Self::from_files(files.with_client_ca(file("ca.crt")))
            }
            None => {
                let serving = pki.serving();
                Self::from_pem(serving.certificate(), serving.key(), Some(pki.ca_certificate()))
            }
        }
    }

    fn build(material: &Material, files: Option<TlsFiles>) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(material.configure()?);
        let seen = Mutex::new(material.fingerprint());
        Ok(Self { shared: Arc::new(Shared { current, files, seen }) })
    }

    /// Reads the files again and puts them into service for new connections if they changed.
    /// Whether they did. Blocks on the file system.
    ///
    /// Connections that are open keep what they were opened with.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the configuration that was in service stays. The same bad contents are
    /// reported once, and then count as unchanged.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Some(files) = &self.shared.files else { return Ok(false) };
        let material = files.read()?;
        let fingerprint = material.fingerprint();
        let mut seen = self.shared.seen.lock();
        if *seen == fingerprint {
            return Ok(false);
        }
        *seen = fingerprint;
        self.shared.current.store(Arc::new(material.configure()?));
        Ok(true)
    }

    /// Whether there is anything to follow.
    pub(crate) fn follows_files(&self) -> bool {
        self.shared.files.is_some()
    }

    /// What the next connection uses.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.shared.current.load_full())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.shared.files).finish_non_exhaustive()
    }
}

struct Material {
    certificate: Text,
    key: Text,
    client_ca: Option<Text>,
}

impl Material {
    fn configure(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let key = self.key.key()?;
        let chain = self.certificate.certificates()?;
        let verifier = match &self.client_ca {
            Some(authorities) => authorities.verifier(Arc::clone(&provider))?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let pair_error = |source| TlsError::Pair {
            certificate: self.certificate.origin.clone(),
            key: self.key.origin.clone(),
            source,
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(pair_error)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(pair_error)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
        Ok(config)
    }

    fn fingerprint(&self) -> Fingerprint {
        let client_ca = self.client_ca.iter();
        [&self.certificate, &self.key]
            .into_iter()
            .chain(client_ca)
            .fold(Sha256::new(), |hash, text| hash.chain_update(Sha256::digest(&text.pem)))
            .finalize()
            .into()
    }
}

/// A text in PEM, and where it came from.
struct Text {
    origin: String,
    pem: Vec<u8>,
}

impl Text {
    /// Several files with certificates as one text.
    fn read_all(files: &[PathBuf]) -> Result<Option<Self>, TlsError> {
        let mut all: Option<Self> = None;
        for file in files {
            let text = Self::read(file)?;
            // Each by itself: beside a good file one without certificates would not be noticed.
            text.certificates()?;
            match &mut all {
                Some(all) => {
                    all.origin = format!("{}, {}", all.origin, text.origin);
                    all.pem.push(b'\n');
                    all.pem.extend_from_slice(&text.pem);
                }
                None => all = Some(text),
            }
        }
        Ok(all)
    }

    fn read(path: &Path) -> Result<Self, TlsError> {
        let pem = std::fs::read(path)
            .map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
        Ok(Self { origin: path.display().to_string(), pem })
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        // The parser's own text may quote a line of the key.
        PrivateKeyDer::from_pem_slice(&self.pem)
            .map_err(|_| self.not_pem("a private key", "no usable section"))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(&self.pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.not_pem("certificates", &error.to_string()))?;
        if certificates.is_empty() {
            return Err(self.not_pem("certificates", "there are none"));
        }
        Ok(certificates)
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let unusable = |reason| TlsError::ClientCa { origin: self.origin.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(error.to_string()))
    }

    fn not_pem(&self, expected: &'static str, reason: &str) -> TlsError {
        TlsError::Pem { origin: self.origin.clone(), expected, reason: reason.to_owned() }
    }
}
