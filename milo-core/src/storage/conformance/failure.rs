//! How a case ends that does not pass.

use std::{fmt, panic::Location};

/// Text of a failure beyond this is cut: values may be large.
const MAX_TEXT: usize = 4000;

/// What a case returns.
pub(super) type Outcome = Result<(), Failure>;

/// Why a case did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The engine broke the contract, or an operation failed that must not.
    Failed(String),
    /// The case needs what the harness does not offer.
    Skipped(String),
}

impl Failure {
    /// A failure at the caller's place in the suite.
    #[track_caller]
    pub(super) fn new(text: impl fmt::Display) -> Self {
        let mut text = text.to_string();
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
            text.truncate(end);
            text.push_str(" ... (cut)");
        }
        let place = Location::caller();
        Self::Failed(format!("{text} ({}:{})", place.file(), place.line()))
    }

    /// Adds how to run the case again.
    pub(super) fn again(self, how: &str) -> Self {
        match self {
            Self::Failed(text) => Self::Failed(format!("{text}; again {how}")),
            skipped @ Self::Skipped(_) => skipped,
        }
    }
}

/// Any error of an engine that a case does not expect.
impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new(format_args!("unexpected error: {error} [{error:?}]"))
    }
}

/// Fails the case with a text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::storage::conformance::failure::Failure::new(format_args!($($text)+)));
        }
    };
}

/// Fails the case unless two values are equal.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr $(,)?) => {
        ensure_eq!($found, $expected, "{}", stringify!($found))
    };
    ($found:expr, $expected:expr, $($text:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => ensure!(
                *found == *expected,
                "{}: found {found:?} instead of {expected:?}",
                format_args!($($text)+)
            ),
        }
    };
}

/// Fails the case unless a value has a form.
macro_rules! ensure_matches {
    ($found:expr, $($pattern:tt)+) => {
        match $found {
            $($pattern)+ => {}
            other => return Err($crate::storage::conformance::failure::Failure::new(format_args!(
                "found {other:?} instead of {}", stringify!($($pattern)+)
            ))),
        }
    };
}
