//! What can go wrong with certificates on disk.

use std::{io, path::PathBuf};

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The directory cannot be created or locked.
    #[error("cannot use the certificate directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error(
        "cannot use {path}: {reason}; nothing was overwritten: repair it, or move it away \
         together with the file of the same name beside it to have new ones made"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The authority's certificate is there, its key is not.
    #[error(
        "{certificate} has no {key} beside it, so nothing can be issued; restore the key, or move \
         the certificate away to have a new authority made (clients must then trust the new one)"
    )]
    NoKey {
        /// The certificate.
        certificate: PathBuf,
        /// The key that is missing.
        key: PathBuf,
    },
    /// The authority has expired.
    #[error(
        "the authority in {0} has expired; move ca.crt and ca.key away to have a new one made \
         (clients must then trust the new one)"
    )]
    Expired(PathBuf),
    /// A name for the serving certificate is neither a DNS name nor an IP address.
    #[error("{0:?} is neither a DNS name nor an IP address; a certificate cannot carry it")]
    Name(String),
    /// More groups than a certificate made here can carry.
    #[error("a client certificate made here carries at most 2 groups, not {0}")]
    TooManyGroups(usize),
    /// A certificate that was just made cannot be used.
    #[error("the new certificate authority is not usable: {0}")]
    Unusable(String),
    /// The certificate library refused.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}
