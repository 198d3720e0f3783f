//! TLS to the database, as libpq's `sslmode` says.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};

use super::error::PostgresConnectError;

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing: whoever is in between can read and change everything.
    #[default]
    Nothing,
    /// That the authority made it, for whatever host.
    Authority,
    /// That the authority made it for this host.
    AuthorityAndHost,
}

/// The certificates that a connection uses.
#[derive(Clone, Debug, Default)]
pub(super) struct Files<'a> {
    pub(super) authority: Option<&'a Path>,
    pub(super) certificate: Option<&'a Path>,
    pub(super) key: Option<&'a Path>,
}

/// The client's side of TLS.
pub(super) fn config(
    check: Check,
    files: &Files<'_>,
) -> Result<ClientConfig, PostgresConnectError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(check, files.authority, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| PostgresConnectError::Url { reason: error.to_string() })?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (files.certificate, files.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| unusable(certificate, &error)),
        _ => Err(PostgresConnectError::Url { reason: "sslcert and sslkey go together".to_owned() }),
    }
}

fn verifier(
    check: Check,
    authority: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, PostgresConnectError> {
    if check == Check::Nothing {
        return Ok(Arc::new(Lenient { inner: None, provider: Arc::clone(provider) }));
    }
    let Some(file) = authority else {
        let reason = "verifying the server needs sslrootcert=FILE".to_owned();
        return Err(PostgresConnectError::Url { reason });
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| unusable(file, &error))?;
    }
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| unusable(file, &error))?;
    if check == Check::AuthorityAndHost {
        return Ok(strict);
    }
    Ok(Arc::new(Lenient { inner: Some(strict), provider: Arc::clone(provider) }))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PostgresConnectError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(unusable(file, &"it holds no certificate"))
        }
        other => other.map_err(|error| pem_error(file, &error)),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, PostgresConnectError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| pem_error(file, &error))
}

fn pem_error(file: &Path, error: &pem::Error) -> PostgresConnectError {
    match error {
        pem::Error::Io(cause) => unusable(file, cause),
        other => unusable(file, other),
    }
}

fn unusable(file: &Path, reason: &dyn std::fmt::Display) -> PostgresConnectError {
    PostgresConnectError::Certificate { file: file.to_owned(), reason: reason.to_string() }
}

/// Takes a certificate for whatever host, and from whomever if there is no authority: what
/// `sslmode` `verify-ca`, `require` and `prefer` mean.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at last, when the authority has been found to be right.
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
