//! `spec/wire.md` section 3: JSON patch and merge patch.

mod support;

use serde_json::{Value, json};
use support::{JSON_PATCH, Wire, organization, refusals, version};

const UNPROCESSABLE: &str = "the server rejected our request due to an error in our request";

async fn patch_text(wire: &Wire, url: &str, patch: &str) -> support::Answer {
    let call = wire.call("PATCH", url).body(patch.to_owned());
    call.header("content-type", JSON_PATCH).send().await
}

#[tokio::test]
async fn json_patches() {
    let wire = Wire::start().await;
    let mut object = organization("a");
    object["metadata"]["annotations"] = json!({"a/b": "1", "c.d": "2"});
    object["metadata"]["finalizers"] = json!(["e.com/1", "e.com/2"]);
    wire.post("organizations", &object).await.created();
    let patch = json!([
        {"op": "test", "path": "/metadata/annotations/a~1b", "value": "1"},
        {"op": "replace", "path": "/metadata/annotations/c.d", "value": "3"},
        {"op": "add", "path": "/metadata/finalizers/1", "value": "e.com/3"},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "e.com/4"},
        {"op": "move", "from": "/metadata/annotations/a~1b", "path": "/metadata/annotations/x"},
        {"op": "copy", "from": "/metadata/annotations/x", "path": "/metadata/annotations/y"},
        {"op": "remove", "path": "/metadata/finalizers/0"},
    ]);
    let patched = wire.json_patch("organizations/a", &patch).await.ok();
    let absent = json!([
        {"op": "test", "path": "/metadata/labels", "value": null},
        {"op": "test", "path": "/metadata/annotations/none", "value": null},
    ]);
    let same = wire.json_patch("organizations/a", &absent).await.ok();
    assert_eq!(same, patched, "3.2: null is the same as absent, as kube-rs relies on");
    assert_eq!(patched["metadata"]["annotations"], json!({"c.d": "3", "x": "1", "y": "1"}), "3.2");
    assert_eq!(patched["metadata"]["finalizers"], json!(["e.com/3", "e.com/2", "e.com/4"]), "3.2");
    for patch in [
        json!([{"op": "test", "path": "/metadata/annotations/x", "value": "2"}]),
        json!([{"op": "test", "path": "/metadata/annotations/x", "value": null}]),
        json!([{"op": "test", "path": "/metadata/none/deep", "value": null}]),
        json!([{"op": "remove", "path": "/metadata/annotations/none"}]),
        json!([{"op": "replace", "path": "/metadata/none", "value": 1}]),
        json!([{"op": "add", "path": "/metadata/none/deep", "value": 1}]),
        json!([{"op": "add", "path": "/metadata/finalizers/9", "value": "x"}]),
        json!([{"op": "jump", "path": "/x"}]),
        json!([{"op": "add"}]),
    ] {
        let answer = wire.json_patch("organizations/a", &patch).await;
        answer.refused(&format!("3.2: {patch}"), 422, "Invalid", UNPROCESSABLE);
    }
    for patch in ["{", "{}", "[7]", "[{\"op\":\"test\"}, []]", ""] {
        let answer = patch_text(&wire, "organizations/a", patch).await;
        answer.refused(&format!("3.2: {patch}"), 400, "BadRequest", "error decoding patch: …");
    }
    assert_eq!(wire.get("organizations/a").await.ok(), patched);
    assert_eq!(
        wire.json_patch("organizations/a", &json!([])).await.ok(),
        patched,
        "3.1: no change"
    );
}

#[tokio::test]
async fn json_patches_have_limits() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let many = |count: usize| {
        let one = json!({"op": "test", "path": "/metadata/name", "value": "a"});
        Value::Array(vec![one; count])
    };
    wire.json_patch("organizations/a", &many(10_000)).await.ok();
    wire.json_patch("organizations/a", &many(10_001)).await.refused(
        "3.2", 413, "RequestEntityTooLarge",
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
    );
    let mut bomb = vec![
        json!({"op": "add", "path": "/metadata/annotations", "value": {"a": "x".repeat(100_000)}}),
    ];
    for index in 0..40 {
        let path = format!("/metadata/annotations/a{index}");
        bomb.push(json!({"op": "copy", "from": "/metadata/annotations/a", "path": path}));
    }
    let answer = wire.json_patch("organizations/a", &Value::Array(bomb)).await;
    answer.refused(
        "3.2",
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    );
}

#[tokio::test]
async fn merge_patches() {
    let wire = Wire::start().await;
    let mut object = organization("a");
    object["metadata"]["labels"] = json!({"keep": "1", "drop": "2"});
    object["metadata"]["finalizers"] = json!(["e.com/1", "e.com/2"]);
    let old = wire.post("organizations", &object).await.created();
    let patch = json!({
        "metadata": {"labels": {"drop": null, "new": "3", "absent": null}, "finalizers": ["e.com/3"]},
    });
    let new = wire.merge("organizations/a", &patch).await.ok();
    assert_eq!(new["metadata"]["labels"], json!({"keep": "1", "new": "3"}), "3.3: nulls delete");
    assert_eq!(new["metadata"]["finalizers"], json!(["e.com/3"]), "3.3: lists are replaced");
    assert_eq!(wire.merge("organizations/a", &json!({})).await.ok(), new, "3.1: no change");
    assert_eq!(wire.merge("organizations/a", &patch).await.ok(), new, "3.1: no change");
    let conflict =
        "Operation cannot be fulfilled on organizations.resourcemanager.miloapis.com \"a\": ";
    let stale = format!("{{\"metadata\":{{\"resourceVersion\":\"{}\"}}}}", version(&old));
    let modified = format!(
        "{conflict}the object has been modified; please apply your changes to the latest version and try again"
    );
    let uid =
        format!("{conflict}Precondition failed: UID in precondition: b, UID in object meta: …");
    refusals(
        &wire,
        &[
            ("3.1", "PATCH", "organizations/a", &stale, 409, "Conflict", &modified),
            ("3.1", "PATCH", "organizations/a", r#"{"metadata":{"uid":"b"}}"#, 409, "Conflict", &uid),
            ("3.1", "PATCH", "organizations/none", "{}", 404, "NotFound", "organizations.resourcemanager.miloapis.com \"none\" not found"),
            ("3.1", "PATCH", "organizations/a", "{", 400, "BadRequest", "error decoding patch: …"),
            ("3.1", "PATCH", "organizations/a", "[]", 400, "BadRequest", "…"),
            ("3.1", "PATCH", "organizations/a", "7", 400, "BadRequest", "…"),
            ("2.2", "PATCH", "organizations/a?force=true", "{}", 422, "Invalid",
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"),
        ],
    )
    .await;
    let current = format!("{{\"metadata\":{{\"resourceVersion\":\"{}\"}}}}", version(&new));
    let current: Value = serde_json::from_str(&current).unwrap();
    assert_eq!(wire.merge("organizations/a", &current).await.ok(), new, "3.1");
}

#[tokio::test]
async fn results_that_are_no_object_of_the_kind() {
    let wire = Wire::start().await;
    let old = wire.organization("a").await;
    let text = " \"\" is invalid: patch: Invalid value: \"{…}\": …";
    for patch in [
        json!({"apiVersion": "v9"}),
        json!({"kind": "Project"}),
        json!({"metadata": {"labels": {"a": 1}}}),
        json!({"metadata": null}),
        json!({"metadata": 5}),
    ] {
        for url in ["organizations/a", "organizations/a?fieldValidation=Ignore"] {
            let answer = wire.merge(url, &patch).await;
            let about = format!("2.10: {patch}");
            let code = if patch == json!({"metadata": null}) { answer.code } else { 422 };
            assert_eq!(answer.code, code, "{about}: {}", answer.text());
            if code == 422 {
                let status = answer.refused(&about, 422, "Invalid", text);
                assert_eq!(status["details"]["causes"][0]["field"], "patch", "{about}");
            }
        }
    }
    // What the schema refuses is told field by field.
    wire.merge("organizations/a", &json!({"spec": {"type": 7}})).await.refused(
        "0.2",
        422,
        "Invalid",
        "Organization.resourcemanager.miloapis.com \"a\" is invalid: …spec.type: Invalid value: …",
    );
    assert_eq!(wire.get("organizations/a").await.ok(), old);
}

#[tokio::test]
async fn unknown_fields_in_patches() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let patch = r#"{"metadata":{"labels":{"a":"1","a":"2"}},"spec":{"foo":1}}"#;
    let url = "organizations/a?fieldValidation=Strict";
    refusals(
        &wire,
        &[("2.10", "PATCH", url, patch, 422, "Invalid",
            " \"\" is invalid: patch: Invalid value: \"{…}\": strict decoding error: duplicate field \"metadata.labels.a\", unknown field \"spec.foo\"")],
    )
    .await;
    let patch = r#"[{"op":"add","path":"/metadata/labels","value":{"a":"1"},"odd":1}]"#;
    patch_text(&wire, url, patch).await.refused(
        "2.10", 422, "Invalid",
        " \"\" is invalid: patch: Invalid value: \"{…}\": strict decoding error: json patch unknown field \"[0].odd\"",
    );
    let answer = wire.merge("organizations/a", &json!({"spec": {"foo": 1}})).await;
    answer.ok();
    assert_eq!(answer.headers("warning"), [r#"299 - "unknown field \"spec.foo\"""#], "2.10");
    let answer =
        wire.merge("organizations/a?fieldValidation=Ignore", &json!({"spec": {"foo": 1}})).await;
    answer.ok();
    assert!(answer.headers("warning").is_empty(), "2.10");
}

#[tokio::test]
async fn patches_do_not_conflict_with_each_other() {
    let wire = Wire::start().await;
    wire.organization("a").await;
    let patches = (0..30).map(|index| {
        let patch = json!({"metadata": {"labels": {format!("l{index}"): "x"}}});
        let wire = &wire;
        async move { wire.merge("organizations/a", &patch).await.ok() }
    });
    let answers = futures_util::future::join_all(patches).await;
    let mut versions: Vec<u64> = answers.iter().map(|a| version(a).parse().unwrap()).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 30, "3.1: each was written");
    let labels = wire.get("organizations/a").await.ok()["metadata"]["labels"].clone();
    assert_eq!(labels.as_object().unwrap().len(), 30, "3.1");
}

#[tokio::test]
async fn patches_may_leave_out_the_namespace_but_not_the_name() {
    let wire = Wire::start().await;
    wire.organization("o").await;
    let place = "namespaces/organization-o/organizationmemberships";
    let created = wire.post(place, &support::membership("m", "u", "o")).await.created();
    let url = format!("{place}/m");
    let patched = wire.merge(&url, &json!({"metadata": {"namespace": null}})).await.ok();
    assert_eq!(patched, created, "3.1: it is filled in");
    wire.merge(&url, &json!({"metadata": {"name": null}})).await.refused(
        "3.1",
        400,
        "BadRequest",
        "the name of the object (m based on URL) was undeterminable: name must be provided",
    );
    // What only a deletion may set.
    for (field, value) in [("deletionGracePeriodSeconds", json!(5)), ("generation", json!(-1))] {
        let answer = wire.merge(&url, &json!({"metadata": {field: value}})).await;
        let code = if field == "generation" { 200 } else { 422 };
        assert_eq!(answer.code, code, "2.5 step 5: {}", answer.text());
    }
}
