//! `spec/wire.md` section 2.8: the subresource `scale`.

mod support;

use std::sync::Arc;

use kube::CustomResource;
use milo_apiserver_kit::ServerBuilder;
use milo_core::storage::Memory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{JSON_PATCH, Wire, version};
use tempfile::TempDir;
use tokio::process::Command;

/// Some of the same.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "demo.example.com", version = "v1", kind = "Fleet", namespaced)]
#[kube(status = "FleetStatus")]
#[kube(scale(
    spec_replicas_path = ".spec.ships.count",
    status_replicas_path = ".status.afloat",
    label_selector_path = ".status.selector"
))]
struct FleetSpec {
    /// The ships.
    ships: Option<Ships>,
}

/// How many there should be.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
struct Ships {
    #[schemars(range(max = 10))]
    count: i32,
}

/// How many there are.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
struct FleetStatus {
    afloat: Option<i32>,
    selector: Option<String>,
}

const FLEETS: &str = "/apis/demo.example.com/v1/namespaces/default/fleets";

fn fleet(rest: &str) -> String {
    format!("{FLEETS}/north{rest}")
}

async fn start() -> Wire {
    let wire = Wire::with(Arc::new(Memory::new()), ServerBuilder::kind::<Fleet>).await;
    let fleet = json!({
        "metadata": {"name": "north", "labels": {"a": "b"}}, "spec": {"ships": {"count": 3}},
    });
    wire.post(FLEETS, &fleet).await.created();
    let status = json!({"status": {"afloat": 2, "selector": "fleet=north"}});
    wire.merge(&self::fleet("/status"), &status).await.ok();
    wire
}

fn owner(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.into_iter().find(|entry| entry["manager"] == manager).unwrap_or_default()
}

#[tokio::test]
async fn a_scale_shows_its_object() {
    let wire = start().await;
    let object = wire.get(&fleet("")).await.ok();
    let mut scale = wire.get(&fleet("/scale")).await.ok();
    scale["metadata"].as_object_mut().unwrap().remove("managedFields");
    let metadata = &object["metadata"];
    let expected = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {
            "name": "north", "namespace": "default", "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "fleet=north"},
    });
    assert_eq!(scale, expected, "2.8");
    let list = wire.get("/apis/demo.example.com/v1").await.ok();
    let resources = list["resources"].as_array().unwrap();
    let entry = resources.iter().find(|found| found["name"] == "fleets/scale").unwrap();
    let about = (&entry["group"], &entry["version"], &entry["kind"], &entry["verbs"]);
    let verbs = json!(["get", "patch", "update"]);
    assert_eq!(about, (&"autoscaling".into(), &"v1".into(), &"Scale".into(), &verbs), "1.1");
}

#[tokio::test]
async fn every_way_to_write_it_changes_the_object() {
    let wire = start().await;
    let mut scale = wire.get(&fleet("/scale")).await.ok();
    scale["spec"]["replicas"] = 4.into();
    let put = wire.put(&fleet("/scale?fieldManager=hpa"), &scale).await.ok();
    assert_eq!((&put["kind"], &put["spec"]["replicas"]), (&"Scale".into(), &4.into()), "2.8");
    let object = wire.get(&fleet("")).await.ok();
    assert_eq!(object["spec"]["ships"]["count"], 4, "2.8");
    assert_eq!(object["metadata"]["generation"], 2, "2.8");
    assert_eq!((&object["status"]["afloat"], version(&put)), (&2.into(), version(&object)));
    let hpa = owner(&object, "hpa");
    assert_eq!(hpa["subresource"], "scale", "2.8: {object}");
    assert_eq!(hpa["apiVersion"], "demo.example.com/v1", "2.8");
    assert_eq!(hpa["fieldsV1"], json!({"f:spec": {"f:ships": {"f:count": {}}}}), "2.8");
    let hpa = owner(&put, "hpa");
    assert_eq!(hpa["apiVersion"], "autoscaling/v1", "2.8");
    assert_eq!(hpa["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}), "2.8");

    let merged = wire.merge(&fleet("/scale"), &json!({"spec": {"replicas": 5}})).await.ok();
    assert_eq!(merged["spec"]["replicas"], 5, "2.8");
    let patch = json!([{"op": "replace", "path": "/spec/replicas", "value": 6}]);
    let patched = wire.call("PATCH", &fleet("/scale")).json(&patch);
    let patched = patched.header("content-type", JSON_PATCH).send().await.ok();
    assert_eq!(patched["spec"]["replicas"], 6, "2.8");

    let config = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "north"},
        "spec": {"replicas": 7},
    });
    let apply = |query: &str| {
        let call = wire.call("PATCH", &fleet(&format!("/scale?fieldManager=ops{query}")));
        call.json(&config).header("content-type", "application/apply-patch+yaml").send()
    };
    let conflict = apply("").await;
    assert_eq!(conflict.code, 409, "3.4: {}", conflict.text());
    let applied = apply("&force=true").await.ok();
    assert_eq!(applied["spec"]["replicas"], 7, "3.4");
    let object = wire.get(&fleet("")).await.ok();
    assert_eq!(object["spec"]["ships"]["count"], 7, "3.4");
    assert_eq!(owner(&object, "ops")["operation"], "Apply", "3.4");
    assert_eq!(owner(&object, "hpa"), Value::Null, "3.4: it lost the only field it owned");

    let dry = json!({"spec": {"replicas": 1}});
    assert_eq!(wire.merge(&fleet("/scale?dryRun=All"), &dry).await.ok()["spec"]["replicas"], 1);
    let same = json!({"spec": {"replicas": 7}});
    wire.merge(&fleet("/scale"), &same).await.ok();
    assert_eq!(version(&wire.get(&fleet("/scale")).await.ok()), version(&applied), "2.5");
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let wire = start().await;
    let stale = wire.get(&fleet("/scale")).await.ok();
    wire.merge(&fleet("/scale"), &json!({"spec": {"replicas": 5}})).await.ok();
    let conflict = wire.put(&fleet("/scale"), &stale).await;
    conflict.refused("2.8", 409, "Conflict", "…the object has been modified…");
    let negative = wire.merge(&fleet("/scale"), &json!({"spec": {"replicas": -1}})).await;
    let message = "Scale.autoscaling \"north\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0";
    negative.refused("2.8", 422, "Invalid", message);
    let many = wire.merge(&fleet("/scale"), &json!({"spec": {"replicas": 11}})).await;
    many.refused("2.8", 422, "Invalid", "Fleet.demo.example.com \"north\" is invalid: …");
    let uid = json!({"metadata": {"uid": "other"}, "spec": {"replicas": 1}});
    assert_eq!(wire.merge(&fleet("/scale"), &uid).await.code, 409);
    let wrong = json!({"kind": "Fleet", "apiVersion": "demo.example.com/v1",
        "metadata": {"name": "north"}, "spec": {}});
    assert_eq!(wire.put(&fleet("/scale"), &wrong).await.code, 400);
    assert_eq!(wire.delete(&fleet("/scale")).await.code, 405);
    assert_eq!(wire.post(&fleet("/scale"), &stale).await.code, 405);
    let missing = wire.get(&format!("{FLEETS}/south/scale")).await;
    missing.refused("2.8", 404, "NotFound", "fleets.demo.example.com \"south\" not found");
    let patch = json!({"spec": {"replicas": 1}});
    assert_eq!(wire.merge(&format!("{FLEETS}/south/scale"), &patch).await.code, 404);
}

#[tokio::test]
async fn kubectl_scales() {
    let found = Command::new("kubectl").args(["version", "--client"]).output().await;
    if !found.is_ok_and(|output| output.status.success()) {
        let required = std::env::var("MILO_TEST_REQUIRE").is_ok_and(|value| value == "all");
        assert!(!required, "kubectl not found, and MILO_TEST_REQUIRE=all");
        println!("skipped: kubectl not found");
        return;
    }
    let wire = start().await;
    let home = TempDir::new().unwrap();
    let kubeconfig = home.path().join("kubeconfig");
    std::fs::write(&kubeconfig, wire.server.kubeconfig().unwrap()).unwrap();
    let kubectl = |line: &str| {
        let mut command = Command::new("kubectl");
        command.args(line.split(' ')).env("HOME", home.path()).env("KUBECONFIG", &kubeconfig);
        async move {
            let output = command.output().await.unwrap();
            let (out, error) = (output.stdout, String::from_utf8(output.stderr).unwrap());
            (String::from_utf8(out).unwrap(), error)
        }
    };
    let scaled = "fleet.demo.example.com/north scaled\n".to_owned();
    assert_eq!(kubectl("scale fleet north --replicas=8").await, (scaled.clone(), String::new()));
    let checked = kubectl("scale fleet north --current-replicas=8 --replicas=9").await;
    assert_eq!(checked, (scaled, String::new()));
    let (out, error) = kubectl("scale fleet north --current-replicas=8 --replicas=1").await;
    assert_eq!(out, "");
    assert!(error.contains("Expected replicas to be 8, was 9"), "{error}");
    let count = "get fleet north --subresource=scale -o jsonpath={.spec.replicas}";
    assert_eq!(kubectl(count).await.0, "9");
}

#[tokio::test]
async fn who_scales_owns_the_number_in_the_object() {
    let wire = start().await;
    let config = |replicas: i64| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "south"},
            "spec": {"replicas": replicas},
        })
    };
    let apply = |who: &str, replicas: i64| {
        let url = format!("{FLEETS}/south/scale?fieldManager={who}");
        let call = wire.call("PATCH", &url).json(&config(replicas));
        call.header("content-type", "application/apply-patch+yaml").send()
    };
    // Tracked, but the number of replicas is nobody's: it is to be had without a conflict.
    let fleet = json!({
        "metadata": {"name": "south", "labels": {"a": "b"}}, "spec": {"ships": {"count": 3}},
    });
    let mut made = wire.post(FLEETS, &fleet).await.created();
    made["metadata"]["managedFields"][0]["fieldsV1"] =
        json!({"f:metadata": {"f:labels": {"f:a": {}}}});
    wire.put(&format!("{FLEETS}/south"), &made).await.ok();
    apply("one", 4).await.ok();
    let south = || async { wire.get(&format!("{FLEETS}/south")).await.ok() };
    let number = json!({"f:spec": {"f:ships": {"f:count": {}}}});
    assert_eq!(owner(&south().await, "one")["fieldsV1"], number, "2.8");
    assert_eq!(owner(&south().await, "before-first-apply"), Value::Null, "2.8");
    let conflict = apply("two", 5).await;
    let text = "Apply failed with 1 conflict: conflict with \"one\" with subresource \"scale\": .spec.replicas";
    conflict.refused("2.8", 409, "Conflict", text);
    // Of an object that is not tracked no write is, and nothing is shown that is nobody's.
    let reset = json!({"metadata": {"managedFields": [{}]}});
    wire.merge(&format!("{FLEETS}/south"), &reset).await.ok();
    let scale = format!("{FLEETS}/south/scale");
    let none = wire.merge(&scale, &json!({"spec": {"replicas": 0}})).await.ok();
    assert_eq!(none["spec"], json!({}), "2.8: as upstream, zero is left out");
    assert_eq!(none["status"], json!({"replicas": 0}), "2.8");
    assert_eq!(none["metadata"]["managedFields"], Value::Null, "2.8");
    assert_eq!(south().await["metadata"]["managedFields"], Value::Null, "3.4");
    let zero = wire.get(&scale).await.ok();
    assert_eq!((&zero["spec"], version(&zero)), (&json!({}), version(&none)), "2.8");
    wire.put(&scale, &zero).await.ok();
    assert_eq!(south().await["spec"]["ships"]["count"], 0, "2.8: what was read can be written");
}
