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
    measure::{Measured, Times, mean_of, measure, medians, nanoseconds, percentiles, times},
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
    let [by_ids] = times([&hot], call);
    let hot: Vec<_> = some.iter().take(HOT).cycle().take(some.len()).collect();
    let [from_strings] = times([&hot], |question| Ok(snapshot.check(question)));
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
    let set = |wanted: fn(bool) -> bool| -> Vec<&Question> {
        let some = some.iter().zip(&answers).filter(|(_, answer)| wanted(**answer));
        some.map(|(question, _)| question).collect()
    };
    let sets = [set(|_| true), set(|allowed| allowed), set(|allowed| !allowed)];
    let [mixed, allowed, denied] = requests(&sets, |request| snapshot.check(request));
    outcome.measured = Measured { answers, mixed, allowed, denied };
    Ok(outcome)
}

/// As [`times`], of questions that are made before the clock runs, a few at a time.
fn requests(sets: &[Vec<&Question>; 3], call: impl Fn(&Question) -> bool + Copy) -> [Times; 3] {
    let sets = sets.each_ref();
    let means = medians(|| {
        sets.map(|questions| {
            let mut all = Duration::ZERO;
            for made in batches(questions) {
                let start = Instant::now();
                for request in &made {
                    black_box(call(black_box(request)));
                }
                all += start.elapsed();
            }
            mean_of(questions.len(), all)
        })
    });
    let mut means = means.into_iter();
    sets.map(|questions| {
        let mut single = Vec::with_capacity(questions.len());
        for made in batches(questions) {
            for request in &made {
                let start = Instant::now();
                black_box(call(black_box(request)));
                single.push(nanoseconds(start));
            }
        }
        let [p50, p99, p999] = percentiles(single);
        Times { mean: means.next().unwrap_or_default(), p50, p99, p999 }
    })
}

/// The questions again, a few at a time, each in strings of its own.
fn batches(questions: &[&Question]) -> impl Iterator<Item = Vec<Question>> {
    let fresh = |question: &&Question| {
        let permission = question.permission.to_string().parse();
        let permission = permission.unwrap_or_else(|_| question.permission.clone());
        Question { permission, ..(*question).clone() }
    };
    questions.chunks(BATCH).map(move |some| some.iter().map(fresh).collect())
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
