//! The trait that decides whether a request may go on. Denial is the default.

use async_trait::async_trait;

use crate::{
    identity::{SYSTEM_AUTHENTICATED, SYSTEM_MASTERS, UserInfo},
    request::{RequestAttributes, ResourceAttributes, Verb},
    scope::Scope,
};

mod rules;

pub use rules::{PathRule, ResourceRule, Rules};

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

    /// What this authorizer allows to a caller in a namespace of a control plane: for people to
    /// read, never to decide by. None when it can only decide case by case, which is the default.
    async fn rules(&self, user: &UserInfo, scope: &Scope, namespace: &str) -> Option<Rules> {
        let _ = (user, scope, namespace);
        None
    }
}

/// What every server grants: everything to `system:masters`; discovery, and to ask about oneself, to
/// whoever authenticated; health to all. All else is left to the next authorizer.
///
/// These are the rules of the Kubernetes cluster roles `system:discovery` and `system:basic-user`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemAuthorizer;

#[async_trait]
impl Authorizer for SystemAuthorizer {
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError> {
        let user = &request.user;
        let authenticated = user.is_in(SYSTEM_AUTHENTICATED);
        let reads = matches!(request.verb.as_str(), "get" | "head");
        let allowed = user.is_in(SYSTEM_MASTERS)
            || match &request.resource {
                None if reads => {
                    is_one_of(&HEALTH, &request.path)
                        || (authenticated && is_one_of(&DISCOVERY, &request.path))
                }
                None => false,
                Some(target) => {
                    authenticated && request.verb == Verb::Create && is_self_review(target)
                }
            };
        Ok(if allowed { Decision::Allow } else { Decision::NoOpinion(String::new()) })
    }

    async fn rules(&self, user: &UserInfo, _: &Scope, _: &str) -> Option<Rules> {
        if user.is_in(SYSTEM_MASTERS) {
            let everything = ResourceRule::new(["*"], ["*"], ["*"]);
            return Some(Rules::new([everything], [PathRule::new(["*"], ["*"])]));
        }
        let health = PathRule::new(["get", "head"], HEALTH);
        if !user.is_in(SYSTEM_AUTHENTICATED) {
            return Some(Rules::new([], [health]));
        }
        let reviews = SELF_REVIEWS
            .map(|(group, resource)| ResourceRule::new(["create"], [group], [resource]));
        Some(Rules::new(reviews, [health, PathRule::new(["get", "head"], DISCOVERY)]))
    }
}

/// Paths; a star at the end stands for whatever follows.
const HEALTH: [&str; 3] = ["/healthz", "/livez", "/readyz"];
const DISCOVERY: [&str; 8] =
    ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"];

/// Groups and resources by which callers ask about themselves.
const SELF_REVIEWS: [(&str, &str); 3] = [
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
];

fn is_one_of(paths: &[&str], path: &str) -> bool {
    paths.iter().any(|known| match known.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == *known,
    })
}

fn is_self_review(target: &ResourceAttributes) -> bool {
    let named = (target.resource.group(), target.resource.resource());
    SELF_REVIEWS.contains(&named) && target.subresource.is_empty()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::key::GroupResource;

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

    #[tokio::test]
    async fn everybody_may_ask_about_oneself() {
        let decide = async |user: &UserInfo, verb: &str, resource: &str, subresource: &str| {
            let target = ResourceAttributes {
                resource: GroupResource::new("authorization.k8s.io", resource),
                version: "v1".into(),
                subresource: subresource.into(),
                namespace: String::new(),
                name: String::new(),
            };
            let request = RequestAttributes {
                verb: Verb::of_resource(verb),
                resource: Some(target),
                ..request(user.clone(), "")
            };
            SystemAuthorizer.authorize(&request).await.unwrap() == Decision::Allow
        };
        let alice = UserInfo::new("alice").with_group(SYSTEM_AUTHENTICATED);
        assert!(decide(&alice, "create", "selfsubjectaccessreviews", "").await);
        assert!(decide(&alice, "create", "selfsubjectrulesreviews", "").await);
        assert!(!decide(&alice, "create", "selfsubjectaccessreviews", "status").await);
        assert!(!decide(&alice, "get", "selfsubjectaccessreviews", "").await);
        assert!(!decide(&alice, "create", "subjectaccessreviews", "").await);
        assert!(!decide(&UserInfo::new("x"), "create", "selfsubjectaccessreviews", "").await);
    }

    #[tokio::test]
    async fn the_rules_say_what_is_decided() {
        let rules = async |user: &UserInfo| {
            SystemAuthorizer.rules(user, &Scope::Platform, "default").await.unwrap()
        };
        let alice = UserInfo::new("alice").with_group(SYSTEM_AUTHENTICATED);
        assert_eq!(rules(&UserInfo::new("x")).await.resources(), []);
        assert_eq!(rules(&alice).await.resources().len(), 3);
        let masters = rules(&alice.with_group(SYSTEM_MASTERS)).await;
        assert_eq!(masters.resources(), [ResourceRule::new(["*"], ["*"], ["*"])]);
        assert!(!masters.is_incomplete());
    }
}
