//! Client certificates: the subject's common name is the user, its organizations are the groups.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use milo_core::identity::UserInfo;
use rustls_pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate,
    oid_registry::{Oid, asn1_rs::oid},
    prelude::FromDer as _,
    time::ASN1Time,
    x509::AttributeTypeAndValue,
};

use super::{AuthenticationError, AuthenticationRequest, Authenticator, prepare};

/// The subject attribute that Kubernetes reads a user's UID from.
const USER_UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);

/// The client certificate of a connection. TLS has verified that a trusted authority issued it,
/// for clients, and that the peer holds its key.
///
/// It is parsed once per connection; every request on the connection shares the result.
pub struct PeerIdentity {
    certificate: CertificateDer<'static>,
    user: Result<Arc<UserInfo>, &'static str>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl PeerIdentity {
    /// Reads the subject of a certificate. Fails with a reason when it cannot be parsed.
    pub(crate) fn parse(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| format!("cannot parse the client certificate: {error}"))?;
        let validity = parsed.validity();
        Ok(Self {
            certificate: certificate.clone().into_owned(),
            user: user_of(&parsed),
            not_before: system_time(validity.not_before),
            not_after: system_time(validity.not_after),
        })
    }

    /// The user whom the certificate names: common name, organizations as groups, and
    /// `system:authenticated`. `None` when it names nobody.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<UserInfo>> {
        self.user.as_ref().ok()
    }

    /// The certificate itself, in DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// When the certificate expires. A connection may outlive its certificate; requests on it are
    /// refused from then on.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether the certificate is within its period of validity at `time`.
    pub(crate) fn is_valid_at(&self, time: SystemTime) -> bool {
        self.not_before <= time && time <= self.not_after
    }
}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user().map(|user| user.username.as_str());
        f.debug_struct("PeerIdentity").field("user", &user).finish_non_exhaustive()
    }
}

fn user_of(certificate: &X509Certificate<'_>) -> Result<Arc<UserInfo>, &'static str> {
    let subject = certificate.subject();
    // With several common names the last counts, as in Kubernetes.
    let name = subject.iter_common_name().last().map(text).transpose()?.unwrap_or_default();
    if name.is_empty() {
        return Err("its subject has no common name, so it names no user");
    }
    let mut user = UserInfo::new(name);
    for organization in subject.iter_organization() {
        user = user.with_group(text(organization)?);
    }
    if let Some(uid) = subject.iter_by_oid(&USER_UID).last() {
        user = user.with_uid(text(uid)?);
    }
    Ok(prepare(Arc::new(user)))
}

fn text<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Result<&'a str, &'static str> {
    attribute.as_str().map_err(|_| "its subject is not text")
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time =
        if time.timestamp() < 0 { epoch.checked_sub(seconds) } else { epoch.checked_add(seconds) };
    time.unwrap_or(epoch)
}

/// Recognises callers by their client certificate.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCertificate;

impl ClientCertificate {
    /// Who presented the certificate of this connection, if there is one. Needs no waiting.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError::Certificate`] when it names nobody or is not valid now.
    pub fn identify(
        self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
        let Some(peer) = request.peer else { return Ok(None) };
        if !peer.is_valid_at(SystemTime::now()) {
            return Err(AuthenticationError::Certificate("it has expired or is not yet valid"));
        }
        match &peer.user {
            Ok(user) => Ok(Some(Arc::clone(user))),
            Err(reason) => Err(AuthenticationError::Certificate(reason)),
        }
    }
}

#[async_trait]
impl Authenticator for ClientCertificate {
    async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
        self.identify(request)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use rustls_pki_types::pem::PemObject as _;

    use super::*;
    use crate::pki::Pki;

    fn peer(name: &str, groups: &[&str]) -> PeerIdentity {
        let pair = Pki::in_memory(&[]).unwrap().issue_client(name, groups).unwrap();
        let der = CertificateDer::from_pem_slice(pair.certificate().as_bytes()).unwrap();
        PeerIdentity::parse(&der).unwrap()
    }

    fn ask(peer: Option<&PeerIdentity>) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
        ClientCertificate.identify(&AuthenticationRequest::new(&HeaderMap::new(), peer))
    }

    #[test]
    fn the_subject_is_the_user_and_is_shared() {
        let peer = peer("alice", &["dev", "ops"]);
        let user = ask(Some(&peer)).unwrap().unwrap();
        assert_eq!(user.username, "alice");
        assert_eq!(user.groups, ["dev", "ops", "system:authenticated"]);
        assert!(Arc::ptr_eq(&user, peer.user().unwrap()));
        assert_eq!(ask(None).unwrap(), None);
    }

    #[test]
    fn a_certificate_that_names_nobody_is_an_error() {
        let error = ask(Some(&peer("", &["dev"]))).unwrap_err().to_string();
        assert!(error.contains("no common name"), "{error}");
    }

    #[test]
    fn a_certificate_that_expired_on_an_open_connection_is_an_error() {
        let mut peer = peer("alice", &[]);
        peer.not_after = SystemTime::now() - Duration::from_secs(1);
        let error = ask(Some(&peer)).unwrap_err().to_string();
        assert!(error.contains("expired"), "{error}");
    }

    #[test]
    fn garbage_is_not_a_certificate() {
        for garbage in [&b""[..], b"garbage", &[0x30, 0x82, 0xff, 0xff]] {
            PeerIdentity::parse(&CertificateDer::from(garbage)).unwrap_err();
        }
    }
}
