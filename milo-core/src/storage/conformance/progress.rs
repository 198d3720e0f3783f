//! How far a watch has come.

use super::{failure::Outcome, lab::Lab, vocabulary::*};

pub(super) async fn tells_progress(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let start = storage.revision().await?;
    let mut idle = storage.watch(&namespace("idle"), start).await?;
    ensure_eq!(events_until(&mut idle, start, start).await?, []);
    let mut last = start;
    for number in 0..5 {
        last = storage.commit(put(&key("busy", "a"), &number.to_string())).await?;
    }
    ensure_eq!(events_until(&mut idle, start, last).await?, []);
    // Also when the request comes before the past has been told.
    ensure_eq!(history(&**storage, &namespace("idle"), start, last).await?, []);
    let events = history(&**storage, &namespace("busy"), start, last).await?;
    ensure_eq!(events.len(), 5);
    // And when nothing has changed since.
    ensure_eq!(history(&**storage, &namespace("busy"), last, last).await?, []);
    let mut watch = storage.watch(&namespace("busy"), last).await?;
    watch.request_progress();
    ensure!(next(&mut watch).await?.revision >= last, "progress of the past");
    Ok(())
}

pub(super) async fn many_requests_for_progress_do_no_harm(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let start = storage.revision().await?;
    let mut watch = storage.watch(&namespace("ns"), start).await?;
    for _ in 0..10_000 {
        watch.request_progress();
    }
    let a = key("ns", "a");
    let first = storage.commit(put(&a, "1")).await?;
    ensure_eq!(next_events(&mut watch).await?, [put_event(record(&a, first, "1"), None)]);
    Ok(())
}
