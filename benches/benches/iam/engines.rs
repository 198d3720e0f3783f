//! What each engine does with a world and its questions.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use anyhow::Result;
use milo_iam::Question;
use serde::{Deserialize, Serialize};

use crate::{
    evaluator,
    measure::{Measured, measure, resident},
    peers::{
        Asked, Grant, Relations, casbin, casbin::Casbin, cedar, cedar::Cedar, indexed,
        indexed::Indexed, rego, rego::Rego,
    },
    world_file::WorldFile,
};

/// An engine, and how far it is taken.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) color: &'static str,
    /// The largest world.
    pub(crate) most_bindings: usize,
    /// How many questions of the file it is asked.
    pub(crate) questions: usize,
    pub(crate) run: fn(&WorldFile, usize) -> Result<Outcome>,
}

/// What an engine did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) measured: Measured,
    /// How long it took until it could answer.
    pub(crate) build_seconds: f64,
    /// What of the above is for each question, and not once.
    pub(crate) slices: usize,
    /// How much more memory the process held then.
    pub(crate) bytes: usize,
    pub(crate) details: Option<evaluator::Details>,
}

/// The evaluator is first: the others are compared with it.
pub(crate) const ENGINES: [Engine; 7] = [
    Engine {
        name: "milo-iam by ids",
        color: "#0072b2",
        most_bindings: usize::MAX,
        questions: 100_000,
        run: evaluator::by_ids,
    },
    Engine {
        name: "milo-iam from strings",
        color: "#56b4e9",
        most_bindings: usize::MAX,
        questions: 100_000,
        run: evaluator::from_strings,
    },
    Engine {
        name: "cedar-policy, perfect slice",
        color: "#009e73",
        most_bindings: 100_000,
        questions: 2000,
        run: cedar_slices,
    },
    Engine {
        name: "regorus, indexed data",
        color: "#e69f00",
        most_bindings: 100_000,
        questions: 2000,
        run: regorus,
    },
    Engine {
        name: "regorus, all rules",
        color: "#cc79a7",
        most_bindings: 10_000,
        questions: 500,
        run: regorus_rules,
    },
    Engine {
        name: "cedar-policy, all policies",
        color: "#999999",
        most_bindings: 10_000,
        questions: 100,
        run: cedar_all,
    },
    Engine {
        name: "casbin",
        color: "#d55e00",
        most_bindings: 10_000,
        questions: 100,
        run: casbin_all,
    },
];

/// Builds with the clock and an eye on memory.
pub(crate) fn build<T>(make: impl FnOnce() -> Result<T>) -> Result<(T, Outcome)> {
    let (before, start) = (resident()?, Instant::now());
    let made = make()?;
    let build_seconds = start.elapsed().as_secs_f64();
    let bytes = resident()?.saturating_sub(before);
    Ok((made, Outcome { build_seconds, bytes, ..Outcome::default() }))
}

fn asked(relations: &Relations, questions: &[Question]) -> Vec<Asked> {
    questions.iter().map(|question| Asked::of(relations, question)).collect()
}

/// Cedar with those policies and entities, for each question, whose subject and target fit it.
/// Somebody else chose them, and the request is made: deciding is all that is in the clock.
fn cedar_slices(file: &WorldFile, questions: usize) -> Result<Outcome> {
    let relations = Relations::of(&file.world);
    let mut by_scope: HashMap<(String, &str), Vec<&Grant>> = HashMap::new();
    for grant in &relations.grants {
        by_scope.entry((grant.scope(), &grant.subject)).or_default().push(grant);
    }
    let asked = asked(&relations, &file.questions[..questions]);
    let mut templates = cedar::Templates::default();
    let mut slice = |asked: &Asked| {
        let mut subjects = relations.subjects(&asked.principal);
        subjects.extend(relations.groups(&asked.principal).cloned());
        let mut grants = BTreeSet::new();
        for scope in asked.scopes() {
            for subject in &subjects {
                grants.extend(by_scope.get(&(scope.clone(), subject)).into_iter().flatten());
            }
        }
        Cedar::new(&mut templates, &relations, grants, [asked])
    };
    // So that templates are parsed before.
    asked.iter().try_for_each(|asked| slice(asked).map(drop))?;
    let (slices, mut outcome) = build(|| {
        let slice = |asked| Ok((slice(asked)?, cedar::request(asked)?));
        asked.iter().map(slice).collect::<Result<Vec<_>>>()
    })?;
    outcome.slices = slices.len();
    outcome.measured = measure(&slices, |(cedar, request)| cedar.allows(request))?;
    Ok(outcome)
}

fn cedar_all(file: &WorldFile, questions: usize) -> Result<Outcome> {
    let relations = Relations::of(&file.world);
    let asked = asked(&relations, &file.questions[..questions]);
    let (cedar, mut outcome) = build(|| {
        Cedar::new(&mut cedar::Templates::default(), &relations, &relations.grants, &asked)
    })?;
    let requests = asked.iter().map(cedar::request).collect::<Result<Vec<_>>>()?;
    outcome.measured = measure(&requests, |request| cedar.allows(request))?;
    Ok(outcome)
}

fn regorus(file: &WorldFile, questions: usize) -> Result<Outcome> {
    let relations = Relations::of(&file.world);
    let asked = asked(&relations, &file.questions[..questions]);
    let (rego, mut outcome) = build(|| Indexed::new(&relations, &asked))?;
    let inputs: Vec<_> = asked.iter().map(indexed::input).collect();
    outcome.measured = measure(&inputs, |input| rego.allows(input))?;
    Ok(outcome)
}

fn regorus_rules(file: &WorldFile, questions: usize) -> Result<Outcome> {
    let relations = Relations::of(&file.world);
    let inputs: Vec<_> = file.questions[..questions].iter().map(rego::input).collect();
    let (rego, mut outcome) = build(|| Rego::new(&relations))?;
    outcome.measured = measure(&inputs, |input| rego.allows(input))?;
    Ok(outcome)
}

fn casbin_all(file: &WorldFile, questions: usize) -> Result<Outcome> {
    let relations = Relations::of(&file.world);
    let asked = asked(&relations, &file.questions[..questions]);
    let (casbin, mut outcome) = build(|| Casbin::new(&relations, &asked))?;
    let requests: Vec<_> = asked.iter().map(casbin::request).collect();
    outcome.measured = measure(&requests, |request| casbin.allows(request))?;
    Ok(outcome)
}
