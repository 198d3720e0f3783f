//! Engines that others wrote must say what the evaluator says, of random worlds.
//!
//! Milo's model is encoded for Cedar, Casbin and Rego (see `benches/peers`), and each question is
//! asked of all of them and of the evaluator. The seed is printed, and `MILO_TEST_SEED` sets it;
//! `MILO_ORACLE_QUESTIONS` is how many questions there are:
//!
//! ```sh
//! MILO_ORACLE_QUESTIONS=1000000 cargo test --release -p benches --test oracles -- --nocapture
//! ```

mod grants;
#[path = "../../peers/mod.rs"]
mod peers;
mod questions;
mod worlds;

use anyhow::Result;
use fastrand::Rng;
use milo_iam::{
    Evaluator, Question, Snapshot,
    world::{KindName, World},
};
use peers::{
    Asked, Relations, casbin, casbin::Casbin, cedar, cedar::Cedar, indexed, indexed::Indexed, rego,
    rego::Rego,
};
use questions::Questions;
use worlds::{History, history};

const ORACLES: [&str; 4] = ["cedar-policy", "casbin", "regorus", "regorus, indexed"];
/// Unless said otherwise. Without optimization, each takes milliseconds.
const QUESTIONS: usize = if cfg!(debug_assertions) { 5_000 } else { 20_000 };
const QUESTIONS_PER_WORLD: usize = 500;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a setting is a number"))
}

fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    setting("MILO_TEST_SEED").unwrap_or_else(|| now.map_or(0, |now| now.as_secs()))
}

/// What the evaluator knows after a history, as it came to know it.
fn evaluator(history: &History) -> Evaluator {
    let evaluator = Evaluator::new();
    let start = World::new().with(history.start.clone());
    evaluator.relist(1, start).expect("it is the first list");
    for (revision, batch) in (2..).zip(&history.batches) {
        evaluator.apply(revision, batch.clone()).expect("revisions go on");
    }
    evaluator
}

/// What each oracle says to each question.
fn answers(world: &World, questions: &[Question]) -> Result<Vec<[bool; ORACLES.len()]>> {
    let relations = Relations::of(world);
    let asked: Vec<_> = questions.iter().map(|one| Asked::of(&relations, one)).collect();
    let cedar =
        Cedar::new(&mut cedar::Templates::default(), &relations, &relations.grants, &asked)?;
    let casbin = Casbin::new(&relations, &asked)?;
    let (rego, indexed) = (Rego::new(&relations)?, Indexed::new(&relations, &asked)?);
    let answer = |(question, asked)| {
        Ok([
            cedar.allows(&cedar::request(asked)?)?,
            casbin.allows(&casbin::request(asked))?,
            rego.allows(&rego::input(question))?,
            indexed.allows(&indexed::input(asked))?,
        ])
    };
    questions.iter().zip(&asked).map(answer).collect()
}

/// The facts of a world without which an oracle and the evaluator would not disagree.
fn smallest(world: &World, question: &Question, oracle: usize) -> World {
    let disagree = |world: &World| {
        let answers = answers(world, std::slice::from_ref(question));
        answers.is_ok_and(|found| found[0][oracle] != Snapshot::of(world.clone()).check(question))
    };
    let mut smallest: World = world.facts().collect();
    for fact in world.facts() {
        let without = smallest.facts().filter(|other| *other != fact).collect();
        if disagree(&without) {
            smallest = without;
        }
    }
    smallest
}

fn compare(snapshot: &Snapshot, questions: &[Question]) -> usize {
    let world = snapshot.world();
    let answers = answers(world, questions).expect("the encodings are well formed");
    let mut allowed = 0;
    for (question, answers) in questions.iter().zip(answers) {
        let expected = snapshot.check(question);
        allowed += usize::from(expected);
        for (index, oracle) in ORACLES.iter().enumerate() {
            let facts = || smallest(world, question, index);
            assert_eq!(answers[index], expected, "{oracle}: {question}\n{:#?}", facts());
        }
    }
    allowed
}

#[test]
fn the_evaluator_says_what_other_engines_say() {
    let seed = seed();
    let count = setting("MILO_ORACLE_QUESTIONS")
        .map_or(QUESTIONS, |n| usize::try_from(n).expect("it fits"));
    println!("MILO_TEST_SEED={seed}");
    let (mut random, questions) = (Rng::with_seed(seed), Questions::new());
    let (mut asked, mut allowed, mut worlds) = (0, 0, 0);
    while asked < count {
        let snapshot = evaluator(&history(&mut random)).snapshot();
        let binding = KindName::new("iam.miloapis.com", "PolicyBinding");
        let bindings: Vec<_> = snapshot.world().of_kind(&binding).collect();
        let some = QUESTIONS_PER_WORLD.min(count - asked);
        let some: Vec<_> = (0..some).map(|_| questions.draw(&mut random, &bindings)).collect();
        allowed += compare(&snapshot, &some);
        (asked, worlds) = (asked + some.len(), worlds + 1);
    }
    for oracle in ORACLES {
        println!(
            "{oracle}: {asked} questions about {worlds} worlds, {allowed} allowed, 0 mismatches"
        );
    }
    assert!(allowed > 0 && allowed < asked, "worlds that allow all or nothing prove nothing");
}
