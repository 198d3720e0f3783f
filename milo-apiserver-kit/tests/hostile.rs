//! What one request may not do to the server, and what a caller may not do with half a permission.

mod support;

use async_trait::async_trait;
use http::header;
use k8s_openapi::api::core::v1::Namespace;
use kube::{CustomResource, CustomResourceExt as _};
use milo_core::{
    admission::{Admission, AdmissionRequest, Operation},
    authorization::{AuthorizationError, Authorizer, Decision},
    definition::ResourceDefinition,
    object::Object,
    request::RequestAttributes,
    status::StatusError,
    storage::Memory,
};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use support::{Wire, organization};

/// Nested JSON objects: `{"a": {"a": … 1}}`.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[tokio::test]
async fn a_patch_that_digs_without_end_is_refused() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let mut path = String::from("/spec/deep");
    let mut operations = Vec::new();
    for _ in 0..150 {
        operations.push(json!({"op": "add", "path": path, "value": nested(100)}));
        path.push_str(&"/a".repeat(100));
    }
    let answer = wire.json_patch("organizations/a?dryRun=All", &operations.into()).await;
    assert_eq!(answer.code, 422);
    // Still there, and unchanged.
    let object = wire.get("organizations/a").await.ok();
    assert!(object["spec"].get("deep").is_none());
}

#[tokio::test]
async fn a_patch_that_moves_without_end_is_refused() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let list = vec![0; 700_000];
    let mut operations = vec![json!({"op": "add", "path": "/spec/list", "value": list})];
    operations.extend((0..100).map(|_| json!({"op": "add", "path": "/spec/list/0", "value": 1})));
    let answer = wire.json_patch("organizations/a", &operations.into()).await;
    assert_eq!(answer.code, 413);
}

#[tokio::test]
async fn warnings_have_an_end() {
    let wire = Wire::start().await;
    let mut object = organization("a");
    for number in 0..50_000 {
        object["spec"][format!("unknown{number}")] = true.into();
    }
    let answer = wire.post("organizations", &object).await;
    assert_eq!(answer.code, 201);
    let warnings = answer.headers(header::WARNING.as_str());
    let told: usize = warnings.iter().map(|warning| warning.len()).sum();
    assert!(!warnings.is_empty() && told < 8192, "{} warnings, {told} bytes", warnings.len());
    object["metadata"]["name"] = "b".into();
    let answer = wire.post("organizations?fieldValidation=Strict", &object).await;
    assert_eq!(answer.code, 400);
    assert!(answer.body.len() < 16_384, "{} bytes", answer.body.len());
}

#[tokio::test]
async fn the_longest_watch_is_no_overflow() {
    let wire = Wire::start().await;
    let mut events =
        wire.watch(&format!("organizations?watch=1&timeoutSeconds={}", i64::MAX)).await;
    wire.organization("a").await;
    events.expect("ADDED").await;
}

#[tokio::test]
async fn whoever_asks_to_act_as_someone_else_is_refused() {
    let wire = Wire::start().await;
    for header in ["impersonate-user", "impersonate-group", "impersonate-uid"] {
        let answer = wire.call("GET", "organizations").header(header, "nobody").send().await;
        assert_eq!(answer.code, 403, "{header}");
    }
}

#[tokio::test]
async fn anybody_may_ask_whether_the_server_is_well_by_head_too() {
    let mut wire = Wire::start().await;
    wire.connect_as(None).await;
    for method in ["GET", "HEAD"] {
        assert_eq!(wire.call(method, "/readyz").send().await.code, 200, "{method}");
    }
    assert_eq!(wire.call("HEAD", "/apis").send().await.code, 401);
}

/// Grants every verb on the status of every resource, and nothing else.
#[derive(Debug)]
struct StatusOnly;

#[async_trait]
impl Authorizer for StatusOnly {
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError> {
        let status = request.resource.as_ref().is_some_and(|r| r.subresource == "status");
        Ok(if status { Decision::Allow } else { Decision::NoOpinion(String::new()) })
    }
}

#[tokio::test]
async fn permission_on_a_status_is_none_on_the_collection() {
    let assemble =
        |server: milo_apiserver_kit::ServerBuilder| server.hierarchy().authorizer(StatusOnly);
    let mut wire = Wire::with(Arc::new(Memory::new()), assemble).await;
    wire.organization("a").await;
    let alice = wire.server.pki().issue_client("alice", &[]).expect("a certificate");
    wire.connect_as(Some(&alice)).await;
    assert_eq!(wire.get("organizations/a/status").await.code, 200);
    for (method, url) in [
        ("DELETE", "organizations//status"),
        ("GET", "organizations//status"),
        ("GET", "organizations//status?watch=true"),
        ("POST", "organizations//status"),
        ("DELETE", "organizations/a/status"),
        ("DELETE", "organizations"),
        ("GET", "organizations"),
    ] {
        let code = wire.call(method, url).json(&organization("b")).send().await.code;
        assert!((400..500).contains(&code), "{method} {url}: {code}");
    }
    assert_eq!(wire.get("organizations/a/status").await.code, 200);
}

/// A kind that has a status but no status subresource.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "demo.example.com", version = "v1", kind = "Gadget")]
struct GadgetSpec {
    #[serde(default)]
    size: u32,
}

#[tokio::test]
async fn a_status_without_a_subresource_is_a_field_like_any_other() {
    let mut crd = Gadget::crd();
    let schema = crd.spec.versions[0].schema.as_mut().expect("a schema");
    let root = schema.open_api_v3_schema.as_mut().expect("a document");
    let properties = root.properties.as_mut().expect("properties");
    let text = serde_json::from_value(json!({"type": "string"})).expect("a schema");
    properties.insert("status".into(), text);
    let gadgets = ResourceDefinition::from_crd(&crd).expect("a definition");
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.resource(gadgets)).await;
    let url = "/apis/demo.example.com/v1/gadgets";
    let sent = json!({"metadata": {"name": "g"}, "spec": {}, "status": "x"});
    assert_eq!(wire.post(url, &sent).await.created()["status"], "x");
    let changed = wire.merge(&format!("{url}/g"), &json!({"status": "y"})).await.ok();
    assert_eq!((&changed["status"], &changed["metadata"]["generation"]), (&"y".into(), &2.into()));
}

#[tokio::test]
async fn a_namespace_is_addressed_by_its_name() {
    let namespaces = ResourceDefinition::of_resource::<Namespace>().expect("a definition");
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.resource(namespaces)).await;
    let url = "/api/v1/namespaces";
    wire.post(url, &json!({"metadata": {"name": "n"}})).await.created();
    assert_eq!(wire.get(&format!("{url}/n")).await.ok()["metadata"]["name"], "n");
    wire.merge(&format!("{url}/n"), &json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    wire.merge(&format!("{url}/n/status"), &json!({"status": {"phase": "Active"}})).await.ok();
    assert_eq!(wire.delete(&format!("{url}/n")).await.code, 200);
    assert_eq!(wire.get(&format!("{url}/n")).await.code, 404);
}

/// Notes what it is asked.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<(Operation, bool)>>>);

#[async_trait]
impl Admission for Notes {
    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        _object: &Object,
    ) -> Result<(), StatusError> {
        self.0.lock().push((request.operation, request.removes));
        Ok(())
    }
}

#[tokio::test]
async fn a_deletion_is_checked_when_the_object_really_goes() {
    let notes = Notes::default();
    let step = notes.clone();
    let wire =
        Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().admission(step)).await;
    let mut object = organization("a");
    object["metadata"]["finalizers"] = json!(["example.com/wait"]);
    wire.post("organizations", &object).await.created();
    assert_eq!(wire.delete("organizations/a").await.code, 200);
    wire.merge("organizations/a", &json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(wire.get("organizations/a").await.code, 404);
    assert_eq!(
        *notes.0.lock(),
        [
            (Operation::Create, false),
            (Operation::Delete, false),
            (Operation::Update, true),
            (Operation::Delete, true),
        ]
    );
}

/// Relabels an object while it is being deleted, as a concurrent writer would.
#[derive(Debug)]
struct Untouched;

#[async_trait]
impl Admission for Untouched {
    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &Object,
    ) -> Result<(), StatusError> {
        let kept = object.labels().any(|(key, value)| (key, value) == ("keep", "yes"));
        if request.operation == Operation::Delete && kept {
            return Err(StatusError::internal("deleted what was not selected"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_collection_is_deleted_as_far_as_it_is_still_selected() {
    let wire =
        Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().admission(Untouched)).await;
    for number in 0..60 {
        let mut object = organization(&format!("o{number}"));
        object["metadata"]["labels"] = json!({"keep": "no"});
        wire.post("organizations", &object).await.created();
    }
    let relabel = json!({"metadata": {"labels": {"keep": "yes"}}});
    let relabelled = async {
        for number in (0..60).rev() {
            // Whichever comes first: relabelled and kept, or deleted.
            let code = wire.merge(&format!("organizations/o{number}"), &relabel).await.code;
            assert!(code == 200 || code == 404, "{code}");
        }
    };
    let (deleted, ()) =
        tokio::join!(wire.delete("organizations?labelSelector=keep%3Dno"), relabelled);
    assert_eq!(deleted.code, 200, "{}", deleted.text());
    let left = wire.get("organizations").await.ok();
    for object in left["items"].as_array().expect("items") {
        assert_eq!(object["metadata"]["labels"]["keep"], "yes");
    }
}

#[tokio::test]
async fn a_page_does_not_tell_whether_others_have_more() {
    let wire = Wire::start().await;
    for name in ["a", "b"] {
        wire.organization(name).await;
        let project = json!({
            "metadata": {"name": format!("of-{name}")},
            "spec": {"ownerRef": {"kind": "Organization", "name": name}},
        });
        wire.post("projects", &project).await.created();
    }
    let url = "organizations/a/control-plane/apis/resourcemanager.miloapis.com/v1alpha1/projects";
    let newest = wire.get(url).await.ok();
    let exact = format!("&resourceVersion={}", support::version(&newest));
    wire.organization("c").await;
    for freshness in ["", &exact] {
        let page = wire.get(&format!("{url}?limit=1{freshness}")).await.ok();
        assert_eq!(support::names(&page), ["of-a"]);
        assert!(page["metadata"].get("continue").is_none(), "{page}");
    }
}

#[tokio::test]
async fn a_kind_is_served_in_one_version() {
    let mut other = Gadget::crd();
    other.spec.versions[0].name = "v2".into();
    let other = ResourceDefinition::from_crd(&other).expect("a definition");
    let built = milo_apiserver_kit::Server::builder(Memory::new())
        .kind::<Gadget>()
        .resource(other)
        .build()
        .await;
    let error = built.expect_err("two versions").to_string();
    assert!(error.contains("gadgets.demo.example.com is served twice"), "{error}");
}
