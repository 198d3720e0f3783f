//! Times of calls, and memory.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// In nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Times {
    /// Of all calls in a row, with one reading of the clock: the median of a few rounds.
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

/// How often a mean is taken; the median of them counts, as others use the machine.
const ROUNDS: usize = 5;

/// Asks all questions once to warm up and to know the answers, then each of three sets for the means,
/// one after the other and all again, and once for the percentiles.
pub(crate) fn measure<T>(
    items: &[T],
    mut call: impl FnMut(&T) -> Result<bool>,
) -> Result<Measured> {
    let answers: Vec<bool> = items.iter().map(&mut call).collect::<Result<_>>()?;
    let set = |wanted: fn(bool) -> bool| -> Vec<&T> {
        let some = items.iter().zip(&answers).filter(|(_, answer)| wanted(**answer));
        some.map(|(item, _)| item).collect()
    };
    let sets = [set(|_| true), set(|allowed| allowed), set(|allowed| !allowed)];
    let [mixed, allowed, denied] = times(sets.each_ref().map(Vec::as_slice), call);
    Ok(Measured { answers, mixed, allowed, denied })
}

/// The times of calls, for each of some sets.
pub(crate) fn times<T, const N: usize>(
    sets: [&[&T]; N],
    mut call: impl FnMut(&T) -> Result<bool>,
) -> [Times; N] {
    let means = medians(|| sets.map(|items| mean_of(items.len(), all(items, &mut call))));
    let mut means = means.into_iter();
    sets.map(|items| {
        let mut single = Vec::with_capacity(items.len());
        for item in items {
            let start = Instant::now();
            let _ = black_box(call(black_box(item)));
            single.push(nanoseconds(start));
        }
        let [p50, p99, p999] = percentiles(single);
        Times { mean: means.next().unwrap_or_default(), p50, p99, p999 }
    })
}

fn all<T>(items: &[&T], mut call: impl FnMut(&T) -> Result<bool>) -> Duration {
    let start = Instant::now();
    for item in items {
        let _ = black_box(call(black_box(item)));
    }
    start.elapsed()
}

/// Nanoseconds for each of so many calls that took a time together.
pub(crate) fn mean_of(calls: usize, together: Duration) -> f64 {
    together.as_secs_f64() * 1e9 / calls.max(1) as f64
}

/// The medians of some numbers that are taken over and over.
pub(crate) fn medians<const N: usize>(mut take: impl FnMut() -> [f64; N]) -> [f64; N] {
    let rounds: Vec<[f64; N]> = (0..ROUNDS).map(|_| take()).collect();
    std::array::from_fn(|number| {
        let mut values: Vec<f64> = rounds.iter().map(|round| round[number]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[ROUNDS / 2]
    })
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
