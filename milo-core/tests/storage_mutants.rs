//! The conformance suite finds faults: each engine here has one, and the cases that are there for
//! it must fail.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

#[path = "storage_mutants/mutant.rs"]
mod mutant;

use milo_core::storage::conformance::{Verdict, names, run_case};
use mutant::{Fault, Mutants};

/// Time stands still while something happens, and passes at once when nothing does: what would
/// make a case wait in vain does not make these tests slow.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

fn must_fail(fault: Fault, cases: &[&str]) {
    for case in cases {
        let report = runtime().block_on(run_case(Mutants(fault), case)).unwrap();
        assert!(matches!(report.verdict, Verdict::Failed(_)), "{fault:?}: {report}");
        println!("{report}");
    }
}

#[test]
fn an_engine_without_a_fault_passes() {
    for case in names() {
        let report = runtime().block_on(run_case(Mutants(Fault::None), case)).unwrap();
        assert_eq!(report.verdict, Verdict::Passed, "{report}");
    }
}

macro_rules! mutants {
    ($($test:ident: $fault:ident => [$($case:literal),* $(,)?])*) => {$(
        #[test]
        fn $test() {
            must_fail(Fault::$fault, &[$($case),*]);
        }
    )*};
}

mutants! {
    dropped_events: DropsEvents => [
        "watches_from_every_revision",
        "reconnects_lose_and_repeat_nothing",
        "random_histories_are_linearizable",
        "random_histories_with_compaction_are_exact",
    ]
    repeated_events: RepeatsEvents => [
        "a_request_proves_freshness",
        "reconnects_lose_and_repeat_nothing",
        "random_histories_are_linearizable",
    ]
    reordered_events: ReordersEvents => [
        "watches_from_every_revision",
        "replays_long_histories_while_writing",
        "random_histories_are_linearizable",
    ]
    split_batches: SplitsBatches => [
        "transactions_are_all_or_nothing",
        "large_transactions_commit_at_once",
        "random_histories_are_linearizable",
    ]
    forgotten_previous_values: ForgetsPrevious => [
        "watches_live",
        "watches_from_the_past",
        "watches_of_a_tree_from_every_moment",
        "random_histories_are_linearizable",
    ]
    watches_that_end_in_silence: EndsWatchesInSilence => [
        "a_watch_never_ends_in_silence",
        "slow_watchers_lose_nothing",
        "random_histories_are_linearizable",
    ]
    missing_progress: NeverTellsProgress => [
        "tells_progress",
        "a_request_proves_freshness",
    ]
    untrue_progress: TellsProgressTooEarly => [
        "progress_never_overtakes_events",
    ]
    watches_from_now: WatchesFromNow => [
        "watches_from_the_past",
        "watches_from_every_revision",
        "reconnects_lose_and_repeat_nothing",
        "random_histories_are_linearizable",
    ]
    stale_gets: ReadsTheValueBefore => [
        "acknowledged_commits_are_seen",
        "random_histories_are_linearizable",
    ]
    stale_lists: ListsThePast => [
        "acknowledged_commits_are_seen",
        "readers_never_go_back",
        "random_histories_are_linearizable",
    ]
    split_transactions: SplitsTransactions => [
        "transactions_are_all_or_nothing",
        "large_transactions_commit_at_once",
        "lists_are_snapshots",
        "transactions_keep_the_sum",
        "aborted_commits_are_all_or_nothing",
        "random_histories_are_linearizable",
    ]
    lost_updates: IgnoresRevisions => [
        "conflicts_tell_the_current_record",
        "one_of_many_wins",
        "random_histories_are_linearizable",
    ]
    the_wrong_conflict: TellsTheLastConflict => [
        "the_first_failed_precondition_is_told",
        "random_histories_are_linearizable",
    ]
    conflicts_without_a_record: TellsNoCurrentRecord => [
        "conflicts_tell_the_current_record",
        "one_of_many_wins",
        "random_histories_are_linearizable",
    ]
    zero_for_absent: TakesZeroForAbsent => ["revisions_of_no_commit_never_hold"]
    revisions_for_nothing: TakesRevisionsForNothing => [
        "transactions_that_change_nothing",
        "revisions_are_dense",
    ]
    keys_as_text: TakesKeysForText => ["keys_may_be_any_bytes", "keys_may_be_long_and_random"]
    keys_as_prefixes: TakesKeysForPrefixes => [
        "ranges_end_at_segments",
        "ranges_are_of_paths_not_of_prefixes",
        "random_histories_are_linearizable",
    ]
    cut_values: CutsLargeValues => ["takes_large_values"]
    what_remains_now: CountsWhatRemainsNow => [
        "lists_in_pages_at_one_revision",
        "lists_of_a_tree_at_every_moment",
        "random_histories_are_linearizable",
    ]
    now_for_then: ListsNowForThen => [
        "lists_the_past",
        "lists_in_pages_at_one_revision",
        "lists_of_a_tree_at_every_moment",
        "pages_of_a_tree_go_on_at_every_moment",
        "random_histories_are_linearizable",
    ]
    now_for_expired: ListsNowForExpired => [
        "compaction_forgets_only_the_past",
        "the_first_moments_of_a_tree_are_compacted",
        "compactions_race_one_another",
        "random_histories_with_compaction_are_exact",
    ]
    now_for_the_future: ListsNowForTheFuture => ["reads_of_the_future_fail"]
    stale_replicas: LagsBehindReplicas => [
        "a_replica_reads_what_another_wrote",
        "random_histories_of_replicas_are_linearizable",
    ]
    forgetful_restarts: ForgetsTheLastCommit => [
        "a_restart_keeps_every_revision",
        "watches_resume_after_a_restart",
    ]
}
