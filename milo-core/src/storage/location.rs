//! Where objects are kept, in one line: what `--storage` takes.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use super::{Cause, Memory, ReadError, Storage, unfinished};

/// A storage engine and where its data are, as one line of text.
///
/// | text | engine |
/// |---|---|
/// | `embedded` | [`Embedded`](super::Embedded), in a directory that the program chooses: see [`StorageLocation::or_in`] |
/// | `embedded:DIR` | `Embedded`, in `DIR` |
/// | `memory` | [`Memory`] |
/// | `postgres://...`, `postgresql://...` | PostgreSQL, with the feature `postgres` |
/// | `etcd://...`, `etcds://...` | etcd, without and with TLS, with the feature `etcd` |
///
/// Passwords in an address are neither displayed nor in the debug output.
///
/// ```
/// use milo_core::storage::StorageLocation;
///
/// let location: StorageLocation = "postgres://milo:secret@db/milo".parse().unwrap();
/// assert_eq!(location.to_string(), "postgres://milo:***@db/milo");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StorageLocation {
    place: Place,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Embedded(Option<PathBuf>),
    Memory,
    Postgres(String),
    Etcd(String),
}

/// Why a text names no storage.
#[derive(Debug, thiserror::Error)]
#[error(
    "no storage has this form: say embedded, embedded:DIR, memory, postgres://USER@HOST/DATABASE or etcd://HOST:PORT"
)]
pub struct ParseLocationError(());

/// Why a storage could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenLocationError {
    /// The program was built without the engine.
    #[error(
        "this program was built without the storage engine of {location}: build it with the cargo feature `{feature}`"
    )]
    NotBuiltIn {
        /// What was to be opened.
        location: StorageLocation,
        /// The cargo feature of `milo-core`, and of `milo-apiserver-kit`.
        feature: &'static str,
    },
    /// `embedded` without a directory, and the program has not chosen one.
    #[error("no directory was given for the embedded storage: say embedded:DIR")]
    NoDirectory,
    /// There should be a storage in the directory, but there is none.
    #[error("there is no storage in {}: check the path", directory.display())]
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory of the embedded engine cannot be opened.
    #[cfg(feature = "embedded")]
    #[error(transparent)]
    Embedded(#[from] super::OpenError),
    /// PostgreSQL cannot be connected to.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] super::PostgresConnectError),
    /// Etcd cannot be connected to.
    #[cfg(feature = "etcd")]
    #[error("cannot open {location}: {cause}")]
    Etcd {
        /// What was to be opened.
        location: StorageLocation,
        /// What went wrong.
        #[source]
        cause: super::EtcdConnectError,
    },
    /// The storage cannot be read.
    #[error("cannot open {location}: {cause}")]
    Unavailable {
        /// What was to be opened.
        location: StorageLocation,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// Somebody copied objects there, and was interrupted.
    #[error(
        "{location} holds a part of a copy that was not finished, of {source_name}: copy again with --restart"
    )]
    Unfinished {
        /// What was to be opened.
        location: StorageLocation,
        /// What was copied from.
        source_name: String,
    },
}

impl StorageLocation {
    /// The embedded engine in a directory.
    #[must_use]
    pub fn embedded(directory: impl Into<PathBuf>) -> Self {
        Self { place: Place::Embedded(Some(directory.into())) }
    }

    /// The engine in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self { place: Place::Memory }
    }

    /// The same, but `embedded` without a directory is in this one.
    #[must_use]
    pub fn or_in(self, directory: impl Into<PathBuf>) -> Self {
        match self.place {
            Place::Embedded(None) => Self::embedded(directory),
            place => Self { place },
        }
    }

    /// The directory, if it is that of an embedded engine.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Embedded(directory) => directory.as_deref(),
            Place::Memory | Place::Postgres(_) | Place::Etcd(_) => None,
        }
    }

    /// The URL, if it is that of PostgreSQL.
    #[cfg(all(feature = "postgres", feature = "snapshot"))]
    pub(super) fn postgres(&self) -> Option<&str> {
        match &self.place {
            Place::Postgres(url) => Some(url),
            Place::Embedded(_) | Place::Memory | Place::Etcd(_) => None,
        }
    }

    /// The address, if it is that of etcd.
    #[cfg(all(feature = "etcd", feature = "snapshot"))]
    pub(super) fn etcd(&self) -> Option<&str> {
        match &self.place {
            Place::Etcd(address) => Some(address),
            Place::Embedded(_) | Place::Memory | Place::Postgres(_) => None,
        }
    }

    /// Whether nothing is kept when the program ends.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        self.place == Place::Memory
    }

    /// Opens the storage for serving: what is missing is made.
    ///
    /// # Errors
    /// See [`OpenLocationError`].
    pub async fn open(&self) -> Result<Arc<dyn Storage>, OpenLocationError> {
        let storage = self.connect().await?;
        let unfinished = unfinished::find(&*storage).await;
        let found = unfinished.map_err(|error| self.unreadable(error))?;
        match found {
            None => Ok(storage),
            Some(source_name) => {
                Err(OpenLocationError::Unfinished { location: self.clone(), source_name })
            }
        }
    }

    /// Opens a storage that is there already: no directory is made.
    ///
    /// # Errors
    /// See [`OpenLocationError`].
    pub async fn open_existing(&self) -> Result<Arc<dyn Storage>, OpenLocationError> {
        self.check_existing()?;
        self.open().await
    }

    /// Opens the storage whether or not a copy to it was finished.
    pub(super) async fn connect(&self) -> Result<Arc<dyn Storage>, OpenLocationError> {
        match &self.place {
            Place::Memory => Ok(Arc::new(Memory::new())),
            Place::Embedded(None) => Err(OpenLocationError::NoDirectory),
            Place::Embedded(Some(directory)) => self.open_embedded(directory.clone()).await,
            Place::Postgres(url) => self.open_postgres(url).await,
            Place::Etcd(url) => self.open_etcd(url).await,
        }
    }

    pub(super) fn unreadable(&self, error: ReadError) -> OpenLocationError {
        OpenLocationError::Unavailable { location: self.clone(), cause: error.into() }
    }

    fn check_existing(&self) -> Result<(), OpenLocationError> {
        #[cfg(feature = "embedded")]
        if let Some(directory) = self.directory()
            && !super::embedded::is_in(directory)
        {
            return Err(OpenLocationError::Missing { directory: directory.to_owned() });
        }
        Ok(())
    }

    #[cfg(feature = "embedded")]
    async fn open_embedded(
        &self,
        directory: PathBuf,
    ) -> Result<Arc<dyn Storage>, OpenLocationError> {
        let opened = tokio::task::spawn_blocking(move || super::Embedded::open(directory)).await;
        let unavailable = |error: tokio::task::JoinError| OpenLocationError::Unavailable {
            location: self.clone(),
            cause: error.into(),
        };
        Ok(Arc::new(opened.map_err(unavailable)??))
    }

    #[cfg(not(feature = "embedded"))]
    async fn open_embedded(&self, _: PathBuf) -> Result<Arc<dyn Storage>, OpenLocationError> {
        Err(self.not_built_in("embedded"))
    }

    #[cfg(feature = "postgres")]
    async fn open_postgres(&self, url: &str) -> Result<Arc<dyn Storage>, OpenLocationError> {
        Ok(Arc::new(super::Postgres::connect(url).await?))
    }

    #[cfg(not(feature = "postgres"))]
    async fn open_postgres(&self, _: &str) -> Result<Arc<dyn Storage>, OpenLocationError> {
        Err(self.not_built_in("postgres"))
    }

    #[cfg(feature = "etcd")]
    async fn open_etcd(&self, address: &str) -> Result<Arc<dyn Storage>, OpenLocationError> {
        match super::Etcd::connect(address).await {
            Ok(etcd) => Ok(Arc::new(etcd)),
            Err(cause) => Err(OpenLocationError::Etcd { location: self.clone(), cause }),
        }
    }

    #[cfg(not(feature = "etcd"))]
    async fn open_etcd(&self, _: &str) -> Result<Arc<dyn Storage>, OpenLocationError> {
        Err(self.not_built_in("etcd"))
    }

    #[cfg(any(test, not(all(feature = "embedded", feature = "etcd", feature = "postgres"))))]
    fn not_built_in(&self, feature: &'static str) -> OpenLocationError {
        OpenLocationError::NotBuiltIn { location: self.clone(), feature }
    }
}

impl FromStr for StorageLocation {
    type Err = ParseLocationError;

    fn from_str(text: &str) -> Result<Self, ParseLocationError> {
        let url = || text.to_owned();
        let place = match text.split_once(':') {
            None if text == "embedded" => Place::Embedded(None),
            None if text == "memory" => Place::Memory,
            Some(("embedded", directory)) if !directory.is_empty() => {
                Place::Embedded(Some(directory.into()))
            }
            Some(("postgres" | "postgresql", rest)) if has_host(rest) => Place::Postgres(url()),
            Some(("etcd" | "etcds", rest)) if has_host(rest) => Place::Etcd(url()),
            _ => return Err(ParseLocationError(())),
        };
        Ok(Self { place })
    }
}

fn has_host(rest: &str) -> bool {
    rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty())
}

impl fmt::Display for StorageLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Embedded(None) => f.write_str("embedded"),
            Place::Embedded(Some(directory)) => write!(f, "embedded:{}", directory.display()),
            Place::Memory => f.write_str("memory"),
            Place::Postgres(url) | Place::Etcd(url) => f.write_str(&without_passwords(url)),
        }
    }
}

impl fmt::Debug for StorageLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageLocation({self})")
    }
}

/// A URL, with stars in place of the password after the user and of every parameter that is one.
fn without_passwords(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A password may hold anything but what must be escaped; those who forgot to are safe too.
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let mut shown = format!("{scheme}://");
    if let Some((name, _)) = user.split_once(':') {
        shown += &format!("{name}:***@");
    } else if !user.is_empty() {
        shown += &format!("{user}@");
    }
    shown += place;
    for (number, parameter) in query.split('&').filter(|text| !text.is_empty()).enumerate() {
        shown += if number == 0 { "?" } else { "&" };
        match parameter.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("password") => {
                shown += &format!("{name}=***");
            }
            _ => shown += parameter,
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<StorageLocation>().unwrap().to_string()
    }

    #[test]
    fn forms_are_read_and_displayed() {
        for text in [
            "embedded",
            "embedded:./data",
            "embedded:/a:b",
            "memory",
            "postgres://localhost/milo",
            "postgresql://milo@db:5432,db2/milo?sslmode=require",
            "etcd://127.0.0.1:2379,127.0.0.1:22379",
            "etcds://etcd:2379?ca=ca.crt",
        ] {
            assert_eq!(shown(text), text);
        }
        let location = StorageLocation::from_str("embedded").unwrap();
        assert_eq!(location.directory(), None);
        assert_eq!(location.or_in("x"), StorageLocation::embedded("x"));
        let location = StorageLocation::embedded("y").or_in("x");
        assert_eq!(location.directory(), Some(Path::new("y")));
    }

    #[test]
    fn what_is_no_storage_is_refused_without_repeating_it() {
        for text in
            ["", "paper", "Embedded", "embedded:", "memory:x", "postgres:", "etcd://", "http://x"]
        {
            let error = text.parse::<StorageLocation>().unwrap_err().to_string();
            assert!(error.contains("embedded:DIR") && error.contains("etcd://"), "{error}");
        }
    }

    #[test]
    fn passwords_are_hidden() {
        for (text, expected) in [
            ("postgres://me:secret@db/x", "postgres://me:***@db/x"),
            ("postgres://me:se@cr/et@db/x", "postgres://me:***@db/x"),
            ("postgres://:secret@db/x", "postgres://:***@db/x"),
            ("postgres://db/x?user=me&password=secret", "postgres://db/x?user=me&password=***"),
            ("postgres://db/x?sslpassword=secret&a=1", "postgres://db/x?sslpassword=***&a=1"),
            ("etcd://root:secret@a:2379,b:2379", "etcd://root:***@a:2379,b:2379"),
        ] {
            assert_eq!(shown(text), expected);
            let location: StorageLocation = text.parse().unwrap();
            assert!(!format!("{location:?}").contains("secret"));
            assert!(!location.not_built_in("x").to_string().contains("secret"));
        }
    }

    #[tokio::test]
    async fn nothing_is_made_where_something_should_be() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("data");
        let location = StorageLocation::embedded(&directory);
        let error = location.open_existing().await.unwrap_err();
        assert!(matches!(error, OpenLocationError::Missing { .. }), "{error}");
        assert!(!directory.exists());
        let storage = location.open().await.unwrap();
        assert_eq!(storage.revision().await.unwrap(), crate::storage::Revision::FIRST);
        drop(storage);
        location.open_existing().await.unwrap();
        let error = StorageLocation::from_str("embedded").unwrap().open().await.unwrap_err();
        assert!(matches!(error, OpenLocationError::NoDirectory));
    }
}
