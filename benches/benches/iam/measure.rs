//! Times of calls, and memory.

use std::{hint::black_box, time::Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// In nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Times {
    /// Of all calls in a row, with one reading of the clock.
    pub(crate) mean: f64,
    /// Of single calls, a reading of the clock included.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

/// One engine's times of the same questions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Whether each question was allowed.
    pub(crate) answers: Vec<bool>,
    pub(crate) mixed: Times,
    pub(crate) allowed: Times,
    pub(crate) denied: Times,
}

/// Asks all questions: once to warm up and to know the answers, and then for each of three sets
/// once for the mean and once for the percentiles.
pub(crate) fn measure<T>(
    items: &[T],
    mut call: impl FnMut(&T) -> Result<bool>,
) -> Result<Measured> {
    let answers: Vec<bool> = items.iter().map(&mut call).collect::<Result<_>>()?;
    let mut of = |wanted: fn(bool) -> bool| {
        let some = items.iter().zip(&answers).filter(|(_, answer)| wanted(**answer));
        times(&some.map(|(item, _)| item).collect::<Vec<_>>(), &mut call)
    };
    let (mixed, allowed, denied) = (of(|_| true), of(|allowed| allowed), of(|allowed| !allowed));
    Ok(Measured { answers, mixed, allowed, denied })
}

/// The times of calls.
pub(crate) fn times<T>(items: &[&T], mut call: impl FnMut(&T) -> Result<bool>) -> Times {
    let start = Instant::now();
    for item in items {
        let _ = black_box(call(black_box(item)));
    }
    let mean = start.elapsed().as_secs_f64() * 1e9 / items.len().max(1) as f64;
    let mut single = Vec::with_capacity(items.len());
    for item in items {
        let start = Instant::now();
        let _ = black_box(call(black_box(item)));
        single.push(nanoseconds(start));
    }
    let [p50, p99, p999] = percentiles(single);
    Times { mean, p50, p99, p999 }
}

/// Since a moment.
pub(crate) fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The median, and what all but a hundredth and a thousandth stay below.
pub(crate) fn percentiles(mut values: Vec<u64>) -> [u64; 3] {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    [500, 990, 999].map(|per_mille| values.get(last * per_mille / 1000).copied().unwrap_or(0))
}

/// Bytes of memory that the process holds.
pub(crate) fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(kibibytes.parse::<usize>()? * 1024)
}
