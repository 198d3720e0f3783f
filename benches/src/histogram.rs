//! Latencies in log-linear buckets.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Shortest and longest latency that is told apart, in nanoseconds.
const RANGE: (u64, u64) = (1_000, 300_000_000_000);
/// Two significant digits: bucket bounds are less than 1 % apart.
const DIGITS: u8 = 2;

/// A compact histogram: a thousand watchers have one each.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u32>);

/// What a report says about latencies, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        // INVARIANT: 2 * low <= high and digits <= 5, which is all that the constructor asks.
        #[expect(clippy::expect_used, reason = "the bounds are constants")]
        let histogram = Histogram::new_with_bounds(RANGE.0, RANGE.1, DIGITS).expect("valid bounds");
        Self(histogram)
    }

    /// Counts one; anything longer than the range counts as its end.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // INVARIANT: all have the same bounds, so that no value is out of range.
        let _ = self.0.add(&other.0);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e6;
        Percentiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: self.0.max() as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_one_percent() {
        let mut halves = [Latencies::new(), Latencies::new()];
        for n in 1..=1000_u64 {
            halves[n as usize % 2].record(Duration::from_micros(n * 100));
        }
        let [mut all, odd] = halves;
        all.add(&odd);
        assert_eq!(all.count(), 1000);
        let Percentiles { p50, p90, p99, max } = all.percentiles();
        for (got, wanted) in [(p50, 50.0), (p90, 90.0), (p99, 99.0), (max, 100.0)] {
            assert!((got / wanted - 1.0_f64).abs() < 0.01, "{got} is not about {wanted}");
        }
    }

    #[test]
    fn extremes_are_kept() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::from_secs(100_000));
        assert_eq!(latencies.count(), 2);
        assert!(latencies.percentiles().max >= 299_000.0);
    }
}
