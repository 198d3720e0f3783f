//! What several tests use.

#![allow(dead_code, reason = "each test uses some of it")]

pub(crate) mod worlds;

use milo_iam::{
    Question, Snapshot, model,
    world::{Key, KindName, Subject, Target, World},
};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Runs properties with a seed that is printed: `MILO_IAM_SEED`, or one of the hour. `MILO_IAM_CASES`
/// is how many cases there are.
pub(crate) fn runner(default_cases: u32) -> TestRunner {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("MILO_IAM_SEED").or(now.ok().map(|now| now.as_secs())).unwrap_or_default();
    println!("MILO_IAM_SEED={seed}");
    let cases = number("MILO_IAM_CASES").and_then(|cases| u32::try_from(cases).ok());
    let config = Config {
        cases: cases.unwrap_or(default_cases),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Whether the world allows it; the model and the evaluator must agree.
pub(crate) fn allowed(world: &World, question: &Question) -> bool {
    let allowed = model::check(world, question);
    assert_eq!(Snapshot::of(world.clone()).check(question), allowed, "{question}");
    allowed
}

/// A user of the builder.
pub(crate) fn user(name: &str) -> Subject {
    Subject::User { name: name.into(), uid: format!("{name}-uid").into() }
}

/// The target that means a tenant of the builder.
pub(crate) fn object_of(world: &World, kind: &str, name: &str) -> Target {
    let found =
        world.facts().find(|fact| *fact.key().kind.kind == *kind && *fact.key().name == *name);
    found.expect("the world has it").as_target()
}

/// The key of a binding.
pub(crate) fn binding_key(name: &str, namespace: &str) -> Key {
    Key::new(KindName::new("iam.miloapis.com", "PolicyBinding"), name).namespace(namespace)
}
