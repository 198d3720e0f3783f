//! The address of a cluster, as it is given on a command line.

use std::{borrow::Cow, fs, path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::{EtcdConnectError, client::Login, keys::Prefix};

/// Where keys are when the address does not say.
const DEFAULT_PREFIX: &str = "/milo/";
const DEFAULT_PORT: &str = "2379";
/// How long a connection may be silent before the other side is asked for a sign of life. Etcd
/// hangs up on those who ask more often than every five seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(6);
/// How long the sign of life may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How much may be on its way, in one answer and altogether.
const WINDOWS: (u32, u32) = (4 * 1024 * 1024, 16 * 1024 * 1024);

/// A parsed address.
#[derive(Debug)]
pub(super) struct Address {
    /// `host:port`, at least one.
    hosts: Vec<String>,
    tls: Option<Tls>,
    pub(super) login: Option<Login>,
    pub(super) prefix: Prefix,
}

#[derive(Debug, Default)]
struct Tls {
    authority: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Address {
    /// Errors never show the address itself, which may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, EtcdConnectError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let secure = match scheme {
            "etcd" => false,
            "etcds" => true,
            _ => return Err(wrong("its scheme is neither `etcd` nor `etcds`")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(parse_login(login)?), hosts),
            None => (None, authority),
        };
        let hosts = hosts.split(',').map(parse_host).collect::<Result<_, _>>()?;
        let tls = parse_query(query, secure)?;
        Ok(Self { hosts, tls, login, prefix: parse_prefix(path)? })
    }

    /// What is needed to connect to each of the members. Reads the certificates.
    pub(super) fn endpoints(
        &self,
        connect_timeout: Duration,
    ) -> Result<Vec<Endpoint>, EtcdConnectError> {
        let tls = self.tls.as_ref().map(|tls| tls.load(connect_timeout)).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = |host: &String| {
            let endpoint = Endpoint::from_shared(format!("{scheme}://{host}"))
                .map_err(|_| wrong(format!("`{host}` is no host with a port")))?
                .connect_timeout(connect_timeout)
                .tcp_nodelay(true)
                .initial_stream_window_size(WINDOWS.0)
                .initial_connection_window_size(WINDOWS.1)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
            match &tls {
                Some(tls) => endpoint
                    .tls_config(tls.clone())
                    .map_err(|cause| EtcdConnectError::Certificates { cause: cause.into() }),
                None => Ok(endpoint),
            }
        };
        self.hosts.iter().map(endpoint).collect()
    }
}

impl Tls {
    fn load(&self, timeout: Duration) -> Result<ClientTlsConfig, EtcdConnectError> {
        let mut config = ClientTlsConfig::new().timeout(timeout);
        if let Some(file) = &self.authority {
            config = config.ca_certificate(Certificate::from_pem(read(file)?));
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(config)
    }
}

fn read(file: &PathBuf) -> Result<Vec<u8>, EtcdConnectError> {
    fs::read(file).map_err(|cause| EtcdConnectError::File { file: file.clone(), cause })
}

fn parse_host(host: &str) -> Result<String, EtcdConnectError> {
    let (name, port) = match host.rsplit_once(':') {
        // The last colon of a bare IPv6 address is within its brackets.
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, DEFAULT_PORT),
    };
    if name.is_empty() || port.parse::<u16>().is_err() {
        return Err(wrong(format!("`{host}` is no host with a port")));
    }
    Ok(format!("{name}:{port}"))
}

fn parse_login(text: &str) -> Result<Login, EtcdConnectError> {
    let (user, password) = text.split_once(':').ok_or_else(|| wrong("the user has no password"))?;
    let decode = |text| decode(text).map(Cow::into_owned);
    Ok(Login { user: decode(user)?, password: decode(password)? })
}

fn parse_prefix(path: &str) -> Result<Prefix, EtcdConnectError> {
    let path = decode(path)?;
    Ok(match path.trim_end_matches('/') {
        "" => Prefix::new(DEFAULT_PREFIX),
        path => Prefix::new(&format!("/{path}/")),
    })
}

fn parse_query(query: &str, secure: bool) -> Result<Option<Tls>, EtcdConnectError> {
    let mut tls = Tls::default();
    let mut any = secure;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "cacert" => &mut tls.authority,
            "cert" => &mut tls.certificate,
            "key" => &mut tls.key,
            _ => return Err(wrong(format!("it has an unknown option `{name}`"))),
        };
        *place = Some(PathBuf::from(&*value));
        any = true;
    }
    if tls.certificate.is_some() != tls.key.is_some() {
        return Err(wrong("`cert` and `key` go together"));
    }
    if any && tls.authority.is_none() {
        return Err(wrong("TLS needs `cacert`, the file with etcd's certificate authority"));
    }
    Ok(any.then_some(tls))
}

fn decode(text: &str) -> Result<Cow<'_, str>, EtcdConnectError> {
    percent_decode_str(text).decode_utf8().map_err(|_| wrong("it is not UTF-8"))
}

fn wrong(reason: impl Into<String>) -> EtcdConnectError {
    EtcdConnectError::Address { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn addresses_name_members_and_a_prefix() {
        let address = parse("etcd://a:1,b,[::1]:3,[::2]");
        assert_eq!(address.hosts, ["a:1", "b:2379", "[::1]:3", "[::2]:2379"]);
        assert_eq!(address.prefix.as_bytes(), b"/milo/");
        assert!(address.tls.is_none() && address.login.is_none());
        for (path, prefix) in
            [("/", "/milo/"), ("/x", "/x/"), ("/x/", "/x/"), ("/x/y%2Cz", "/x/y,z/")]
        {
            let address = parse(&format!("etcd://a:1{path}"));
            assert_eq!(address.prefix.as_bytes(), prefix.as_bytes());
        }
    }

    #[test]
    fn addresses_say_who_asks() {
        let address = parse("etcd://us%40er:p%3Aw@a:1/x?cacert=/ca&cert=%2Fc&key=k");
        let login = address.login.as_ref().unwrap();
        assert_eq!((&login.user[..], &login.password[..]), ("us@er", "p:w"));
        assert!(!format!("{address:?}").contains("p:w"), "passwords are not shown");
        let tls = address.tls.unwrap();
        assert_eq!(tls.authority.unwrap(), PathBuf::from("/ca"));
        assert_eq!(tls.certificate.unwrap(), PathBuf::from("/c"));
        assert_eq!(tls.key.unwrap(), PathBuf::from("k"));
    }

    #[test]
    fn wrong_addresses_are_told_why_and_not_shown() {
        for (text, reason) in [
            ("a:1", "scheme"),
            ("http://a:1", "scheme"),
            ("etcd://", "no host"),
            ("etcd://a:x", "no host"),
            ("etcd://a:1,", "no host"),
            ("etcd://secret@a:1", "no password"),
            ("etcds://a:1", "cacert"),
            ("etcd://a:1?cert=c&cacert=d", "go together"),
            ("etcd://a:1?secret=c", "unknown option"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let error = Address::parse("etcd://u:hidden@a:x").unwrap_err();
        assert!(!format!("{error:?}{error}").contains("hidden"));
    }
}
