//! Section 7.3: more requests at one time than there are places for.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::json;

use crate::{
    case::{Case, Outcome},
    fixture::{Cx, Shared},
    support::{self, Sender, Sent, soon},
};

/// How many writes are worked on at one time, as upstream.
const WRITES: usize = 200;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::code("7.3", "load-writes-above-the-limit-are-429", |_| Box::pin(too_many())),
        Case::code("7.3", "load-of-writes-leaves-reads-and-administrators-alone", |_| {
            Box::pin(others())
        }),
    ]
}

/// A body that never ends.
fn endless() -> Sent {
    let first = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("{")))]);
    StreamBody::new(futures_util::StreamExt::chain(first, futures_util::stream::pending())).boxed()
}

/// A server on which `carol` has begun as many writes as there are places, and one more connection
/// of hers. The writes go on until the connections are dropped.
async fn full() -> (Cx, Sender, Vec<Sender>) {
    let cx = Cx::new(Arc::new(Shared::start().await), 0);
    let server = &cx.shared.server;
    let carol = server.pki().issue_client("carol", &[]).unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        let sender = support::connect(server, Some(&carol)).await;
        for _ in 0..WRITES / 4 {
            tokio::spawn(hold(cx.url("widgets/a"), sender.clone()));
        }
        held.push(sender);
    }
    let sender = support::connect(server, Some(&carol)).await;
    (cx, sender, held)
}

/// Takes a place, and tries again if somebody else has the last one for a moment.
async fn hold(url: String, sender: Sender) {
    loop {
        let call = support::Call::new(&sender, "PUT", &url).stream(endless());
        if call.respond().await.status() != 429 {
            return;
        }
    }
}

fn put(cx: &Cx, sender: &Sender) -> support::Call {
    support::Call::new(sender, "PUT", &cx.url("widgets/a"))
}

/// Writes until there is no place left, which is when all that was begun has arrived.
async fn until_full(cx: &Cx, sender: &Sender) -> support::Answer {
    let waiting = async {
        loop {
            let answer = put(cx, sender).json(&json!({"metadata": {"name": "a"}})).send().await;
            if answer.code == 429 {
                return answer;
            }
        }
    };
    soon(waiting).await
}

async fn too_many() -> Outcome {
    let (cx, sender, _held) = full().await;
    let answer = until_full(&cx, &sender).await;
    let got = (answer.header("retry-after"), answer.text().trim_end());
    match got == ("1", "Too many requests, please try again later.") {
        true if answer.header("content-type").starts_with("text/plain") => Ok(()),
        _ => Err(format!("{got:?}, {}", answer.header("content-type"))),
    }
}

async fn others() -> Outcome {
    let (cx, sender, _held) = full().await;
    until_full(&cx, &sender).await;
    let read = support::Call::new(&sender, "GET", &cx.url("widgets")).send().await;
    let body = json!({"metadata": {"name": "b"}});
    let written = cx.call("POST", "widgets").json(&body).send().await;
    match (read.code, written.code) {
        (200, 201) => Ok(()),
        codes => Err(format!("a read and an administrator's write are answered {codes:?}")),
    }
}
