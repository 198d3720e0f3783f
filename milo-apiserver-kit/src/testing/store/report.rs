//! What the suite found.

use std::{fmt, time::Duration};

/// The result of one case. Prints as one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CaseReport {
    /// Its name, unique in the suite.
    pub name: &'static str,
    /// What is wrong, if anything is.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl CaseReport {
    pub(super) fn new(name: &'static str, failure: Option<String>, took: Duration) -> Self {
        Self { name, failure, took }
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, failure, took } = self;
        match failure {
            None => write!(f, "passed   {name} ({took:.1?})"),
            Some(text) => write!(f, "FAILED   {name}: {text}"),
        }
    }
}

/// The results of a run, case by case. Prints as one line for each and a last one with the sums.
#[derive(Clone, Debug, Default)]
pub struct Report {
    cases: Vec<CaseReport>,
}

impl Report {
    pub(super) fn new(cases: Vec<CaseReport>) -> Self {
        Self { cases }
    }

    /// All cases, in the order of the suite.
    #[must_use]
    pub fn cases(&self) -> &[CaseReport] {
        &self.cases
    }

    /// How many cases passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.failure.is_none()).count()
    }

    /// How many cases failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.cases.len() - self.passed()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        write!(f, "{} passed, {} failed", self.passed(), self.failed())
    }
}
