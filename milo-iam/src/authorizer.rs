//! The evaluator as an [`Authorizer`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use milo_core::{
    authorization::{AuthorizationError, Authorizer, Decision},
    request::RequestAttributes,
};

use crate::{Evaluator, Permission, Principal, Question, Stale, Within};

/// Decides about requests by what an [`Evaluator`] knows.
///
/// It allows what is granted and has no opinion on all else, so that what the server grants to
/// everybody stays granted. Paths that are not resources are not its business. Until the evaluator
/// knows the revision that is demanded, every decision fails: what cannot be proved to be fresh
/// lets nobody in.
#[derive(Debug)]
pub struct IamAuthorizer {
    evaluator: Arc<Evaluator>,
    at_least: u64,
    wait: Duration,
}

/// The evaluator does not know enough to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access cannot be decided yet: {0}")]
pub struct NotFresh(#[from] Stale);

impl IamAuthorizer {
    /// Decides once the evaluator has listed anything.
    #[must_use]
    pub fn new(evaluator: Arc<Evaluator>) -> Self {
        Self { evaluator, at_least: 1, wait: Duration::ZERO }
    }

    /// Decides by this revision or a later one only, and waits for it at most so long.
    #[must_use]
    pub fn at_least(mut self, revision: u64, wait: Duration) -> Self {
        (self.at_least, self.wait) = (revision.max(1), wait);
        self
    }
}

#[async_trait]
impl Authorizer for IamAuthorizer {
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError> {
        let Some(question) = question(request) else {
            return Ok(Decision::NoOpinion(String::new()));
        };
        let question = match question {
            Ok(question) => question,
            Err(reason) => return Ok(Decision::NoOpinion(reason)),
        };
        let snapshot = self.evaluator.at_least(self.at_least, self.wait).await;
        let snapshot =
            snapshot.map_err(|stale| AuthorizationError(Box::new(NotFresh::from(stale))))?;
        if snapshot.check(&question) {
            return Ok(Decision::Allow);
        }
        // Shown to the caller: nothing about what is granted to others.
        let reason = snapshot.guard(&question).map(|guard| guard.to_string());
        Ok(Decision::NoOpinion(reason.unwrap_or_default()))
    }
}

/// The question that a request for a resource asks; why there is none when there cannot be.
fn question(request: &RequestAttributes) -> Option<Result<Question, String>> {
    let target = request.resource.as_ref()?;
    let permission = Permission::new(
        target.resource.group(),
        target.resource.resource(),
        &target.subresource,
        request.verb.as_str(),
    );
    let within = Within::try_from(&request.scope);
    let question = match (permission, within) {
        (Ok(permission), Ok(within)) => {
            Ok(Question::new(Principal::from(&*request.user), permission)
                .within(within)
                .namespace(&*target.namespace)
                .name(&*target.name))
        }
        (Err(error), _) => Err(error.to_string()),
        (_, Err(error)) => Err(error.to_string()),
    };
    Some(question)
}
