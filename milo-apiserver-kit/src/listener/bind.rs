//! Why a port cannot be had.

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
};

use tokio::net::TcpListener;

/// Takes a port, for TLS to be spoken on it later. Until then callers wait.
pub(crate) async fn take_port(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, source })
}

/// A port that cannot be bound. Its text is one line, for the person who started the server.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// The address that was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.address)?;
        match self.source.kind() {
            ErrorKind::AddrInUse => f.write_str(
                "address already in use; stop the other process or choose another --secure-port",
            ),
            ErrorKind::AddrNotAvailable => f.write_str(
                "this machine does not have that address; choose another --bind-address",
            ),
            ErrorKind::PermissionDenied => f.write_str(
                "permission denied; choose a --secure-port above 1023 or give the process the \
                 right to bind lower ones",
            ),
            _ => self.source.fmt(f),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each() {
        let table = [
            (
                ErrorKind::AddrInUse,
                "cannot listen on 127.0.0.1:6443: address already in use; stop the other process \
                 or choose another --secure-port",
            ),
            (
                ErrorKind::AddrNotAvailable,
                "cannot listen on 127.0.0.1:6443: this machine does not have that address; choose \
                 another --bind-address",
            ),
            (
                ErrorKind::PermissionDenied,
                "cannot listen on 127.0.0.1:6443: permission denied; choose a --secure-port above \
                 1023 or give the process the right to bind lower ones",
            ),
        ];
        for (kind, text) in table {
            let address = ([127, 0, 0, 1], 6443).into();
            let error = BindError { address, source: kind.into() };
            assert_eq!(error.to_string(), text);
        }
    }
}
