//! Making certificates, and telling whether one still serves.

use std::net::IpAddr;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _,
    x509::SubjectPublicKeyInfo,
};

use super::{PemPair, PkiError};

const AUTHORITY_DAYS: i64 = 10 * 365;
const LEAF_DAYS: i64 = 365;
/// A certificate is replaced when it has less than this left.
const RENEWAL_DAYS: i64 = 30;

/// What a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Profile<'a> {
    /// Serves TLS under these DNS names and IP addresses.
    Serving(&'a [String]),
    /// Identifies a user, with its groups.
    Client { name: &'a str, groups: &'a [&'a str] },
}

/// An authority that can issue certificates.
pub(super) struct Authority {
    pub(super) certificate: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    expires: Date,
}

impl Authority {
    /// A new authority around a key.
    pub(super) fn create(key: KeyPair) -> Result<Self, PkiError> {
        let mut params = params(AUTHORITY_DAYS, None);
        // The time keeps two authorities apart in a client that has seen both.
        let name = format!("milo-ca@{}", Timestamp::now().as_second());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Self::load(certificate.pem(), key).map_err(PkiError::Unusable)
    }

    /// An authority from what was stored. Says why when the two cannot work together.
    pub(super) fn load(certificate: String, key: KeyPair) -> Result<Self, String> {
        let der = parse_pem(&certificate)?;
        let parsed = parse_der(&der)?;
        if !parsed.is_ca() {
            return Err("it is not the certificate of an authority (CA:TRUE is missing)".into());
        }
        if !belongs_to(&parsed, &key) {
            return Err("it does not belong to the key beside it".into());
        }
        let expires = date_of(parsed.validity().not_after.timestamp());
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| error.to_string())?;
        Ok(Self { certificate, der, issuer, expires })
    }

    pub(super) fn has_expired(&self) -> bool {
        self.expires < today()
    }

    pub(super) fn expires_soon(&self) -> bool {
        days_until(self.expires) < RENEWAL_DAYS
    }

    pub(super) fn issue(&self, profile: Profile<'_>) -> Result<PemPair, PkiError> {
        let mut params = params(LEAF_DAYS, Some(self.expires));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        match profile {
            Profile::Serving(names) => {
                params.subject_alt_names = serving_names(names)?;
                params.distinguished_name.push(DnType::CommonName, "milo-apiserver");
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }
            Profile::Client { name, groups } => {
                push_groups(&mut params, groups)?;
                params.distinguished_name.push(DnType::CommonName, name);
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }
        }
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(PemPair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Why a stored certificate has to be replaced; `Ok(None)` when it still serves. The error
    /// says why it cannot be read.
    pub(super) fn fault_of(
        &self,
        pair: &PemPair,
        profile: Profile<'_>,
    ) -> Result<Option<&'static str>, String> {
        let der = parse_pem(&pair.certificate)?;
        let certificate = parse_der(&der)?;
        let key = KeyPair::from_pem(&pair.key).map_err(|_| "the key beside it is unreadable")?;
        let authority = parse_der(&self.der)?;
        let expires = date_of(certificate.validity().not_after.timestamp());
        Ok(if !belongs_to(&certificate, &key) {
            Some("it does not belong to the key beside it")
        } else if !is_signed_by(&certificate, authority.public_key()) {
            Some("another authority issued it")
        } else if days_until(expires) < RENEWAL_DAYS.min(days_until(self.expires)) {
            Some("it expires within 30 days")
        } else if !covers(&certificate, profile) {
            Some("it does not cover what is asked for now")
        } else {
            None
        })
    }
}

pub(super) fn new_key() -> Result<KeyPair, PkiError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

/// Empty parameters, valid from yesterday (clocks differ) for some days, but not past `limit`.
fn params(days: i64, limit: Option<Date>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let (start, end) = (today().saturating_sub(1.day()), today().saturating_add(days.days()));
    let end = limit.map_or(end, |limit| end.min(limit));
    let [start, end] = [start, end].map(|date| {
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    });
    (params.not_before, params.not_after) = (start, end);
    params
}

fn serving_names(names: &[String]) -> Result<Vec<rcgen::SanType>, PkiError> {
    for name in names {
        let host = name.strip_prefix("*.").unwrap_or(name);
        if ServerName::try_from(host).is_err() {
            return Err(PkiError::Name(name.clone()));
        }
    }
    Ok(CertificateParams::new(names)?.subject_alt_names)
}

/// One subject attribute per group. The certificate library keys attributes by type, so there is
/// room for two: the well-known name of the type, and its number.
fn push_groups(params: &mut CertificateParams, groups: &[&str]) -> Result<(), PkiError> {
    const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];
    let types = [DnType::OrganizationName, DnType::CustomDnType(ORGANIZATION.to_vec())];
    if groups.len() > types.len() {
        return Err(PkiError::TooManyGroups(groups.len()));
    }
    for (kind, group) in types.into_iter().zip(groups) {
        params.distinguished_name.push(kind, *group);
    }
    Ok(())
}

fn parse_pem(pem: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| format!("it is not a certificate in PEM ({error})"))
}

fn parse_der<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| format!("it is not an X.509 certificate ({error})"))
}

fn belongs_to(certificate: &X509Certificate<'_>, key: &KeyPair) -> bool {
    certificate.public_key().subject_public_key.data == key.public_key_raw()
}

fn is_signed_by(certificate: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>) -> bool {
    certificate.verify_signature(Some(key)).is_ok()
}

fn covers(certificate: &X509Certificate<'_>, profile: Profile<'_>) -> bool {
    match profile {
        Profile::Serving(names) => {
            let present = match certificate.subject_alternative_name() {
                Ok(Some(extension)) => &extension.value.general_names,
                _ => return names.is_empty(),
            };
            names.iter().all(|name| present.iter().any(|present| is_name(present, name)))
        }
        Profile::Client { name, groups } => {
            let subject = certificate.subject();
            let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
                attribute.as_str().unwrap_or_default().to_owned()
            };
            subject.iter_common_name().map(text).eq([name])
                && subject.iter_organization().map(text).eq(groups.iter().copied())
        }
    }
}

fn is_name(present: &GeneralName<'_>, wanted: &str) -> bool {
    match (present, wanted.parse::<IpAddr>()) {
        (GeneralName::IPAddress(bytes), Ok(IpAddr::V4(address))) => *bytes == address.octets(),
        (GeneralName::IPAddress(bytes), Ok(IpAddr::V6(address))) => *bytes == address.octets(),
        (GeneralName::DNSName(name), Err(_)) => name.eq_ignore_ascii_case(wanted),
        _ => false,
    }
}

fn today() -> Date {
    date_of(Timestamp::now().as_second())
}

fn date_of(seconds: i64) -> Date {
    let timestamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    timestamp.to_zoned(TimeZone::UTC).date()
}

fn days_until(date: Date) -> i64 {
    date.duration_since(today()).as_hours() / 24
}
