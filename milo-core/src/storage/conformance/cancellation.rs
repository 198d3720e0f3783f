//! Futures that are dropped half-way.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::{failure::Outcome, lab::Lab, vocabulary::*};

pub(super) async fn dropped_commits_do_no_harm(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let start = storage.revision().await?;
    let mut watch = storage.watch(&namespace("ns"), start).await?;
    for number in 0..200 {
        let _gone = poll_once(storage.commit(put(&key("ns", &number.to_string()), "1")));
    }
    let last = storage.commit(put(&key("ns", "last"), "1")).await?;
    let events = events_until(&mut watch, start, last).await?;
    let page = storage.list(&namespace("ns"), all().at(last)).await?;
    ensure_eq!(page.records.len(), events.len());
    Ok(())
}

/// Polls once and drops the rest.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
