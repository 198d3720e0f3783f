//! What `Memory` and `Embedded` promise beyond the contract: how much waits for a watcher, and how
//! little a replay holds in memory.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod storage_support;

use std::sync::Arc;

use milo_core::storage::{Revision, Storage, Transaction, WatchError};
use storage_support::*;

type Engine = Arc<dyn Storage>;

/// One test per engine for every case.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                super::$case(std::sync::Arc::new(milo_core::storage::Memory::new())).await;
            })*
        }
        #[cfg(feature = "embedded")]
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                let directory = tempfile::tempdir().unwrap();
                let engine = milo_core::storage::Embedded::open(directory.path()).unwrap();
                super::$case(std::sync::Arc::new(engine)).await;
            })*
        }
    };
}

cases!(
    replays_large_values_in_small_batches,
    tells_progress_once_when_nothing_changed,
    cuts_off_slow_watchers,
);

/// The revision of the commit of this number, counted from one.
fn nth(number: u64) -> Revision {
    Revision::new(Revision::FIRST.get() + number)
}

async fn replays_large_values_in_small_batches(storage: Engine) {
    let large = bytes(&"x".repeat(300_000));
    for number in 0..20_u32 {
        let (a, b) = (key("ns", &format!("a{}", number % 5)), key("ns", &format!("b{number}")));
        let both = Transaction::new().put(a, large.clone()).put(b, large.clone());
        storage.commit(both).await.unwrap();
    }
    let last = storage.revision().await.unwrap();
    let mut watch = storage.watch(&namespace("ns"), Revision::FIRST).await.unwrap();
    let (mut reached, mut events) = (Revision::FIRST, 0);
    while reached < last {
        let batch = next(&mut watch).await;
        assert!(batch.events.len() <= 8, "{} events", batch.events.len());
        assert_eq!(batch.events.len() % 2, 0, "a commit is told at once");
        assert_eq!(batch.events.first().unwrap().revision(), reached.next());
        assert_eq!(batch.events.last().unwrap().revision(), batch.revision);
        events += batch.events.len();
        reached = batch.revision;
    }
    assert_eq!(events, 40);
}

async fn tells_progress_once_when_nothing_changed(storage: Engine) {
    let mut watch = storage.watch(&namespace("ns"), Revision::FIRST).await.unwrap();
    for _ in 0..10_000 {
        watch.request_progress();
    }
    let first = commit(&*storage, put(&key("ns", "a"), "1")).await;
    assert_eq!(next(&mut watch).await.revision, Revision::FIRST);
    assert_eq!(next(&mut watch).await.revision, first);
}

async fn cuts_off_slow_watchers(storage: Engine) {
    let a = key("ns", "a");
    let mut slow = storage.watch(&namespace("ns"), Revision::FIRST).await.unwrap();
    let mut quick = storage.watch(&namespace("ns"), Revision::FIRST).await.unwrap();
    let (mut read, mut told) = (0, Revision::FIRST);
    for number in 0..1500 {
        commit(&*storage, put(&a, &number.to_string())).await;
        read += next(&mut quick).await.events.len();
    }
    assert_eq!(read, 1500);
    let error = loop {
        match soon(slow.next()).await.expect("it ends with an error") {
            Ok(batch) => {
                assert_eq!(batch.revision, told.next(), "nothing is skipped");
                told = batch.revision;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, WatchError::Lagged), "{error:?}");
    assert!(soon(slow.next()).await.is_none());
    let mut resumed = storage.watch(&namespace("ns"), told).await.unwrap();
    let missed = events_until(&mut resumed, told, nth(1500)).await;
    assert_eq!(missed.first().unwrap().revision(), told.next());
    assert_eq!(missed.len() as u64, nth(1500).get() - told.get());
}
