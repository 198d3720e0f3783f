//! Watches that end and go on elsewhere.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    random::{Random, seeded},
    vocabulary::*,
};
use crate::{
    key::Key,
    storage::{Event, Revision, Storage, Transaction, Watch, WatchError},
};

/// From whichever revision a watch starts, it tells exactly the history after it.
pub(super) async fn watches_from_every_revision(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let mut starts = vec![storage.revision().await?];
    for number in 0..40_u32 {
        let (a, b) = (key("ns", &(number % 3).to_string()), key("other", "b"));
        let transaction = match number % 4 {
            0 => put(&a, &number.to_string()),
            1 => put(&a, &number.to_string()).put(b, bytes(&number.to_string())),
            2 => delete(&a).put(b, bytes("2")),
            _ => delete(&b),
        };
        starts.push(storage.commit(transaction).await?);
    }
    let (first, last) = (starts[0], starts[starts.len() - 1]);
    for range in [namespace("ns"), namespace("other")] {
        let whole = history(&**storage, &range, first, last).await?;
        ensure!(whole.len() >= 20, "{} events", whole.len());
        for after in &starts {
            let found = history(&**storage, &range, *after, last).await?;
            let later = whole.partition_point(|event| event.revision() <= *after);
            ensure_eq!(found, whole[later..], "{range:?} after {after}");
        }
    }
    Ok(())
}

pub(super) async fn reconnects_lose_and_repeat_nothing(lab: Lab) -> Outcome {
    seeded(|random| reconnect(vec![lab.storage().clone()], random)).await
}

pub(super) async fn reconnects_to_replicas_lose_and_repeat_nothing(lab: Lab) -> Outcome {
    let handles = vec![lab.storage().clone(), lab.replica().await?];
    seeded(|random| reconnect(handles, random)).await
}

/// Readers go away after a few batches, with some unread, and go on with another handle while
/// there are writes through all of them.
async fn reconnect(handles: Vec<Arc<dyn Storage>>, mut random: Random) -> Outcome {
    const WRITERS: usize = 4;
    const COMMITS: usize = 100;
    let start = handles[0].revision().await?;
    let mut readers = JoinSet::new();
    for reader in 0..3 {
        let (mut handles, count) = (handles.clone(), handles.len());
        handles.rotate_left(reader % count);
        readers.spawn(read_and_reconnect(handles, start, 2 * WRITERS * COMMITS, random.fork()));
    }
    let mut writers = JoinSet::new();
    for (writer, storage) in (0..WRITERS).zip(handles.iter().cycle().cloned()) {
        writers.spawn(async move {
            let names = [writer.to_string(), format!("{writer}-too")];
            let [a, b] = names.map(|name| key("ns", &name));
            let mut written = Vec::new();
            for number in 0..COMMITS {
                let value = bytes(&number.to_string());
                let both = Transaction::new().put(a.clone(), value.clone()).put(b.clone(), value);
                let revision = storage.commit(both).await?;
                written.extend([(revision, a.clone()), (revision, b.clone())]);
            }
            Ok(written)
        });
    }
    let mut written: Vec<(Revision, Key)> = join(writers).await?.concat();
    written.sort_unstable();
    for told in join(readers).await? {
        let found: Vec<_> = told.iter().map(|e| (e.revision(), e.key().clone())).collect();
        ensure!(found == written, "a reader was told something else than what was written");
    }
    Ok(())
}

async fn read_and_reconnect(
    handles: Vec<Arc<dyn Storage>>,
    start: Revision,
    expected: usize,
    mut random: Random,
) -> Result<Vec<Event>, Failure> {
    let mut told = Told::after(start);
    for storage in handles.iter().cycle() {
        let mut watch = storage.watch(&namespace("ns"), told.revision).await?;
        for _ in 0..random.between(1, 8) {
            if told.events.len() >= expected {
                return Ok(told.events);
            }
            told.add(next(&mut watch).await?)?;
        }
    }
    Err(Failure::new("no handle to read with"))
}

/// Many watches that come and go hold up nobody.
pub(super) async fn dropped_watches_harm_nobody(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let start = storage.revision().await?;
    let a = key("ns", "a");
    let mut kept: Vec<Watch> = Vec::new();
    let mut last = start;
    for number in 0..100_u32 {
        let watch = storage.watch(&namespace("ns"), start).await?;
        if number % 10 == 0 {
            kept.push(watch);
        } else {
            watch.request_progress();
        }
        last = storage.commit(put(&a, &number.to_string())).await?;
    }
    for watch in &mut kept {
        ensure_eq!(events_until(watch, start, last).await?.len(), 100);
    }
    Ok(())
}

/// A watch that was cut off, or whose place is compacted, says so before it ends.
pub(super) async fn a_watch_never_ends_in_silence(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let start = storage.revision().await?;
    let mut watch = storage.watch(&namespace("ns"), start).await?;
    let mut last = start;
    for number in 0..200_u32 {
        last = storage.commit(put(&key("ns", "a"), &number.to_string())).await?;
    }
    storage.compact(last).await?;
    let mut told = Told::after(start);
    let end = told.read_until_end(&mut watch, last).await?;
    if let Some(error) = end {
        ensure_matches!(error, WatchError::Lagged | WatchError::Expired { .. });
    } else {
        ensure_eq!(told.events.len(), 200);
    }
    Ok(())
}
