//! What must hold when several clients write at one time.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    case::{Case, Outcome},
    fixture::Cx,
    support::{Answer, MERGE, names, version},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::code("3.1", "race-of-patches-is-invisible", |cx| Box::pin(patches(cx))),
        Case::code("3.1", "race-of-patches-with-a-version-conflicts", |cx| {
            Box::pin(patches_with_a_version(cx))
        }),
        Case::code("2.5", "race-of-updates-has-one-winner", |cx| Box::pin(updates(cx))),
        Case::code("2.3", "race-of-creates-has-one-winner", |cx| Box::pin(creates(cx))),
        Case::code("2.3", "race-of-generated-names", |cx| Box::pin(generated(cx))),
        Case::code("2.7", "race-of-deletes-has-one-winner", |cx| Box::pin(deletes(cx))),
        Case::code("2.8", "race-of-spec-and-status-loses-nothing", |cx| Box::pin(halves(cx))),
        Case::code("3.4", "race-of-appliers-loses-nothing", |cx| Box::pin(appliers(cx))),
        Case::code("2.6", "race-gives-every-write-its-own-version", |cx| Box::pin(versions(cx))),
    ]
}

async fn create(cx: &Cx, name: &str) -> Value {
    let body = json!({"metadata": {"name": name}, "spec": {"size": 1}});
    cx.call("POST", "widgets").json(&body).send().await.created()
}

async fn merge(cx: &Cx, url: &str, patch: Value) -> Answer {
    cx.call("PATCH", url).json(&patch).header("content-type", MERGE).send().await
}

fn codes(answers: &[Answer], code: u16) -> usize {
    answers.iter().filter(|answer| answer.code == code).count()
}

fn expect(what: &str, got: usize, wanted: usize) -> Outcome {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got}, not {wanted}")) }
}

async fn patches(cx: Cx) -> Outcome {
    create(&cx, "a").await;
    let label = |n: usize| json!({"metadata": {"labels": {format!("l{n}"): "x"}}});
    let answers = join_all((0..24).map(|n| merge(&cx, "widgets/a", label(n)))).await;
    expect("answers of 200", codes(&answers, 200), 24)?;
    let object = cx.call("GET", "widgets/a").send().await.ok();
    expect("labels", object["metadata"]["labels"].as_object().unwrap().len(), 24)
}

async fn patches_with_a_version(cx: Cx) -> Outcome {
    let seen = version(&create(&cx, "a").await);
    let patch =
        |n: usize| json!({"metadata": {"resourceVersion": seen, "labels": {"l": n.to_string()}}});
    let answers = join_all((0..8).map(|n| merge(&cx, "widgets/a", patch(n)))).await;
    expect("answers of 200", codes(&answers, 200), 1)?;
    expect("answers of 409", codes(&answers, 409), 7)
}

async fn updates(cx: Cx) -> Outcome {
    let object = create(&cx, "a").await;
    let put = async |n: usize| {
        let mut object = object.clone();
        object["spec"]["size"] = (n + 10).into();
        cx.call("PUT", "widgets/a").json(&object).send().await
    };
    let answers = join_all((0..8).map(put)).await;
    expect("answers of 200", codes(&answers, 200), 1)?;
    expect("answers of 409", codes(&answers, 409), 7)
}

async fn creates(cx: Cx) -> Outcome {
    let body = json!({"metadata": {"name": "a"}});
    let post = async |_| cx.call("POST", "widgets").json(&body).send().await;
    let answers = join_all((0..8).map(post)).await;
    expect("answers of 201", codes(&answers, 201), 1)?;
    for answer in answers.iter().filter(|answer| answer.code != 201) {
        answer.refused(
            "2.3",
            409,
            "AlreadyExists",
            "widgets.conformance.milo.test \"a\" already exists",
        );
    }
    Ok(())
}

async fn generated(cx: Cx) -> Outcome {
    let body = json!({"metadata": {"generateName": "g-"}});
    let post = async |_| cx.call("POST", "widgets").json(&body).send().await.created();
    let objects = join_all((0..200).map(post)).await;
    let unique: HashSet<&str> =
        objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect();
    expect("names", unique.len(), 200)
}

async fn deletes(cx: Cx) -> Outcome {
    create(&cx, "a").await;
    let delete = async |_| cx.call("DELETE", "widgets/a").send().await;
    let answers = join_all((0..8).map(delete)).await;
    expect("answers of 200", codes(&answers, 200), 1)?;
    expect("answers of 404", codes(&answers, 404), 7)
}

async fn halves(cx: Cx) -> Outcome {
    create(&cx, "a").await;
    let spec =
        join_all((0..12).map(|n| {
            merge(&cx, "widgets/a", json!({"spec": {"settings": {format!("k{n}"): "v"}}}))
        }));
    let status = join_all((0..12).map(|n| {
        merge(&cx, "widgets/a/status", json!({"status": {"replicas": n, "ready": true}}))
    }));
    let (spec, status) = futures_util::join!(spec, status);
    expect("answers of 200", codes(&spec, 200) + codes(&status, 200), 24)?;
    let object = cx.call("GET", "widgets/a").send().await.ok();
    expect("settings", object["spec"]["settings"].as_object().unwrap().len(), 12)?;
    expect("generation", object["metadata"]["generation"].as_u64().unwrap() as usize, 13)?;
    if object["status"]["ready"] == true { Ok(()) } else { Err(format!("{object}")) }
}

async fn appliers(cx: Cx) -> Outcome {
    let apply = async |n: usize| {
        let body = json!({
            "apiVersion": "conformance.milo.test/v1", "kind": "Widget", "metadata": {"name": "a"},
            "spec": {"settings": {format!("k{n}"): "v"}},
        });
        let call = cx.call("PATCH", &format!("widgets/a?fieldManager=m{n}"));
        call.json(&body).header("content-type", "application/apply-patch+yaml").send().await
    };
    let answers = join_all((0..12).map(apply)).await;
    expect("answers of 201", codes(&answers, 201), 1)?;
    expect("answers of 200", codes(&answers, 200), 11)?;
    let object = cx.call("GET", "widgets/a").send().await.ok();
    expect("settings", object["spec"]["settings"].as_object().unwrap().len(), 12)?;
    expect("managers", object["metadata"]["managedFields"].as_array().unwrap().len(), 12)
}

async fn versions(cx: Cx) -> Outcome {
    let objects = join_all((0..50).map(async |n| create(&cx, &format!("w{n}")).await)).await;
    let unique: HashSet<String> = objects.iter().map(version).collect();
    expect("versions", unique.len(), 50)?;
    let list = cx.call("GET", "widgets").send().await.ok();
    expect("items", names(&list).len(), 50)
}
