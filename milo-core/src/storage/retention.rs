//! How long history is kept, by coarse marks of when the store was at which revision.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::Revision;

/// How long history is kept when nobody says otherwise: as kube-apiserver has it from etcd
/// (`--etcd-compaction-interval`).
pub(super) const DEFAULT_RETENTION: Duration = Duration::from_secs(5 * 60);

/// Says up to where history may be forgotten.
#[derive(Debug)]
pub(super) struct Retention {
    keep: Duration,
    interval: Duration,
    marks: VecDeque<(Instant, Revision)>,
}

impl Retention {
    pub(super) fn new(keep: Duration) -> Self {
        let interval = (keep / 64).clamp(Duration::from_millis(10), Duration::from_secs(5));
        Self { keep, interval, marks: VecDeque::new() }
    }

    /// How far apart marks are, and so how exact the rest is.
    #[cfg(any(feature = "embedded", feature = "etcd", feature = "postgres"))]
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Notes that the store is at `revision` now.
    pub(super) fn observe(&mut self, now: Instant, revision: Revision) {
        let due = self.marks.back().is_none_or(|(time, known)| {
            *known < revision && now.saturating_duration_since(*time) >= self.interval
        });
        if due {
            self.marks.push_back((now, revision));
        }
    }

    /// The newest revision that was already there when the time to keep began.
    pub(super) fn floor(&mut self, now: Instant) -> Option<Revision> {
        let old = |mark: &(Instant, Revision)| now.saturating_duration_since(mark.0) >= self.keep;
        while self.marks.get(1).is_some_and(old) {
            self.marks.pop_front();
        }
        self.marks.front().filter(|mark| old(mark)).map(|mark| mark.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_at_least_what_was_asked_for() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut retention = Retention::new(Duration::from_secs(300));
        retention.observe(second(0), Revision::new(3));
        assert_eq!(retention.floor(second(299)), None);
        for n in 1..=600 {
            retention.observe(second(n), Revision::new(3 + n));
        }
        // At 600 s, what was committed after 300 s must be there: revisions above 303.
        let floor = retention.floor(second(600)).unwrap();
        assert!(floor <= Revision::new(303) && floor >= Revision::new(298), "{floor}");
        assert!(retention.marks.len() < 70);
    }
}
