//! Runs cases.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    cancellation, commit, compaction, concurrency,
    failure::{Failure, Outcome},
    harness::Harness,
    histories,
    lab::Lab,
    list, precondition, progress, races, ranges, replicas,
    report::{CaseReport, Report, Verdict},
    restarts, resume, tree, values, watch,
};

/// What takes longer hangs.
const CASE_TIMEOUT: Duration = Duration::from_secs(120);

struct Case {
    subject: &'static str,
    name: &'static str,
    run: fn(Lab) -> Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

macro_rules! table {
    ({} $($subject:ident { $($case:ident,)* })*) => {
        const CASES: &[Case] = &[$($(Case {
            subject: stringify!($subject),
            name: stringify!($case),
            run: |lab| Box::pin($subject::$case(lab)),
        },)*)*];
    };
}

crate::__storage_conformance_cases! { table {} }

/// There is no case of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage conformance suite has no case `{0}`: see `names()`")]
pub struct UnknownCase(String);

/// The names of all cases, in the order in which [`run`] runs them.
pub fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.name)
}

/// Runs all cases, one after the other, and tells how each ended. To be called in a multi-threaded
/// tokio runtime with its timer enabled.
pub async fn run(harness: impl Harness) -> Report {
    let (harness, mut report) = (Arc::new(harness), Report::default());
    for case in CASES {
        report.add(case.report(&harness).await);
    }
    report
}

/// Runs one case.
///
/// # Errors
/// When there is none of this name.
pub async fn run_case(harness: impl Harness, name: &str) -> Result<CaseReport, UnknownCase> {
    let found = CASES.iter().find(|case| case.name == name);
    let case = found.ok_or_else(|| UnknownCase(name.to_owned()))?;
    Ok(case.report(&Arc::new(harness)).await)
}

/// Runs one case in a runtime of its own, as the body of a `#[test]`: see
/// [`storage_conformance!`](crate::storage_conformance).
///
/// # Panics
/// When the case fails or there is none of this name. One that is skipped is told on standard
/// output.
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub fn test(harness: impl Harness, name: &str) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime to test in: {error}"),
    };
    let report = runtime.block_on(run_case(harness, name));
    // What hangs is not waited for.
    runtime.shutdown_background();
    match report {
        Ok(CaseReport { verdict: Verdict::Failed(text), .. }) => panic!("{text}"),
        Ok(report) => println!("{report}"),
        Err(unknown) => panic!("{unknown}"),
    }
}

impl Case {
    async fn report<H: Harness>(&self, harness: &Arc<H>) -> CaseReport {
        let started = Instant::now();
        let (run, harness) = (self.run, Arc::clone(harness));
        // A task of its own: a panic in the engine ends the case, not the run.
        let mut task = tokio::spawn(async move { run(Lab::new(harness).await?).await });
        let outcome = match tokio::time::timeout(CASE_TIMEOUT, &mut task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(Failure::new(panic)),
            Err(_) => {
                task.abort();
                Err(Failure::new(format_args!("not done after {CASE_TIMEOUT:?}")))
            }
        };
        let Self { subject, name, .. } = *self;
        CaseReport { subject, name, verdict: Verdict::of(outcome), took: started.elapsed() }
    }
}
