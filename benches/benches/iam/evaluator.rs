//! What milo-iam does with a world and its questions.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::Result;
use milo_iam::{
    Check, Evaluator, Question,
    world::{Change, KindName, World},
};
use serde::{Deserialize, Serialize};

use crate::{
    engines::{Outcome, build},
    measure::{Times, measure, nanoseconds, percentiles, times},
    world_file::WorldFile,
};

/// How many principals are hot.
const HOT: usize = 64;
/// How many bindings leave and come again.
const CHANGES: usize = 500;

/// What only the evaluator is measured for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Details {
    /// Checks of a few principals, over and over.
    pub(crate) hot: Times,
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
    let hot = times(&hot, call);
    drop(checks);
    drop(snapshot);
    outcome.details = Some(Details { hot, change: changes(&evaluator, world, some)? });
    Ok(outcome)
}

/// Questions as requests bring them.
pub(crate) fn from_strings(file: &WorldFile, questions: usize) -> Result<Outcome> {
    let (evaluator, mut outcome) = build(|| listed(&file.world))?;
    let snapshot = evaluator.snapshot();
    let some = &file.questions[..questions];
    outcome.measured = measure(some, |question| Ok(snapshot.check(question)))?;
    Ok(outcome)
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
                std::hint::black_box(evaluator.snapshot().check(question));
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
