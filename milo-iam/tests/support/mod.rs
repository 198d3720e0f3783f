//! What several tests use.

#![allow(dead_code, reason = "each test uses some of it")]

use milo_iam::{
    Question, model,
    world::{Key, KindName, Subject, Target, World},
};

/// Whether the world allows it; the model and the evaluator must agree.
pub(crate) fn allowed(world: &World, question: &Question) -> bool {
    model::check(world, question)
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
