//! `SelfSubjectRulesReview`: what the caller may do, as far as that can be told.

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{
    NonResourceRule, ResourceRule, SelfSubjectRulesReview, SubjectRulesReviewStatus,
};
use milo_core::{
    authorization::{self, PathRule},
    object::Object,
    status::StatusError,
};

use super::{answered, typed};
use crate::{
    authorizers::Authorizers,
    rest::{Create, RestRequest},
};

pub(super) struct Own(pub(super) Authorizers);

#[async_trait]
impl Create for Own {
    async fn create(
        &self,
        request: &RestRequest<'_>,
        review: Object,
    ) -> Result<Object, StatusError> {
        let spec = typed::<SelfSubjectRulesReview>(&review)?.spec;
        let namespace = spec.namespace.filter(|namespace| !namespace.is_empty());
        let namespace =
            namespace.ok_or_else(|| StatusError::bad_request("no namespace on request"))?;
        let scope = &request.attributes().scope;
        let rules = self.0.rules(request.user(), scope, &namespace).await;
        let why = "an authorizer decides case by case and cannot tell its rules";
        let status = SubjectRulesReviewStatus {
            evaluation_error: rules.is_incomplete().then(|| why.to_owned()),
            incomplete: rules.is_incomplete(),
            non_resource_rules: rules.paths().iter().map(path_rule).collect(),
            resource_rules: rules.resources().iter().map(resource_rule).collect(),
        };
        answered(review, &status)
    }
}

fn resource_rule(rule: &authorization::ResourceRule) -> ResourceRule {
    ResourceRule {
        verbs: rule.verbs().to_vec(),
        api_groups: Some(rule.groups().to_vec()),
        resources: Some(rule.resources().to_vec()),
        resource_names: Some(rule.names().to_vec()).filter(|names| !names.is_empty()),
    }
}

fn path_rule(rule: &PathRule) -> NonResourceRule {
    NonResourceRule { verbs: rule.verbs().to_vec(), non_resource_urls: Some(rule.paths().to_vec()) }
}
