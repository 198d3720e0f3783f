//! Fuzz targets: plain functions that take any bytes and panic when Milo breaks a promise.
//!
//! The same functions are driven by libFuzzer (`fuzz/run`) and replayed by `cargo test` over the
//! inputs that were kept in `fuzz/corpus`. What they check is in `world` and in each target.

#![expect(clippy::panic, reason = "a target tells what it found by panicking, as a test does")]

mod choices;
mod grammar;
mod targets;
mod world;

/// A target: takes any bytes, and panics when a promise is broken.
pub type Target = fn(&[u8]);

/// Every target, by the name of its folder in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("apply", targets::apply),
    ("continue_token", targets::continue_token),
    ("json_body", targets::json_body),
    ("json_patch", targets::json_patch),
    ("merge_patch", targets::merge_patch),
    ("path", targets::path),
    ("review", targets::review),
    ("schema", targets::schema),
    ("selector", targets::selector),
    ("sequence", targets::sequence),
    ("watch", targets::watch),
    ("yaml_body", targets::yaml_body),
];
