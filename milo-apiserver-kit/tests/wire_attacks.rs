//! Writes that mean harm: bodies whose cost grows faster than their size, and forged ownership.

mod support;

use std::time::{Duration, Instant};

use milo_apiserver_kit::{Kind, ServerBuilder};
use serde_json::{Map, Value, json};
use support::{
    Answer, Wire,
    widgets::{WIDGETS, apply, owners, start, url, widget},
};

/// Far more than any of this takes in a debug build, and far less than it took before.
const BRIEF: Duration = Duration::from_secs(8);

async fn plain() -> Wire {
    start(|kind: Kind| kind, |server: ServerBuilder| server).await
}

fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
    json!({
        "manager": manager, "operation": operation, "apiVersion": "example.com/v1",
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    })
}

async fn brief(answer: impl Future<Output = Answer>) -> Answer {
    let start = Instant::now();
    let answer = answer.await;
    assert!(start.elapsed() < BRIEF, "{:?}", start.elapsed());
    answer
}

fn fields(count: usize, value: i64) -> Value {
    (0..count).map(|at| (format!("k{at:06}"), Value::from(value))).collect::<Map<_, _>>().into()
}

#[tokio::test]
async fn conflicts_do_not_multiply_paths() {
    let wire = plain().await;
    let config = |value| {
        let long = "x".repeat(20_000);
        widget("a", &json!({"free": {long: fields(5000, value)}}))
    };
    apply(&wire, "a?fieldManager=one", &config(1)).await.created();
    let answer = brief(apply(&wire, "a?fieldManager=two", &config(2))).await;
    let message = "Apply failed with 5000 conflicts: conflicts with \"one\":\n…\nand … more";
    answer.refused("3.4", 409, "Conflict", message);
    assert!(answer.body.len() < 1 << 20, "{}", answer.body.len());
}

#[tokio::test]
async fn ten_thousands_of_forged_updaters_are_merged() {
    let wire = plain().await;
    let update = |at: usize| {
        let field = format!("f:k{at}");
        entry(&format!("m{at}"), "Update", &json!({"f:spec": {"f:free": {field: {}}}}))
    };
    let mut object = widget("a", &json!({"size": 1}));
    object["metadata"]["managedFields"] = (0..20_000).map(update).collect();
    let created = brief(wire.post(WIDGETS, &object)).await.created();
    let entries = created["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 10, "3.4");
    let ancient = entries.iter().find(|entry| entry["manager"] == "ancient-changes").unwrap();
    let free = ancient["fieldsV1"]["f:spec"]["f:free"].as_object().unwrap();
    assert_eq!(free.len(), 19_992, "3.4: nothing that was owned is lost");
    // Entries of versions that are all different cannot be merged.
    let mut object = widget("b", &json!({"size": 1}));
    let other = |at: usize| {
        let mut entry = update(at);
        entry["apiVersion"] = format!("example.com/v{at}").into();
        entry
    };
    object["metadata"]["managedFields"] = (0..20_000).map(other).collect();
    assert!(matches!(brief(wire.post(WIDGETS, &object)).await.code, 201 | 413));
}

#[tokio::test]
async fn a_large_change_below_ten_thousand_appliers() {
    let wire = plain().await;
    let owner =
        |at: usize| entry(&format!("m{at}"), "Apply", &json!({"f:spec": {"f:free": {"f:z": {}}}}));
    let mut object = widget("a", &json!({"size": 1}));
    object["metadata"]["managedFields"] = (0..10_000).map(owner).collect();
    wire.post(WIDGETS, &object).await.created();
    let patch = json!({"spec": {"free": fields(40_000, 1)}});
    let answer = brief(wire.merge(&url("a"), &patch)).await;
    assert!(matches!(answer.code, 200 | 413), "{}", answer.code);
}

#[tokio::test]
async fn a_patch_cannot_carry_a_tree_around() {
    let wire = plain().await;
    wire.post(WIDGETS, &widget("a", &json!({"free": {"a": vec![0; 100_000]}}))).await.created();
    let shift = |from: &str, to: &str| json!({"op": "move", "from": format!("/spec/free/{from}"), "path": format!("/spec/free/{to}")});
    let moves: Vec<Value> = (0..4000).flat_map(|_| [shift("a", "b"), shift("b", "a")]).collect();
    brief(wire.json_patch(&url("a"), &moves.into())).await.ok();
    let mut dig = vec![json!({"op": "add", "path": "/spec/free/c", "value": {}})];
    dig.extend((0..4000).flat_map(|_| [shift("a", "c/a"), shift("c/a", "a")]));
    let answer = brief(wire.json_patch(&url("a"), &dig.into())).await;
    answer.refused("3.2", 413, "RequestEntityTooLarge", "…");
}

#[tokio::test]
async fn no_problem_is_told_without_end() {
    let wire = plain().await;
    let list = |prefix: &str| -> Value { (0..40_000).map(|at| format!("{prefix}{at}")).collect() };
    let mut object = widget("a", &json!({}));
    object["metadata"]["finalizers"] = list("a");
    brief(wire.post(WIDGETS, &object)).await.created();
    let patch = json!({"metadata": {"finalizers": list("b")}});
    brief(wire.merge(&url("a"), &patch)).await.ok();
    let port = |at: usize| json!({"name": format!("p{at}"), "number": "one"});
    let ports: Vec<Value> = (0..30_000).map(port).collect();
    let answer = brief(wire.post(WIDGETS, &widget("b", &json!({"ports": ports})))).await;
    let status = answer.refused("2.3", 422, "Invalid", "…");
    assert!(status["details"]["causes"].as_array().unwrap().len() <= 101);
    let tags = vec!["x"; 60_000];
    let twice: Vec<String> = (0..60_000).map(|at| format!("t{}", at / 2)).collect();
    for tags in [json!(tags), json!(twice)] {
        let answer = brief(wire.post(WIDGETS, &widget("c", &json!({"tags": tags})))).await;
        let status = answer.refused("2.3", 422, "Invalid", "…");
        assert!(status["details"]["causes"].as_array().unwrap().len() <= 101);
    }
}

#[tokio::test]
async fn metadata_that_is_none() {
    let wire = plain().await;
    let created = wire.post(WIDGETS, &widget("a", &json!({"size": 1}))).await.created();
    for (metadata, code) in [
        (json!(null), 400),
        (json!([]), 422),
        (json!({"name": null}), 400),
        (json!({"managedFields": 1}), 422),
        (json!({"managedFields": [1]}), 422),
        (json!({"managedFields": [entry("x", "Apply", &json!([]))]}), 422),
        (json!({"managedFields": [entry(&"x".repeat(200), "Apply", &json!({"f:spec": {}}))]}), 422),
        // What cannot be read is not believed; the stored ones stay.
        (json!({"managedFields": null}), 200),
        (json!({"managedFields": [entry("x", "Other", &json!({"f:spec": {}}))]}), 200),
        (json!({"managedFields": [entry("x", "Apply", &json!({"spec": {}}))]}), 200),
    ] {
        let answer = wire.merge(&url("a"), &json!({"metadata": metadata})).await;
        assert_eq!(answer.code, code, "{metadata}: {}", answer.text());
    }
    let config =
        |metadata| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata});
    for (name, metadata, code) in [
        ("a", json!([]), 400),
        ("a", json!({"name": "b"}), 400),
        ("b", json!({}), 400),
        ("b", json!({"name": "b", "resourceVersion": "1"}), 400),
        ("b", json!({"name": "b", "uid": "1"}), 409),
        ("b/status", json!({"name": "b"}), 404),
        ("a", json!({"name": "a", "resourceVersion": "1"}), 409),
        ("a", json!({"name": "a", "uid": "1"}), 409),
        (
            "a",
            json!({"name": "a", "generation": 77, "creationTimestamp": "2020-01-01T00:00:00Z"}),
            200,
        ),
    ] {
        let answer = apply(&wire, &format!("{name}?fieldManager=m"), &config(metadata)).await;
        assert_eq!(answer.code, code, "{name}: {}", answer.text());
    }
    assert_eq!(wire.get(&url("a")).await.ok(), created, "nothing of this has changed it");
}

/// What a manager owns of the free fields.
fn free_of(object: &Value, manager: &str) -> Value {
    let owners = owners(object);
    let owner = owners.iter().find(|(who, _)| who == manager);
    owner.map(|(_, fields)| fields["f:spec"]["f:free"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn appliers_at_once_lose_nothing() {
    let wire = plain().await;
    let apply = |at: usize, round: usize| {
        let config = widget("a", &json!({"free": {format!("k{at}"): round}}));
        let query = format!("a?fieldManager=m{at}");
        let wire = &wire;
        async move { apply(wire, &query, &config).await }
    };
    for round in 0..3 {
        let answers = futures_util::future::join_all((0..24).map(|at| apply(at, round))).await;
        assert!(answers.iter().all(|answer| matches!(answer.code, 200 | 201)));
        assert_eq!(
            answers.iter().filter(|answer| answer.code == 201).count(),
            usize::from(round == 0)
        );
        let object = wire.get(&url("a")).await.ok();
        for at in 0..24 {
            assert_eq!(object["spec"]["free"][format!("k{at}")], round);
            assert_eq!(free_of(&object, &format!("m{at} Apply")), json!({format!("f:k{at}"): {}}));
        }
        assert_eq!(owners(&object).len(), 24);
    }
}

#[tokio::test]
async fn an_object_on_its_way_out() {
    let wire = plain().await;
    let config = |finalizers: Value, size: i64| {
        let mut config = widget("a", &json!({"size": size}));
        config["metadata"]["finalizers"] = finalizers;
        config
    };
    let held = config(json!(["e.com/x"]), 1);
    let created = apply(&wire, "a?fieldManager=m", &held).await.created();
    wire.delete(&url("a")).await.ok();
    // Applying what is there changes nothing; more finalizers are refused, other changes are not.
    let same = apply(&wire, "a?fieldManager=m", &held).await.ok();
    assert_eq!(same["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(same["metadata"]["generation"], 2);
    let more = config(json!(["e.com/x", "e.com/y"]), 1);
    let message = "…no new finalizers can be added if the object is being deleted…";
    apply(&wire, "a?fieldManager=m", &more).await.refused("2.5", 422, "Invalid", message);
    let changed = apply(&wire, "a?fieldManager=m", &config(json!(["e.com/x"]), 2)).await.ok();
    assert_eq!(changed["metadata"]["deletionTimestamp"], same["metadata"]["deletionTimestamp"]);
    // Nobody else loses it to a dry run.
    let free = config(json!([]), 2);
    apply(&wire, "a?fieldManager=m&dryRun=All", &free).await.ok();
    wire.get(&url("a")).await.ok();
    // What the applier no longer applies goes, and the object with it.
    apply(&wire, "a?fieldManager=m", &free).await.ok();
    assert_eq!(wire.get(&url("a")).await.code, 404);
    let again = apply(&wire, "a?fieldManager=m", &widget("a", &json!({"size": 1}))).await.created();
    assert_ne!(again["metadata"]["uid"], created["metadata"]["uid"]);
}

/// What kubectl does on the first server-side apply of what it applied on the client's side.
#[tokio::test]
async fn kubectl_moves_its_fields_from_updates_to_applies() {
    let wire = plain().await;
    let query = format!("{WIDGETS}?fieldManager=kubectl-client-side-apply");
    let created = wire.post(&query, &widget("a", &json!({"size": 1}))).await.created();
    let mut entries = created["metadata"]["managedFields"].clone();
    entries[0]["manager"] = "kubectl".into();
    entries[0]["operation"] = "Apply".into();
    let migrate = |version: &Value| {
        json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ])
    };
    let stale = migrate(&"1".into());
    let query = format!("{}?fieldManager=kubectl", url("a"));
    wire.json_patch(&query, &stale).await.refused("3.4", 409, "Conflict", "…has been modified…");
    let moved =
        wire.json_patch(&query, &migrate(&created["metadata"]["resourceVersion"])).await.ok();
    assert_eq!(moved["metadata"]["managedFields"], entries);
    // Now kubectl owns what it applied, so what it leaves out goes.
    let applied = apply(&wire, "a?fieldManager=kubectl", &widget("a", &json!({}))).await.ok();
    assert_eq!(applied["spec"], json!({"color": "red"}));
}
