//! The conformance suite of the generic store: what a server makes of a storage engine.
//!
//! Whoever brings an engine proves with it that everything above the engine holds too: pages, exact
//! versions, consistent lists, watches and what may happen to them, deletions that race with
//! updates. Every case has a server of its own, with its watch cache, on a store of its own, and is
//! named after a case of Kubernetes' suite for its stores (`spec/wire.md` section 9.2); the table of
//! lists of its appendix A is data. What needs no server is in
//! `milo_core::storage::conformance`. `docs/store-conformance.md` says where each case is.
//!
//! A test of each case, by one line, for the same [`Harness`] that the suite of the engine takes:
//!
//! ```
//! # mod example {
//! use milo_apiserver_kit::{milo_core::storage::Memory, store_suite};
//!
//! store_suite!(|| async { Ok(Memory::new()) });
//! # }
//! ```
//!
//! Or all of them by [`run`], or one by [`run_case`], with a report:
//!
//! ```
//! use milo_apiserver_kit::{milo_core::storage::Memory, testing::store};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let report = store::run_case(|| async { Ok(Memory::new()) }, "case_01_create").await;
//! println!("{}", report.expect("a case of this name"));
//! # }
//! ```
//!
//! Cases never assume that revisions are dense: an engine may skip numbers.

mod bookmarks;
mod cacher;
mod compaction;
mod corrupt;
mod deletes;
mod failure;
mod initial;
mod keys;
mod kinds;
mod lab;
mod lists;
mod pages;
mod reads;
mod rest;
mod selections;
mod updates;
mod watches;
mod writes;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use milo_core::storage::{
    Cause, Storage,
    conformance::{CaseReport, Harness, Report, Skip, Verdict},
};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use self::{failure::Outcome, lab::Lab};

/// How many cases run at one time.
const AT_ONCE: usize = 4;
/// No case needs longer, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(120);

type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One case of the suite.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Lab) -> Running<'a>,
}

/// There is no case of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the suite of the generic store has no case `{0}`: see `names()`")]
pub struct UnknownCase(String);

impl Case {
    async fn report<H: Harness>(self, harness: Arc<H>) -> CaseReport {
        let began = Instant::now();
        // A task of its own: a panic, of the engine perhaps, fails this case and no other.
        let mut task = tokio::spawn(async move { self.run_on(&*harness).await });
        let verdict = match tokio::time::timeout(LONGEST, &mut task).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(panic)) => Verdict::Failed(panic.to_string()),
            Err(_) => {
                task.abort();
                Verdict::Failed(format!("not done after {LONGEST:?}"))
            }
        };
        CaseReport::new("store", self.name, verdict, began.elapsed())
    }

    async fn run_on<H: Harness>(self, harness: &H) -> Verdict {
        let opened = async {
            let store = harness.create().await?;
            let storage = harness.open(&store).await?;
            Ok::<_, Cause>((store, storage))
        };
        let (_store, storage) = match opened.await {
            Ok(opened) => opened,
            Err(cause) => return not_opened(&cause),
        };
        match self.run_in(storage).await {
            Ok(()) => Verdict::Passed,
            Err(failure) => Verdict::Failed(failure.into_text()),
        }
    }

    async fn run_in(self, storage: Arc<dyn Storage>) -> Outcome {
        (self.run)(&Lab::new(storage).await?).await
    }
}

fn not_opened(cause: &Cause) -> Verdict {
    match cause.downcast_ref::<Skip>() {
        Some(reason) => Verdict::Skipped(reason.to_string()),
        None => Verdict::Failed(format!("the harness could not open a store: {cause} [{cause:?}]")),
    }
}

/// Calls a macro with what is given in brackets, and all cases, each in the module that it is in.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_suite_cases {
    ([$($with:tt)*] $given:tt) => {
        $($with)*! { $given
            writes: case_01_create, case_03_create_with_key_exist;
            reads: case_04_get;
            deletes: case_05_unconditional_delete, case_06_conditional_delete,
                case_07_delete_with_suggestion, case_08_delete_with_suggestion_and_conflict,
                case_09_delete_with_conflict, case_10_delete_with_suggestion_of_deleted_object,
                case_11_validate_deletion_with_suggestion,
                case_12_validate_deletion_with_only_suggestion_valid,
                case_13_preconditional_delete_with_suggestion,
                case_14_preconditional_delete_with_only_suggestion_pass;
            lists: case_18_list_of_a_cache_that_saw_it_all, case_18_list_of_a_new_cache,
                case_18_list_past_a_stalled_cache, case_18_list_past_a_lost_cache;
            reads: case_19_consistent_list, case_20_get_list_non_recursive,
                case_21_get_list_recursive_prefix;
            corrupt: case_23_get_list_without_error_aggregation;
            pages: case_24_list_continuation, case_25_list_pagination_rare_object,
                case_26_list_continuation_with_filter, case_27_list_inconsistent_continuation,
                case_28_list_resource_version_match;
            updates: case_29_guaranteed_update, case_31_guaranteed_update_checks_stored_data,
                case_32_guaranteed_update_with_conflict,
                case_33_guaranteed_update_with_suggestion_and_conflict;
            corrupt: case_34_transformation_failure;
            pages: case_36_list_paging;
            selections: case_37_namespace_scoped_list;
            compaction: case_38_compact_revision;
            keys: case_39_key_schema;
            watches: case_40_watch, case_40_watch_of_one_object, case_41_watch_from_zero,
                case_42_delete_trigger_watch, case_43_watch_from_non_zero,
                case_44_delayed_watch_delivery;
            corrupt: case_45_watch_error;
            watches: case_47_watch_context_cancel, case_48_watcher_timeout,
                case_49_watch_delete_event_object_have_latest_rv;
            bookmarks: case_51_progress_notify;
            selections: case_52_cluster_scoped_watch, case_53_namespace_scoped_watch;
            bookmarks: case_54_watch_dispatch_bookmark_events,
                case_55_watch_bookmarks_with_correct_resource_version;
            initial: case_56_send_initial_events_backward_compatibility, case_57_watch_semantics,
                case_58_watch_semantic_initial_events_extended, case_59_watch_list_match_single;
            corrupt: case_60_watch_error_is_blocking_further_events;
            cacher: cacher_delegates_lists, cacher_falls_back_for_exact_versions,
                cacher_empty_history, cacher_watch_does_not_go_back_in_time,
                cacher_misses_nothing_when_it_is_built_anew, cacher_watch_list_of_an_idle_kind,
                cacher_starting_resource_version;
            rest: rest_delete_collection_with_watch, rest_finalizers, rest_generate_name_retries,
                rest_halves_are_written_apart;
        }
    };
}

macro_rules! table {
    ([] $($module:ident: $($case:ident),*;)*) => {
        &[$($(Case { name: stringify!($case), run: |lab| Box::pin($module::$case(lab)) },)*)*]
    };
}

const CASES: &[Case] = __store_suite_cases!([table] []);

/// A `#[test]` for each case of the [suite](crate::testing::store), for the harness that the
/// expression makes. Several engines go into modules of their own.
#[macro_export]
macro_rules! store_suite {
    ($harness:expr) => {
        $crate::__store_suite_cases!([$crate::__store_suite_tests][$harness]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_suite_tests {
    ([$harness:expr] $($module:ident: $($case:ident),*;)*) => {
        $crate::__store_suite_tests!(@flat [$harness] $($($case)*)*);
    };
    (@flat [$harness:expr] $($case:ident)*) => {
        $(#[test]
        fn $case() {
            $crate::testing::store::test($harness, stringify!($case));
        })*
    };
}

/// The names of all cases, in the order of the suite.
pub fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.name)
}

/// Runs all cases, some at a time, and tells how each ended. To be called in a multi-threaded tokio
/// runtime with its timer enabled.
pub async fn run(harness: impl Harness) -> Report {
    let (harness, places) = (Arc::new(harness), Arc::new(Semaphore::new(AT_ONCE)));
    let mut running = JoinSet::new();
    for (at, case) in CASES.iter().enumerate() {
        let (harness, places) = (harness.clone(), places.clone());
        running.spawn(async move {
            // INVARIANT: the semaphore is never closed.
            let _place = places.acquire().await;
            (at, case.report(harness).await)
        });
    }
    let mut cases: Vec<(usize, CaseReport)> = running.join_all().await;
    cases.sort_by_key(|(at, _)| *at);
    cases.into_iter().map(|(_, case)| case).collect()
}

/// Runs one case.
///
/// # Errors
/// When there is none of this name.
pub async fn run_case(harness: impl Harness, name: &str) -> Result<CaseReport, UnknownCase> {
    let found = CASES.iter().find(|case| case.name == name);
    let case = found.ok_or_else(|| UnknownCase(name.to_owned()))?;
    Ok(case.report(Arc::new(harness)).await)
}

/// Runs one case in a runtime of its own, as the body of a `#[test]`: see
/// [`store_suite!`](crate::store_suite).
///
/// # Panics
/// When the case fails or there is none of this name. One that is skipped is told on standard
/// output.
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub fn test(harness: impl Harness, name: &str) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
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
