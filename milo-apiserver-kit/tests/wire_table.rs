//! `spec/wire.md` section 2.9: tables, and metadata alone.

mod support;

use serde_json::{Value, json};
use support::{MERGE, TABLE, Wire, organization, version};

const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn get(wire: &Wire, url: &str, accept: &str) -> support::Answer {
    wire.call("GET", url).header("accept", accept).send().await
}

#[tokio::test]
async fn tables() {
    let wire = Wire::start().await;
    let created = wire.organization("a").await;
    wire.organization("b").await;
    let table = get(&wire, "organizations", TABLE).await.ok();
    assert_eq!(
        (&table["kind"], &table["apiVersion"]),
        (&"Table".into(), &"meta.k8s.io/v1".into()),
        "2.9"
    );
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Name", "Display Name", "Type", "Onboarding", "Ready", "Age"], "2.9");
    let name = &table["columnDefinitions"][0];
    assert_eq!(
        (&name["type"], &name["format"], &name["priority"]),
        (&"string".into(), &"name".into(), &0.into())
    );
    assert_eq!(
        version(&table),
        version(&wire.get("organizations").await.ok()),
        "2.9: as of the list"
    );
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
    let row = &table["rows"][0];
    assert_eq!((&row["cells"][0], &row["cells"][2]), (&"a".into(), &"Standard".into()), "2.9");
    let partial = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": created["metadata"]});
    assert_eq!(row["object"], partial, "2.9: metadata is the default");
    let one = get(&wire, "organizations/a", TABLE).await.ok();
    assert_eq!(
        (version(&one), one["rows"].as_array().unwrap().len()),
        (version(&created), 1),
        "2.9"
    );
    let objects = get(&wire, "organizations/a?includeObject=Object", TABLE).await.ok();
    assert_eq!(objects["rows"][0]["object"], created, "2.9");
    let none = get(&wire, "organizations?includeObject=None", TABLE).await.ok();
    assert_eq!(none["rows"][0].get("object").unwrap_or(&Value::Null), &Value::Null, "2.9");
    for url in ["organizations", "organizations/a", "organizations?watch=true"] {
        let sign = if url.contains('?') { '&' } else { '?' };
        let answer = get(&wire, &format!("{url}{sign}includeObject=Some"), TABLE).await;
        answer.refused(url, 400, "BadRequest", "unrecognized includeObject value: \"Some\"…");
    }
    let beta = TABLE.replace("v=v1", "v=v1beta1");
    assert_eq!(get(&wire, "organizations", &beta).await.ok()["apiVersion"], "meta.k8s.io/v1beta1");
    let page = get(&wire, "organizations?limit=1", TABLE).await.ok();
    assert_eq!(page["metadata"]["remainingItemCount"], 1, "2.9");
    assert!(page["metadata"]["continue"].is_string(), "2.9");
    // Errors are never tables.
    get(&wire, "organizations/none", TABLE).await.refused("0.3", 404, "NotFound", "…not found");
}

#[tokio::test]
async fn watched_tables() {
    let wire = Wire::start().await;
    let created = wire.organization("a").await;
    let query = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    for include in ["", "&includeObject=None", "&includeObject=Object"] {
        let call = wire.call("GET", &format!("organizations?{query}{include}"));
        let mut events = call.header("accept", TABLE).watch().await;
        let first = events.expect("ADDED").await;
        assert_eq!(first["columnDefinitions"].as_array().unwrap().len(), 6, "2.9: {include}");
        assert_eq!(
            (version(&first), first["rows"].as_array().unwrap().len()),
            (version(&wire.get("organizations/a").await.ok()), 1)
        );
        let bookmark = events.expect("BOOKMARK").await;
        assert_eq!(bookmark["columnDefinitions"], Value::Null, "2.9: only in the first event");
        let end =
            &bookmark["rows"][0]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
        assert_eq!(end, "true", "2.9: {include}");
        let touched = wire.touch("a", &format!("mark{include}")).await;
        let next = events.expect("MODIFIED").await;
        assert_eq!(
            (next["columnDefinitions"].clone(), version(&next)),
            (Value::Null, touched),
            "2.9"
        );
    }
    let old = version(&created);
    let call = wire.call("GET", &format!("organizations?watch=true&resourceVersion={old}"));
    let mut events = call.header("accept", TABLE).watch().await;
    assert!(events.expect("MODIFIED").await["columnDefinitions"].is_array(), "2.9");
    let url = "organizations?watch=true&resourceVersion=999999";
    let mut events = wire.call("GET", url).header("accept", TABLE).watch().await;
    assert_eq!(events.expect("ERROR").await["kind"], "Status", "2.9: errors are bare");
}

#[tokio::test]
async fn metadata_alone() {
    let wire = Wire::start().await;
    let created = wire.organization("a").await;
    let partial = |object: &Value| json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]});
    assert_eq!(get(&wire, "organizations/a", PARTIAL).await.ok(), partial(&created), "2.9");
    let list = get(&wire, "organizations?limit=1", PARTIAL_LIST).await.ok();
    assert_eq!(list["kind"], "PartialObjectMetadataList", "2.9");
    assert_eq!(list["items"], json!([partial(&created)]), "2.9");
    assert!(version(&list).parse::<u64>().is_ok(), "2.9");
    get(&wire, "organizations", PARTIAL).await.refused(
        "2.9",
        406,
        "NotAcceptable",
        "you requested PartialObjectMetadata, but the requested object is a list (…)",
    );
    get(&wire, "organizations/a", PARTIAL_LIST).await.refused(
        "2.9",
        406,
        "NotAcceptable",
        "you requested PartialObjectMetadataList, but the requested object is not a list (…)",
    );
    for accept in [PARTIAL, PARTIAL_LIST] {
        let mut events =
            wire.call("GET", "organizations?watch=true").header("accept", accept).watch().await;
        assert_eq!(
            events.expect("ADDED").await,
            partial(&wire.get("organizations/a").await.ok()),
            "2.9"
        );
    }
    let call = wire.call("POST", "organizations").json(&organization("b"));
    let answer = call.header("accept", PARTIAL).send().await;
    assert_eq!(answer.created()["kind"], "PartialObjectMetadata", "2.9");
    let patch = json!({"metadata": {"labels": {"x": "y"}}});
    let call = wire.call("PATCH", "organizations/b").json(&patch).header("content-type", MERGE);
    let answer = call.header("accept", PARTIAL).send().await.ok();
    assert_eq!(answer, partial(&wire.get("organizations/b").await.ok()), "2.9");
    // A write whose answer cannot be given in the wanted form is not done.
    let call = wire.call("POST", "organizations").json(&organization("c"));
    let answer = call.header("accept", PARTIAL_LIST).send().await;
    assert_eq!((answer.code, wire.get("organizations/c").await.code), (406, 404), "2.3");
    let answer = wire.call("DELETE", "organizations/b").header("accept", PARTIAL).send().await;
    assert_eq!(answer.ok()["status"], "Success", "2.7: a Status stays a Status");
}
