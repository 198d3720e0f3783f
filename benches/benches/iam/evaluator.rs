//! What milo-iam does with a world and its questions.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use milo_iam::{
    Check, Evaluator, Memory, Question,
    world::{Change, KindName, World},
};
use serde::{Deserialize, Serialize};

use crate::{
    engines::{Outcome, build},
    measure::{Measured, Times, measure, nanoseconds, percentiles, times},
    world_file::WorldFile,
};

/// How many principals are hot.
const HOT: usize = 64;
/// How many questions are made at a time: so few that all stay in the processor's cache.
const BATCH: usize = 64;
/// How many bindings leave and come again.
const CHANGES: usize = 500;

/// What only the evaluator is measured for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Details {
    /// Checks of a few principals, over and over: by ids, and from strings.
    pub(crate) hot: [Times; 2],
    /// Bytes: the facts, who is granted what, and what finds names.
    pub(crate) memory: [usize; 3],
    /// Nanoseconds from a change to a snapshot that has it, while another thread checks: median,
    /// p99 and p99.9.
    pub(crate) change: [u64; 3],
}

/// Questions whose names were looked up before.
pub(crate) fn by_ids(file: &WorldFile, questions: usize) -> Result<Outcome> {
    let (world, some) = (&file.world, &file.questions[..questions]);
    let (evaluator, mut outcome) = build(|| listed(world))?;
    let snapshot = evaluator.snapshot();
    let checks: Vec<_> = some.iter().map(|question| snapshot.resolve(question)).collect();
    let call = |check: &Option<Check<'_>>| Ok(check.as_ref().is_some_and(Check::is_allowed));
    outcome.measured = measure(&checks, call)?;
    let hot: Vec<_> = checks.iter().take(HOT).cycle().take(checks.len()).collect();
    let by_ids = times(&hot, call);
    let hot: Vec<_> = some.iter().take(HOT).cycle().take(some.len()).collect();
    let from_strings = times(&hot, |question| Ok(snapshot.check(question)));
    let Memory { facts, grants, names } = snapshot.memory();
    drop(checks);
    drop(snapshot);
    outcome.details = Some(Details {
        hot: [by_ids, from_strings],
        memory: [facts, grants, names],
        change: changes(&evaluator, world, some)?,
    });
    Ok(outcome)
}

/// Questions as requests bring them: in strings that were just written.
pub(crate) fn from_strings(file: &WorldFile, questions: usize) -> Result<Outcome> {
    let (evaluator, mut outcome) = build(|| listed(&file.world))?;
    let snapshot = evaluator.snapshot();
    let some = &file.questions[..questions];
    let answers: Vec<bool> = some.iter().map(|question| snapshot.check(question)).collect();
    let of = |wanted: fn(bool) -> bool| {
        let some = some.iter().zip(&answers).filter(|(_, answer)| wanted(**answer));
        requests(&some.map(|(question, _)| question).collect::<Vec<_>>(), |request| {
            snapshot.check(request)
        })
    };
    let (mixed, allowed, denied) = (of(|_| true)?, of(|allowed| allowed)?, of(|allowed| !allowed)?);
    outcome.measured = Measured { answers, mixed, allowed, denied };
    Ok(outcome)
}

/// The times of calls with questions that are made before the clock runs, a few at a time.
fn requests(questions: &[&Question], call: impl Fn(&Question) -> bool) -> Result<Times> {
    let (mut all, mut single) = (Duration::ZERO, Vec::with_capacity(questions.len()));
    for some in questions.chunks(BATCH) {
        let made = some.iter().map(|question| request(question)).collect::<Result<Vec<_>>>()?;
        let start = Instant::now();
        for request in &made {
            black_box(call(black_box(request)));
        }
        all += start.elapsed();
    }
    for some in questions.chunks(BATCH) {
        let made = some.iter().map(|question| request(question)).collect::<Result<Vec<_>>>()?;
        for request in &made {
            let start = Instant::now();
            black_box(call(black_box(request)));
            single.push(nanoseconds(start));
        }
    }
    let [p50, p99, p999] = percentiles(single);
    let mean = all.as_secs_f64() * 1e9 / questions.len().max(1) as f64;
    Ok(Times { mean, p50, p99, p999 })
}

/// A question that shares nothing with another.
fn request(question: &Question) -> Result<Question> {
    let permission = question.permission.to_string().parse()?;
    Ok(Question { permission, ..question.clone() })
}

fn listed(world: &World) -> Result<Evaluator> {
    let evaluator = Evaluator::new();
    evaluator.relist(1, world.clone())?;
    Ok(evaluator)
}

/// Revokes bindings and grants them again while another thread checks.
fn changes(evaluator: &Evaluator, world: &World, questions: &[Question]) -> Result<[u64; 3]> {
    let kind = KindName::new("iam.miloapis.com", "PolicyBinding");
    let step = (world.of_kind(&kind).count() / CHANGES).max(1);
    let bindings: Vec<_> = world.of_kind(&kind).step_by(step).collect();
    let changes = bindings
        .into_iter()
        .flat_map(|binding| [Change::Remove(binding.key().clone()), Change::Put(binding.clone())]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for question in questions.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                black_box(evaluator.snapshot().check(question));
            }
        });
        let times = (2..).zip(changes).map(|(revision, change)| {
            let start = Instant::now();
            evaluator.apply(revision, [change])?;
            anyhow::ensure!(evaluator.snapshot().revision() == revision, "it is not visible");
            Ok(nanoseconds(start))
        });
        let times = times.collect::<Result<Vec<_>>>();
        stop.store(true, Ordering::Relaxed);
        Ok(percentiles(times?))
    })
}
