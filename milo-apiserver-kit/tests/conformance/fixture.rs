//! The server that the cases talk to, and what a case knows of it.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use milo_apiserver_kit::{ServerBuilder, authn::StaticTokens, testing::TestServer};
use milo_core::{
    admission::{Admission, AdmissionRequest, Operation},
    definition::ResourceDefinition,
    identity::UserInfo,
    object::Object,
    status::StatusError,
    storage::{Memory, Storage},
};
use serde_json::Value;

use crate::{
    case,
    support::{self, Call, Sender},
    vars::Vars,
};

pub(crate) const GROUP: &str = "/apis/conformance.milo.test/v1";
/// The token of a user who may do nothing.
pub(crate) const TOKEN: &str = "conformance-token";

/// A server, and an administrator's connection to it.
pub(crate) struct Shared {
    pub(crate) server: TestServer,
    admin: Sender,
}

impl Shared {
    pub(crate) async fn start() -> Self {
        Self::start_on(Arc::new(Memory::new())).await
    }

    pub(crate) async fn start_on(storage: Arc<dyn Storage>) -> Self {
        let tokens = StaticTokens::single(TOKEN, UserInfo::new("bearer"));
        let server = TestServer::start_with_tokens(storage, Some(tokens), kinds).await.unwrap();
        let admin = support::connect(&server, Some(server.pki().admin())).await;
        Self { server, admin }
    }
}

fn kinds(server: ServerBuilder) -> ServerBuilder {
    let crds: Vec<CustomResourceDefinition> = case::kinds();
    let kinds = crds.iter().map(|crd| ResourceDefinition::from_crd(crd).unwrap());
    let core = ResourceDefinition::of_resource::<ConfigMap>().unwrap();
    server.resources(kinds).resource(core).admission(Annotated)
}

/// What one case has: a server, and names that no other case uses.
#[derive(Clone)]
pub(crate) struct Cx {
    pub(crate) shared: Arc<Shared>,
    pub(crate) vars: Vars,
    /// A namespace of the case's own.
    pub(crate) namespace: String,
}

impl Cx {
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Self {
        let (namespace, mut vars) = (format!("ns{number}"), Vars::default());
        vars.set("ns", namespace.as_str());
        // For objects without a namespace.
        vars.set("id", format!("c{number}"));
        Self { shared, vars, namespace }
    }

    /// A path: as it is when it begins with a slash, else relative to the case's namespace or, for
    /// kinds without one, to the group.
    pub(crate) fn url(&self, text: &str) -> String {
        let text = self.vars.text(text);
        let text = match text.split(['/', '?']).next().unwrap_or_default() {
            "" => text,
            "gadgets" | "namespaces" => format!("{GROUP}/{text}"),
            "configmaps" => format!("/api/v1/namespaces/{}/{text}", self.namespace),
            "others" => {
                format!(
                    "/apis/more.conformance.milo.test/v1alpha1/namespaces/{}/{text}",
                    self.namespace
                )
            }
            _ => format!("{GROUP}/namespaces/{}/{text}", self.namespace),
        };
        encoded(&text)
    }

    /// A request of the administrator.
    pub(crate) fn call(&self, method: &str, url: &str) -> Call {
        Call::new(&self.shared.admin, method, &self.url(url))
    }

    /// A request of someone else, on a connection of its own.
    pub(crate) async fn call_as(&self, who: &str, method: &str, url: &str) -> Call {
        let server = &self.shared.server;
        let sender = match who {
            "nobody" => support::connect(server, None).await,
            user => {
                let pair = server.pki().issue_client(user, &[]).unwrap();
                support::connect(server, Some(&pair)).await
            }
        };
        Call::new(&sender, method, &self.url(url))
    }
}

/// Spaces and the like, percent-encoded; what is encoded already stays as it is.
fn encoded(url: &str) -> String {
    let mut text = String::with_capacity(url.len());
    for byte in url.bytes() {
        match byte {
            b' ' | b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 128.. => {
                text.push_str(&format!("%{byte:02X}"));
            }
            byte => text.push(byte.into()),
        }
    }
    text
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
