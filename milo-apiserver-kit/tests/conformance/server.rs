//! What the server of the cases is made of.

use async_trait::async_trait;
use http::Method;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use milo_apiserver_kit::{
    Kind, ServerBuilder,
    rest::{ConnectOptions, Handlers},
};
use milo_core::{
    admission::{Admission, AdmissionRequest, Operation},
    authorization::{AuthorizationError, Authorizer, Decision},
    definition::ResourceDefinition,
    object::Object,
    request::{RequestAttributes, Verb},
    status::StatusError,
};
use serde_json::Value;

use crate::{
    behaviour::{Echo, Jobs, Log, Readings, Tasks},
    case,
};

/// Adds all kinds, and what they do.
pub(crate) fn assemble(mut server: ServerBuilder) -> ServerBuilder {
    let crds: Vec<CustomResourceDefinition> = case::kinds();
    for crd in &crds {
        let kind = Kind::from(ResourceDefinition::from_crd(crd).unwrap());
        server = server.serve(match crd.spec.names.plural.as_str() {
            "jobs" => kind.strategy(Jobs),
            "tasks" => kind.strategy(Tasks),
            "readings" => kind.handlers(Handlers::of(Readings).get().list().build()),
            "others" => kind.connect("log", ConnectOptions::get().long_running(), Log).connect(
                "echo",
                ConnectOptions::methods(METHODS).with_paths(),
                Echo,
            ),
            _ => kind,
        });
    }
    let core = ResourceDefinition::of_resource::<ConfigMap>().unwrap();
    server.resource(core).admission(Annotated).authorizer(Changers).self_reviews()
}

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// Lets `carol` change everything and create nothing.
#[derive(Debug)]
struct Changers;

#[async_trait]
impl Authorizer for Changers {
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError> {
        let allowed = request.user.username == "carol" && request.verb != Verb::Create;
        Ok(if allowed { Decision::Allow } else { Decision::NoOpinion(String::new()) })
    }
}

/// Admission that does what annotations of the object say.
#[derive(Debug)]
struct Annotated;

/// What an annotation below `admission/` says; of the stored object when there is no other.
fn annotation<'a>(
    request: &AdmissionRequest<'_>,
    object: &'a Object,
    name: &str,
) -> Option<&'a str> {
    let name = format!("admission/{name}");
    let found = object.annotations().find(|(key, _)| *key == name).map(|(_, value)| value);
    found.filter(|_| request.definition.group() == "conformance.milo.test")
}

#[async_trait]
impl Admission for Annotated {
    async fn mutate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &mut Object,
    ) -> Result<(), StatusError> {
        if annotation(request, object, "panic").is_some() {
            panic!("asked to by an annotation");
        }
        let colour = annotation(request, object, "colour").map(str::to_owned);
        let spec = object.fields_mut().get_mut("spec").and_then(Value::as_object_mut);
        if let (Some(colour), Some(spec)) = (colour, spec) {
            let size = spec.get("size").map(ToString::to_string).unwrap_or_default();
            spec.insert("colour".into(), colour.into());
            // What mutation has seen: defaults come before it, names and numbers after.
            let seen = format!("size={size} name={}", object.name());
            let metadata = object.metadata_mut();
            if let Some(annotations) =
                metadata.get_mut("annotations").and_then(Value::as_object_mut)
            {
                annotations.insert("admission/seen".into(), seen.into());
            }
        }
        Ok(())
    }

    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &Object,
    ) -> Result<(), StatusError> {
        let operation = match request.operation {
            Operation::Create => "create",
            Operation::Update => "update",
            _ => "delete",
        };
        if let Some(text) = annotation(request, object, "warn") {
            request.warnings.push(format!("{operation}: {text}"));
        }
        if annotation(request, object, "deny") == Some(operation) {
            let resource = request.definition.group_resource();
            return Err(StatusError::forbidden(resource, object.name(), "denied by an annotation"));
        }
        Ok(())
    }
}
