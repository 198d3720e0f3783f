//! The past, for watches that begin in it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::{
    feed::{Current, Feed},
    progress::Proof,
    recent::Collected,
    store::Store,
    stream::{Stream, Told, Untold},
};
use crate::{
    key::KeyRange,
    storage::{ReadError, Revision, WatchBatch, relay::Source, replay::Past},
};

/// How long a member may take to be as far as it says it is, before it is asked again.
const ASK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);

/// What etcd remembers.
#[derive(Clone, Debug)]
pub(super) struct History(pub(super) Arc<Feed>);

#[async_trait]
impl Source for History {
    async fn revision(&self) -> Result<Revision, ReadError> {
        self.0.store.revision().await
    }
}

#[async_trait]
impl Past for History {
    async fn changes(&self, range: &KeyRange, after: Revision) -> Result<WatchBatch, ReadError> {
        let feed = &self.0;
        // Also when the answer is known here: a watch from before the floor must not start.
        let newest = feed.store.prove(after).await?;
        if after.max(Revision::FIRST) >= newest {
            return Ok(WatchBatch { events: Vec::new(), revision: newest });
        }
        let reached = feed.reach(newest).await?;
        if let Some(batch) = feed.recent.changes(range, after.max(Revision::FIRST)) {
            return Ok(batch);
        }
        let batch = read(&feed.store, feed.current()?, range, after, reached).await?;
        // A compaction to exactly the revision of a removal erases the removal, and a watch that
        // had not come there yet is not told of it. So what was read counts only if nothing after
        // `after` has been compacted meanwhile.
        feed.store.prove(after).await?;
        Ok(batch)
    }
}

/// Reads with a watch that ends when it has told everything up to `target`, or enough.
///
/// To know that, the watch must be asked, which takes a member that keeps its answers in order. Of
/// others everything below the prefix is read, in which there is an event at `target`.
async fn read(
    store: &Store,
    current: Current,
    range: &KeyRange,
    after: Revision,
    target: Revision,
) -> Result<WatchBatch, ReadError> {
    let outer = store.prefix.range(range);
    let watched = match current.proof {
        Proof::Request => outer.clone(),
        Proof::Marker => store.prefix.everything(),
    };
    let mut stream =
        Stream::open(store, &current.link, watched, store.numbering.start(after)).await?;
    let mut collected = Collected::default();
    let mut told = after;
    while told < target {
        match next(store, &mut stream, current.proof).await? {
            Told::Created => {}
            Told::Compacted(compacted) => {
                return Err(ReadError::Expired { requested: after, compacted });
            }
            Told::Progress(revision) if current.proof == Proof::Request => told = revision,
            Told::Progress(_) => {}
            Told::Changes(events, revision) => {
                for event in &events {
                    let inside = |key: &[u8]| outer.0 <= key && key < &outer.1[..];
                    if !event.kv.as_ref().is_some_and(|kv| inside(&kv.key))
                        || stream.changed(event) <= after
                    {
                        continue;
                    }
                    if collected.is_full_before(stream.changed(event)) {
                        return Ok(collected.finish());
                    }
                    match store.event(event) {
                        Ok(event) => collected.add(event),
                        Err(Untold::Foreign) => {}
                        Err(Untold::Forgotten) => return Err(forgotten(store, after).await),
                    }
                }
                told = revision;
            }
        }
    }
    Ok(WatchBatch { events: collected.into_events(), revision: told })
}

async fn next(store: &Store, stream: &mut Stream, proof: Proof) -> Result<Told, ReadError> {
    let end = Instant::now() + store.client.deadline();
    loop {
        if proof == Proof::Request {
            stream.ask_progress();
        }
        let again = match proof {
            Proof::Request => (Instant::now() + ASK_AGAIN).min(end),
            Proof::Marker => end,
        };
        tokio::select! {
            told = stream.next() => return told,
            () = sleep_until(again) => {}
        }
        if Instant::now() >= end {
            return Err(stream.silent(store.client.deadline()));
        }
    }
}

/// What an event replaced is no longer known, so the past is no longer all there.
async fn forgotten(store: &Store, after: Revision) -> ReadError {
    match store.prove(after).await {
        Err(error) => error,
        Ok(_) => ReadError::Corrupted("etcd does not tell what an event replaced".into()),
    }
}
