//! Who am I, and what may I do: the review APIs of a server that stands alone (`spec/wire.md`
//! section 5.5). Behind a Kubernetes API server they are that server's.
//!
//! A review is created, answered and forgotten. It is evaluated by the server's own authorizers,
//! in the control plane that the review was sent to.

mod access;
mod identity;
mod rules;

use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{
        LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview,
        SubjectAccessReview,
    },
};
use milo_core::{
    definition::{DefinitionError, ResourceDefinition},
    object::Object,
    status::StatusError,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    authorizers::Authorizers,
    kind::Kind,
    rest::{Create, Handlers},
};

/// The review kinds.
pub(crate) fn kinds(authorizers: &Authorizers) -> [Kind; 5] {
    let authorizers = || authorizers.clone();
    [
        kind(ResourceDefinition::of_resource::<SelfSubjectReview>(), identity::WhoAmI),
        kind(
            ResourceDefinition::of_resource::<SelfSubjectAccessReview>(),
            access::Own(authorizers()),
        ),
        kind(ResourceDefinition::of_resource::<SubjectAccessReview>(), access::Any(authorizers())),
        kind(
            ResourceDefinition::of_resource::<LocalSubjectAccessReview>(),
            access::Local(authorizers()),
        ),
        kind(
            ResourceDefinition::of_resource::<SelfSubjectRulesReview>(),
            rules::Own(authorizers()),
        ),
    ]
}

fn kind(definition: Result<ResourceDefinition, DefinitionError>, handler: impl Create) -> Kind {
    let definition = definition.map(ResourceDefinition::living_everywhere);
    Kind::from(definition).handlers(Handlers::of(handler).review().build())
}

/// A review as its type. Its shape has been checked against the schema.
fn typed<K: DeserializeOwned>(object: &Object) -> Result<K, StatusError> {
    object.to_typed().map_err(|error| StatusError::bad_request(error.to_string()))
}

/// The review with its answer.
fn answered(mut object: Object, status: &impl Serialize) -> Result<Object, StatusError> {
    let status = serde_json::to_value(status).map_err(StatusError::internal)?;
    object.fields_mut().insert("status".into(), status);
    Ok(object)
}
