//! The writes of one run: when each was sent, and whether the server accepted it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::workload::update::annotation;

const ANNOTATION: &str = "bench.miloapis.com/write";

/// Shared by the writer and all watchers; no locks.
pub(super) struct Ledger {
    run: String,
    epoch: Instant,
    interval: Duration,
    /// Writes before this one only warm up.
    first_measured: usize,
    writes: Box<[Write]>,
}

#[derive(Default)]
struct Write {
    /// Nanoseconds after the epoch.
    sent: AtomicU64,
    accepted: AtomicBool,
}

impl Ledger {
    pub(super) fn new(run: &str, rate: usize, warmup: Duration, duration: Duration) -> Self {
        let during = |time: Duration| (time.as_secs_f64() * rate as f64).ceil() as usize;
        let first_measured = during(warmup);
        // One more is the sentinel.
        let count = first_measured + during(duration).max(1) + 1;
        Self {
            run: run.to_owned(),
            epoch: Instant::now(),
            interval: Duration::from_secs_f64(1.0 / rate as f64),
            first_measured,
            writes: (0..count).map(|_| Write::default()).collect(),
        }
    }

    /// When the run began.
    pub(super) const fn epoch(&self) -> Instant {
        self.epoch
    }

    pub(super) const fn len(&self) -> usize {
        self.writes.len()
    }

    /// The number of the last write.
    pub(super) const fn sentinel(&self) -> usize {
        self.writes.len() - 1
    }

    pub(super) const fn is_measured(&self, write: usize) -> bool {
        write >= self.first_measured
    }

    /// How long after the start a write is due.
    pub(super) fn due(&self, write: usize) -> Duration {
        self.interval * u32::try_from(write).unwrap_or(u32::MAX)
    }

    /// The patch of a write.
    pub(super) fn patch(&self, write: usize) -> Bytes {
        annotation(ANNOTATION, &format!("{}.{write}", self.run))
    }

    /// What comes before the number of a write in an event.
    pub(super) fn mark(&self) -> String {
        format!("\"{ANNOTATION}\":\"{}.", self.run)
    }

    /// Notes that a write is about to be sent.
    pub(super) fn send(&self, write: usize, now: Instant) {
        let nanos = now.saturating_duration_since(self.epoch).as_nanos();
        self.writes[write].sent.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Notes that the server has accepted a write.
    pub(super) fn accept(&self, write: usize) {
        self.writes[write].accepted.store(true, Ordering::Release);
    }

    /// Time since a write was sent; `None` if there is no such write.
    pub(super) fn age(&self, write: usize, now: Instant) -> Option<Duration> {
        let sent = self.writes.get(write)?.sent.load(Ordering::Acquire);
        Some(now.saturating_duration_since(self.epoch).saturating_sub(Duration::from_nanos(sent)))
    }

    /// How many accepted writes are not among those seen.
    pub(super) fn missing(&self, seen: &Seen) -> u64 {
        let accepted = |write: &usize| self.writes[*write].accepted.load(Ordering::Acquire);
        (0..self.len()).filter(accepted).filter(|write| !seen.contains(*write)).count() as u64
    }
}

/// The writes that one watcher has seen, a bit each.
pub(super) struct Seen(Box<[u64]>);

impl Seen {
    pub(super) fn new(writes: usize) -> Self {
        Self(vec![0; writes.div_ceil(64)].into())
    }

    /// Whether it is new. A number that was never written is not.
    pub(super) fn insert(&mut self, write: usize) -> bool {
        let Some(word) = self.0.get_mut(write / 64) else { return false };
        let bit = 1 << (write % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, write: usize) -> bool {
        self.0.get(write / 64).is_some_and(|word| word & (1 << (write % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accepted_writes_can_be_missing() {
        let ledger = Ledger::new("r", 10, Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!((ledger.len(), ledger.sentinel()), (31, 30));
        assert!(!ledger.is_measured(9) && ledger.is_measured(10));
        assert_eq!(ledger.due(5), Duration::from_millis(500));
        let mut seen = Seen::new(ledger.len());
        assert_eq!(ledger.missing(&seen), 0);
        for write in [0, 7, 30] {
            ledger.accept(write);
        }
        assert!(seen.insert(7) && !seen.insert(7));
        assert!(!seen.insert(1000));
        assert_eq!(ledger.missing(&seen), 2);
    }
}
