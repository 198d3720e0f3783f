//! The kinds that the suite stores, and what some of them do.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;
use milo_core::{
    admission::{Admission, AdmissionRequest, Operation},
    definition::ResourceDefinition,
    object::Object,
    status::StatusError,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::failure::Failure;
use crate::{Kind, ServerBuilder, strategy::Strategy};

pub(super) const GROUP: &str = "store.milo.test";

/// What the suite stores: `pods` in namespaces, `podsets`, whose name begins like theirs, and `hosts`
/// without namespaces. Of all of them `spec.nodeName` can be selected.
pub(super) fn assemble(server: ServerBuilder, hooks: Hooks) -> Result<ServerBuilder, Failure> {
    let pods = Kind::from(definition("pods", "Pod", "Namespaced")?).strategy(Pods::default());
    let podsets = definition("podsets", "PodSet", "Namespaced")?;
    let hosts = definition("hosts", "Host", "Cluster")?;
    Ok(server.serve(pods).serve(podsets).serve(hosts).admission(hooks))
}

fn definition(plural: &str, kind: &str, scope: &str) -> Result<ResourceDefinition, Failure> {
    let text = json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"nodeName": text, "note": text}},
        "status": {"type": "object", "properties": {"phase": text}},
    }});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": scope,
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "selectableFields": [{"jsonPath": ".spec.nodeName"}],
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    });
    let crd = serde_json::from_value(crd)?;
    Ok(ResourceDefinition::from_crd(&crd)?)
}

/// Pods answer a deletion with what was deleted. A name that is generated from `taken-` is `taken-1`
/// first, then `taken-2`, and so on.
#[derive(Debug, Default)]
struct Pods {
    generated: Mutex<VecDeque<u64>>,
}

impl Strategy for Pods {
    fn generate_name(&self, base: &str) -> String {
        if base != "taken-" {
            return milo_core::meta::generate_name(base);
        }
        let mut generated = self.generated.lock();
        let number = generated.back().map_or(1, |last| last + 1);
        generated.push_back(number);
        format!("{base}{number}")
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// A write that is about to be validated.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) operation: Operation,
    /// The object as it will be; of a deletion as it is.
    pub(super) object: Value,
}

type Hook = Arc<dyn Fn(Write) -> Pin<Box<dyn Future<Output = Allowed> + Send>> + Send + Sync>;

/// Whether the write may go on; if not, what the client is told.
pub(super) type Allowed = Result<(), String>;

/// The last step of admission: what a case does while a pod is being written.
#[derive(Clone, Default)]
pub(super) struct Hooks(Arc<Mutex<Option<Hook>>>);

impl Hooks {
    pub(super) fn set<F, O>(&self, hook: F)
    where
        F: Fn(Write) -> O + Send + Sync + 'static,
        O: Future<Output = Allowed> + Send + 'static,
    {
        *self.0.lock() = Some(Arc::new(move |write| Box::pin(hook(write))));
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

#[async_trait]
impl Admission for Hooks {
    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &Object,
    ) -> Result<(), StatusError> {
        let hook = self.0.lock().clone();
        let Some(hook) = hook.filter(|_| request.definition.plural() == "pods") else {
            return Ok(());
        };
        let write = Write { operation: request.operation, object: object.clone().into_value() };
        hook(write).await.map_err(|why| request.forbidden(object, why))
    }
}
