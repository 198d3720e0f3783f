//! Every target of `milo-fuzz` in one program; `MILO_FUZZ_TARGET` says which one runs.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use milo_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    let name = std::env::var("MILO_FUZZ_TARGET").expect("MILO_FUZZ_TARGET names a target");
    let found = milo_fuzz::TARGETS.iter().find(|(known, _)| *known == name);
    found.expect("MILO_FUZZ_TARGET names a target").1
}

fuzz_target!(|bytes: &[u8]| TARGET.get_or_init(target)(bytes));
