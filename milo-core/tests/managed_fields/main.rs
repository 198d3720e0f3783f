//! Server-side apply and `managedFields` (`spec/wire.md` 3.4): known answers by subject, hostile
//! input, and properties of random objects.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests take what reads best, and say what they expect by unwrapping"
)]

mod conflicts;
mod entries;
mod hostile;
mod invalid;
mod kubectl;
mod lists;
mod ownership;
mod properties;
mod pruning;
mod scale;
mod support;
mod updates;
mod values;
