//! What ownership of fields costs: a typical object with 30 leaves, two lists with keys and three
//! managers.
#![expect(clippy::unwrap_used, reason = "a bench says what it expects by unwrapping")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use milo_core::{
    managed_fields::{Manager, ResetFields, apply, track_update},
    object::Object,
    schema::Schema,
};
use serde_json::{Value, json};

const VERSION: &str = "apps.example.com/v1";

fn schema() -> Schema {
    let text = || json!({"type": "string"});
    let number = || json!({"type": "integer"});
    let texts = || json!({"type": "object", "additionalProperties": {"type": "string"}});
    let keyed = |keys: Value, properties: Value| {
        json!({"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": keys,
            "items": {"type": "object", "properties": properties}})
    };
    let ports = keyed(
        json!(["port", "protocol"]),
        json!({"name": text(), "port": number(),
            "protocol": {"type": "string", "default": "TCP"}}),
    );
    let containers = keyed(
        json!(["name"]),
        json!({"name": text(), "image": text(), "command": {"type": "array", "items": text()},
            "resources": {"type": "object", "properties": {"limits": texts(), "requests": texts()}},
            "ports": ports}),
    );
    let conditions = keyed(
        json!(["type"]),
        json!({"type": text(), "status": text(), "reason": text(), "message": text(),
            "lastTransitionTime": text()}),
    );
    Schema::compile(json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "replicas": number(), "paused": {"type": "boolean"}, "minReady": number(),
            "selector": {"type": "object", "properties": {"matchLabels": texts()}},
            "strategy": {"type": "object", "properties": {"type": text(), "maxSurge": text()}},
            "containers": containers,
        }},
        "status": {"type": "object", "properties": {
            "replicas": number(), "observedGeneration": number(), "conditions": conditions,
        }},
    }}))
    .unwrap()
}

fn config(image: &str) -> Object {
    Object::from_value(json!({
        "apiVersion": VERSION, "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "default",
            "labels": {"app": "shop", "team": "checkout", "tier": "web"},
            "annotations": {"example.com/owner": "checkout", "example.com/docs": "https://x/y"}},
        "spec": {
            "replicas": 3, "paused": false, "minReady": 10,
            "selector": {"matchLabels": {"app": "shop"}},
            "strategy": {"type": "RollingUpdate", "maxSurge": "25%"},
            "containers": [
                {"name": "web", "image": image, "command": ["run", "--fast"],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"},
                        "requests": {"cpu": "100m", "memory": "256Mi"}},
                    "ports": [{"name": "http", "port": 80, "protocol": "TCP"},
                        {"name": "metrics", "port": 9090, "protocol": "TCP"}]},
                {"name": "sidecar", "image": "proxy:1", "ports": [
                    {"name": "proxy", "port": 8080, "protocol": "TCP"}]},
            ],
        },
    }))
    .unwrap()
}

/// Applied by one manager, its status written by a controller, scaled by a third.
fn live(schema: &Schema) -> Object {
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    let main = ResetFields::trees([["status"]]);
    let manager = Manager::new("flux", VERSION).at(time);
    let mut created = apply(schema, None, &config("shop:1"), &manager, &main, false).unwrap();
    created.set_meta("uid", "11111111-1111-1111-1111-111111111111");
    created.set_meta("creationTimestamp", "2024-01-01T00:00:00Z");
    let write = |live: &Object, field: &str, value: Value, manager: Manager<'_>, reset| {
        let mut new = live.clone();
        new.fields_mut().insert(field.to_owned(), value);
        track_update(schema, Some(live), &mut new, &manager, reset).unwrap();
        new
    };
    let condition = |name: &str| {
        json!({"type": name, "status": "True", "reason": "Fine", "message": "All is fine.",
            "lastTransitionTime": "2024-01-01T00:00:00Z"})
    };
    let status = json!({"replicas": 3, "observedGeneration": 1,
        "conditions": [condition("Available"), condition("Progressing")]});
    let controller = Manager::new("controller", VERSION).subresource("status").at(time);
    let half = ResetFields::all_but(["status"]);
    let with_status = write(&created, "status", status, controller, &half);
    let mut spec = with_status.fields()["spec"].clone();
    spec["containers"][1]["image"] = json!("proxy:2");
    let updater = Manager::new("updater", VERSION).at(time);
    let image = write(&with_status, "spec", spec, updater, &main);
    apply(schema, Some(&image), &config("shop:1"), &manager, &main, true).unwrap()
}

fn benches(criterion: &mut Criterion) {
    let schema = schema();
    let live = live(&schema);
    let main = ResetFields::trees([["status"]]);
    let manager = Manager::new("flux", VERSION);
    let mut group = criterion.benchmark_group("managed_fields");

    let same = config("shop:1");
    group.bench_function("apply_nothing_new", |bencher| {
        bencher.iter(|| apply(&schema, Some(&live), black_box(&same), &manager, &main, false));
    });
    let image = config("shop:2");
    group.bench_function("apply_one_field", |bencher| {
        bencher.iter(|| apply(&schema, Some(&live), black_box(&image), &manager, &main, false));
    });
    let mut fewer = config("shop:1");
    fewer.fields_mut()["spec"]["containers"][0]["ports"].as_array_mut().unwrap().pop();
    group.bench_function("apply_one_item_less", |bencher| {
        bencher.iter(|| apply(&schema, Some(&live), black_box(&fewer), &manager, &main, false));
    });
    group.bench_function("apply_create", |bencher| {
        bencher.iter(|| apply(&schema, None, black_box(&same), &manager, &main, false));
    });
    let mut scaled = live.clone();
    scaled.fields_mut()["spec"]["replicas"] = json!(4);
    let client = Manager::new("client", VERSION);
    group.bench_function("update_one_field", |bencher| {
        bencher.iter_batched_ref(
            || scaled.clone(),
            |new| track_update(&schema, Some(&live), black_box(new), &client, &main),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("update_nothing", |bencher| {
        bencher.iter_batched_ref(
            || live.clone(),
            |new| track_update(&schema, Some(&live), black_box(new), &client, &main),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
