//! How far a watch has come.

use tokio::task::JoinSet;

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

/// One request tells of what was committed before it, also to a watcher of nothing that changes.
pub(super) async fn a_request_proves_freshness(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let start = storage.revision().await?;
    let mut idle = Told::after(start);
    let mut busy = Told::after(start);
    let mut idle_watch = storage.watch(&namespace("idle"), start).await?;
    let mut busy_watch = storage.watch(&namespace("busy"), start).await?;
    for number in 0..100 {
        let last = storage.commit(put(&key("busy", "a"), &number.to_string())).await?;
        idle_watch.request_progress();
        idle.read_until(&mut idle_watch, last).await?;
        busy_watch.request_progress();
        busy.read_until(&mut busy_watch, last).await?;
        ensure_eq!((idle.events.len(), busy.events.len()), (0, number + 1));
    }
    Ok(())
}

/// What a watch says it has told, it has told; and it is never ahead of the store.
pub(super) async fn progress_never_overtakes_events(lab: Lab) -> Outcome {
    const WRITERS: usize = 4;
    const COMMITS: usize = 75;
    let start = lab.storage().revision().await?;
    let (mut writers, mut watchers) = (JoinSet::new(), JoinSet::new());
    for writer in 0..WRITERS {
        let (storage, key) = (lab.storage().clone(), key("ns", &writer.to_string()));
        writers.spawn(async move {
            let mut last = start;
            for number in 0..COMMITS {
                last = storage.commit(put(&key, &number.to_string())).await?;
            }
            Ok(last)
        });
    }
    let (newest, end) = tokio::sync::watch::channel(None);
    for watcher in 0..3 {
        let (storage, end) = (lab.storage().clone(), end.clone());
        let range = if watcher == 0 { namespace("idle") } else { namespace("ns") };
        watchers.spawn(async move {
            let mut watch = storage.watch(&range, start).await?;
            let mut told = Told::after(start);
            while end.borrow().is_none_or(|end| told.revision < end) {
                watch.request_progress();
                // Fails when an event comes after what was told.
                told.add(next(&mut watch).await?)?;
                let now = storage.revision().await?;
                ensure!(told.revision <= now, "told {}, and the store is at {now}", told.revision);
            }
            Ok(told.events.len())
        });
    }
    newest.send_replace(join(writers).await?.into_iter().max());
    let mut found = join(watchers).await?;
    found.sort_unstable();
    ensure_eq!(found, [0, WRITERS * COMMITS, WRITERS * COMMITS]);
    Ok(())
}
