//! The conformance suite of the storage contract: shows that an engine keeps what
//! [`Storage`](super::Storage) promises, case by case.
//!
//! A [`Harness`] opens stores; one line makes each case a test of its own:
//!
//! ```
//! # // A doctest has no tests of its own: this only shows that it compiles.
//! use milo_core::storage::Memory;
//!
//! milo_core::storage_conformance!(|| async { Ok(Memory::new()) });
//! ```
//!
//! [`run`] runs all of them in a program and returns a [`Report`] to print.
//!
//! Random cases print their seed when they fail; with the environment variable
//! `MILO_STORAGE_SEED` they run the same again, as far as the engine's timing allows.

#[macro_use]
mod failure;
mod checker;
mod harness;
mod lab;
mod random;
mod report;
mod runner;
mod vocabulary;

mod cancellation;
mod commit;
mod compaction;
mod concurrency;
mod histories;
mod list;
mod precondition;
mod progress;
mod races;
mod ranges;
mod replicas;
mod restarts;
mod resume;
mod tree;
mod values;
mod watch;

pub use harness::{Capabilities, Harness, Skip};
pub use report::{CaseReport, Report, Verdict};
pub use runner::{UnknownCase, names, run, run_case, test};

/// Makes every case of the [conformance suite](crate::storage::conformance) a `#[test]`, for the
/// harness that the expression makes. Several engines go into modules of their own.
///
/// ```
/// mod memory {
///     milo_core::storage_conformance!(|| async { Ok(milo_core::storage::Memory::new()) });
/// }
/// ```
#[macro_export]
macro_rules! storage_conformance {
    ($harness:expr) => {
        $crate::__storage_conformance_cases! { $crate::__storage_conformance_tests { $harness } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __storage_conformance_tests {
    ({ $harness:expr } $($subject:ident { $($case:ident,)* })*) => {$($(
        #[test]
        fn $case() {
            $crate::storage::conformance::test($harness, stringify!($case));
        }
    )*)*};
}

/// Every case by subject; a subject is a file here.
#[doc(hidden)]
#[macro_export]
macro_rules! __storage_conformance_cases {
    ($then:path { $($context:tt)* }) => {
        $then! { { $($context)* }
            commit {
                creates_and_gets,
                transactions_are_all_or_nothing,
                transactions_that_change_nothing,
                writing_the_same_value_is_a_change,
                large_transactions_commit_at_once,
                refuses_a_key_that_is_changed_twice,
                revisions_are_dense,
                pings,
            }
            precondition {
                conflicts_tell_the_current_record,
                the_first_failed_precondition_is_told,
                a_removed_key_is_absent,
                revisions_of_no_commit_never_hold,
                preconditions_see_the_state_before,
                preconditions_may_be_of_other_keys,
            }
            list {
                lists_in_pages_at_one_revision,
                lists_the_past,
                reads_of_the_future_fail,
                lists_are_snapshots,
            }
            tree {
                lists_of_a_tree_at_every_moment,
                lists_of_a_tree_now,
                pages_of_a_tree_go_on_at_every_moment,
                the_first_moments_of_a_tree_are_compacted,
                watches_of_a_tree_from_every_moment,
            }
            ranges {
                ranges_end_at_segments,
                ranges_are_of_paths_not_of_prefixes,
                keys_may_be_any_bytes,
                keys_may_be_long_and_random,
            }
            values {
                takes_large_values,
                refuses_values_that_are_too_large,
                keeps_empty_values,
            }
            compaction {
                compaction_forgets_only_the_past,
                compacting_too_far_or_again_is_no_error,
            }
            races {
                lists_race_compaction,
                watches_race_compaction,
                compactions_race_one_another,
            }
            watch {
                watches_live,
                watches_from_the_past,
                watches_from_the_very_beginning,
                watches_only_its_range,
                watches_that_cannot_start,
                replays_long_histories_while_writing,
                replays_large_values,
                slow_watchers_lose_nothing,
            }
            resume {
                watches_from_every_revision,
                reconnects_lose_and_repeat_nothing,
                reconnects_to_replicas_lose_and_repeat_nothing,
                dropped_watches_harm_nobody,
                a_watch_never_ends_in_silence,
            }
            progress {
                tells_progress,
                many_requests_for_progress_do_no_harm,
                a_request_proves_freshness,
                progress_never_overtakes_events,
            }
            concurrency {
                acknowledged_commits_are_seen,
                concurrent_updates_lose_nothing,
                one_of_many_wins,
                transactions_keep_the_sum,
                readers_never_go_back,
            }
            cancellation {
                dropped_commits_do_no_harm,
                aborted_commits_are_all_or_nothing,
                dropped_reads_do_no_harm,
                dropped_waits_for_a_batch_lose_nothing,
            }
            histories {
                random_histories_are_linearizable,
                random_histories_with_compaction_are_exact,
                random_histories_of_replicas_are_linearizable,
            }
            replicas {
                a_replica_reads_what_another_wrote,
                replicas_tell_the_same_history,
                replicas_agree_on_compaction,
            }
            restarts {
                a_restart_keeps_every_revision,
                a_restart_keeps_the_compaction_floor,
                watches_resume_after_a_restart,
            }
        }
    };
}
