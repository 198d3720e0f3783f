//! `spec/wire.md` sections 2.6, 2.7 and 2.11: the rules of metadata, deletion, and dry runs.

mod support;

use serde_json::{Value, json};
use support::{JSON_PATCH, MERGE, Wire, membership, names, organization, refusals, version};

const PLACE: &str = "namespaces/organization-o/organizationmemberships";

#[tokio::test]
async fn names_labels_annotations_finalizers_and_owners() {
    let wire = Wire::start().await;
    let name = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "K", "name": "o", "uid": uid});
    let controller = |uid: &str| {
        let mut owner = owner(uid);
        owner["controller"] = true.into();
        owner
    };
    let long = "x".repeat(64);
    for (metadata, field, reason, text) in [
        (
            json!({"name": "A"}),
            "metadata.name",
            "FieldValueInvalid",
            format!("Invalid value: \"A\": {name}"),
        ),
        (
            json!({"name": "a".repeat(254)}),
            "metadata.name",
            "FieldValueInvalid",
            "…must be no more than 253 bytes…".into(),
        ),
        (
            json!({"labels": {"a b": "c"}}),
            "metadata.labels",
            "FieldValueInvalid",
            "Invalid value: \"a b\": name part must consist of…".into(),
        ),
        (
            json!({"labels": {"a/b/c": "c"}}),
            "metadata.labels",
            "FieldValueInvalid",
            "Invalid value: \"a/b/c\": a qualified name must consist of…".into(),
        ),
        (
            json!({"labels": {"UP.io/b": "c"}}),
            "metadata.labels",
            "FieldValueInvalid",
            "Invalid value: \"UP.io/b\": prefix part a lowercase RFC 1123 subdomain…".into(),
        ),
        (
            json!({"labels": {"a": "-"}}),
            "metadata.labels",
            "FieldValueInvalid",
            "Invalid value: \"-\": a valid label must be an empty string or consist of…".into(),
        ),
        (
            json!({"labels": {"a": long}}),
            "metadata.labels",
            "FieldValueInvalid",
            "…must be no more than 63 bytes".into(),
        ),
        (
            json!({"annotations": {"": "c"}}),
            "metadata.annotations",
            "FieldValueInvalid",
            "Invalid value: \"\": name part must be non-empty".into(),
        ),
        (
            json!({"annotations": {"a": "x".repeat(262_144)}}),
            "metadata.annotations",
            "FieldValueTooLong",
            "Too long: may not be more than 262144 bytes".into(),
        ),
        (
            json!({"finalizers": ["a b"]}),
            "metadata.finalizers…",
            "FieldValueInvalid",
            "Invalid value: \"a b\": name part must consist of…".into(),
        ),
        (
            json!({"finalizers": ["orphan", "foregroundDeletion"]}),
            "metadata.finalizers…",
            "FieldValueInvalid",
            "…cannot be both set…".into(),
        ),
        (
            json!({"ownerReferences": [{"kind": "K", "apiVersion": "v1", "name": "o", "uid": ""}]}),
            "metadata.ownerReferences[0].uid",
            "FieldValueInvalid",
            "Invalid value: \"\": must not be empty".into(),
        ),
        (
            json!({"ownerReferences": [controller("1"), controller("2")]}),
            "metadata.ownerReferences",
            "FieldValueInvalid",
            "…Only one reference can have Controller set to true…".into(),
        ),
    ] {
        let mut object = organization("a");
        for (key, value) in metadata.as_object().unwrap() {
            object["metadata"][key] = value.clone();
        }
        let status = wire.post("organizations", &object).await.refused(
            &metadata.to_string(),
            422,
            "Invalid",
            "Organization.resourcemanager.miloapis.com \"…\" is invalid: …",
        );
        let cause = &status["details"]["causes"][0];
        let (got, message) = (cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap());
        assert!(support::matches(field, got), "2.6: {metadata}: {got}");
        assert_eq!(cause["reason"], reason, "2.6: {metadata}: {cause}");
        assert!(support::matches(&text, message), "2.6: {metadata}: {message} is not {text}");
    }
    let mut twice = organization("a");
    twice["metadata"]["ownerReferences"] = json!([owner("1"), owner("1"), owner("2")]);
    let answer = wire.post("organizations", &twice).await;
    assert_eq!(
        answer.created()["metadata"]["ownerReferences"],
        json!([owner("1"), owner("2")]),
        "2.6"
    );
    let warning = answer.header("warning");
    assert!(warning.starts_with("299 - \".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, "), "2.6: {warning}");
}

#[tokio::test]
async fn a_deletion() {
    let wire = Wire::start().await;
    let uid = wire.organization("a").await["metadata"]["uid"].clone();
    let gone = wire.delete("organizations/a").await.ok();
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": "a", "group": "resourcemanager.miloapis.com", "kind": "organizations", "uid": uid},
    });
    assert_eq!(gone, expected, "2.7");
    let missing = "organizations.resourcemanager.miloapis.com \"a\" not found";
    wire.delete("organizations/a").await.refused("2.7", 404, "NotFound", missing);
    wire.get("organizations/a").await.refused("2.7", 404, "NotFound", missing);
}

#[tokio::test]
async fn delete_options() {
    let wire = Wire::start().await;
    let old = wire.organization("a").await;
    let (uid, rv) = (old["metadata"]["uid"].as_str().unwrap(), version(&old));
    let conflict =
        "Operation cannot be fulfilled on organizations.resourcemanager.miloapis.com \"a\": ";
    let by_uid = format!(
        "{conflict}the UID in the precondition (x) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
    );
    let by_rv = format!(
        "{conflict}the ResourceVersion in the precondition (9999) does not match the ResourceVersion in record ({rv}). The object might have been modified"
    );
    let policy = "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Up\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
    let dry_run = "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"";
    refusals(
        &wire,
        &[
            ("2.7", "DELETE", "organizations/a", r#"{"preconditions":{"uid":"x"}}"#, 409, "Conflict", &by_uid),
            ("2.7", "DELETE", "organizations/a", r#"{"preconditions":{"resourceVersion":"9999"}}"#, 409, "Conflict", &by_rv),
            ("2.2", "DELETE", "organizations/a", r#"{"propagationPolicy":"Up"}"#, 422, "Invalid", policy),
            ("2.2", "DELETE", "organizations/a?propagationPolicy=Up", "", 422, "Invalid", policy),
            ("2.2", "POST", "organizations?dryRun=All&dryRun=Some", "{}", 422, "Invalid",
                "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"All\",\"Some\"]: supported values: \"All\""),
            ("2.2", "PUT", "organizations/a?dryRun=", "{}", 422, "Invalid",
                "UpdateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"\"]: supported values: \"All\""),
            ("2.2", "POST", "organizations?fieldManager=a%0Ab&dryRun=Some&fieldValidation=No", "{}", 422, "Invalid",
                "CreateOptions.meta.k8s.io \"\" is invalid: [fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1), dryRun: Unsupported value: [\"Some\"]: supported values: \"All\", fieldValidation: Unsupported value: \"No\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"]"),
            ("2.2", "DELETE", "organizations/a?dryRun=Some", "", 422, "Invalid", dry_run),
            ("2.2", "DELETE", "organizations?dryRun=Some", "", 422, "Invalid", dry_run),
            ("2.2", "DELETE", "organizations/a", r#"{"propagationPolicy":"Orphan","orphanDependents":true}"#, 422, "Invalid",
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set"),
            ("2.2", "DELETE", "organizations/a?gracePeriodSeconds=soon", "", 400, "BadRequest", "…gracePeriodSeconds…"),
            ("2.7", "DELETE", "organizations/a", r#"{"kind":"Pod","apiVersion":"v1"}"#, 400, "BadRequest", "…DeleteOptions…"),
            ("2.7", "DELETE", "organizations/a", "{", 400, "BadRequest", "…"),
            ("2.7", "DELETE", "organizations/none", r#"{"preconditions":{"uid":"x"}}"#, 404, "NotFound", "…"),
        ],
    )
    .await;
    assert_eq!(wire.get("organizations/a").await.ok(), old);
    let body = json!({
        "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "propagationPolicy": "Foreground",
        "preconditions": {"uid": uid, "resourceVersion": rv},
    });
    let answer = wire.call("DELETE", "organizations/a").json(&body).send().await;
    assert_eq!(answer.ok()["status"], "Success", "2.7");
}

#[tokio::test]
async fn finalizers_hold_an_object_until_they_are_gone() {
    let wire = Wire::start().await;
    let mut held = organization("a");
    held["metadata"]["finalizers"] = json!(["example.com/one", "example.com/two"]);
    let created = wire.post("organizations", &held).await.created();
    let mut events = wire
        .watch(&format!("organizations?watch=true&resourceVersion={}", version(&created)))
        .await;
    let deleting = wire.delete("organizations/a").await.ok();
    let metadata = &deleting["metadata"];
    assert!(metadata["deletionTimestamp"].is_string(), "2.7: {metadata}");
    assert_eq!(metadata["deletionGracePeriodSeconds"], 0, "2.7");
    assert_eq!(metadata["generation"], 2, "2.7: generation + 1");
    assert_eq!(events.expect("MODIFIED").await, deleting, "2.7");
    assert_eq!(wire.delete("organizations/a").await.ok(), deleting, "2.7: twice is no error");
    let taken =
        "object is being deleted: organizations.resourcemanager.miloapis.com \"a\" already exists";
    for url in ["organizations", "organizations?dryRun=All"] {
        wire.post(url, &organization("a")).await.refused("2.3", 409, "AlreadyExists", taken);
    }
    let more =
        json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/three"}]);
    wire.json_patch("organizations/a", &more).await.refused(
        "2.5", 422, "Invalid", "…metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/three\"}",
    );
    let one = json!([{"op": "remove", "path": "/metadata/finalizers/0"}]);
    let left = wire.json_patch("organizations/a", &one).await.ok();
    assert_eq!(left["metadata"]["finalizers"], json!(["example.com/two"]));
    assert_eq!(left["metadata"]["deletionTimestamp"], metadata["deletionTimestamp"]);
    events.expect("MODIFIED").await;
    let none = json!({"metadata": {"finalizers": null}});
    let tried = wire.merge("organizations/a?dryRun=All", &none).await.ok();
    assert!(tried["metadata"].get("finalizers").is_none(), "2.11");
    assert_eq!(wire.get("organizations/a").await.ok(), left, "2.11");
    let last = wire.merge("organizations/a", &none).await.ok();
    assert!(last["metadata"].get("finalizers").is_none(), "2.5 step 8");
    let gone = events.expect("DELETED").await;
    assert!(version(&gone).parse::<u64>().unwrap() > version(&left).parse().unwrap(), "4.6");
    assert_eq!(gone["metadata"]["finalizers"], json!(["example.com/two"]), "4.6: the last state");
    assert_eq!(wire.get("organizations/a").await.code, 404, "2.5 step 8");
}

#[tokio::test]
async fn orphan_dependents_is_acknowledged() {
    let wire = Wire::start().await;
    let mut held = organization("a");
    held["metadata"]["finalizers"] = json!(["example.com/one"]);
    wire.post("organizations", &held).await.created();
    let body = json!({"orphanDependents": false});
    let answer = wire.call("DELETE", "organizations/a").json(&body).send().await;
    assert_eq!(answer.code, 202, "2.7: {}", answer.text());
}

#[tokio::test]
async fn collections_are_deleted_by_selection() {
    let wire = Wire::start().await;
    wire.organization("o").await;
    wire.organization("other").await;
    for (name, user) in [("a", "u1"), ("b", "u2"), ("c", "u1"), ("d", "u3")] {
        let mut object = membership(name, user, "o");
        object["metadata"]["labels"] = json!({"name": name});
        if name == "c" {
            object["metadata"]["finalizers"] = json!(["example.com/one"]);
        }
        wire.post(PLACE, &object).await.created();
    }
    wire.post(
        "namespaces/organization-other/organizationmemberships",
        &membership("z", "u1", "other"),
    )
    .await
    .created();
    let tried = wire.delete(&format!("{PLACE}?dryRun=All")).await.ok();
    assert_eq!(names(&tried), ["a", "b", "c", "d"], "2.11");
    assert_eq!(names(&wire.get(PLACE).await.ok()), ["a", "b", "c", "d"], "2.11");
    let some = wire.delete(&format!("{PLACE}?labelSelector=name%20in%20(b,x)")).await.ok();
    assert_eq!((&some["kind"], names(&some)), (&"OrganizationMembershipList".into(), vec!["b"]));
    let some = wire.delete(&format!("{PLACE}?fieldSelector=spec.userRef.name%3Du1")).await.ok();
    assert_eq!(names(&some), ["a", "c"], "2.7");
    let left = wire.get(PLACE).await.ok();
    assert_eq!(names(&left), ["c", "d"], "2.7: what has finalizers stays");
    assert!(left["items"][0]["metadata"]["deletionTimestamp"].is_string(), "2.7");
    let page = wire.delete(&format!("{PLACE}?limit=1")).await.ok();
    assert_eq!(names(&page), ["c"], "2.7: only one page of the client's size");
    wire.delete(PLACE).await.ok();
    let everywhere = wire.get("organizationmemberships").await.ok();
    assert_eq!(names(&everywhere), ["c", "z"]);
    wire.delete(&format!("{PLACE}?labelSelector=a%3D%3D%3Db")).await.refused(
        "4.1",
        400,
        "BadRequest",
        "unable to parse requirement: …",
    );
}

#[tokio::test]
async fn dry_runs_write_nothing() {
    let wire = Wire::start().await;
    let old = wire.organization("a").await;
    let before = version(&wire.get("organizations").await.ok());
    let mut next = old.clone();
    next["metadata"]["labels"] = json!({"x": "y"});
    let object = |answer: Value| (version(&answer), answer["metadata"]["labels"]["x"].clone());
    let wanted = (version(&old), json!("y"));
    let put = wire.put("organizations/a?dryRun=All", &next).await.ok();
    assert_eq!(object(put), wanted, "2.11: the current resource version");
    for (kind, patch) in [
        (MERGE, json!({"metadata": {"labels": {"x": "y"}}})),
        (JSON_PATCH, json!([{"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}])),
    ] {
        let call = wire.call("PATCH", "organizations/a?dryRun=All&dryRun=All").json(&patch);
        let answer = call.header("content-type", kind).send().await;
        assert_eq!(object(answer.ok()), wanted, "2.11");
    }
    let mut status = old.clone();
    status["status"]["observedGeneration"] = 5.into();
    let answer = wire.put("organizations/a/status?dryRun=All", &status).await.ok();
    assert_eq!(answer["status"]["observedGeneration"], 5, "2.11");
    wire.post("organizations?dryRun=All", &organization("b")).await.created();
    assert_eq!(wire.delete("organizations/a?dryRun=All").await.ok()["status"], "Success", "2.11");
    let body = json!({"dryRun": ["All"]});
    wire.call("DELETE", "organizations/a").json(&body).send().await.ok();
    let text = "…Options.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Most\"]: supported values: \"All\"";
    for (method, url) in
        [("POST", "organizations"), ("PUT", "organizations/a"), ("PATCH", "organizations/a")]
    {
        let call = wire.call(method, &format!("{url}?dryRun=Most")).body(old.to_string());
        let kind = if method == "PATCH" { MERGE } else { "application/json" };
        call.header("content-type", kind).send().await.refused(method, 422, "Invalid", text);
    }
    let after = wire.get("organizations").await.ok();
    assert_eq!(after["items"], json!([old]), "2.11");
    assert_eq!(version(&after), before, "2.11: nothing was written at all");
}

#[tokio::test]
async fn finalizers_of_nobody_are_told_once() {
    let wire = Wire::start().await;
    let mut held = organization("a");
    held["metadata"]["finalizers"] = json!(["plain", "example.com/one"]);
    let warning = |name: &str| {
        format!(
            "299 - \"metadata.finalizers: \\\"{name}\\\": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers\""
        )
    };
    let answer = wire.post("organizations", &held).await;
    answer.created();
    assert_eq!(answer.headers("warning"), [warning("plain")], "2.6");
    let patch = json!({"metadata": {"finalizers": ["plain", "other"]}});
    let answer = wire.merge("organizations/a", &patch).await;
    answer.ok();
    assert_eq!(answer.headers("warning"), [warning("other")], "2.6: those that are new");
}

#[tokio::test]
async fn a_page_of_a_collection_is_deleted() {
    let wire = Wire::start().await;
    for name in ["a", "b", "c"] {
        wire.organization(name).await;
    }
    let page = wire.delete("organizations?limit=2").await.ok();
    assert_eq!(names(&page), ["a", "b"], "2.7");
    assert!(page["metadata"]["continue"].is_string(), "2.7: how to go on");
    assert_eq!(names(&wire.get("organizations").await.ok()), ["c"], "2.7");
    let tried = wire.delete("organizations?dryRun=All").await.ok();
    assert_eq!(
        (names(&tried), names(&wire.get("organizations").await.ok())),
        (vec!["c"], vec!["c"])
    );
    let body = json!({"preconditions": {"uid": "x"}});
    wire.call("DELETE", "organizations").json(&body).send().await.refused(
        "2.7",
        409,
        "Conflict",
        "…the UID in the precondition (x) does not match the UID in record (…",
    );
}
