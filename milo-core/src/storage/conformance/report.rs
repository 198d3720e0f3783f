//! What the suite found.

use std::{fmt, time::Duration};

use super::failure::Failure;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The engine keeps this part of the contract.
    Passed,
    /// It does not; holds what was found, what was expected, and where.
    Failed(String),
    /// The case could not run; holds why.
    Skipped(String),
}

impl Verdict {
    pub(super) fn of(outcome: Result<(), Failure>) -> Self {
        match outcome {
            Ok(()) => Self::Passed,
            Err(Failure::Failed(text)) => Self::Failed(text),
            Err(Failure::Skipped(reason)) => Self::Skipped(reason),
        }
    }
}

/// The result of one case. Prints as one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CaseReport {
    /// What part of the contract it is about, such as `watch`.
    pub subject: &'static str,
    /// Its name, unique in the suite.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

impl CaseReport {
    /// The result of a case, of this suite or of one that is built on its harnesses.
    #[must_use]
    pub fn new(
        subject: &'static str,
        name: &'static str,
        verdict: Verdict,
        took: Duration,
    ) -> Self {
        Self { subject, name, verdict, took }
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, name, verdict, took } = self;
        match verdict {
            Verdict::Passed => write!(f, "passed   {subject}::{name} ({took:.1?})"),
            Verdict::Failed(text) => write!(f, "FAILED   {subject}::{name}: {text}"),
            Verdict::Skipped(reason) => write!(f, "skipped  {subject}::{name}: {reason}"),
        }
    }
}

/// The results of a run, case by case. Prints as one line for each and a last one with the sums.
#[derive(Clone, Debug, Default)]
pub struct Report {
    cases: Vec<CaseReport>,
}

impl Report {
    pub(super) fn add(&mut self, case: CaseReport) {
        self.cases.push(case);
    }

    /// All cases, in the order of the suite.
    #[must_use]
    pub fn cases(&self) -> &[CaseReport] {
        &self.cases
    }

    /// How many cases passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Passed))
    }

    /// How many cases failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed(_)))
    }

    /// How many cases could not run.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Skipped(_)))
    }

    fn count(&self, which: impl Fn(&Verdict) -> bool) -> usize {
        self.cases.iter().filter(|case| which(&case.verdict)).count()
    }
}

impl FromIterator<CaseReport> for Report {
    fn from_iter<I: IntoIterator<Item = CaseReport>>(cases: I) -> Self {
        Self { cases: cases.into_iter().collect() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        let (passed, failed, skipped) = (self.passed(), self.failed(), self.skipped());
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
