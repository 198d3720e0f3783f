//! Milo's model in the languages of other engines: Cedar, Casbin and Rego.
//!
//! The encodings are written from the rules, and call neither the evaluator nor its model. So they
//! are independent oracles where answers are compared, and peers where speed is.
//!
//! Cedar and Casbin know sets and hierarchies. [`Relations`] reads those from the facts, and
//! [`Asked`] says where in them a question belongs; what is a member of what, and what follows, is
//! theirs to find. Rego is a language: [`rego`] has the rules themselves, and [`indexed`] as few as can
//! be.

#![allow(dead_code, reason = "the oracles and the benchmark each use some of it")]

pub(crate) mod casbin;
pub(crate) mod cedar;
pub(crate) mod indexed;
mod place;
pub(crate) mod rego;
mod relations;

pub(crate) use place::Asked;
pub(crate) use relations::{Grant, Relations, scope_id};

use std::collections::BTreeSet;

/// Everything that can be reached from a start, itself included.
fn reachable<'a>(
    start: &'a str,
    next: impl Fn(&str) -> &'a [String],
) -> impl Iterator<Item = &'a str> {
    let (mut seen, mut waiting) = (BTreeSet::from([start]), vec![start]);
    while let Some(current) = waiting.pop() {
        waiting.extend(next(current).iter().map(|text| &**text).filter(|text| seen.insert(text)));
    }
    seen.into_iter()
}
