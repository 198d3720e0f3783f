//! What several servers on one store see of one another.

use tokio::task::JoinSet;

use super::{failure::Outcome, lab::Lab, vocabulary::*};
use crate::storage::{ReadError, Transaction, WatchError};

pub(super) async fn a_replica_reads_what_another_wrote(lab: Lab) -> Outcome {
    let (here, there) = (lab.storage(), lab.replica().await?);
    let a = key("ns", "a");
    for number in 0..50 {
        let value = number.to_string();
        let (writer, reader) = if number % 2 == 0 { (here, &there) } else { (&there, here) };
        let revision = writer.commit(put(&a, &value)).await?;
        let expected = record(&a, revision, &value);
        ensure_eq!(reader.get(&a).await?, Some(expected.clone()));
        let now = reader.revision().await?;
        ensure!(now >= revision, "revision {now} after a commit at {revision}");
        let page = reader.list(&namespace("ns"), all()).await?;
        ensure_eq!(page.records, std::slice::from_ref(&expected));
        ensure!(page.revision >= revision, "a list at {} after {revision}", page.revision);
        let page = reader.list(&namespace("ns"), all().at(revision)).await?;
        ensure_eq!((page.records, page.revision), (vec![expected], revision));
    }
    Ok(())
}

/// Watches of every replica tell the same history, whoever wrote it.
pub(super) async fn replicas_tell_the_same_history(lab: Lab) -> Outcome {
    const COMMITS: usize = 60;
    let handles = [lab.storage().clone(), lab.replica().await?, lab.replica().await?];
    let start = handles[0].revision().await?;
    let mut watches = Vec::new();
    for storage in &handles {
        watches.push(storage.watch(&namespace("ns"), start).await?);
    }
    let mut writers = JoinSet::new();
    for (writer, storage) in handles.iter().cloned().enumerate() {
        let (own, common) = (key("ns", &writer.to_string()), key("ns", "common"));
        writers.spawn(async move {
            let mut last = start;
            for number in 0..COMMITS {
                let value = bytes(&format!("{writer}-{number}"));
                let both = Transaction::new().put(own.clone(), value.clone());
                last = storage.commit(both.put(common.clone(), value)).await?;
            }
            Ok(last)
        });
    }
    let last = join(writers).await?.into_iter().max().unwrap_or(start);
    let mut histories = Vec::new();
    for watch in &mut watches {
        histories.push(events_until(watch, start, last).await?);
    }
    ensure_eq!(histories[0].len(), 3 * 2 * COMMITS);
    ensure!(
        histories.iter().all(|each| *each == histories[0]),
        "replicas tell different histories"
    );
    Ok(())
}

/// A replica never reads what another one has compacted away as if it were there.
pub(super) async fn replicas_agree_on_compaction(lab: Lab) -> Outcome {
    let (here, there) = (lab.storage(), lab.replica().await?);
    let a = key("ns", "a");
    let first = here.commit(put(&a, "1")).await?;
    let second = there.commit(put(&a, "2")).await?;
    let third = here.commit(delete(&a)).await?;
    here.compact(second).await?;
    match there.list(&namespace("ns"), all().at(first)).await {
        Ok(page) => ensure_eq!(page.records, [record(&a, first, "1")]),
        Err(error) => ensure_matches!(error, ReadError::Expired { .. }),
    }
    match watch_at_last(&*there, &namespace("ns"), first).await? {
        Ok(mut watch) => {
            let mut told = Told::after(first);
            watch.request_progress();
            match told.read_until_end(&mut watch, third).await? {
                None => ensure_eq!(told.events.len(), 2),
                // The replica may have lost its own place in a history that others share.
                Some(error) => {
                    ensure_matches!(error, WatchError::Expired { .. } | WatchError::Unavailable(_));
                }
            }
        }
        Err(error) => ensure_matches!(error, WatchError::Expired { .. }),
    }
    let page = there.list(&namespace("ns"), all().at(second)).await?;
    ensure_eq!(page.records, [record(&a, second, "2")]);
    let mut watch = watch_at_last(&*there, &namespace("ns"), second).await??;
    let events = events_until(&mut watch, second, third).await?;
    ensure_eq!(events, [delete_event(third, record(&a, second, "2"))]);
    Ok(())
}
