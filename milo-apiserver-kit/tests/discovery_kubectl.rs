//! Real clients against the rendered documents: a plain HTTP server on loopback serves discovery,
//! the version and OpenAPI, and nothing else. What kubectl does with them when it writes is tried
//! against a whole server.
//!
//! Needs `kubectl` for one half of the tests, which are skipped without it.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::{process::Output, sync::Arc};

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
    ServerBuilder,
    discovery::{Discovery, ServedResource},
    document::Document,
    openapi::{OpenApi, V3},
    testing::TestServer,
    version,
};
use milo_core::{definition::ResourceDefinition, status::StatusError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
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

/// A kind that only tenants see.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "demo.example.com", version = "v1", kind = "Trinket")]
struct TrinketSpec {
    /// Where it was found.
    origin: String,
}

/// A kind of everything that is hard to say in OpenAPI v2. One schema that kubectl cannot read
/// spoils all.
fn oddities() -> ResourceDefinition {
    let properties = json!({
        "amount": {
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
        },
        "maybe": {"type": "array", "nullable": true, "items": {"type": "string"}},
        "anything": {"x-kubernetes-preserve-unknown-fields": true},
        "open": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "string"}},
        },
        "lists": {"type": "array", "items": {"type": "array", "items": {"type": "object"}}},
        "maps": {"type": "object", "additionalProperties": {
            "type": "array", "items": {"type": "number", "format": "double"},
        }},
        "template": {
            "type": "object",
            "x-kubernetes-embedded-resource": true,
            "properties": {"spec": {"type": "object"}},
        },
        "either": {
            "type": "object",
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        },
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port"],
            "items": {"type": "object", "required": ["port"], "properties": {
                "port": {"type": "integer", "default": 80},
            }},
        },
    });
    let spec = json!({"type": "object", "required": ["amount", "maybe"], "properties": properties});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "oddities.demo.example.com"},
        "spec": {
            "group": "demo.example.com",
            "scope": "Cluster",
            "names": {"plural": "oddities", "singular": "oddity", "kind": "Oddity"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    });
    ResourceDefinition::from_crd(&serde_json::from_value(crd).unwrap()).unwrap()
}

/// All documents of a server.
struct Documents {
    discovery: Discovery,
    openapi: OpenApi,
    version: Document,
}

/// Below this prefix, a server without the core group: a tenant's control plane.
const TENANT: &str = "/apis/demo.example.com/v1/tenants/t/control-plane";
/// Below this prefix, a server behind a balancer: its index is that of another replica.
const STALE: &str = "/stale";

impl Documents {
    fn new(definitions: impl IntoIterator<Item = ResourceDefinition>) -> Self {
        let definitions = definitions.into_iter().map(Arc::new);
        let served: Vec<_> = definitions.map(ServedResource::complete).collect();
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
            path => self
                .discovery
                .respond(path, "localhost", headers)
                .or_else(|| self.openapi.respond(path, query, headers))
                .unwrap_or_else(|| Err(StatusError::no_route())),
        };
        answer.unwrap_or_else(|error| failure(&error))
    }
}

/// The servers by prefix.
struct Site {
    root: Documents,
    tenant: Documents,
}

impl Site {
    fn new() -> Self {
        let widgets = ResourceDefinition::of::<Widget>().unwrap();
        let gadgets = ResourceDefinition::of::<Gadget>().unwrap();
        let namespaces = ResourceDefinition::of_resource::<Namespace>().unwrap();
        let trinkets = ResourceDefinition::of::<Trinket>().unwrap();
        let tenant = Documents::new([widgets.clone(), gadgets.clone(), trinkets, oddities()]);
        Self { root: Documents::new([widgets, gadgets, namespaces]), tenant }
    }

    fn respond(&self, path: &str, query: Option<&str>, headers: &HeaderMap) -> Response<Bytes> {
        if let Some(path) = path.strip_prefix(TENANT) {
            return self.tenant.respond(path, query, headers);
        }
        let Some(path) = path.strip_prefix(STALE) else {
            return self.root.respond(path, query, headers);
        };
        let response = self.root.respond(path, query, headers);
        if path != V3 {
            return response;
        }
        let index = String::from_utf8(response.body().to_vec()).unwrap();
        Response::new(index.replace("?hash=", "?hash=0").into())
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
async fn serve() -> String {
    let site = Arc::new(Site::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let site = Arc::clone(&site);
            let service = service_fn(move |request: Request<Incoming>| {
                let uri = request.uri();
                let response = site.respond(uri.path(), uri.query(), request.headers());
                std::future::ready(Ok::<_, std::convert::Infallible>(response.map(Full::new)))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    format!("http://{address}")
}

/// kubectl with a home of its own, so that nothing is cached.
struct Kubectl {
    server: String,
    home: TempDir,
    kubeconfig: Option<String>,
    whole: Option<TestServer>,
}

impl Kubectl {
    /// Starts a server. None, with a note, when there is no kubectl; with
    /// `MILO_TEST_REQUIRE=all` that is a failure.
    async fn start() -> Option<Self> {
        if Self::is_installed().await { Some(Self::new(serve().await)) } else { None }
    }

    /// The same with a whole server, which stores widgets.
    async fn start_whole() -> Option<Self> {
        if !Self::is_installed().await {
            return None;
        }
        let whole = TestServer::start(ServerBuilder::kind::<Widget>).await.unwrap();
        let mut kubectl = Self::new(whole.url());
        kubectl.kubeconfig = Some(kubectl.file("kubeconfig", &whole.kubeconfig().unwrap()));
        kubectl.whole = Some(whole);
        Some(kubectl)
    }

    fn new(server: String) -> Self {
        Self { server, home: TempDir::new().unwrap(), kubeconfig: None, whole: None }
    }

    async fn is_installed() -> bool {
        let found = Command::new("kubectl").args(["version", "--client"]).output().await;
        if found.is_ok_and(|output| output.status.success()) {
            return true;
        }
        let required = std::env::var("MILO_TEST_REQUIRE").is_ok_and(|value| value == "all");
        assert!(!required, "kubectl not found, and MILO_TEST_REQUIRE=all");
        println!("skipped: kubectl not found");
        false
    }

    /// The same server below a prefix, with nothing cached.
    fn below(&self, prefix: &str) -> Self {
        Self::new(format!("{}{prefix}", self.server))
    }

    /// What kubectl prints, when it succeeds and has nothing to complain about.
    async fn run(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments).await;
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {complaints}");
        assert_eq!(complaints, "", "kubectl {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// All that comes of a call.
    async fn call(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("kubectl");
        match &self.kubeconfig {
            Some(kubeconfig) => command.env("KUBECONFIG", kubeconfig),
            None => command.env_remove("KUBECONFIG").arg(format!("--server={}", self.server)),
        };
        command.args(arguments).env("HOME", self.home.path()).env_remove("KUBECACHEDIR");
        command.output().await.unwrap()
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Whether kubectl told, at `-v=6`, that it got what it asked for there. Every minor version has
/// its own way of telling.
fn got(output: &Output, method: &str, path: &str) -> bool {
    let told = String::from_utf8_lossy(&output.stderr);
    told.lines().any(|line| [method, path, "200 OK"].iter().all(|part| line.contains(part)))
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
async fn kubectl_explains_by_version_2_in_protobuf() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let explain = async |path: &str| {
        kubectl.run(&["explain", path, "--output=plaintext-openapiv2", "--recursive"]).await
    };
    let widget = explain("widget").await;
    for expected in [
        "KIND:     Widget\nVERSION:  demo.example.com/v1\n",
        "ownerReferences\t<[]Object>",
        "size\t<integer>",
    ] {
        assert!(widget.contains(expected), "{expected} in {widget}");
    }
    let size = explain("widget.spec.size").await;
    assert!(size.contains("FIELD:    size <integer>"), "{size}");
    assert!(size.contains("How large the widget is, in millimetres."), "{size}");
    let finalizers = explain("namespaces.spec.finalizers").await;
    assert!(finalizers.contains("finalizers <[]string>"), "{finalizers}");
}

#[tokio::test]
async fn kubectl_reads_whatever_a_schema_may_say() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let tenant = kubectl.below(TENANT);
    for (format, expected) in [
        (
            "--output=plaintext-openapiv2",
            &[
                "maps\t<map[string][]number>",
                "port\t<integer>",
                "kind\t<string>",
                "amount\t<>",
                "maybe\t<>",
            ][..],
        ),
        (
            "--output=plaintext",
            &[
                "maps\t<map[string][]number>",
                "port\t<integer>",
                "ownerReferences\t<[]OwnerReference>",
                "maybe\t<[]string> -required-",
                "known\t<string>",
            ],
        ),
    ] {
        let told = tenant.run(&["explain", "oddity", "--recursive", format]).await;
        for expected in expected {
            assert!(told.contains(expected), "{expected} in {told}");
        }
    }
}

#[tokio::test]
async fn kubectl_applies_and_compares_with_version_2_at_hand() {
    let Some(kubectl) = Kubectl::start_whole().await else { return };
    let manifest = |size: u32| {
        let text = format!(
            "apiVersion: demo.example.com/v1\nkind: Widget\n\
             metadata: {{name: w, namespace: somewhere}}\nspec: {{size: {size}}}\n"
        );
        kubectl.file("widget.yaml", &text)
    };
    let created = kubectl.run(&["apply", "-f", &manifest(1)]).await;
    assert_eq!(created, "widget.demo.example.com/w created\n");
    assert_eq!(
        kubectl.run(&["apply", "-f", &manifest(1)]).await,
        "widget.demo.example.com/w unchanged\n"
    );
    let output = kubectl.call(&["diff", "-v=6", "-f", &manifest(2)]).await;
    let difference = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(difference.contains("-  size: 1\n+  size: 2\n"), "{difference}");
    assert!(got(&output, "GET", "/openapi/v2"), "{output:?}");
    assert!(got(&output, "PATCH", "/widgets/w?dryRun=All"), "{output:?}");

    let output = kubectl.call(&["apply", "-v=6", "-f", &manifest(2)]).await;
    let applied = String::from_utf8_lossy(&output.stdout);
    assert_eq!(applied, "widget.demo.example.com/w configured\n");
    assert!(got(&output, "GET", "/openapi/v2"), "{output:?}");
    assert!(got(&output, "PATCH", "/widgets/w?"), "{output:?}");
    // A field that the schema does not know is found before or by the server.
    let wrong = kubectl.file(
        "wrong.yaml",
        "apiVersion: demo.example.com/v1\nkind: Widget\n\
         metadata: {name: w, namespace: somewhere}\nspec: {size: 1, colour: red}\n",
    );
    let refused = kubectl.call(&["apply", "-f", &wrong]).await;
    let complaint = String::from_utf8_lossy(&refused.stderr);
    assert!(complaint.contains("unknown field \"spec.colour\""), "{complaint}");
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

#[tokio::test]
async fn kubectl_works_below_a_prefix() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let tenant = kubectl.below(TENANT);
    let names = tenant.run(&["api-resources", "-o", "name"]).await;
    let expected = ["gadgets", "oddities", "trinkets", "widgets"]
        .map(|name| format!("{name}.demo.example.com"));
    assert_eq!(names.lines().collect::<Vec<_>>(), expected);
    let origin = tenant.run(&["explain", "trinkets.spec.origin"]).await;
    assert!(origin.contains("Where it was found."), "{origin}");
}

#[tokio::test]
async fn kubectl_follows_the_redirect_from_a_stale_hash() {
    let Some(kubectl) = Kubectl::start().await else { return };
    let size = kubectl.below(STALE).run(&["explain", "widget.spec.size"]).await;
    assert!(size.contains("in millimetres"), "{size}");
}

async fn client(prefix: &str) -> Client {
    let url = format!("{}{prefix}", serve().await);
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
    for prefix in ["", TENANT] {
        check(&ClientDiscovery::new(client(prefix).await).run().await.unwrap());
    }
}

#[tokio::test]
async fn kube_rs_discovers_at_once() {
    for prefix in ["", TENANT] {
        check(&ClientDiscovery::new(client(prefix).await).run_aggregated().await.unwrap());
    }
}

#[tokio::test]
async fn kube_rs_reads_the_version() {
    let info = client("").await.apiserver_version().await.unwrap();
    assert_eq!((&*info.major, &*info.minor), (version::MAJOR, version::MINOR));
}
