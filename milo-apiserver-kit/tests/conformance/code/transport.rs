//! Limits of requests, compression, what depends on the connection.

use std::{convert::Infallible, io::Read as _};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};

use crate::{
    case::{Case, Outcome},
    fixture::Cx,
    support::{self, Sent, soon},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::code("7.2", "limit-timeout-of-a-slow-body", |cx| Box::pin(slow_body(cx))),
        Case::code("7.2", "limit-body-in-pieces", |cx| Box::pin(pieces(cx))),
        Case::code("7.2", "limit-many-headers", |cx| Box::pin(headers(cx))),
        Case::code("7.2", "limit-alpn-offers-both", |cx| Box::pin(alpn(cx))),
        Case::code("0.3", "gzip-is-the-body", |cx| Box::pin(gzip(cx))),
        Case::code("5.2", "authn-connection-of-nobody-is-closed", |cx| Box::pin(goaway(cx))),
        Case::code("3.2", "json-too-many-operations", |cx| Box::pin(operations(cx))),
        Case::code("3.2", "json-most-operations", |cx| Box::pin(most_operations(cx))),
        Case::code("3.2", "json-copies-without-end", |cx| Box::pin(copies(cx))),
        Case::code("2.3", "create-deep-nesting-is-no-crash", |cx| Box::pin(deep(cx))),
    ]
}

/// A body that begins and never ends.
fn endless() -> Sent {
    let first = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("{")))]);
    StreamBody::new(futures_util::StreamExt::chain(first, futures_util::stream::pending())).boxed()
}

async fn slow_body(cx: Cx) -> Outcome {
    let call = cx.call("POST", "widgets?timeout=200ms").stream(endless());
    let answer = call.header("content-type", "application/json").send().await;
    answer.refused("7.2", 504, "Timeout", "Timeout: request did not complete within …");
    Ok(())
}

async fn pieces(cx: Cx) -> Outcome {
    let piece = || Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b' '; 1 << 20])));
    let body = StreamBody::new(futures_util::stream::iter((0..4).map(move |_| piece()))).boxed();
    let answer = cx.call("POST", "widgets").stream(body).send().await;
    answer.refused(
        "7.2",
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    );
    Ok(())
}

async fn headers(cx: Cx) -> Outcome {
    // Large, and well below what is allowed.
    let answer = cx.call("GET", "widgets").header("x-large", &"x".repeat(60_000)).send().await;
    if answer.code == 200 { Ok(()) } else { Err(format!("answers {}", answer.code)) }
}

async fn alpn(cx: Cx) -> Outcome {
    let server = &cx.shared.server;
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let stream = support::tls(server, None, protocol).await;
        if stream.get_ref().1.alpn_protocol() != Some(protocol) {
            return Err(format!("{} is not agreed on", String::from_utf8_lossy(protocol)));
        }
    }
    Ok(())
}

async fn gzip(cx: Cx) -> Outcome {
    let note = "x".repeat(200_000);
    let body = json!({"metadata": {"name": "a"}, "spec": {"note": note}});
    let created = cx.call("POST", "widgets").json(&body).send().await.created();
    let answer = cx.call("GET", "widgets/a").header("accept-encoding", "gzip").send().await;
    if answer.header("content-encoding") != "gzip" {
        return Err("it is not compressed".to_owned());
    }
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(answer.body.as_ref());
    decoder.read_to_string(&mut text).map_err(|error| error.to_string())?;
    let object: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if object == created { Ok(()) } else { Err("it is another object".to_owned()) }
}

async fn goaway(cx: Cx) -> Outcome {
    let sender = support::connect(&cx.shared.server, None).await;
    if support::Call::new(&sender, "GET", "/version").send().await.code != 401 {
        return Err("nobody is let in".to_owned());
    }
    // What was sent before the goodbye arrived is answered.
    for _ in 0..1000 {
        let again = http::Request::get("https://milo/version").body(support::full(Bytes::new()));
        if soon(sender.clone().send_request(again.unwrap())).await.is_err() {
            return Ok(());
        }
    }
    Err("the connection of nobody stays open".to_owned())
}

async fn patch(cx: &Cx, operations: Value) -> support::Answer {
    let body = json!({"metadata": {"name": "a"}, "spec": {"free": {"l": []}}});
    cx.call("POST", "widgets").json(&body).send().await.created();
    let call = cx.call("PATCH", "widgets/a").json(&operations);
    call.header("content-type", support::JSON_PATCH).send().await
}

async fn operations(cx: Cx) -> Outcome {
    let one = json!({"op": "add", "path": "/spec/size", "value": 2});
    let answer = patch(&cx, vec![one; 10_001].into()).await;
    answer.refused(
        "3.2",
        413,
        "RequestEntityTooLarge",
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
    );
    Ok(())
}

async fn most_operations(cx: Cx) -> Outcome {
    let one = json!({"op": "add", "path": "/spec/size", "value": 2});
    let answer = patch(&cx, vec![one; 10_000].into()).await;
    if answer.code == 200 { Ok(()) } else { Err(format!("answers {}", answer.code)) }
}

async fn copies(cx: Cx) -> Outcome {
    let mut operations =
        vec![json!({"op": "add", "path": "/spec/free/l/-", "value": "x".repeat(100_000)})];
    operations.extend(
        (0..60).map(|_| json!({"op": "copy", "from": "/spec/free/l/0", "path": "/spec/free/l/-"})),
    );
    let answer = patch(&cx, operations.into()).await;
    if matches!(answer.code, 413 | 422) { Ok(()) } else { Err(format!("answers {}", answer.code)) }
}

async fn deep(cx: Cx) -> Outcome {
    let body = format!(
        "{{\"metadata\":{{\"name\":\"a\"}},\"spec\":{{\"free\":{}}}}}",
        "[".repeat(100_000)
    );
    let answer = cx.call("POST", "widgets").body(body).send().await;
    answer.refused("2.3", 400, "BadRequest", "the object provided is unrecognized …");
    Ok(())
}
