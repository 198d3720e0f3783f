//! The trait that decides whether a request may go on. Denial is the default.

use async_trait::async_trait;

use crate::{
    identity::{SYSTEM_AUTHENTICATED, SYSTEM_MASTERS},
    request::RequestAttributes,
};

/// An authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// The request may go on.
    Allow,
    /// The request must not go on, whatever others say. The reason is shown to the caller.
    Deny(String),
    /// Nothing to say. When no authorizer allows, the request is denied. The reason is shown to
    /// the caller.
    NoOpinion(String),
}

/// An authorizer that could not decide. The request fails closed.
#[derive(Debug, thiserror::Error)]
#[error("authorization could not be decided: {0}")]
pub struct AuthorizationError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Decides about requests.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an authorizer",
    note = "implement `milo_core::authorization::Authorizer` with `#[async_trait]`"
)]
pub trait Authorizer: Send + Sync + std::fmt::Debug + 'static {
    /// Decides about one request.
    ///
    /// # Errors
    /// When the decision could not be made; the request is then refused with 500.
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError>;
}

/// What every server grants: everything to `system:masters`, discovery to whoever authenticated,
/// health to all. All else is left to the next authorizer.
///
/// The discovery paths are those of the Kubernetes cluster role `system:discovery`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemAuthorizer;

#[async_trait]
impl Authorizer for SystemAuthorizer {
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError> {
        let user = &request.user;
        let allowed = user.is_in(SYSTEM_MASTERS)
            || (request.resource.is_none()
                && matches!(request.verb.as_str(), "get" | "head")
                && (is_health_path(&request.path)
                    || (user.is_in(SYSTEM_AUTHENTICATED) && is_discovery_path(&request.path))));
        Ok(if allowed { Decision::Allow } else { Decision::NoOpinion(String::new()) })
    }
}

fn is_health_path(path: &str) -> bool {
    matches!(path, "/healthz" | "/livez" | "/readyz")
}

fn is_discovery_path(path: &str) -> bool {
    matches!(path, "/api" | "/apis" | "/openapi" | "/version" | "/version/")
        || ["/api/", "/apis/", "/openapi/"].iter().any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{identity::UserInfo, request::Verb, scope::Scope};

    fn request(user: UserInfo, path: &str) -> RequestAttributes {
        RequestAttributes {
            user: Arc::new(user),
            scope: Scope::Platform,
            verb: Verb::Other("get".into()),
            resource: None,
            path: path.into(),
        }
    }

    #[tokio::test]
    async fn denial_is_the_default() {
        let decide = async |user: UserInfo, path: &str| {
            SystemAuthorizer.authorize(&request(user, path)).await.unwrap() == Decision::Allow
        };
        let anyone = UserInfo::new("anyone");
        let alice = UserInfo::new("alice").with_group(SYSTEM_AUTHENTICATED);
        assert!(decide(anyone.clone(), "/livez").await);
        assert!(!decide(anyone.clone(), "/livez/ping").await);
        assert!(!decide(anyone, "/apis").await);
        assert!(decide(alice.clone(), "/apis").await);
        assert!(!decide(alice.clone(), "/metrics").await);
        assert!(decide(alice.with_group(SYSTEM_MASTERS), "/metrics").await);
    }
}
