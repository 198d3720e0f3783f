//! Who is calling: client certificates and bearer tokens.
//!
//! An [`Authenticator`] looks at the credentials of a request and answers one of three things:
//! this is so and so, there is nothing here for me, or there is a credential and it is bad. A
//! [`Union`] asks several in order, as Kubernetes does: the first that recognises the caller wins,
//! a failure does not stop the ones after it, and a caller whom nobody recognises is refused if
//! any credential was presented. What to do with a request without any credential (anonymous
//! access) is left to the server.
//!
//! This runs for every request, so the built-in implementations neither allocate nor clone: users
//! are prepared when a connection or a file is read, and shared.

mod bearer;
mod certificate;
mod tokens;
mod union;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use http::HeaderMap;
use milo_core::identity::{SYSTEM_AUTHENTICATED, SYSTEM_UNAUTHENTICATED, UserInfo};

use crate::body::BoxError;

pub use bearer::{bearer_token, remove_credentials};
pub use certificate::{ClientCertificate, PeerIdentity};
pub use tokens::{StaticTokens, TokenFileError};
pub use union::Union;

/// Extra keys that carry the tenant of a request. Only the server may set them, from the request's
/// path; one that an authenticator brings along is removed.
const TENANT_EXTRA_PREFIX: &str = "iam.miloapis.com/parent-";

/// Recognises callers by one kind of credential.
#[async_trait]
pub trait Authenticator: Send + Sync + fmt::Debug + 'static {
    /// Who sent this request. `Ok(None)` when it carries no credential of this kind, or one that
    /// another authenticator may know; an error when the credential is of this kind and bad, or
    /// cannot be checked now.
    ///
    /// # Errors
    ///
    /// See [`AuthenticationError`]. All of them end as 401 unless a later authenticator succeeds.
    async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Arc<UserInfo>>, AuthenticationError>;
}

/// The parts of a request that can say who sent it.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticationRequest<'a> {
    /// The headers as received.
    pub headers: &'a HeaderMap,
    /// The verified client certificate of the connection, if one was presented.
    pub peer: Option<&'a PeerIdentity>,
}

impl<'a> AuthenticationRequest<'a> {
    /// The credentials of one request.
    #[must_use]
    pub fn new(headers: &'a HeaderMap, peer: Option<&'a PeerIdentity>) -> Self {
        Self { headers, peer }
    }
}

/// Why a caller is not believed. The text may be logged; it never contains a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// The client certificate is genuine but does not name a user, or is not valid now.
    #[error("client certificate not accepted: {0}")]
    Certificate(&'static str),
    /// A bearer token was sent that nobody knows.
    #[error("invalid bearer token")]
    UnknownToken,
    /// A credential was understood and refused, for a reason that the authenticator gives.
    #[error("credential refused: {0}")]
    Refused(String),
    /// The credential cannot be checked now, say because a token review service does not answer.
    #[error("cannot check the credential: {0}")]
    Unavailable(#[source] BoxError),
}

/// Makes a user ready for use: a member of `system:authenticated`, without tenant extras.
///
/// Authenticators that keep users for long should do this when they load them; [`Union`] does it
/// for those that do not, at the price of a copy per request.
#[must_use]
pub fn prepare(user: Arc<UserInfo>) -> Arc<UserInfo> {
    let in_group = user.is_in(SYSTEM_AUTHENTICATED) || user.is_in(SYSTEM_UNAUTHENTICATED);
    let has_tenant = has_tenant_extra(&user);
    if in_group && !has_tenant {
        return user;
    }
    let mut user = Arc::unwrap_or_clone(user);
    if has_tenant {
        user.extra.retain(|key, _| !key.starts_with(TENANT_EXTRA_PREFIX));
    }
    if !in_group {
        user.groups.push(SYSTEM_AUTHENTICATED.into());
    }
    Arc::new(user)
}

fn has_tenant_extra(user: &UserInfo) -> bool {
    user.extra.keys().any(|key| key.starts_with(TENANT_EXTRA_PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preparing_adds_the_group_and_strips_the_tenant() {
        let mut user = UserInfo::new("alice").with_group("dev");
        user.extra.insert("iam.miloapis.com/parent-name".into(), vec!["p1".into()]);
        user.extra.insert("example.com/kept".into(), vec!["yes".into()]);
        let ready = prepare(Arc::new(user));
        assert_eq!(ready.groups, ["dev", SYSTEM_AUTHENTICATED]);
        assert_eq!(ready.extra.keys().collect::<Vec<_>>(), ["example.com/kept"]);
    }

    #[test]
    fn a_prepared_user_is_shared_not_copied() {
        let ready = prepare(Arc::new(UserInfo::new("alice")));
        assert!(Arc::ptr_eq(&ready, &prepare(Arc::clone(&ready))));
        let anonymous = Arc::new(UserInfo::new("x").with_group(SYSTEM_UNAUTHENTICATED));
        assert!(Arc::ptr_eq(&anonymous, &prepare(Arc::clone(&anonymous))));
    }
}
