//! The conformance suite of the generic store: what a server makes of a storage engine.
//!
//! Whoever brings an engine proves with it that everything above the engine holds too: pages, exact
//! versions, consistent lists, watches and what may happen to them, deletions that race with
//! updates. Every case has a server of its own, with its watch cache, on a store of its own, and is
//! named after a case of Kubernetes' suite for its stores (`spec/wire.md` section 9.2); the table of
//! lists of its appendix A is data. What needs no server is in
//! `milo_core::storage::conformance`. `docs/store-conformance.md` says where each case is.
//!
//! A test of each case, by one line:
//!
//! ```
//! # mod example {
//! use milo_apiserver_kit::{milo_core::storage::Memory, store_suite, testing::store::Store};
//!
//! store_suite!(async || Ok(Store::new(Memory::new())));
//! # }
//! ```
//!
//! Or all of them by one function, with a report:
//!
//! ```
//! use milo_apiserver_kit::{milo_core::storage::Memory, testing::store::{self, Store}};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let report = store::run(|| async { Ok(Store::new(Memory::new())) }, "case_01").await;
//! println!("{report}");
//! assert_eq!(report.failed(), 0);
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
mod report;
mod rest;
mod selections;
mod updates;
mod watches;
mod writes;

use std::{any::Any, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use milo_core::storage::{Cause, Storage};
use tokio::{
    sync::{RwLock, Semaphore},
    task::JoinSet,
    time::Instant,
};

use self::{
    failure::{Failure, Outcome},
    lab::Lab,
};

pub use report::{CaseReport, Report};

/// How many cases run at one time.
const AT_ONCE: usize = 8;
/// No case needs longer, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(120);

/// Held for reading by cases on stores that share their history, for writing by one that forgets it.
static HISTORY: RwLock<()> = RwLock::const_new(());

/// An empty store of the engine under test.
///
/// Cases run side by side, each on a store of its own: one must not be seen through another.
pub struct Store {
    storage: Arc<dyn Storage>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
    shares_history: bool,
}

impl Store {
    /// A store.
    pub fn new(engine: impl Storage) -> Self {
        Self::shared(Arc::new(engine))
    }

    /// A store that others use too.
    #[must_use]
    pub fn shared(storage: Arc<dyn Storage>) -> Self {
        Self { storage, kept: Vec::new(), shares_history: false }
    }

    /// Keeps something for as long as the store is used: its directory, its database.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(guard));
        self
    }

    /// Compacting this store compacts others, those of etcd with another prefix for example: cases
    /// that do so run alone.
    #[must_use]
    pub fn sharing_history(mut self) -> Self {
        self.shares_history = true;
        self
    }

    fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("storage", &self.storage).finish_non_exhaustive()
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One case of the suite.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Lab) -> Running<'a>,
}

impl Case {
    /// Whether it forgets history.
    fn compacts(&self) -> bool {
        ["case_18_", "case_27_", "case_38_", "case_41_"]
            .iter()
            .any(|number| self.name.starts_with(number))
    }

    async fn run_on(self, store: &Store) -> Outcome {
        let (mut _shared, mut _alone) = (None, None);
        if store.shares_history {
            match self.compacts() {
                true => _alone = Some(HISTORY.write().await),
                false => _shared = Some(HISTORY.read().await),
            }
        }
        let lab = Lab::new(store).await?;
        let run = tokio::time::timeout(LONGEST, (self.run)(&lab)).await;
        run.unwrap_or_else(|_| Err(Failure::new("the case does not come to an end")))
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

/// A `#[test]` for each case of the [suite](crate::testing::store), in the module where it stands.
/// What is given is called for a new [`Store`](crate::testing::store::Store) for each of them: an
/// async closure or function without parameters, whose errors are of any kind.
#[macro_export]
macro_rules! store_suite {
    ($open:expr) => {
        $crate::__store_suite_cases!([$crate::__store_suite_tests][$open]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_suite_tests {
    ([$open:expr] $($module:ident: $($case:ident),*;)*) => {
        $crate::__store_suite_tests!(@flat [$open] $($($case)*)*);
    };
    (@flat [$open:expr] $($case:ident)*) => {
        async fn open() -> Result<$crate::testing::store::Store, $crate::testing::Error> {
            ($open)().await
        }
        $(#[test]
        fn $case() {
            $crate::testing::store::test(stringify!($case), open);
        })*
    };
}

/// Runs one case as a test: by its name, on what `open` makes.
///
/// # Panics
/// When the case fails, or there is none of that name.
#[expect(clippy::panic, reason = "this is how a test fails")]
pub fn test<F, O>(name: &str, open: F)
where
    F: FnOnce() -> O,
    O: Future<Output = Result<Store, Cause>>,
{
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    let (Some(case), Ok(runtime)) = (CASES.iter().find(|case| case.name == name), runtime) else {
        panic!("there is no case {name}, or no runtime to be had");
    };
    let outcome = runtime.block_on(async {
        let store = open().await.map_err(|cause| Failure::new(cause.as_ref()))?;
        case.run_on(&store).await
    });
    if let Err(failure) = outcome {
        panic!("{}", failure.into_text());
    }
}

/// Runs all cases whose name contains `filter`, some at a time, each on a store that `open` makes.
pub async fn run<F, O>(open: F, filter: &str) -> Report
where
    F: Fn() -> O + Send + Sync + 'static,
    O: Future<Output = Result<Store, Cause>> + Send,
{
    let (open, places) = (Arc::new(open), Arc::new(Semaphore::new(AT_ONCE)));
    let mut running = JoinSet::new();
    for (at, case) in CASES.iter().enumerate().filter(|(_, case)| case.name.contains(filter)) {
        let (open, places) = (open.clone(), places.clone());
        running.spawn(async move {
            // INVARIANT: the semaphore is never closed.
            let _place = places.acquire().await;
            let began = Instant::now();
            let case_alone = tokio::spawn(async move {
                let store = open().await.map_err(|cause| Failure::new(cause.as_ref()))?;
                case.run_on(&store).await
            });
            // A panic, of the engine perhaps, fails this case and no other.
            let outcome = case_alone.await.unwrap_or_else(|error| Err(Failure::new(error)));
            let failure = outcome.err().map(Failure::into_text);
            (at, CaseReport::new(case.name, failure, began.elapsed()))
        });
    }
    let mut cases: Vec<(usize, CaseReport)> = running.join_all().await;
    cases.sort_by_key(|(at, _)| *at);
    Report::new(cases.into_iter().map(|(_, case)| case).collect())
}
