//! The workload "Milo-1": an organization for each thousand bindings, ten projects in each, a hundred
//! things of each kind in a project, a user for five bindings, a group for fifty, 4.4 groups for a
//! user.
//!
//! ```sh
//! cargo bench -p milo-iam --bench milo_1 -- 1000 10000 100000 1000000
//! cargo bench -p milo-iam --bench milo_1 -- 10000000
//! ```
//!
//! Half of the questions come from bindings, half are random in the user's organization. Times are
//! in nanoseconds unless they say otherwise; percentiles are of single calls, clock included.
//! Answers of the smallest size are compared with the model's.

#![expect(clippy::unwrap_used, reason = "a broken benchmark should stop")]

mod workload;

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use milo_iam::{
    Check, Evaluator, Question, Snapshot, model,
    world::{Change, KindName, World},
};
use workload::Milo;

/// Principals that ask over and over.
const HOT: usize = 64;

/// Of calls: their mean, and percentiles of single ones, in nanoseconds.
struct Measured {
    mean: f64,
    p50: u64,
    p99: u64,
    p999: u64,
    allowed: usize,
}

fn measure<T>(items: &[T], times: usize, mut call: impl FnMut(&T) -> bool) -> Measured {
    let mut allowed = 0;
    let start = Instant::now();
    for item in std::iter::repeat_n(items, times).flatten() {
        allowed += usize::from(black_box(call(black_box(item))));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let mean = start.elapsed().as_secs_f64() * 1e9 / (items.len() * times).max(1) as f64;
    let mut single: Vec<u64> = items
        .iter()
        .map(|item| {
            let start = Instant::now();
            black_box(call(black_box(item)));
            u64::try_from(start.elapsed().as_nanos()).unwrap()
        })
        .collect();
    single.sort_unstable();
    let at = |per_mille: usize| {
        single.get(single.len().saturating_sub(1) * per_mille / 1000).copied().unwrap_or_default()
    };
    Measured { mean, p50: at(500), p99: at(990), p999: at(999), allowed: allowed / times }
}

/// Bytes of a line of the process's status.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

fn report(what: &str, found: &Measured) {
    println!("| {what} | {:.0} | {} | {} | {} |", found.mean, found.p50, found.p99, found.p999);
}

/// Checks that were looked up before: all of them, those that are denied, and a few over and over.
fn by_ids(snapshot: &Snapshot, questions: &[Question]) -> f64 {
    let checks: Vec<Check<'_>> = questions.iter().filter_map(|q| snapshot.resolve(q)).collect();
    let all = measure(&checks, 1, Check::is_allowed);
    report("by ids", &all);
    let denied: Vec<_> = checks.iter().filter(|check| !check.is_allowed()).cloned().collect();
    report("by ids, all denied", &measure(&denied, 1, Check::is_allowed));
    report("by ids, hot", &measure(&checks[..HOT.min(checks.len())], 1000, Check::is_allowed));
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let allowed = all.allowed as f64 / checks.len().max(1) as f64;
    allowed
}

fn run(bindings: usize) {
    let milo = Milo::new(bindings);
    let start = Instant::now();
    let world: World = milo.facts().collect();
    let stored = start.elapsed();
    let facts_resident = status("VmRSS:");
    let start = Instant::now();
    let snapshot = Snapshot::of(world.clone());
    let cold = start.elapsed();
    let resident = status("VmRSS:");
    let questions = milo.questions();
    if bindings <= 1000 {
        for question in questions.iter().take(2000) {
            assert_eq!(snapshot.check(question), model::check(&world, question), "{question}");
        }
    }
    println!("\n## {bindings} bindings, {} facts\n", world.len());
    println!("| check | mean | p50 | p99 | p99.9 |\n|---|---|---|---|---|");
    let allowed = by_ids(&snapshot, &questions);
    report("from strings", &measure(&questions, 1, |question| snapshot.check(question)));
    let denied: Vec<Question> = questions.iter().filter(|q| !snapshot.check(q)).cloned().collect();
    report("from strings, all denied", &measure(&denied, 1, |q| snapshot.check(q)));
    let hot = &questions[..HOT.min(questions.len())];
    report("from strings, hot", &measure(hot, 1000, |question| snapshot.check(question)));
    println!("\n{:.0} % allowed", allowed * 100.0);
    let memory = snapshot.memory();
    println!(
        "Bytes a binding: {} grants, {} names, {} facts; by resident set {} and {}",
        memory.grants / bindings,
        memory.names / bindings,
        memory.facts / bindings,
        resident.saturating_sub(facts_resident) / bindings,
        facts_resident / bindings,
    );
    println!(
        "Facts stored in {:.2} s, engine built from them in {:.2} s",
        stored.as_secs_f64(),
        cold.as_secs_f64()
    );
    drop(snapshot);
    churn(world, &questions);
    println!("Resident at most: {} MiB", status("VmHWM:") >> 20);
}

/// Microseconds from a change to its publication, while another thread checks.
fn churn(world: World, questions: &[Question]) {
    let kind = KindName::new("iam.miloapis.com", "PolicyBinding");
    let all = world.of_kind(&kind).count();
    let some: Vec<_> = world.of_kind(&kind).step_by((all / 500).max(1)).collect();
    let evaluator = Evaluator::new();
    evaluator.relist(1, world).unwrap();
    let done = AtomicBool::new(false);
    let (mut times, checked) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut checked = 0u64;
            while !done.load(Ordering::Relaxed) {
                let snapshot = evaluator.snapshot();
                for question in questions.iter().cycle().skip(checked as usize % 1000).take(100) {
                    black_box(snapshot.check(question));
                }
                checked += 100;
            }
            checked
        });
        let mut times = Vec::new();
        let mut revision = 1;
        for binding in some {
            for change in [Change::Remove(binding.key().clone()), Change::Put(binding)] {
                revision += 1;
                let start = Instant::now();
                evaluator.apply(revision, [change]).unwrap();
                times.push(start.elapsed().as_micros());
            }
        }
        done.store(true, Ordering::Relaxed);
        (times, reader.join().unwrap())
    });
    times.sort_unstable();
    println!(
        "A change is visible in {} us (p50), {} us (p99), {} us (most), with {checked} checks beside",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times.last().unwrap()
    );
    let snapshot = evaluator.snapshot();
    let binding = snapshot.world().of_kind(&kind).next().unwrap();
    let start = Instant::now();
    let difference = snapshot.what_if([Change::Remove(binding.key().clone())]);
    println!(
        "What if a binding were gone: {} us, {} changes",
        start.elapsed().as_micros(),
        difference.changes.len()
    );
    let slowest = questions.iter().filter(|question| !snapshot.check(question)).take(200);
    let mut slowest: Vec<u128> = slowest
        .map(|question| {
            let start = Instant::now();
            black_box(snapshot.explain(question));
            start.elapsed().as_micros()
        })
        .collect();
    slowest.sort_unstable();
    println!("A denial is explained in {} us (p50)", slowest[slowest.len() / 2]);
}

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes };
    sizes.into_iter().for_each(run);
}
