//! Checks recorded histories against a sequential model.
//!
//! Many tasks use a store through [`Recorder`]s, which write down what was asked, what was answered
//! and when. Revisions give the total order of the commits, so the history needs no search:
//! [`verify`] applies the commits one after the other to a map, and then asks of every answer
//! whether some moment explains it: one that is not before anything that had been seen when the
//! question was asked, and not after anything that had yet to begin when the answer came.

mod log;
mod model;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use self::{
    log::{Log, RecordedWatch, Recorder},
    verify::verify,
};
