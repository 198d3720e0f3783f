//! `spec/wire.md` sections 2.2 to 2.5, 2.8, 2.10 and 2.11: creating, reading and replacing objects.

mod support;

use serde_json::{Value, json};
use support::{Wire, membership, organization, refusals, version};

const PLACE: &str = "namespaces/organization-o/organizationmemberships";

/// An organization with something changed, as text.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut object = organization("a");
    change(&mut object);
    object.to_string()
}

#[tokio::test]
async fn bodies_that_cannot_be_decoded() {
    let wire = Wire::start().await;
    let broken = "the object provided is unrecognized (must be of type Organization): couldn't get version/kind; json parse error: …";
    let version = "the API version in the data (v9) does not match the expected API version (resourcemanager.miloapis.com/v1alpha1)";
    let kind = "Project in version \"v1alpha1\" cannot be handled as a Organization: …";
    let shape = "Organization in version \"v1alpha1\" cannot be handled as a Organization: json: cannot unmarshal number into metadata.labels[a] of type string";
    let other = changed(|object| object["apiVersion"] = "v9".into());
    let project = changed(|object| object["kind"] = "Project".into());
    let labels = changed(|object| object["metadata"]["labels"] = json!({"a": 1}));
    for (method, url) in [("POST", "organizations"), ("PUT", "organizations/a")] {
        refusals(
            &wire,
            &[
                ("2.3", method, url, "", 400, "BadRequest", broken),
                ("2.3", method, url, "{\"metadata\":", 400, "BadRequest", broken),
                ("2.3", method, url, "{} {}", 400, "BadRequest", broken),
                ("2.3", method, url, "\u{0}", 400, "BadRequest", "…(00)"),
                (
                    "2.3",
                    method,
                    url,
                    "[]",
                    400,
                    "BadRequest",
                    "the object provided is unrecognized (must be of type Organization): …",
                ),
                ("2.3", method, url, &other, 400, "BadRequest", version),
                ("2.3", method, url, &project, 400, "BadRequest", kind),
                ("2.3", method, url, &labels, 400, "BadRequest", shape),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn creation() {
    let wire = Wire::start().await;
    let mut sent = organization("a");
    sent["metadata"]["uid"] = "mine".into();
    sent["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z".into();
    sent["metadata"]["deletionTimestamp"] = "2001-01-01T00:00:00Z".into();
    sent["metadata"]["generation"] = 7.into();
    sent["metadata"]["selfLink"] = "/me".into();
    sent["metadata"]["namespace"] = "ignored".into();
    sent["status"] = json!({"observedGeneration": 9});
    let created = wire.post("organizations", &sent).await.created();
    let metadata = &created["metadata"];
    assert!(uuid::Uuid::parse_str(metadata["uid"].as_str().unwrap()).is_ok(), "2.3 step 13");
    assert_ne!(metadata["creationTimestamp"], "2001-01-01T00:00:00Z", "2.3 step 8");
    assert_eq!(metadata["creationTimestamp"].as_str().unwrap().len(), 20, "2.3: whole seconds");
    assert_eq!(metadata["generation"], 1, "2.6");
    for absent in ["deletionTimestamp", "selfLink", "namespace"] {
        assert!(metadata.get(absent).is_none(), "2.3: {absent} in {metadata}");
    }
    assert_ne!(created["status"]["observedGeneration"], 9, "2.8");
    assert!(version(&created).parse::<u64>().unwrap() > 0, "2.6");
    assert_eq!(wire.get("organizations/a").await.ok(), created);
    let taken = "organizations.resourcemanager.miloapis.com \"a\" already exists";
    wire.post("organizations", &sent).await.refused("2.3", 409, "AlreadyExists", taken);
    let answer = wire.post("organizations?dryRun=All", &sent).await;
    answer.refused("2.11", 409, "AlreadyExists", taken);
    let mut versioned = organization("b");
    versioned["metadata"]["resourceVersion"] = "5".into();
    let text = "resourceVersion should not be set on objects to be created";
    wire.post("organizations", &versioned).await.refused("2.3", 400, "BadRequest", text);
    // Type and kind may be left out; the answer has them.
    let bare = json!({"metadata": {"name": "bare"}});
    assert_eq!(wire.post("organizations", &bare).await.created()["kind"], "Organization");
}

#[tokio::test]
async fn namespaces_of_bodies_and_urls() {
    let wire = Wire::start().await;
    wire.organization("o").await;
    let created = wire.post(PLACE, &membership("m", "u", "o")).await.created();
    assert_eq!(created["metadata"]["namespace"], "organization-o", "2.3 step 9");
    let mut elsewhere = membership("x", "u", "o");
    elsewhere["metadata"]["namespace"] = "other".into();
    let text =
        "the namespace of the provided object does not match the namespace sent on the request";
    wire.post(PLACE, &elsewhere).await.refused("2.3", 400, "BadRequest", text);
    let mut moved = created.clone();
    moved["metadata"]["namespace"] = "other".into();
    let url = format!("{PLACE}/m");
    wire.put(&url, &moved).await.refused("2.5", 400, "BadRequest", text);
    let patch = json!({"metadata": {"namespace": "other"}});
    wire.merge(&url, &patch).await.refused("3.1", 400, "BadRequest", text);
    let mut named = created.clone();
    named["metadata"]["name"] = "y".into();
    let text = "the name of the object (y) does not match the name on the URL (m)";
    wire.put(&url, &named).await.refused("2.5", 400, "BadRequest", text);
    wire.merge(&url, &json!({"metadata": {"name": "y"}})).await.refused(
        "3.1",
        400,
        "BadRequest",
        text,
    );
    named["metadata"]["name"] = "".into();
    let text = "the name of the object (m based on URL) was undeterminable: name must be provided";
    wire.put(&url, &named).await.refused("2.5", 400, "BadRequest", text);
    let bad =
        wire.post("namespaces/Bad_One/organizationmemberships", &membership("m", "u", "o")).await;
    let status = bad.refused("2.6", 422, "Invalid", "OrganizationMembership.resourcemanager.miloapis.com \"m\" is invalid: metadata.namespace: Invalid value: \"Bad_One\": a lowercase RFC 1123 label must consist of…");
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.namespace");
}

#[tokio::test]
async fn generated_names() {
    let wire = Wire::start().await;
    wire.organization("o").await;
    let base = "x".repeat(70);
    let sent = json!({"metadata": {"generateName": base}});
    let created = wire.post("organizationmemberships", &sent).await;
    assert_eq!(created.code, 405);
    let mut sent = membership("", "u", "o");
    sent["metadata"] = json!({"generateName": base});
    let created = wire.post(PLACE, &sent).await.created();
    let name = created["metadata"]["name"].as_str().unwrap();
    assert_eq!(name.len(), 63, "2.3: {name}");
    let (start, end) = name.split_at(58);
    assert_eq!((start, &created["metadata"]["generateName"]), (&base[..58], &base.clone().into()));
    assert!(end.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)), "2.3: {name}");
    sent["metadata"]["name"] = "chosen".into();
    assert_eq!(wire.post(PLACE, &sent).await.created()["metadata"]["name"], "chosen", "2.3");
    let tried =
        wire.post("organizations?dryRun=All", &json!({"metadata": {"generateName": "a-"}})).await;
    let tried = tried.created();
    assert!(tried["metadata"]["name"].as_str().unwrap().starts_with("a-"), "2.11");
    assert!(tried["metadata"].get("resourceVersion").is_none(), "2.11");
    wire.post("organizations", &json!({"metadata": {"generateName": "A_"}})).await.refused(
        "2.6", 422, "Invalid", "Organization.resourcemanager.miloapis.com \"A_…\" is invalid: [metadata.generateName: Invalid value: \"A_\": a lowercase RFC 1123 subdomain must consist of…",
    );
    wire.post("organizations", &json!({})).await.refused(
        "2.6", 422, "Invalid", "Organization.resourcemanager.miloapis.com \"\" is invalid: metadata.name: Required value: name or generateName is required",
    );
}

#[tokio::test]
async fn reading() {
    let wire = Wire::start().await;
    let created = wire.organization("a").await;
    for rv in ["", "0", &version(&created)] {
        let answer = wire.get(&format!("organizations/a?resourceVersion={rv}")).await;
        assert_eq!(answer.ok(), created, "2.4: {rv}");
    }
    let status = wire.get("organizations/a?resourceVersion=999999").await.refused(
        "2.4",
        504,
        "Timeout",
        "Timeout: Too large resource version: 999999, current: …",
    );
    let cause =
        json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    assert_eq!(status["details"]["causes"], json!([cause]), "4.3");
    refusals(
        &wire,
        &[
            (
                "4.3",
                "GET",
                "organizations/a?resourceVersion=x",
                "",
                422,
                "Invalid",
                "GetOptions.meta.k8s.io \"\" is invalid: resourceVersion: Invalid value: …",
            ),
            (
                "4.3",
                "GET",
                "organizations/a?resourceVersion=-1",
                "",
                422,
                "Invalid",
                "GetOptions.meta.k8s.io \"\" is invalid: resourceVersion: Invalid value: …",
            ),
            (
                "2.4",
                "GET",
                "organizations/..",
                "",
                400,
                "BadRequest",
                "Name parameter invalid: \"..\": …",
            ),
            (
                "2.4",
                "GET",
                "organizations/a%25",
                "",
                400,
                "BadRequest",
                "Name parameter invalid: \"a%\": …",
            ),
        ],
    )
    .await;
    assert_eq!(wire.get("organizations/a/status").await.ok(), created, "2.8");
}

#[tokio::test]
async fn replacing() {
    let wire = Wire::start().await;
    let old = wire.organization("a").await;
    // 2.5 step 9: nothing changes, nothing is written.
    assert_eq!(wire.put("organizations/a", &old).await.ok(), old, "2.5");
    let mut next = old.clone();
    next["spec"]["contactInfo"] = json!({"name": "Ann", "email": "ann@example.com"});
    let new = wire.put("organizations/a", &next).await.ok();
    assert_ne!(version(&new), version(&old), "2.5");
    assert_eq!(new["metadata"]["generation"], 2, "2.6");
    let conflict = "Operation cannot be fulfilled on organizations.resourcemanager.miloapis.com \"a\": the object has been modified; please apply your changes to the latest version and try again";
    let stale = wire.put("organizations/a", &next).await;
    let status = stale.refused("2.5 step 4", 409, "Conflict", conflict);
    assert_eq!(status["details"]["kind"], "organizations");
    for (rv, code, reason, text) in [
        (
            "",
            422,
            "Invalid",
            "…metadata.resourceVersion: Invalid value: 0: must be specified for an update",
        ),
        ("x", 422, "Invalid", "…metadata.resourceVersion: Invalid value: \"x\"…"),
        ("999999", 409, "Conflict", conflict),
    ] {
        let mut body = new.clone();
        body["metadata"]["resourceVersion"] = rv.into();
        wire.put("organizations/a", &body).await.refused(rv, code, reason, text);
    }
    let mut other = new.clone();
    other["metadata"]["uid"] = "b".into();
    let uid = old["metadata"]["uid"].as_str().unwrap();
    let text = format!("…Precondition failed: UID in precondition: b, UID in object meta: {uid}");
    wire.put("organizations/a", &other).await.refused("2.5 step 1", 409, "Conflict", &text);
    let mut missing = new.clone();
    missing["metadata"]["name"] = "b".into();
    let text = format!("…Precondition failed: UID in precondition: {uid}, UID in object meta: ");
    wire.put("organizations/b", &missing).await.refused("2.5 step 1", 409, "Conflict", &text);
    missing["metadata"]["uid"] = "".into();
    let text = "organizations.resourcemanager.miloapis.com \"b\" not found";
    wire.put("organizations/b", &missing).await.refused("2.5 step 2", 404, "NotFound", text);
    // Metadata that is the server's stays as it is, whatever is sent.
    let mut forged = new.clone();
    for (field, value) in [
        ("creationTimestamp", json!("2001-01-01T00:00:00Z")),
        ("deletionTimestamp", json!("2001-01-01T00:00:00Z")),
        ("generation", json!(99)),
        ("selfLink", json!("/x")),
    ] {
        forged["metadata"][field] = value;
    }
    assert_eq!(wire.put("organizations/a", &forged).await.ok(), new, "2.5 step 5");
    forged["metadata"]["uid"] = "".into();
    assert_eq!(wire.put("organizations/a", &forged).await.ok(), new, "2.5 step 5");
    let mut typed = new.clone();
    typed["spec"]["type"] = "Personal".into();
    let status = wire.put("organizations/a", &typed).await.refused(
        "2.5", 422, "Invalid", "Organization.resourcemanager.miloapis.com \"a\" is invalid: …organization type is immutable",
    );
    assert_eq!(status["details"]["kind"], "Organization", "0.2: the kind, not the plural");
}

#[tokio::test]
async fn status_and_the_rest_are_apart() {
    let wire = Wire::start().await;
    let old = wire.organization("a").await;
    let mut both = old.clone();
    both["spec"]["contactInfo"] = json!({"name": "Ann", "email": "ann@example.com"});
    both["metadata"]["labels"] = json!({"x": "y"});
    both["status"]["observedGeneration"] = 5.into();
    let status = wire.put("organizations/a/status", &both).await.ok();
    assert_eq!(status["status"]["observedGeneration"], 5, "2.8");
    assert_eq!(status["spec"], old["spec"], "2.8");
    assert!(status["metadata"].get("labels").is_none(), "2.8: {status}");
    assert_eq!(status["metadata"]["generation"], 1, "2.6: status writes do not count");
    both["metadata"]["resourceVersion"] = version(&status).into();
    both["status"]["observedGeneration"] = 6.into();
    let main = wire.put("organizations/a", &both).await.ok();
    assert_eq!(main["status"]["observedGeneration"], 5, "2.8");
    assert_eq!((&main["spec"], &main["metadata"]["labels"]), (&both["spec"], &json!({"x": "y"})));
    assert_eq!(main["metadata"]["generation"], 2, "2.6");
    let patch = json!({"metadata": {"labels": {"x": "z"}}, "spec": null, "status": {"observedGeneration": 7}});
    let patched = wire.merge("organizations/a/status", &patch).await.ok();
    assert_eq!(patched["status"]["observedGeneration"], 7, "2.8");
    assert_eq!(
        (&patched["spec"], &patched["metadata"]["labels"]),
        (&main["spec"], &main["metadata"]["labels"])
    );
    let patch = json!({"status": {"observedGeneration": 8}});
    let same = wire.merge("organizations/a", &patch).await.ok();
    assert_eq!(same, patched, "2.8: nothing is left to change");
    // Labels alone are no new generation.
    let labelled =
        wire.merge("organizations/a", &json!({"metadata": {"labels": {"x": "z"}}})).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 2, "2.6");
}

#[tokio::test]
async fn unknown_and_duplicate_fields() {
    let wire = Wire::start().await;
    let body =
        r#"{"metadata":{"name":"a","odd":1},"spec":{"foo":1,"type":"Standard","type":"Personal"}}"#;
    let strict = "Organization in version \"v1alpha1\" cannot be handled as a Organization: strict decoding error: unknown field \"metadata.odd\", unknown field \"spec.foo\", duplicate field \"spec.type\"";
    refusals(
        &wire,
        &[
            ("2.10", "POST", "organizations?fieldValidation=Strict", body, 400, "BadRequest", strict),
            ("2.2", "POST", "organizations?fieldValidation=Loose", body, 422, "Invalid",
                "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loose\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""),
        ],
    )
    .await;
    for (query, warnings) in [
        ("fieldValidation=Ignore&dryRun=All", &[][..]),
        ("fieldValidation=Warn&dryRun=All", &WARNINGS),
        ("", &WARNINGS),
    ] {
        let answer = wire.call("POST", &format!("organizations?{query}")).body(body).send().await;
        let created = answer.created();
        assert_eq!(created["spec"], json!({"type": "Personal"}), "2.10: {query}");
        assert_eq!(answer.headers("warning"), warnings, "2.10: {query}");
    }
    let answer = wire.call("PUT", "organizations/a?fieldValidation=Strict").body(body).send().await;
    answer.refused("2.10", 400, "BadRequest", strict);
}

const WARNINGS: [&str; 3] = [
    r#"299 - "unknown field \"metadata.odd\"""#,
    r#"299 - "unknown field \"spec.foo\"""#,
    r#"299 - "duplicate field \"spec.type\"""#,
];
