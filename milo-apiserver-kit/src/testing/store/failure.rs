//! How a case ends that does not pass.

use std::{fmt, panic::Location};

/// What is longer is cut: lists may be.
const MAX_TEXT: usize = 4000;

/// What a case returns.
pub(super) type Outcome = Result<(), Failure>;

/// What a case found wrong, and where in the suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure(String);

impl Failure {
    #[track_caller]
    pub(super) fn new(text: impl fmt::Display) -> Self {
        let mut text = text.to_string();
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
            text.truncate(end);
            text.push_str(" ... (cut)");
        }
        let place = Location::caller();
        Self(format!("{text} ({}:{})", place.file(), place.line()))
    }

    /// Adds what was being done.
    pub(super) fn when(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Any error that a case does not expect.
impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// Fails the case with a text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::testing::store::failure::Failure::new(format_args!($($text)+)));
        }
    };
}

/// Fails the case unless two values are equal.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr $(,)?) => {
        $crate::testing::store::failure::ensure_eq!($found, $expected, "{}", stringify!($found))
    };
    ($found:expr, $expected:expr, $($text:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => $crate::testing::store::failure::ensure!(
                *found == *expected,
                "{}: found {found:?} instead of {expected:?}",
                format_args!($($text)+)
            ),
        }
    };
}

pub(super) use {ensure, ensure_eq};
