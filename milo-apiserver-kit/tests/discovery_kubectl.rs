//! Real clients against the rendered documents: a plain HTTP server on loopback serves discovery,
//! the version and OpenAPI, and nothing else.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Client, Config, CustomResource,
    discovery::{ApiCapabilities, ApiResource, Discovery as ClientDiscovery, Scope},
};
use milo_apiserver_kit::{
    discovery::{Discovery, ServedResource},
    document::Document,
    openapi::v3::OpenApi,
    version,
};
use milo_core::{definition::ResourceDefinition, status::StatusError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command};

/// A widget, as ordered.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(
    group = "demo.example.com",
    version = "v1",
    kind = "Widget",
    shortname = "wd",
    category = "all",
    namespaced,
    status = "WidgetStatus"
)]
struct WidgetSpec {
    /// How large the widget is, in millimetres.
    size: u32,
    /// What it is made of.
    parts: Option<Vec<Part>>,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
struct Part {
    /// The number in the catalogue.
    number: String,
}

#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
struct WidgetStatus {
    /// Whether the widget can be used.
    ready: bool,
}

/// A cluster-scoped kind.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "demo.example.com", version = "v1alpha1", kind = "Gadget")]
struct GadgetSpec {
    /// Its colour.
    colour: String,
}

/// All documents of a server.
struct Documents {
    discovery: Discovery,
    openapi: OpenApi,
    version: Document,
}

impl Documents {
    fn new() -> Self {
        let widgets = ResourceDefinition::of::<Widget>().unwrap();
        let gadgets = ResourceDefinition::of::<Gadget>().unwrap();
        let namespaces = ResourceDefinition::of_resource::<Namespace>().unwrap();
        let served =
            [widgets, gadgets, namespaces].map(|found| ServedResource::complete(Arc::new(found)));
        let patch_types = ["application/json-patch+json", "application/merge-patch+json"];
        Self {
            discovery: Discovery::new(&served),
            openapi: OpenApi::new(&served, &patch_types),
            version: version::document(),
        }
    }

    fn respond(&self, path: &str, query: Option<&str>, headers: &HeaderMap) -> Response<Bytes> {
        let answer = match path {
            "/version" => Ok(self.version.respond(headers)),
            path if path.starts_with("/openapi/v3") => self.openapi.respond(path, query, headers),
            path => self
                .discovery
                .respond(path, headers)
                .unwrap_or_else(|| Err(StatusError::no_route())),
        };
        answer.unwrap_or_else(|error| failure(&error))
    }
}

fn failure(error: &StatusError) -> Response<Bytes> {
    let body = serde_json::to_vec(&error.to_status()).unwrap();
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(error.code()).unwrap();
    response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    response
}

/// Starts the server on a free port. It ends with the test's runtime.
async fn serve() -> SocketAddr {
    let documents = Arc::new(Documents::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let documents = Arc::clone(&documents);
            let service = service_fn(move |request: Request<Incoming>| {
                let uri = request.uri();
                let response = documents.respond(uri.path(), uri.query(), request.headers());
                std::future::ready(Ok::<_, std::convert::Infallible>(response.map(Full::new)))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// kubectl with a home of its own, so that nothing is cached.
struct Kubectl {
    server: SocketAddr,
    home: TempDir,
}

impl Kubectl {
    /// Starts a server. None, with a note, when there is no kubectl; with
    /// `MILO_TEST_REQUIRE=all` that is a failure.
    async fn start() -> Option<Self> {
        let found = Command::new("kubectl").args(["version", "--client"]).output().await;
        if found.is_ok_and(|output| output.status.success()) {
            return Some(Self { server: serve().await, home: TempDir::new().unwrap() });
        }
        let required = std::env::var("MILO_TEST_REQUIRE").is_ok_and(|value| value == "all");
        assert!(!required, "kubectl not found, and MILO_TEST_REQUIRE=all");
        println!("skipped: kubectl not found");
        None
    }

    /// What kubectl prints, when it succeeds and has nothing to complain about.
    async fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("kubectl")
            .arg(format!("--server=http://{}", self.server))
            .args(arguments)
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .env_remove("KUBECACHEDIR")
            .output()
            .await
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {complaints}");
        assert_eq!(complaints, "", "kubectl {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// A table without its spacing.
fn words(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[tokio::test]
async fn kubectl_lists_the_kinds() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let table = kubectl.run(&["api-resources", "-o", "wide"]).await;
    let verbs = "create,delete,deletecollection,get,list,patch,update,watch";
    assert_eq!(
        words(&table)[1..],
        [
            vec!["namespaces", "v1", "false", "Namespace", verbs],
            vec!["gadgets", "demo.example.com/v1alpha1", "false", "Gadget", verbs],
            vec!["widgets", "wd", "demo.example.com/v1", "true", "Widget", verbs, "all"],
        ]
    );
    let versions = kubectl.run(&["api-versions"]).await;
    assert!(versions.contains("demo.example.com/v1\ndemo.example.com/v1alpha1\n"), "{versions}");
}

#[tokio::test]
async fn kubectl_accepts_the_version() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let versions = kubectl.run(&["version"]).await;
    assert!(versions.contains(&format!("Server Version: {}", version::GIT_VERSION)), "{versions}");
}

#[tokio::test]
async fn kubectl_explains_the_kinds() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let spec = kubectl.run(&["explain", "widget.spec", "--recursive"]).await;
    for expected in
        ["GROUP:", "demo.example.com", "size\t<integer> -required-", "parts\t<[]Object>"]
    {
        assert!(spec.contains(expected), "{expected} in {spec}");
    }
    assert!(spec.contains("number\t<string> -required-"), "{spec}");
    let status = kubectl.run(&["explain", "wd.status"]).await;
    assert!(status.contains("Whether the widget can be used."), "{status}");
    let owners = kubectl.run(&["explain", "widgets.metadata.ownerReferences.uid"]).await;
    assert!(owners.contains("FIELD: uid <string>"), "{owners}");
    let colour = kubectl.run(&["explain", "gadgets.spec.colour"]).await;
    assert!(colour.contains("Its colour."), "{colour}");
    let namespace = kubectl.run(&["explain", "namespaces.spec"]).await;
    assert!(namespace.contains("finalizers\t<[]string>"), "{namespace}");
}

#[tokio::test]
async fn kubectl_finds_server_side_validation_before_it_creates() {
    let Some(kubectl) = Kubectl::start().await else { return };
    for (name, manifest) in [
        (
            "widget.demo.example.com/w",
            r#"{"apiVersion": "demo.example.com/v1", "kind": "Widget",
                "metadata": {"name": "w", "namespace": "n"}, "spec": {"size": 1}}"#,
        ),
        (
            "gadget.demo.example.com/g",
            r#"{"apiVersion": "demo.example.com/v1alpha1", "kind": "Gadget",
                "metadata": {"name": "g"}, "spec": {"colour": "red"}}"#,
        ),
    ] {
        let file = kubectl.file("object.json", manifest);
        let created =
            kubectl.run(&["create", "--dry-run=client", "--validate=true", "-f", &file]).await;
        assert_eq!(created, format!("{name} created (dry run)\n"));
    }
}

async fn client() -> Client {
    let url = format!("http://{}", serve().await);
    Client::try_from(Config::new(url.parse().unwrap())).unwrap()
}

/// What kube-rs finds of a kind.
fn resolve(discovery: &ClientDiscovery, kind: &str) -> (ApiResource, ApiCapabilities) {
    let group = discovery.get("demo.example.com").unwrap();
    group.resources_by_stability().into_iter().find(|(found, _)| found.kind == kind).unwrap()
}

fn check(discovery: &ClientDiscovery) {
    let (widgets, can) = resolve(discovery, "Widget");
    assert_eq!((&*widgets.api_version, &*widgets.plural), ("demo.example.com/v1", "widgets"));
    assert_eq!(can.scope, Scope::Namespaced);
    assert_eq!(can.operations.len(), 8);
    assert_eq!(can.subresources.len(), 1);
    assert_eq!(can.subresources[0].0.kind, "Widget");
    let (gadgets, can) = resolve(discovery, "Gadget");
    assert_eq!((&*gadgets.version, can.scope), ("v1alpha1", Scope::Cluster));
    let group = discovery.get("demo.example.com").unwrap();
    assert_eq!(group.preferred_version(), Some("v1"));
}

#[tokio::test]
async fn kube_rs_discovers_by_group() {
    check(&ClientDiscovery::new(client().await).run().await.unwrap());
}

#[tokio::test]
async fn kube_rs_discovers_at_once() {
    check(&ClientDiscovery::new(client().await).run_aggregated().await.unwrap());
}

#[tokio::test]
async fn kube_rs_reads_the_version() {
    let info = client().await.apiserver_version().await.unwrap();
    assert_eq!((&*info.major, &*info.minor), (version::MAJOR, version::MINOR));
}
