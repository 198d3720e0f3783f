//! A small certificate authority, so that a new server speaks TLS and knows its administrator
//! without any set-up.
//!
//! [`Pki::open`] keeps six files in a directory, creates what is missing and renews what runs
//! out:
//!
//! | files | what | valid |
//! |---|---|---|
//! | `ca.crt`, `ca.key` | the authority (ECDSA P-256) | 10 years |
//! | `serving.crt`, `serving.key` | the server, under the names asked for | 1 year |
//! | `admin.crt`, `admin.key` | user `admin` in group `system:masters` | 1 year |
//!
//! The directory is the server's own: its serving and admin certificates are replaced when less
//! than 30 days are left, when they do not cover the names asked for, or when another authority
//! issued them. (To serve a certificate of your own, give its files to [`Tls`](crate::tls::Tls)
//! instead of putting them here.) Everything is checked before anything is written, and a file
//! that cannot be read as what its name says is never overwritten. Opening twice is harmless;
//! a long-running server opens the directory again once a day to renew.

mod error;
pub(crate) mod files;
mod issue;

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use milo_core::identity::SYSTEM_MASTERS;
use rcgen::KeyPair;

pub use error::PkiError;
use issue::{Authority, Profile};

const ADMIN: Profile<'static> = Profile::Client { name: "admin", groups: &[SYSTEM_MASTERS] };

/// A certificate and its private key, both in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct PemPair {
    certificate: String,
    key: String,
}

impl PemPair {
    /// A pair from elsewhere. It is not looked at until it is used.
    #[must_use]
    pub fn new(certificate: &str, key: &str) -> Self {
        Self { certificate: certificate.to_owned(), key: key.to_owned() }
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The private key (PKCS #8).
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for PemPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PemPair(..)")
    }
}

/// An authority and what it has issued: see the [module](self).
pub struct Pki {
    directory: Option<PathBuf>,
    authority: Authority,
    serving: PemPair,
    admin: PemPair,
}

impl Pki {
    /// Opens a directory, creating and renewing what is needed. `names` are the DNS names and IP
    /// addresses that the serving certificate must cover: see [`serving_names`].
    ///
    /// # Errors
    ///
    /// [`PkiError`], one line that names the file and what to do.
    pub fn open(directory: impl AsRef<Path>, names: &[String]) -> Result<Self, PkiError> {
        let directory = directory.as_ref().to_owned();
        let at = |source| PkiError::Directory { path: directory.clone(), source };
        files::create_directory(&directory).map_err(at)?;
        let _lock = files::lock_directory(&directory).map_err(at)?;
        let authority = open_authority(&Files::new(&directory, "ca"))?;
        let serving = Files::new(&directory, "serving");
        let admin = Files::new(&directory, "admin");
        let serving = open_leaf(&authority, &serving, Profile::Serving(names))?;
        let admin = open_leaf(&authority, &admin, ADMIN)?;
        Ok(Self { directory: Some(directory), authority, serving, admin })
    }

    /// An authority that lives in memory only, for tests.
    ///
    /// # Errors
    ///
    /// [`PkiError::Name`] when a name cannot be in a certificate.
    pub fn in_memory(names: &[String]) -> Result<Self, PkiError> {
        let authority = Authority::create(issue::new_key()?)?;
        let serving = authority.issue(Profile::Serving(names))?;
        let admin = authority.issue(ADMIN)?;
        Ok(Self { directory: None, authority, serving, admin })
    }

    /// The directory, unless it is all in memory.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The authority's certificate in PEM: what clients and servers trust.
    #[must_use]
    pub fn ca_certificate(&self) -> &str {
        &self.authority.certificate
    }

    /// The server's certificate.
    #[must_use]
    pub fn serving(&self) -> &PemPair {
        &self.serving
    }

    /// The administrator's certificate: user `admin`, group `system:masters`.
    #[must_use]
    pub fn admin(&self) -> &PemPair {
        &self.admin
    }

    /// Issues a client certificate for a year. It is not stored.
    ///
    /// # Errors
    ///
    /// [`PkiError::TooManyGroups`] for more than two.
    pub fn issue_client(&self, name: &str, groups: &[&str]) -> Result<PemPair, PkiError> {
        self.authority.issue(Profile::Client { name, groups })
    }

    /// Issues a serving certificate for a year. It is not stored.
    ///
    /// # Errors
    ///
    /// [`PkiError::Name`] when a name cannot be in a certificate.
    pub fn issue_serving(&self, names: &[String]) -> Result<PemPair, PkiError> {
        self.authority.issue(Profile::Serving(names))
    }
}

impl fmt::Debug for Pki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pki").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// The names under which a server that binds to `address` is reached: `localhost`, the loopback
/// addresses, the address itself unless it stands for all of them, this host's name, and `extra`.
#[must_use]
pub fn serving_names(address: IpAddr, extra: &[String]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    if !address.is_unspecified() {
        names.push(address.to_string());
    }
    let host = hostname::get().ok().and_then(|name| name.into_string().ok());
    // A host name that is no DNS name (say with an underscore) is no reason not to start.
    names.extend(host.filter(|name| rustls_pki_types::ServerName::try_from(name.as_str()).is_ok()));
    names.extend(extra.iter().cloned());
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.to_ascii_lowercase()));
    names
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(directory: &Path, name: &str) -> Self {
        let file = |extension: &str| directory.join(format!("{name}.{extension}"));
        Self { certificate: file("crt"), key: file("key") }
    }

    /// The key is written first: a certificate without its key is what cannot be recovered.
    fn write(&self, pair: &PemPair) -> Result<(), PkiError> {
        write(&self.key, &pair.key)?;
        write(&self.certificate, &pair.certificate)
    }
}

fn open_authority(files: &Files) -> Result<Authority, PkiError> {
    let key = read_key(&files.key)?;
    match (read(&files.certificate)?, key) {
        (Some(certificate), Some(key)) => {
            let authority = Authority::load(certificate, key)
                .map_err(|reason| PkiError::File { path: files.certificate.clone(), reason })?;
            if authority.has_expired() {
                return Err(PkiError::Expired(files.certificate.clone()));
            }
            if authority.expires_soon() {
                let path = files.certificate.display();
                tracing::warn!("the certificate authority in {path} expires within 30 days");
            }
            Ok(authority)
        }
        (Some(_), None) => {
            Err(PkiError::NoKey { certificate: files.certificate.clone(), key: files.key.clone() })
        }
        (None, key) => {
            // A key alone is what a crash between the two writes leaves behind.
            let key = key.map_or_else(issue::new_key, Ok)?;
            let pem = key.serialize_pem();
            let authority = Authority::create(key)?;
            let certificate = authority.certificate.clone();
            files.write(&PemPair { certificate, key: pem })?;
            tracing::info!("created a certificate authority: {}", files.certificate.display());
            Ok(authority)
        }
    }
}

fn open_leaf(
    authority: &Authority,
    files: &Files,
    profile: Profile<'_>,
) -> Result<PemPair, PkiError> {
    let key = read_key(&files.key)?;
    let certificate = read(&files.certificate)?;
    if let Some(certificate) = certificate {
        // Without its key a certificate is of no use, but it must still be one to be replaced.
        let key = match key {
            Some(key) => key,
            None => issue::new_key()?,
        };
        let pair = PemPair { certificate, key: key.serialize_pem() };
        let fault = authority
            .fault_of(&pair, profile)
            .map_err(|reason| PkiError::File { path: files.certificate.clone(), reason })?;
        let Some(fault) = fault else { return Ok(pair) };
        tracing::info!("renewing {}: {fault}", files.certificate.display());
    }
    let pair = authority.issue(profile)?;
    files.write(&pair)?;
    Ok(pair)
}

fn read(path: &Path) -> Result<Option<String>, PkiError> {
    files::read_optional(path).map_err(|source| PkiError::Read { path: path.to_owned(), source })
}

fn write(path: &Path, content: &str) -> Result<(), PkiError> {
    files::write_private(path, content)
        .map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

fn read_key(path: &Path) -> Result<Option<KeyPair>, PkiError> {
    let Some(pem) = read(path)? else { return Ok(None) };
    KeyPair::from_pem(&pem).map(Some).map_err(|error| PkiError::File {
        path: path.to_owned(),
        reason: format!("it is not a private key in PEM (PKCS #8): {error}"),
    })
}
