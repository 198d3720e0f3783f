//! Several authenticators as one.

use std::sync::Arc;

use async_trait::async_trait;
use milo_core::identity::UserInfo;

use super::{
    AuthenticationError, AuthenticationRequest, Authenticator, ClientCertificate, StaticTokens,
    bearer_token, prepare,
};

/// Asks authenticators in the order in which they were added; the first that recognises the
/// caller wins.
///
/// Kubernetes asks the front proxy first, then client certificates, then bearer tokens; add them
/// in that order.
///
/// ```
/// use milo_apiserver_kit::authn::{StaticTokens, Union};
/// use milo_core::identity::UserInfo;
///
/// let authenticators = Union::new()
///     .client_certificates()
///     .static_tokens(StaticTokens::single("secret", UserInfo::new("alice")));
/// ```
#[derive(Debug, Default)]
pub struct Union {
    members: Vec<Member>,
}

/// The built-in authenticators answer at once; calling them directly saves the allocation that a
/// call through the trait costs.
#[derive(Debug)]
enum Member {
    ClientCertificate,
    StaticTokens(StaticTokens),
    Other(Box<dyn Authenticator>),
}

impl Union {
    /// No authenticators: recognises nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Then client certificates.
    #[must_use]
    pub fn client_certificates(mut self) -> Self {
        self.members.push(Member::ClientCertificate);
        self
    }

    /// Then static tokens.
    #[must_use]
    pub fn static_tokens(mut self, tokens: StaticTokens) -> Self {
        self.members.push(Member::StaticTokens(tokens));
        self
    }

    /// Then any other authenticator.
    #[must_use]
    pub fn with(mut self, authenticator: impl Authenticator) -> Self {
        self.members.push(Member::Other(Box::new(authenticator)));
        self
    }

    /// Who sent the request.
    ///
    /// `Ok(None)` means that the request carries no credential at all: it is anonymous, and the
    /// server decides whether that is allowed. The user returned is [prepared](prepare).
    ///
    /// # Errors
    ///
    /// When nobody recognised the caller and a credential was presented: the first authenticator's
    /// complaint, or [`AuthenticationError::UnknownToken`]. Answer it with 401.
    pub async fn identify(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
        let mut first_error = None;
        for member in &self.members {
            match member.identify(request).await {
                Ok(Some(user)) => return Ok(Some(user)),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "an authenticator refused a credential");
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) => Err(error),
            None if bearer_token(request.headers).is_some() => {
                Err(AuthenticationError::UnknownToken)
            }
            None => Ok(None),
        }
    }
}

impl Member {
    async fn identify(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
        match self {
            Self::ClientCertificate => ClientCertificate.identify(request),
            Self::StaticTokens(tokens) => Ok(tokens.identify(request)),
            Self::Other(other) => Ok(other.authenticate(request).await?.map(prepare)),
        }
    }
}

#[async_trait]
impl Authenticator for Union {
    async fn authenticate(
        &self,
        request: &AuthenticationRequest<'_>,
    ) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
        self.identify(request).await
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

    use super::*;

    #[derive(Debug)]
    struct Broken;

    #[async_trait]
    impl Authenticator for Broken {
        async fn authenticate(
            &self,
            _: &AuthenticationRequest<'_>,
        ) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
            Err(AuthenticationError::Unavailable("no answer".into()))
        }
    }

    /// Recognises everybody as one user, with an extra that only the server may set.
    #[derive(Debug)]
    struct Everybody;

    #[async_trait]
    impl Authenticator for Everybody {
        async fn authenticate(
            &self,
            _: &AuthenticationRequest<'_>,
        ) -> Result<Option<Arc<UserInfo>>, AuthenticationError> {
            let mut user = UserInfo::new("everybody");
            user.extra.insert("iam.miloapis.com/parent-type".into(), vec!["Project".into()]);
            Ok(Some(Arc::new(user)))
        }
    }

    fn tokens() -> StaticTokens {
        StaticTokens::single("good", UserInfo::new("alice"))
    }

    async fn ask(union: &Union, token: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            headers.insert(AUTHORIZATION, value);
        }
        match union.identify(&AuthenticationRequest::new(&headers, None)).await {
            Ok(Some(user)) => format!("{} {:?} {:?}", user.username, user.groups, user.extra),
            Ok(None) => "nobody".into(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn three_answers() {
        let alice = r#"alice ["system:authenticated"] {}"#;
        let everybody = r#"everybody ["system:authenticated"] {}"#;
        let broken = "cannot check the credential: no answer";
        let table = [
            (Union::new(), None, "nobody"),
            (Union::new(), Some("good"), "invalid bearer token"),
            (Union::new().client_certificates().static_tokens(tokens()), None, "nobody"),
            (Union::new().client_certificates().static_tokens(tokens()), Some("good"), alice),
            (Union::new().static_tokens(tokens()), Some("bad"), "invalid bearer token"),
            // An error does not stop the next one, but it beats anonymity.
            (Union::new().with(Broken).static_tokens(tokens()), Some("good"), alice),
            (Union::new().with(Broken).static_tokens(tokens()), None, broken),
            (Union::new().with(Broken).static_tokens(tokens()), Some("bad"), broken),
            // Order decides; tenant extras are stripped.
            (Union::new().static_tokens(tokens()).with(Everybody), Some("good"), alice),
            (Union::new().static_tokens(tokens()).with(Everybody), Some("bad"), everybody),
            (Union::new().with(Everybody).static_tokens(tokens()), Some("good"), everybody),
            (Union::new().with(Union::new()).static_tokens(tokens()), Some("good"), alice),
        ];
        for (union, token, answer) in table {
            assert_eq!(ask(&union, token).await, answer, "{union:?} {token:?}");
        }
    }
}
