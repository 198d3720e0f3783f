//! `spec/wire.md` section 3.4: server-side apply, and who owns which field.

mod support;

use async_trait::async_trait;
use milo_apiserver_kit::{Kind, ServerBuilder};
use milo_core::{
    admission::{Admission, AdmissionRequest},
    authorization::{AuthorizationError, Authorizer, Decision},
    object::Object,
    request::{RequestAttributes, Verb},
    status::StatusError,
};
use serde_json::{Value, json};
use support::{
    JSON_PATCH, MERGE, Wire, version,
    widgets::{WIDGETS, apply, apply_text, owners, start, url, widget},
};

async fn plain() -> Wire {
    start(|kind: Kind| kind, |server: ServerBuilder| server).await
}

fn owned(who: &str, fields: Value) -> (String, Value) {
    (who.to_owned(), fields)
}

#[tokio::test]
async fn an_apply_creates_and_owns_what_it_says() {
    let wire = plain().await;
    let config =
        widget("a", &json!({"size": 1, "tags": ["x"], "ports": [{"name": "p", "number": 1}]}));
    let answer = apply(&wire, "a?fieldManager=m", &config).await;
    let created = answer.created();
    assert_eq!(created["spec"]["color"], "red", "defaults come after the merge");
    assert_eq!(created["metadata"]["generation"], 1);
    let fields = json!({"f:spec": {
        "f:size": {},
        "f:tags": {"v:\"x\"": {}},
        "f:ports": {"k:{\"name\":\"p\"}": {".": {}, "f:name": {}, "f:number": {}}},
    }});
    assert_eq!(owners(&created), [owned("m Apply", fields)], "nobody owns defaults");
    assert_eq!(wire.get(&url("a")).await.ok(), created);
    let again = apply(&wire, "a?fieldManager=m", &config).await;
    assert_eq!(again.ok(), created, "3.4: nothing changes, nothing is written");
    // What is not applied any more is removed.
    let less = apply(&wire, "a?fieldManager=m", &widget("a", &json!({"size": 1}))).await.ok();
    assert_eq!(less["spec"], json!({"size": 1, "color": "red"}));
    assert_eq!(owners(&less), [owned("m Apply", json!({"f:spec": {"f:size": {}}}))]);
    assert_eq!(less["metadata"]["generation"], 2);
}

#[tokio::test]
async fn conflicts_and_force() {
    let wire = plain().await;
    apply(&wire, "a?fieldManager=one", &widget("a", &json!({"size": 1}))).await.created();
    let wanted = widget("a", &json!({"size": 2}));
    let text = "Apply failed with 1 conflict: conflict with \"one\": .spec.size";
    for query in
        ["a?fieldManager=two", "a?fieldManager=two&force=false", "a?fieldManager=two&dryRun=All"]
    {
        let status = apply(&wire, query, &wanted).await.refused(query, 409, "Conflict", text);
        let causes = json!([{
            "reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".spec.size",
        }]);
        assert_eq!(status["details"]["causes"], causes, "{query}");
    }
    let shared = apply(&wire, "a?fieldManager=two", &widget("a", &json!({"size": 1}))).await.ok();
    let size = json!({"f:spec": {"f:size": {}}});
    assert_eq!(
        owners(&shared),
        [owned("one Apply", size.clone()), owned("two Apply", size.clone())]
    );
    let forced = apply(&wire, "a?fieldManager=two&force=true", &wanted).await.ok();
    assert_eq!(forced["spec"]["size"], 2);
    assert_eq!(owners(&forced), [owned("two Apply", size.clone())], "the others lose it");
    // Other writes are never refused; they take what they change.
    let patch = json!({"spec": {"size": 3}});
    let patched = wire.merge(&format!("{}?fieldManager=three", url("a")), &patch).await.ok();
    assert_eq!(owners(&patched), [owned("three Update", size)]);
    let status = apply(&wire, "a?fieldManager=two", &wanted).await.refused(
        "3.4",
        409,
        "Conflict",
        "Apply failed with 1 conflict: conflict with \"three\" using example.com/v1: .spec.size",
    );
    let message = status["details"]["causes"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("conflict with \"three\" using example.com/v1"), "{message}");
}

#[tokio::test]
async fn requests_that_are_refused() {
    let wire = plain().await;
    let config = widget("a", &json!({"size": 1}));
    let options = "PatchOptions.meta.k8s.io \"\" is invalid: ";
    let typed = "failed to create typed patch object (/a; example.com/v1, Kind=Widget): ";
    let with = |change: &dyn Fn(&mut Value)| {
        let mut config = config.clone();
        change(&mut config);
        config.to_string()
    };
    let m = "a?fieldManager=m";
    let plain = config.to_string();
    let long = format!("a?fieldManager={}", "x".repeat(129));
    let twice = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec:\n  size: 1\n  size: 2\n";
    for (query, body, code, reason, text) in [
        ("a", plain.as_str(), 422, "Invalid", format!("{options}fieldManager: Required value: is required for apply patch")),
        (long.as_str(), plain.as_str(), 422, "Invalid", format!("{options}fieldManager: Too long: may not be more than 128 bytes")),
        ("a?fieldManager=%07", plain.as_str(), 422, "Invalid", format!("{options}fieldManager: Invalid value: \"\\u0007\": invalid character U+0007 (at position 0)")),
        (m, "{", 400, "BadRequest", "error decoding patch: …".into()),
        (m, "a: b: c", 400, "BadRequest", "error decoding patch: …".into()),
        (m, "- a", 400, "BadRequest", "error decoding patch: …".into()),
        (m, "", 400, "BadRequest", "invalid object type: /, Kind=".into()),
        (m, &with(&|c| c["kind"] = "Gadget".into()), 400, "BadRequest", "invalid object type: example.com/v1, Kind=Gadget".into()),
        (m, &with(&|c| c["apiVersion"] = "v1".into()), 400, "BadRequest", "invalid object type: /v1, Kind=Widget".into()),
        (m, &with(&|c| c["metadata"]["managedFields"] = json!([])), 400, "BadRequest", "metadata.managedFields must be nil".into()),
        (m, &with(&|c| c["spec"]["foo"] = 1.into()), 400, "BadRequest", format!("{typed}.spec.foo: field not declared in schema")),
        (m, &with(&|c| c["spec"]["tags"] = json!(["x", "x"])), 400, "BadRequest", format!("{typed}.spec.tags: duplicate entries for key [=\"x\"]")),
        (m, &with(&|c| c["metadata"]["name"] = "b".into()), 400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)".into()),
        (m, &with(&|c| c["metadata"] = json!({})), 400, "BadRequest", "the name of the object (a based on URL) was undeterminable: name must be provided".into()),
        (m, &with(&|c| c["metadata"]["uid"] = "u".into()), 409, "Conflict",
            "Operation cannot be fulfilled on widgets.example.com \"a\": uid mismatch: the provided object specified uid u, and no existing object was found".into()),
        (m, &with(&|c| c["metadata"]["resourceVersion"] = "5".into()), 400, "BadRequest", "resourceVersion should not be set on objects to be created".into()),
        ("a?fieldManager=m&fieldValidation=Strict", twice, 400, "BadRequest", "error strict decoding patch: duplicate field \"spec.size\"".into()),
        ("a/status?fieldManager=m", plain.as_str(), 404, "NotFound", "widgets.example.com \"a\" not found".into()),
    ] {
        let about = format!("3.4: {query} {body}");
        apply_text(&wire, query, body).await.refused(&about, code, reason, &text);
    }
    let answer = apply_text(&wire, m, twice).await;
    assert_eq!(answer.created()["spec"]["size"], 2, "the last wins");
    assert_eq!(answer.headers("warning"), [r#"299 - "duplicate field \"spec.size\"""#]);
    let answer = apply_text(&wire, "a?fieldManager=m&fieldValidation=Ignore", twice).await;
    assert_eq!((answer.code, answer.headers("warning").len()), (200, 0));
    let stale = with(&|c| c["metadata"]["resourceVersion"] = "1".into());
    apply_text(&wire, m, &stale).await.refused(
        "3.1",
        409,
        "Conflict",
        "…the object has been modified; …",
    );
    let call = wire
        .call("PATCH", &url("a"))
        .body("{}")
        .header("content-type", "application/strategic-merge-patch+json");
    call.send().await.refused("3.1", 415, "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
    for kind in [MERGE, JSON_PATCH] {
        let call = wire.call("PATCH", &format!("{}?force=true", url("a"))).body("{}");
        let text = format!("{options}force: Forbidden: may not be specified for non-apply patch");
        call.header("content-type", kind).send().await.refused(kind, 422, "Invalid", &text);
    }
}

#[tokio::test]
async fn every_write_is_tracked() {
    let wire = plain().await;
    let url_of = |query: &str| format!("{}{query}", url("a"));
    let body = widget("a", &json!({"size": 1})).to_string();
    let create =
        wire.call("POST", WIDGETS).body(body).header("user-agent", "kubectl/v1.34.0 (linux/amd64)");
    let created = create.header("content-type", "application/json").send().await.created();
    let all = json!({"f:spec": {".": {}, "f:color": {}, "f:size": {}}});
    assert_eq!(owners(&created), [owned("kubectl Update", all)]);
    let patch = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"size": 2}});
    let patched = wire.merge(&url_of("?fieldManager=patcher"), &patch).await.ok();
    let kubectl = owned("kubectl Update", json!({"f:spec": {".": {}, "f:color": {}}}));
    let labelled =
        json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:size": {}}});
    assert_eq!(owners(&patched), [kubectl.clone(), owned("patcher Update", labelled.clone())]);
    let same = wire.merge(&url_of("?fieldManager=nobody"), &patch).await.ok();
    assert_eq!(same, patched, "who changes nothing owns nothing");
    let mut replaced = patched.clone();
    replaced["metadata"].as_object_mut().unwrap().remove("managedFields");
    replaced["status"] = json!({"ready": true});
    assert_eq!(
        wire.put(&url_of(""), &replaced).await.ok(),
        patched,
        "2.8: and the fields stay tracked"
    );
    let status = wire.put(&url_of("/status?fieldManager=controller"), &replaced).await.ok();
    let ready = json!({"f:status": {".": {}, "f:ready": {}}});
    let expected = [
        kubectl.clone(),
        owned("patcher Update", labelled.clone()),
        owned("controller Update/status", ready),
    ];
    let mut sorted = owners(&status);
    sorted.sort_by_key(|(who, _)| expected.iter().position(|(known, _)| known == who));
    assert_eq!(sorted, expected);
    assert_eq!(status["metadata"]["generation"], patched["metadata"]["generation"]);
    // The client may give up tracking, and the first apply takes it up again.
    let mut reset = status.clone();
    reset["metadata"]["managedFields"] = json!([{}]);
    let reset = wire.put(&url_of(""), &reset).await.ok();
    assert_eq!(owners(&reset), []);
    let changed = wire.merge(&url_of(""), &json!({"spec": {"size": 5}})).await.ok();
    assert_eq!(owners(&changed), [], "untracked until the next apply");
    let applied = apply(&wire, "a?fieldManager=m", &widget("a", &json!({"size": 5}))).await.ok();
    let owners: Vec<String> = owners(&applied).into_iter().map(|(who, _)| who).collect();
    assert_eq!(owners, ["m Apply", "before-first-apply Update"]);
}

#[tokio::test]
async fn the_halves_of_an_object_are_applied_apart() {
    let wire = plain().await;
    let mut both = widget("a", &json!({"size": 1}));
    both["status"] = json!({"ready": true});
    let created = apply(&wire, "a?fieldManager=m", &both).await.created();
    assert!(created.get("status").is_none(), "2.8: {created}");
    assert_eq!(owners(&created), [owned("m Apply", json!({"f:spec": {"f:size": {}}}))]);
    both["spec"]["size"] = 7.into();
    let status = apply(&wire, "a/status?fieldManager=c", &both).await.ok();
    assert_eq!((&status["spec"]["size"], &status["status"]), (&1.into(), &json!({"ready": true})));
    assert_eq!(owners(&status)[0], owned("c Apply/status", json!({"f:status": {"f:ready": {}}})));
    assert_eq!(status["metadata"]["generation"], 1);
    both["status"]["ready"] = false.into();
    let main = apply(&wire, "a?fieldManager=m", &both).await.ok();
    assert_eq!((&main["spec"]["size"], &main["status"]["ready"]), (&7.into(), &true.into()));
    apply(&wire, "a/status?fieldManager=d", &both).await.refused(
        "3.4", 409, "Conflict",
        "Apply failed with 1 conflict: conflict with \"c\" with subresource \"status\": .status.ready",
    );
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let wire = plain().await;
    let config = widget("a", &json!({"size": 1}));
    let tried = apply(&wire, "a?fieldManager=m&dryRun=All", &config).await.created();
    assert_eq!((owners(&tried).len(), tried["metadata"].get("resourceVersion")), (1, None));
    assert_eq!(wire.get(&url("a")).await.code, 404);
    let created = apply(&wire, "a?fieldManager=m", &config).await.created();
    let tried =
        apply(&wire, "a?fieldManager=m&dryRun=All", &widget("a", &json!({"size": 2}))).await.ok();
    assert_eq!((&tried["spec"]["size"], version(&tried)), (&2.into(), version(&created)));
    assert_eq!(wire.get(&url("a")).await.ok(), created);
}

/// Lets everyone patch, and nobody create.
#[derive(Debug)]
struct PatchOnly;

#[async_trait]
impl Authorizer for PatchOnly {
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError> {
        Ok(match request.verb {
            Verb::Patch => Decision::Allow,
            _ => Decision::NoOpinion("only patches".into()),
        })
    }
}

#[tokio::test]
async fn whoever_creates_by_applying_must_be_allowed_to_create() {
    let mut wire = start(|kind| kind, |server| server.authorizer(PatchOnly)).await;
    let config = widget("a", &json!({"size": 1}));
    let admin = apply(&wire, "a?fieldManager=m", &config).await;
    admin.created();
    let alice = wire.server.pki().issue_client("alice", &[]).unwrap();
    wire.connect_as(Some(&alice)).await;
    let changed = apply(&wire, "a?fieldManager=m", &widget("a", &json!({"size": 2}))).await;
    changed.ok();
    apply(&wire, "b?fieldManager=m", &widget("b", &json!({"size": 2}))).await.refused(
        "3.1", 403, "Forbidden",
        "widgets.example.com \"b\" is forbidden: User \"alice\" cannot create resource \"widgets\" in API group \"example.com\" at the cluster scope: only patches",
    );
}

/// Breaks what the server notes.
#[derive(Debug)]
struct Vandal;

#[async_trait]
impl Admission for Vandal {
    async fn mutate(
        &self,
        _request: &mut AdmissionRequest<'_>,
        object: &mut Object,
    ) -> Result<(), StatusError> {
        object.metadata_mut().insert("managedFields".into(), json!([{"operation": "Steal"}]));
        Ok(())
    }
}

#[tokio::test]
async fn admission_cannot_break_managed_fields() {
    let wire = start(|kind| kind, |server| server.admission(Vandal)).await;
    let answer = apply(&wire, "a?fieldManager=m", &widget("a", &json!({"size": 1}))).await;
    assert_eq!(owners(&answer.created()), [owned("m Apply", json!({"f:spec": {"f:size": {}}}))]);
    let warning = answer.header("warning");
    assert!(warning.starts_with("299 - \".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: metadata.managedFields[0].operation: Invalid value: "), "{warning}");
}

#[tokio::test]
async fn managed_fields_that_do_not_fit_are_left_out() {
    let wire = plain().await;
    // Each name is there twice with its owner, so that the object alone just fits.
    let free = |size: usize| {
        let fields = (0..size / 41).map(|index| (format!("{index:0>30}"), json!("x")));
        Value::Object(fields.collect())
    };
    let config = widget("a", &json!({"free": free(1_700_000)}));
    let created = wire.post(WIDGETS, &config).await.created();
    assert_eq!(owners(&created), [], "2.3: without them it fits");
    apply(&wire, "b?fieldManager=m", &widget("b", &json!({"free": free(1_700_000)})))
        .await
        .refused("3.4", 413, "RequestEntityTooLarge", "Request entity too large: limit is …");
    let small = wire.post(WIDGETS, &widget("c", &json!({}))).await.created();
    assert_eq!(owners(&small).len(), 1);
    let patch = json!({"spec": {"free": free(1_700_000)}});
    let grown = wire.merge(&url("c"), &patch).await.ok();
    assert_eq!(owners(&grown), [], "3.1");
    wire.delete(&url("c")).await.ok();
}
