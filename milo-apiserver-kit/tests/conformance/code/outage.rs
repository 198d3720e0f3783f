//! A storage that does not answer: what must go on, and what must say so.

use std::sync::Arc;

use milo_apiserver_kit::testing::{Calls, FaultyStorage};
use milo_core::storage::Memory;
use serde_json::json;

use crate::{
    case::{Case, Outcome},
    fixture::{Cx, Shared},
    support::{Answer, matches},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::code("11", "mistake-36-discovery-needs-the-storage", |_| Box::pin(discovery())),
        Case::code("7.1", "health-tells-of-an-outage", |_| Box::pin(health())),
        Case::code("7.1", "health-of-the-process-survives-an-outage", |_| Box::pin(alive())),
        Case::code("0.2", "unavailable-reads", |_| Box::pin(reads())),
        Case::code("0.2", "unavailable-writes", |_| Box::pin(writes())),
        Case::code("0.2", "unavailable-ends-with-the-outage", |_| Box::pin(recovers())),
    ]
}

/// A server that was well until its storage went away.
async fn outage() -> (Cx, Arc<FaultyStorage>) {
    let storage = Arc::new(FaultyStorage::new(Arc::new(Memory::new())));
    let cx = Cx::new(Arc::new(Shared::start_on(storage.clone()).await), 0);
    let body = json!({"metadata": {"name": "a"}});
    cx.call("POST", "widgets").json(&body).send().await.created();
    storage.calls(Calls::Fail);
    (cx, storage)
}

async fn get(cx: &Cx, url: &str) -> Answer {
    cx.call("GET", url).send().await
}

fn expect(answer: &Answer, code: u16, text: &str) -> Outcome {
    match answer.code == code && matches(text, answer.text()) {
        true => Ok(()),
        false => Err(format!("{} {:?}, not {code} {text:?}", answer.code, answer.text())),
    }
}

async fn discovery() -> Outcome {
    let (cx, _) = outage().await;
    for path in [
        "/apis",
        "/apis/conformance.milo.test",
        "/apis/conformance.milo.test/v1",
        "/openapi/v3",
        "/version",
    ] {
        expect(&get(&cx, path).await, 200, "…").map_err(|why| format!("{path}: {why}"))?;
    }
    Ok(())
}

async fn health() -> Outcome {
    let (cx, _) = outage().await;
    for endpoint in ["healthz", "readyz"] {
        let text =
            format!("[+]ping ok\n…[-]etcd failed: reason withheld\n…{endpoint} check failed\n");
        expect(&get(&cx, &format!("/{endpoint}")).await, 500, &text)?;
        expect(&get(&cx, &format!("/{endpoint}?verbose")).await, 500, &text)?;
    }
    expect(&get(&cx, "/readyz/etcd").await, 500, "internal server error: …")?;
    expect(&get(&cx, "/readyz?exclude=etcd").await, 200, "ok")?;
    expect(
        &get(&cx, "/readyz?verbose&exclude=etcd").await,
        200,
        "…[+]etcd excluded: ok\n…readyz check passed\n",
    )
}

async fn alive() -> Outcome {
    let (cx, _) = outage().await;
    expect(&get(&cx, "/livez").await, 200, "ok")
}

async fn reads() -> Outcome {
    let (cx, _) = outage().await;
    get(&cx, "widgets/a").await.refused("get", 503, "ServiceUnavailable", "…");
    let answer = get(&cx, "widgets/a").await;
    if answer.header("retry-after").is_empty() { Err("no Retry-After".to_owned()) } else { Ok(()) }
}

async fn writes() -> Outcome {
    let (cx, _) = outage().await;
    let body = json!({"metadata": {"name": "b"}});
    let answer = cx.call("POST", "widgets").json(&body).send().await;
    answer.refused("create", 503, "ServiceUnavailable", "…");
    cx.call("DELETE", "widgets/a").send().await.refused("delete", 503, "ServiceUnavailable", "…");
    Ok(())
}

async fn recovers() -> Outcome {
    let (cx, storage) = outage().await;
    let body = json!({"metadata": {"name": "b"}});
    let refused = cx.call("POST", "widgets").json(&body).send().await;
    storage.calls(Calls::Answer);
    expect(&refused, 503, "…")?;
    expect(&cx.call("POST", "widgets").json(&body).send().await, 201, "…")?;
    expect(&get(&cx, "widgets/b").await, 200, "…")
}
