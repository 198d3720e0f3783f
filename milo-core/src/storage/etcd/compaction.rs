//! Forgets history that is older than the retention. Every replica does, which does no harm.

use std::time::{Duration, Instant};

use super::feed::Feed;
use crate::storage::{Revision, retention::Retention};

/// How much longer than asked for history is kept at most, as a part of it: etcd looks at all its
/// keys to compact, so that is not done all the time.
const LAX: u32 = 5;

/// Compacts for ever.
pub(super) async fn run(feed: &Feed, keep: Duration) {
    let mut retention = Retention::new(keep);
    let mut compacted = Revision::FIRST;
    let mut last = Instant::now();
    let mut ticks = tokio::time::interval(retention.interval());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let Ok(newest) = feed.newest().await else { continue };
        retention.observe(now, newest);
        // Never to the newest revision: see `Etcd::compact`. An idle store has no history to lose.
        let floor = retention.floor(now).filter(|floor| *floor > compacted && *floor < newest);
        if let Some(floor) = floor
            && now.duration_since(last) >= keep / LAX
        {
            match feed.store.compact(floor).await {
                Ok(()) => (compacted, last) = (floor, now),
                Err(error) => tracing::warn!(%error, "etcd cannot be compacted"),
            }
        }
    }
}
