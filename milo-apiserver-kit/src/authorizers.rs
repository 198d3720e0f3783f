//! All authorizers of a server, asked as one.

use std::sync::Arc;

use milo_core::{
    authorization::{AuthorizationError, Authorizer, Decision, Rules},
    identity::UserInfo,
    request::RequestAttributes,
    scope::Scope,
};

/// The authorizers in the order in which they are asked. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Authorizers(Arc<[Arc<dyn Authorizer>]>);

impl Authorizers {
    pub(crate) fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Self {
        Self(authorizers.into())
    }

    /// What the first one says that has something to say; otherwise the first reason not to.
    ///
    /// # Errors
    /// When one that was asked cannot decide: those after it are not asked.
    pub(crate) async fn decide(
        &self,
        request: &RequestAttributes,
    ) -> Result<Decision, AuthorizationError> {
        let mut reason = String::new();
        for authorizer in &*self.0 {
            match authorizer.authorize(request).await? {
                Decision::NoOpinion(text) if reason.is_empty() => reason = text,
                Decision::NoOpinion(_) => {}
                decided => return Ok(decided),
            }
        }
        Ok(Decision::NoOpinion(reason))
    }

    /// What they allow together, as far as they can tell.
    pub(crate) async fn rules(&self, user: &UserInfo, scope: &Scope, namespace: &str) -> Rules {
        let mut all = Rules::default();
        for authorizer in &*self.0 {
            all = match authorizer.rules(user, scope, namespace).await {
                Some(rules) => all.and(rules),
                None => all.incomplete(),
            };
        }
        all
    }
}
