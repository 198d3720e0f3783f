//! The conformance suite as a program uses it, and what is written about it.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use milo_core::storage::{
    Cause, Memory, Storage,
    conformance::{Harness, Report, Skip, Verdict, names, run, run_case},
};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/storage-conformance.md");

/// Opens nothing.
struct Closed(fn() -> Cause);

#[async_trait]
impl Harness for Closed {
    type Store = ();

    async fn create(&self) -> Result<(), Cause> {
        Err((self.0)())
    }

    async fn open(&self, (): &()) -> Result<Arc<dyn Storage>, Cause> {
        Err((self.0)())
    }
}

fn lines(report: &Report) -> Vec<String> {
    report.to_string().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_closure_is_a_harness() {
    let report = run(|| async { Ok(Memory::new()) }).await;
    println!("{report}");
    assert_eq!(report.failed(), 0);
    assert_eq!(report.passed() + report.skipped(), names().count());
    let mut skipped: Vec<&str> = Vec::new();
    for case in report.cases() {
        if let Verdict::Skipped(reason) = &case.verdict {
            assert!(!reason.is_empty());
            skipped.push(case.subject);
        }
    }
    skipped.dedup();
    assert_eq!(skipped, ["commit", "resume", "histories", "replicas", "restarts"]);
    let lines = lines(&report);
    assert_eq!(lines.len(), names().count() + 1);
    assert!(lines[0].starts_with("passed   commit::creates_and_gets ("), "{}", lines[0]);
    let last = format!("{} passed, 0 failed, {} skipped", report.passed(), report.skipped());
    assert_eq!(lines.last(), Some(&last));
}

#[tokio::test]
async fn what_cannot_be_opened_fails_or_is_skipped() {
    let report = run(Closed(|| "no route to host".into())).await;
    assert_eq!(report.failed(), names().count());
    assert!(lines(&report)[0].starts_with("FAILED   commit::creates_and_gets: the harness could"));
    let report = run(Closed(|| Skip::new("postgres not found").into())).await;
    assert_eq!(report.skipped(), names().count());
    assert_eq!(lines(&report)[0], "skipped  commit::creates_and_gets: postgres not found");
}

#[tokio::test]
async fn a_panic_fails_its_case() {
    let report = run_case(Closed(|| panic!("the engine is on fire")), "pings").await.unwrap();
    assert!(
        matches!(&report.verdict, Verdict::Failed(text) if text.contains("the engine is on fire")),
        "{report}"
    );
}

#[tokio::test]
async fn a_case_that_does_not_exist_is_named() {
    let error = run_case(|| async { Ok(Memory::new()) }, "sings").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the storage conformance suite has no case `sings`: see `names()`"
    );
}

/// Every case is in the table, and the table has nothing else.
#[test]
fn the_table_says_what_there_is() {
    let text = std::fs::read_to_string(TABLE).unwrap();
    let is_name = |word: &&str| {
        word.contains('_') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let quoted: BTreeSet<&str> = text.split('`').skip(1).step_by(2).filter(is_name).collect();
    let cases: BTreeSet<&str> = names().filter(is_name).collect();
    assert_eq!(quoted, cases);
    assert!(text.contains("`pings`"));
    let numbered =
        |line: &&str| line.split('|').nth(1).is_some_and(|n| n.trim().parse::<u8>().is_ok());
    assert_eq!(text.lines().filter(numbered).count(), 60 + 86);
}
