//! Access reviews: whether a request would be allowed.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, NonResourceAttributes, ResourceAttributes as ReviewedResource,
    SelfSubjectAccessReview, SubjectAccessReview, SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
};
use milo_core::{
    authorization::Decision,
    identity::UserInfo,
    key::GroupResource,
    object::Object,
    request::{RequestAttributes, ResourceAttributes, Verb},
    scope::Scope,
    status::{FieldError, FieldPath, StatusError},
};
use serde_json::{Value, json};

use super::{answered, typed};
use crate::{
    authorizers::Authorizers,
    rest::{Create, RestRequest},
};

/// `SelfSubjectAccessReview`: about the caller.
pub(super) struct Own(pub(super) Authorizers);

/// `SubjectAccessReview`: about anyone.
pub(super) struct Any(pub(super) Authorizers);

/// `LocalSubjectAccessReview`: about anyone, in the namespace of the review.
pub(super) struct Local(pub(super) Authorizers);

/// Exactly one of the two.
struct Reviewed {
    resource: Option<ReviewedResource>,
    path: Option<NonResourceAttributes>,
}

#[async_trait]
impl Create for Own {
    async fn create(
        &self,
        request: &RestRequest<'_>,
        review: Object,
    ) -> Result<Object, StatusError> {
        let spec = typed::<SelfSubjectAccessReview>(&review)?.spec;
        let reviewed =
            Reviewed { resource: spec.resource_attributes, path: spec.non_resource_attributes };
        refuse(request, &reviewed.errors())?;
        let user = request.attributes().user.clone();
        answered(review, &self.0.review(reviewed.attributes(user, request)).await)
    }
}

#[async_trait]
impl Create for Any {
    async fn create(
        &self,
        request: &RestRequest<'_>,
        review: Object,
    ) -> Result<Object, StatusError> {
        let (user, reviewed) = subject(typed::<SubjectAccessReview>(&review)?.spec);
        let mut errors = reviewed.errors();
        errors.extend(nobody(&user));
        refuse(request, &errors)?;
        answered(review, &self.0.review(reviewed.attributes(user.into(), request)).await)
    }
}

#[async_trait]
impl Create for Local {
    async fn create(
        &self,
        request: &RestRequest<'_>,
        review: Object,
    ) -> Result<Object, StatusError> {
        let (user, mut reviewed) = subject(typed::<LocalSubjectAccessReview>(&review)?.spec);
        let mut errors = reviewed.errors();
        errors.extend(nobody(&user));
        if reviewed.path.is_some() {
            let path = FieldPath::new("spec").child("nonResourceAttributes");
            errors.push(FieldError::invalid(
                path,
                Value::Null,
                "disallowed on this kind of request",
            ));
        }
        if let Some(resource) = &mut reviewed.resource {
            let namespace = resource.namespace.get_or_insert_default();
            if namespace.is_empty() {
                request.namespace().clone_into(namespace);
            }
            if namespace != request.namespace() {
                let path = FieldPath::new("spec").child("resourceAttributes").child("namespace");
                let why = "must match metadata.namespace";
                errors.push(FieldError::invalid(path, namespace.as_str(), why));
            }
        }
        refuse(request, &errors)?;
        answered(review, &self.0.review(reviewed.attributes(user.into(), request)).await)
    }
}

impl Reviewed {
    /// Upstream's complaints.
    fn errors(&self) -> Vec<FieldError> {
        let spec = FieldPath::new("spec");
        let invalid = |field, why| vec![FieldError::invalid(spec.child(field), Value::Null, why)];
        match (&self.resource, &self.path) {
            (Some(_), Some(_)) => invalid(
                "nonResourceAttributes",
                "cannot be specified in combination with resourceAttributes",
            ),
            (None, None) => invalid(
                "resourceAttributes",
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ),
            _ => Vec::new(),
        }
    }

    /// The request that is asked about, in the control plane in which it is asked.
    fn attributes(self, user: Arc<UserInfo>, request: &RestRequest<'_>) -> RequestAttributes {
        let scope: Scope = request.attributes().scope.clone();
        let text = Option::<String>::unwrap_or_default;
        match self.resource {
            Some(asked) => RequestAttributes {
                user,
                scope,
                verb: Verb::of_resource(&text(asked.verb)),
                resource: Some(ResourceAttributes {
                    resource: GroupResource::new(text(asked.group), text(asked.resource)),
                    version: text(asked.version),
                    subresource: text(asked.subresource),
                    namespace: text(asked.namespace),
                    name: text(asked.name),
                }),
                path: String::new(),
            },
            None => {
                let asked = self.path.unwrap_or_default();
                let verb = Verb::Other(text(asked.verb));
                RequestAttributes { user, scope, verb, resource: None, path: text(asked.path) }
            }
        }
    }
}

impl Authorizers {
    async fn review(&self, request: RequestAttributes) -> SubjectAccessReviewStatus {
        let mut status = SubjectAccessReviewStatus::default();
        match self.decide(&request).await {
            Ok(Decision::Allow) => status.allowed = true,
            Ok(Decision::Deny(reason)) => {
                status.denied = Some(true);
                status.reason = Some(reason).filter(|reason| !reason.is_empty());
            }
            Ok(Decision::NoOpinion(reason)) => {
                status.reason = Some(reason).filter(|reason| !reason.is_empty());
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "authorization failed in a review");
                status.evaluation_error = Some("the request could not be authorized".into());
            }
        }
        status
    }
}

fn subject(spec: SubjectAccessReviewSpec) -> (UserInfo, Reviewed) {
    let user = UserInfo {
        username: spec.user.unwrap_or_default(),
        uid: spec.uid.unwrap_or_default(),
        groups: spec.groups.unwrap_or_default(),
        extra: spec.extra.unwrap_or_default(),
    };
    let reviewed =
        Reviewed { resource: spec.resource_attributes, path: spec.non_resource_attributes };
    (user, reviewed)
}

fn nobody(user: &UserInfo) -> Option<FieldError> {
    let somebody = !user.username.is_empty() || !user.groups.is_empty();
    let why = "at least one of user or group must be specified";
    (!somebody).then(|| FieldError::invalid(FieldPath::new("spec").child("user"), json!(""), why))
}

fn refuse(request: &RestRequest<'_>, errors: &[FieldError]) -> Result<(), StatusError> {
    if errors.is_empty() {
        return Ok(());
    }
    let definition = request.definition();
    Err(StatusError::invalid(definition.kind(), definition.group(), "", errors))
}
