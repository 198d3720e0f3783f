//! Which database, as a URL says it.

use std::{fmt, path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    error::{PostgresConnectError, Told},
    tls::{self, Check, Files},
};

/// The schema that the tables are in when nobody says otherwise.
const DEFAULT_SCHEMA: &str = "milo";
/// So that `milo_` and the schema's name fit into the name of a channel.
const MAX_SCHEMA_BYTES: usize = 48;

/// How long is waited for PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) operation: Duration,
}

impl Patience {
    /// What the URL says of it wins.
    fn complete(mut self, config: &mut tokio_postgres::Config) -> Self {
        match config.get_connect_timeout() {
            Some(timeout) => self.connect = *timeout,
            None => {
                config.connect_timeout(self.connect);
            }
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(self.operation);
        }
        if config.get_keepalives_interval().is_none() {
            let interval = (self.operation / 3).max(Duration::from_secs(1));
            config.keepalives_idle(self.operation.max(interval));
            config.keepalives_interval(interval).keepalives_retries(3);
        }
        self
    }
}

/// Where the store is, and how to get there. Its `Debug` shows no password.
pub(super) struct Target {
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: MakeRustlsConnect,
    pub(super) schema: String,
    pub(super) patience: Patience,
    /// Host, port and database, for messages.
    pub(super) server: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("server", &self.server)
            .field("schema", &self.schema)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// What the URL says that tokio-postgres does not know.
#[derive(Default)]
struct Extra {
    schema: Option<String>,
    check: Option<Check>,
    authority: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Target {
    /// Reads the URL. `schema` wins over the one in the URL.
    pub(super) fn new(
        url: &str,
        schema: Option<String>,
        patience: Patience,
    ) -> Result<Self, PostgresConnectError> {
        let (rest, extra) = split(url)?;
        let mut config: tokio_postgres::Config =
            rest.parse().map_err(|error| wrong(&Told(&error)))?;
        let schema = schema.or_else(|| extra.schema.clone());
        let schema = check_schema(schema.unwrap_or_else(|| DEFAULT_SCHEMA.to_owned()))?;
        let server = server(&config)?;
        if config.get_hosts().len() > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            // With several servers, the one that can be written to is meant.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("milo");
        }
        let patience = patience.complete(&mut config);
        Ok(Self { tls: extra.tls(&mut config)?, config, schema, patience, server })
    }

    /// The channel on which replicas tell each other of commits.
    pub(super) fn channel(&self) -> String {
        format!("milo_{}", self.schema)
    }
}

impl Extra {
    fn tls(
        &self,
        config: &mut tokio_postgres::Config,
    ) -> Result<MakeRustlsConnect, PostgresConnectError> {
        // As libpq does it: who names an authority wants it to be checked.
        let implied = match self.authority {
            Some(_) if config.get_ssl_mode() == SslMode::Require => Check::Authority,
            _ => Check::Nothing,
        };
        let files = Files {
            authority: self.authority.as_deref(),
            certificate: self.certificate.as_deref(),
            key: self.key.as_deref(),
        };
        let check = self.check.unwrap_or(implied);
        if check != Check::Nothing {
            config.ssl_mode(SslMode::Require);
        }
        Ok(MakeRustlsConnect::new(tls::config(check, &files)?))
    }
}

/// Takes out of the URL what tokio-postgres does not know.
fn split(url: &str) -> Result<(String, Extra), PostgresConnectError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(wrong(&"it begins with neither postgres:// nor postgresql://"));
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut extra = Extra::default();
    let mut known = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8().map_err(|error| wrong(&error))?;
        match (name, &*value) {
            ("schema", _) => extra.schema = Some(value.into_owned()),
            ("sslrootcert", _) => extra.authority = Some(PathBuf::from(&*value)),
            ("sslcert", _) => extra.certificate = Some(PathBuf::from(&*value)),
            ("sslkey", _) => extra.key = Some(PathBuf::from(&*value)),
            ("sslmode", "verify-ca") => extra.check = Some(Check::Authority),
            ("sslmode", "verify-full") => extra.check = Some(Check::AuthorityAndHost),
            _ => known.push(pair),
        }
    }
    let rest =
        if known.is_empty() { base.to_owned() } else { format!("{base}?{}", known.join("&")) };
    Ok((rest, extra))
}

/// A name that is the same with and without quotes, and leaves room for the channel's name.
fn check_schema(name: String) -> Result<String, PostgresConnectError> {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let well_formed = name.bytes().next().is_some_and(first)
        && name.bytes().all(|byte| first(byte) || byte.is_ascii_digit())
        && name.len() <= MAX_SCHEMA_BYTES
        && !name.starts_with("pg_");
    if well_formed {
        return Ok(name);
    }
    Err(wrong(&format!(
        "schema `{name}` is not a name of at most {MAX_SCHEMA_BYTES} lower-case letters, digits \
         and `_` that begins with none of digits and `pg_`"
    )))
}

fn server(config: &tokio_postgres::Config) -> Result<String, PostgresConnectError> {
    let mut servers = Vec::new();
    for (number, host) in config.get_hosts().iter().enumerate() {
        let port = config.get_ports().get(number).or(config.get_ports().first()).unwrap_or(&5432);
        servers.push(match host {
            // A password that holds an `@` would show in messages.
            Host::Tcp(name) if name.contains('@') => {
                return Err(wrong(&"write `@` in a user or password as %40"));
            }
            Host::Tcp(name) => format!("{name}:{port}"),
            #[cfg(unix)]
            Host::Unix(path) => format!("{}:{port}", path.display()),
        });
    }
    if servers.is_empty() {
        return Err(wrong(&"it names no host"));
    }
    let database = config.get_dbname().or(config.get_user()).unwrap_or("postgres");
    Ok(format!("{}/{database}", servers.join(",")))
}

fn wrong(reason: &dyn fmt::Display) -> PostgresConnectError {
    PostgresConnectError::Url { reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, PostgresConnectError> {
        let second = Duration::from_secs(1);
        Target::new(url, None, Patience { connect: second, operation: second })
    }

    #[test]
    fn what_only_we_know_is_taken_out_of_the_url() {
        let found = target("postgres://u:p@a:1/db?schema=other&application_name=x").unwrap();
        assert_eq!((&*found.schema, &*found.server), ("other", "a:1/db"));
        assert_eq!(found.config.get_application_name(), Some("x"));
        assert_eq!(found.channel(), "milo_other");
        let found = target("postgres://u@a/db?connect_timeout=7&tcp_user_timeout=9").unwrap();
        assert_eq!(found.patience.connect, Duration::from_secs(7));
        assert_eq!(found.config.get_tcp_user_timeout(), Some(&Duration::from_secs(9)));
        let found = target("postgresql://u@a,b/db").unwrap();
        assert_eq!((&*found.schema, &*found.server), ("milo", "a:5432,b:5432/db"));
        assert_eq!(found.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn urls_that_are_wrong_are_refused_without_telling_the_password() {
        for url in [
            "etcd://u:secret@a/db",
            "postgres://u:secret@a/db?schema=Upper",
            "postgres://u:secret@a/db?schema=a%22b",
            "postgres://u:secret@a/db?schema=",
            "postgres://u:secret@a/db?schema=pg_x",
            "postgres://u:secret@a/db?nonsense=1",
            "postgres://u:secret@a:port/db",
            "postgres://u:secret@x@a/db",
            "postgres://u:secret@a/db?sslmode=verify-full",
            "postgres://u:secret@a/db?sslmode=sometimes",
            "postgres://u:secret@a/db?sslcert=x",
            "postgres://u:secret@a/db?sslmode=verify-full&sslrootcert=/nowhere",
            "postgres:///db",
        ] {
            let error = target(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{url}: {error}");
        }
        let error = target("postgres://u:secret@a/db?nonsense=1").unwrap_err().to_string();
        assert!(error.contains("nonsense"), "{error}");
        let shown = format!("{:?}", target("postgres://u:secret@a/db").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn an_authority_is_checked_whenever_it_is_named() {
        let error = target("postgres://u@a/db?sslmode=require&sslrootcert=/nowhere").unwrap_err();
        assert!(matches!(error, PostgresConnectError::Certificate { .. }), "{error}");
    }
}
