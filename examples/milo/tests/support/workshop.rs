//! A server of a kind that Milo does not have: with namespaces, a number of replicas and a log.

use std::sync::Mutex;

use async_trait::async_trait;
use http::Response;
use kube::CustomResource;
use milo_apiserver_kit::{
    body::{Body, Chunk},
    kind::Kind,
    rest::{Connect, ConnectOptions, ConnectRequest},
    testing::TestServer,
};
use milo_core::status::StatusError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::mpsc};

use super::Kubectl;

/// Something that is made.
#[expect(clippy::duplicated_attributes, reason = "columns share their type, not their meaning")]
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "demo.example.com", version = "v1", kind = "Gadget", namespaced, shortname = "gd")]
#[kube(status = "GadgetStatus", selectable = ".spec.color")]
#[kube(scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.replicas"))]
#[kube(printcolumn(name = "Color", type_ = "string", json_path = ".spec.color"))]
#[kube(printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"))]
#[kube(printcolumn(
    name = "Made",
    type_ = "integer",
    json_path = ".status.replicas",
    priority = 1
))]
pub(crate) struct GadgetSpec {
    /// What it looks like.
    color: String,
    /// How many there should be.
    #[serde(default)]
    replicas: i32,
    /// What it is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    parts: Vec<Part>,
}

/// A part of a gadget.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Part {
    /// What it is called.
    name: String,
    /// How large it is.
    size: Option<i32>,
}

/// How far it is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct GadgetStatus {
    /// How many there are.
    replicas: i32,
}

/// A log that the test writes, and one client reads.
struct Log(Mutex<Option<Body>>);

#[async_trait]
impl Connect for Log {
    async fn connect(&self, _: ConnectRequest<'_>) -> Result<Response<Body>, StatusError> {
        let body = self.0.lock().unwrap().take();
        body.map(Response::new).ok_or_else(|| StatusError::internal("read twice"))
    }
}

/// A server of gadgets, and its administrator's kubectl.
pub(crate) struct Workshop {
    pub(crate) kubectl: Kubectl,
    pub(crate) log: mpsc::Sender<Chunk>,
    _server: TestServer,
    _runtime: Runtime,
    _directory: TempDir,
}

impl Workshop {
    /// Starts the server in this process. None, with a note, when there is no kubectl.
    pub(crate) fn start() -> Option<Self> {
        if !Kubectl::is_there() {
            return None;
        }
        let runtime = Runtime::new().unwrap();
        let (log, body) = Body::channel(1);
        let follow = ConnectOptions::get().long_running();
        let gadgets = Kind::of::<Gadget>().connect("log", follow, Log(Mutex::new(Some(body))));
        let server = TestServer::start(|builder| builder.serve(gadgets).self_reviews());
        let server = runtime.block_on(server).unwrap();
        let directory = TempDir::new().unwrap();
        let kubeconfig = directory.path().join("kubeconfig");
        std::fs::write(&kubeconfig, server.kubeconfig().unwrap()).unwrap();
        let kubectl = Kubectl::new(directory.path().join("home"), &kubeconfig);
        Some(Self { kubectl, log, _server: server, _runtime: runtime, _directory: directory })
    }
}
