//! Subresources as kube-rs asks for them: the scale, and a log that is followed.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod kube_support;

use async_trait::async_trait;
use futures_util::{AsyncBufReadExt as _, TryStreamExt as _};
use http::Response;
use kube::{
    Api, CustomResource,
    api::{Log, LogParams, Patch, PatchParams, PostParams},
};
use kube_support::{refused, soon};
use milo_apiserver_kit::{
    body::{Body, Chunk},
    kind::Kind,
    rest::{Connect, ConnectOptions, ConnectRequest},
    testing::TestServer,
};
use milo_core::status::StatusError;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

/// Something that is made in numbers.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "demo.example.com", version = "v1", kind = "Gadget", namespaced)]
#[kube(status = "GadgetStatus")]
#[kube(scale(
    spec_replicas_path = ".spec.replicas",
    status_replicas_path = ".status.replicas",
    label_selector_path = ".status.selector"
))]
struct GadgetSpec {
    replicas: i32,
}

/// How many there are.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
struct GadgetStatus {
    replicas: i32,
    selector: String,
}

impl Log for Gadget {}

/// A log that one client reads, and what it asked.
struct Lines(Mutex<Option<Body>>, mpsc::UnboundedSender<String>);

#[async_trait]
impl Connect for Lines {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Response<Body>, StatusError> {
        let query = request.http.uri().query().unwrap_or_default();
        let asked = format!("{} {query}", request.resource.name());
        self.1.send(asked).map_err(|_| StatusError::internal("nobody wants to know"))?;
        let body = self.0.lock().take();
        body.map(Response::new).ok_or_else(|| StatusError::internal("read twice"))
    }
}

struct Workshop {
    api: Api<Gadget>,
    log: mpsc::Sender<Chunk>,
    asked: mpsc::UnboundedReceiver<String>,
    _server: TestServer,
}

async fn start() -> Workshop {
    let (log, body) = Body::channel(1);
    let (asks, asked) = mpsc::unbounded_channel();
    let lines = Lines(Mutex::new(Some(body)), asks);
    let kind = Kind::of::<Gadget>().connect("log", ConnectOptions::get().long_running(), lines);
    let server = TestServer::start(|builder| builder.serve(kind)).await.unwrap();
    let api = Api::namespaced(server.client().unwrap(), "default");
    let gadget = Gadget::new("a", GadgetSpec { replicas: 2 });
    api.create(&PostParams::default(), &gadget).await.unwrap();
    Workshop { api, log, asked, _server: server }
}

#[tokio::test]
async fn a_log_is_followed() {
    let mut workshop = start().await;
    let params = LogParams { follow: true, tail_lines: Some(3), ..LogParams::default() };
    let lines = soon(workshop.api.log_stream("a", &params)).await.unwrap();
    let mut lines = lines.lines();
    let asked = soon(workshop.asked.recv()).await.unwrap();
    assert!(asked.starts_with("a ") && asked.contains("follow=true"), "{asked}");
    assert!(asked.contains("tailLines=3"), "{asked}");
    for line in ["one", "two", "three"] {
        workshop.log.send(Ok(format!("{line}\n").into())).await.unwrap();
        assert_eq!(soon(lines.try_next()).await.unwrap().as_deref(), Some(line));
    }
    drop(workshop.log);
    assert_eq!(soon(lines.try_next()).await.unwrap(), None);
}

#[tokio::test]
async fn the_scale_is_read_and_written() {
    let workshop = start().await;
    let api = &workshop.api;
    let status = json!({"status": {"replicas": 1, "selector": "app=a"}});
    api.patch_status("a", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let scale = api.get_scale("a").await.unwrap();
    assert_eq!(scale.spec.as_ref().unwrap().replicas, Some(2));
    let shown = scale.status.as_ref().unwrap();
    assert_eq!((shown.replicas, shown.selector.as_deref()), (1, Some("app=a")));

    let five = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let scaled = api.patch_scale("a", &PatchParams::default(), &five).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(5));
    let gadget = api.get("a").await.unwrap();
    assert_eq!((gadget.spec.replicas, gadget.metadata.generation), (5, Some(2)));
    // What was read before is stale now.
    refused(api.replace_scale("a", &PostParams::default(), &scale).await, 409, "Conflict");
    let negative = Patch::Merge(json!({"spec": {"replicas": -1}}));
    refused(api.patch_scale("a", &PatchParams::default(), &negative).await, 422, "Invalid");
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    let scaled = api.patch_scale("a", &PatchParams::default(), &none).await.unwrap();
    assert_eq!(scaled.status.unwrap().replicas, 1);
}
