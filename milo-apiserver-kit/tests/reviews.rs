//! `spec/wire.md` section 5.5: who am I, and what may I do. Over HTTP, and by the real kubectl,
//! whose tests are skipped without it.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod support;

use std::sync::Arc;

use milo_core::{
    authorization::{AuthorizationError, Authorizer, Decision, ResourceRule, Rules},
    identity::UserInfo,
    request::RequestAttributes,
    scope::Scope,
    storage::Memory,
};
use serde_json::{Value, json};
use support::{GROUP, Wire};
use tempfile::TempDir;
use tokio::process::Command;

const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";
const WHO_AM_I: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// Lets readers read organizations, nobody delete anything, and fails for one name.
#[derive(Debug)]
struct Readers {
    /// Whether it can tell its rules.
    tells: bool,
}

#[async_trait::async_trait]
impl Authorizer for Readers {
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError> {
        let Some(target) = &request.resource else { return Ok(Decision::NoOpinion("path".into())) };
        if target.name == "broken" {
            return Err(AuthorizationError("out of order".into()));
        }
        Ok(match (request.verb.as_str(), target.resource.resource()) {
            ("delete", _) => Decision::Deny("nobody deletes".into()),
            // In the control planes of organizations there are only projects to read.
            ("get" | "list", "organizations") if request.scope == Scope::Platform => {
                readers(&request.user)
            }
            ("get" | "list", "projects") if request.scope != Scope::Platform => {
                readers(&request.user)
            }
            ("create", "subjectaccessreviews" | "localsubjectaccessreviews") => {
                readers(&request.user)
            }
            _ => Decision::NoOpinion("not a reader".into()),
        })
    }

    async fn rules(&self, _: &UserInfo, _: &Scope, namespace: &str) -> Option<Rules> {
        let rule =
            ResourceRule::new(["get", "list"], ["resourcemanager.miloapis.com"], ["organizations"]);
        self.tells.then(|| Rules::new([rule.with_names([namespace])], []))
    }
}

fn readers(user: &UserInfo) -> Decision {
    if user.is_in("readers") { Decision::Allow } else { Decision::NoOpinion("not a reader".into()) }
}

async fn start(tells: bool) -> Wire {
    let storage = Arc::new(Memory::new());
    Wire::with(storage, |server| server.hierarchy().self_reviews().authorizer(Readers { tells }))
        .await
}

/// A server to which this user has a connection.
async fn connected(user: &str, groups: &[&str]) -> Wire {
    let mut wire = start(true).await;
    let pair = wire.server.pki().issue_client(user, groups).unwrap();
    wire.connect_as(Some(&pair)).await;
    wire
}

fn organizations(verb: &str, name: &str) -> Value {
    json!({"resourceAttributes": {
        "verb": verb, "group": "resourcemanager.miloapis.com", "version": "v1alpha1",
        "resource": "organizations", "name": name,
    }})
}

async fn review(wire: &Wire, url: &str, spec: &Value) -> Value {
    let answer = wire.post(&format!("{AUTHORIZATION}/{url}"), &json!({ "spec": spec })).await;
    let review = answer.created();
    assert_eq!(&review["spec"], spec, "5.5: the request object, and the status");
    review["status"].clone()
}

#[tokio::test]
async fn who_one_is() {
    let wire = connected("alice", &["readers"]).await;
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let review = wire.post(WHO_AM_I, &body).await.created();
    let groups = json!(["readers", "system:authenticated"]);
    assert_eq!(review["status"]["userInfo"]["username"], "alice", "5.5");
    assert_eq!(review["status"]["userInfo"]["groups"], groups, "5.5");
    assert_eq!(review["kind"], "SelfSubjectReview");
    assert!(review["metadata"].get("uid").is_none(), "5.5: not stored");
    // What the client says of itself is not what it is.
    let lie = json!({"status": {"userInfo": {"username": "admin"}}});
    let review = wire.post(WHO_AM_I, &lie).await.created();
    assert_eq!(review["status"]["userInfo"]["username"], "alice");
}

#[tokio::test]
async fn what_one_may_do() {
    let wire = connected("alice", &["readers"]).await;
    let own = "selfsubjectaccessreviews";
    for (spec, status) in [
        (organizations("get", "a"), json!({"allowed": true})),
        (organizations("update", "a"), json!({"allowed": false, "reason": "not a reader"})),
        (
            organizations("delete", "a"),
            json!({"allowed": false, "denied": true, "reason": "nobody deletes"}),
        ),
        (
            organizations("get", "broken"),
            json!({"allowed": false, "evaluationError": "the request could not be authorized"}),
        ),
        (
            json!({"nonResourceAttributes": {"path": "/apis", "verb": "get"}}),
            json!({"allowed": true}),
        ),
        (
            json!({"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}),
            json!({"allowed": false, "reason": "path"}),
        ),
    ] {
        assert_eq!(review(&wire, own, &spec).await, status, "5.5: {spec}");
    }
    // What is answered is what happens.
    assert_eq!(wire.get("organizations").await.code, 200);
    assert_eq!(wire.delete("organizations/a").await.code, 403);
    wire.call("POST", &format!("{AUTHORIZATION}/{own}")).body("spec: {}").header("content-type", "application/yaml").send().await.refused(
        "5.5", 422, "Invalid",
        "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
    );
    let both = json!({"spec": {"resourceAttributes": {}, "nonResourceAttributes": {}}});
    wire.post(&format!("{AUTHORIZATION}/{own}"), &both).await.refused(
        "5.5",
        422,
        "Invalid",
        "…in combination with resourceAttributes",
    );
    wire.post(&format!("{AUTHORIZATION}/{own}"), &json!({}))
        .await
        .refused("5.5", 422, "Invalid", "…");
}

#[tokio::test]
async fn what_others_may_do() {
    let wire = connected("alice", &["readers"]).await;
    let of = |user: &str, groups: &[&str]| {
        let mut spec = organizations("get", "a");
        spec["user"] = user.into();
        spec["groups"] = json!(groups);
        spec
    };
    let allowed = json!({"allowed": true});
    assert_eq!(review(&wire, "subjectaccessreviews", &of("bob", &["readers"])).await, allowed);
    let status = review(&wire, "subjectaccessreviews", &of("bob", &["writers"])).await;
    assert_eq!(status["allowed"], false, "5.5");
    wire.post(
        &format!("{AUTHORIZATION}/subjectaccessreviews"),
        &json!({"spec": organizations("get", "a")}),
    )
    .await
    .refused(
        "5.5",
        422,
        "Invalid",
        "…spec.user: Invalid value: \"\": at least one of user or group must be specified",
    );
    // In a namespace: that of the review.
    let local = "namespaces/n/localsubjectaccessreviews";
    assert_eq!(review(&wire, local, &of("bob", &["readers"])).await, allowed);
    let mut elsewhere = of("bob", &[]);
    elsewhere["resourceAttributes"]["namespace"] = "m".into();
    let url = format!("{AUTHORIZATION}/{local}");
    wire.post(&url, &json!({ "spec": elsewhere })).await.refused(
        "5.5",
        422,
        "Invalid",
        "…spec.resourceAttributes.namespace: Invalid value: \"m\": must match metadata.namespace",
    );
    let path =
        json!({"spec": {"user": "bob", "nonResourceAttributes": {"path": "/", "verb": "get"}}});
    wire.post(&url, &path).await.refused(
        "5.5",
        422,
        "Invalid",
        "…disallowed on this kind of request",
    );
}

#[tokio::test]
async fn one_may_ask_about_oneself_only() {
    let wire = connected("bob", &[]).await;
    wire.post(WHO_AM_I, &json!({})).await.created();
    review(&wire, "selfsubjectaccessreviews", &organizations("get", "a")).await;
    review(&wire, "selfsubjectrulesreviews", &json!({"namespace": "n"})).await;
    let url = format!("{AUTHORIZATION}/subjectaccessreviews");
    let refused = "subjectaccessreviews.authorization.k8s.io is forbidden: User \"bob\" cannot create resource…";
    wire.post(&url, &json!({})).await.refused("5.5", 403, "Forbidden", refused);
    let url = format!("{AUTHORIZATION}/selfsubjectaccessreviews/x/status");
    wire.post(&url, &json!({})).await.refused("5.5", 403, "Forbidden", "…");
}

#[tokio::test]
async fn the_rules_of_the_authorizers() {
    let wire = connected("alice", &["readers"]).await;
    let status = review(&wire, "selfsubjectrulesreviews", &json!({"namespace": "n"})).await;
    assert_eq!(status["incomplete"], false, "5.5");
    let rules = status["resourceRules"].as_array().unwrap();
    let told = json!({
        "verbs": ["get", "list"], "apiGroups": ["resourcemanager.miloapis.com"],
        "resources": ["organizations"], "resourceNames": ["n"],
    });
    assert_eq!((rules.len(), rules.last().unwrap()), (4, &told), "5.5");
    let paths = status["nonResourceRules"].as_array().unwrap();
    assert!(paths.iter().any(|rule| rule["nonResourceURLs"][0] == "/healthz"), "{paths:?}");
    let url = format!("{AUTHORIZATION}/selfsubjectrulesreviews");
    wire.post(&url, &json!({"spec": {}})).await.refused(
        "5.5",
        400,
        "BadRequest",
        "no namespace on request",
    );
    // Who cannot tell all says so.
    let wire = start(false).await;
    let status = review(&wire, "selfsubjectrulesreviews", &json!({"namespace": "n"})).await;
    assert_eq!(status["incomplete"], true, "5.5");
    assert!(status["evaluationError"].is_string(), "5.5");
    assert_eq!(
        status["resourceRules"],
        json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}])
    );
}

#[tokio::test]
async fn reviews_are_of_the_control_plane_they_are_sent_to() {
    let mut wire = start(true).await;
    wire.organization("acme").await;
    let alice = wire.server.pki().issue_client("alice", &["readers"]).unwrap();
    wire.connect_as(Some(&alice)).await;
    let tenant =
        format!("/organizations/acme/control-plane{AUTHORIZATION}/selfsubjectaccessreviews");
    let platform = format!("{AUTHORIZATION}/selfsubjectaccessreviews");
    let projects = json!({"spec": {"resourceAttributes": {
        "verb": "list", "group": "resourcemanager.miloapis.com", "resource": "projects",
    }}});
    let organizations = json!({ "spec": organizations("get", "acme") });
    for (url, body, allowed) in [
        (&tenant, &projects, true),
        (&tenant, &organizations, false),
        (&platform, &projects, false),
        (&platform, &organizations, true),
    ] {
        let review = wire.post(url, body).await.created();
        assert_eq!(review["status"]["allowed"], allowed, "5.5: {url} {body}");
    }
    wire.post(&format!("/organizations/acme/control-plane{WHO_AM_I}"), &json!({})).await.created();
}

#[tokio::test]
async fn reviews_are_created_and_nothing_else() {
    let wire = start(true).await;
    let discovery = wire.get(AUTHORIZATION).await.ok();
    let resources = discovery["resources"].as_array().unwrap();
    let listed: Vec<(&str, bool)> = resources
        .iter()
        .map(|r| (r["name"].as_str().unwrap(), r["namespaced"].as_bool().unwrap()))
        .collect();
    let expected = [
        ("localsubjectaccessreviews", true),
        ("selfsubjectaccessreviews", false),
        ("selfsubjectrulesreviews", false),
        ("subjectaccessreviews", false),
    ];
    assert_eq!(listed, expected, "5.5");
    assert!(resources.iter().all(|resource| resource["verbs"] == json!(["create"])), "5.5");
    let openapi = wire.get("/openapi/v3/apis/authorization.k8s.io/v1").await.ok();
    let path = &openapi["paths"]["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"];
    assert!(path["post"].is_object() && path.get("get").is_none(), "1.5");
    for (method, url) in [
        ("GET", "selfsubjectaccessreviews/x"),
        ("PUT", "selfsubjectaccessreviews/x"),
        ("DELETE", "selfsubjectaccessreviews/x"),
        ("POST", "localsubjectaccessreviews"),
    ] {
        let answer = wire.call(method, &format!("{AUTHORIZATION}/{url}")).body("{}").send().await;
        assert_eq!(answer.code, 405, "2.1: {method} {url}: {}", answer.text());
    }
    // A dry run is no different: there is nothing to keep.
    let review = wire.post(&format!("{WHO_AM_I}?dryRun=All"), &json!({})).await.created();
    assert_eq!(review["status"]["userInfo"]["username"], "admin");
    // Servers serve none of it unless told to.
    let wire = Wire::start().await;
    assert_eq!(wire.post(WHO_AM_I, &json!({})).await.code, 404);
    assert_eq!(wire.get(GROUP).await.code, 200);
}

/// kubectl with a home of its own.
struct Kubectl {
    home: TempDir,
}

impl Kubectl {
    /// None, with a note, when there is no kubectl; with `MILO_TEST_REQUIRE=all` that is a failure.
    async fn find() -> Option<Self> {
        let found = Command::new("kubectl").args(["version", "--client"]).output().await;
        if found.is_ok_and(|output| output.status.success()) {
            return Some(Self { home: TempDir::new().unwrap() });
        }
        let required = std::env::var("MILO_TEST_REQUIRE").is_ok_and(|value| value == "all");
        assert!(!required, "kubectl not found, and MILO_TEST_REQUIRE=all");
        println!("skipped: kubectl not found");
        None
    }

    /// What kubectl prints and whether it succeeds, as this user.
    async fn run(&self, wire: &Wire, user: &str, groups: &[&str], line: &str) -> (String, bool) {
        let pki = wire.server.pki();
        let pair = pki.issue_client(user, groups).unwrap();
        let config = milo_apiserver_kit::kubeconfig::Kubeconfig::new(
            "test",
            &wire.server.url(),
            pki.ca_certificate(),
        )
        .with_client_certificate(user, &pair)
        .to_yaml()
        .unwrap();
        let file = self.home.path().join(format!("{user}.yaml"));
        std::fs::write(&file, config).unwrap();
        let output = Command::new("kubectl")
            .args(line.split(' '))
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &file)
            .env_remove("KUBECACHEDIR")
            .output()
            .await
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8(text).unwrap(), output.status.success())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_asks() {
    let Some(kubectl) = Kubectl::find().await else { return };
    let wire = start(true).await;
    let alice = async |line: &str| kubectl.run(&wire, "alice", &["readers"], line).await;
    let (who, fine) = alice("auth whoami").await;
    let words: Vec<Vec<&str>> = who.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(fine, "{who}");
    assert!(words.contains(&vec!["Username", "alice"]), "{who}");
    assert!(words.contains(&vec!["Groups", "[readers", "system:authenticated]"]), "{who}");
    let (who, _) = alice("auth whoami -o jsonpath={.status.userInfo.username}").await;
    assert_eq!(who, "alice");
    for (line, expected) in [
        ("auth can-i get organizations", "yes\n"),
        ("auth can-i get organizations/acme", "yes\n"),
        ("auth can-i update organizations", "no - not a reader\n"),
        ("auth can-i delete organizations", "no - nobody deletes\n"),
        ("auth can-i get /apis", "yes\n"),
        ("auth can-i get /metrics", "no - path\n"),
    ] {
        // What concerns the whole cluster is noted beside the answer.
        let (text, fine) = alice(line).await;
        assert!(text.contains(expected), "{line}: {text}");
        assert_eq!(fine, expected == "yes\n", "{line}: {text}");
    }
    let (list, fine) = alice("auth can-i --list").await;
    assert!(fine, "{list}");
    for row in [
        "organizations.resourcemanager.miloapis.com [] [default] [get list]",
        "selfsubjectreviews.authentication.k8s.io [] [] [create]",
        "[/healthz] [] [get]",
    ] {
        let found =
            list.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == row);
        assert!(found, "{row}\n{list}");
    }
    let root = async |line: &str| kubectl.run(&wire, "root", &["system:masters"], line).await;
    let (list, fine) = root("auth can-i --list").await;
    assert!(fine && list.contains("*.*"), "{list}");
    let (text, fine) = root("auth can-i * *").await;
    assert!(fine && text.ends_with("yes\n"), "{text}");
    // A typed client asks about others, too.
    let (text, fine) = root("auth can-i get organizations --as bob").await;
    assert!(!fine, "impersonation is not supported: {text}");
}

/// kubectl reads long lists compressed: Go asks for that by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_reads_what_is_compressed() {
    let Some(kubectl) = Kubectl::find().await else { return };
    let wire = start(true).await;
    for name in ["a", "b"] {
        let mut object = support::organization(name);
        let words: Vec<String> = (0u64..12_000)
            .map(|i| format!("{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        object["metadata"]["annotations"] = json!({ "text": words.concat() });
        wire.post("organizations", &object).await.created();
    }
    let (text, fine) =
        kubectl.run(&wire, "root", &["system:masters"], "get organizations -o json").await;
    assert!(fine, "{text}");
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(support::names(&list), ["a", "b"]);
}
