//! Proves that the driver counts correctly, against a server that misbehaves on demand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping")]

mod fake;

use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use self::fake::{EventFault, Fake, Faults, TOKEN};

const QUICK: [&str; 6] = ["--duration", "300ms", "--warmup", "50ms", "--connections", "4"];

/// Runs the driver; it blocks, so that it has a thread of its own.
async fn drive(arguments: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_benches"));
    command.args(QUICK).args(arguments).args(["--output", "json", "--quiet"]);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn arguments(fake: &Fake, more: &str) -> Vec<String> {
    let ca = fake.ca().to_string_lossy().into_owned();
    let target = ["--server", &fake.url(), "--token", TOKEN, "--ca", &ca].map(str::to_owned);
    target.into_iter().chain(more.split_whitespace().map(str::to_owned)).collect()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {output:?}");
    })
}

/// Runs workloads against a fake and returns their rows.
async fn measure(fake: &Fake, more: &str) -> (bool, Vec<Value>) {
    let output = drive(&arguments(fake, more)).await;
    let rows = report(&output)["targets"][0]["workloads"].as_array().unwrap().clone();
    (output.status.success(), rows)
}

async fn watch_with(fault: Option<(usize, EventFault)>) -> (bool, Value) {
    let fake = Fake::start(Faults { event: fault, ..Faults::default() }).await;
    let more = "--workloads watch --watchers 5 --watch-rate 100 --watch-drain 1s";
    let (success, rows) = measure(&fake, more).await;
    assert_eq!(rows[1]["workload"], "watch-write");
    assert_eq!(rows[1]["errors"], 0);
    (success, rows[0].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_workload_counts_what_it_did() {
    let fake = Fake::start(Faults::default()).await;
    let more = "--objects 200 --page-size 50 --watchers 3 \
                --workloads create,get,list,list-all,list-selected,update,watch,delete";
    let (success, rows) = measure(&fake, more).await;
    assert!(success, "{rows:#?}");
    let names: Vec<&str> = rows.iter().map(|row| row["workload"].as_str().unwrap()).collect();
    let expected = [
        "create",
        "get",
        "list",
        "list-all",
        "list-selected",
        "update",
        "watch",
        "watch-write",
        "delete",
    ];
    assert_eq!(names, expected);
    assert_eq!(rows[0]["requests"], 200);
    assert_eq!(rows[8]["requests"], 200);
    assert_eq!(fake.len(), 16, "all but those of the watch are deleted");
    for (row, items) in [(0, 1.0), (1, 1.0), (2, 50.0), (3, 200.0), (4, 20.0)] {
        assert_eq!(rows[row]["counts"]["itemsPerRequest"], items, "{}", rows[row]);
    }
    for row in &rows {
        assert_eq!(row["errors"], 0, "{row}");
        assert!(row["bytes"].as_u64() > Some(0) || row["workload"] == "watch-write", "{row}");
        let latency = &row["latencyMs"];
        let [p50, p90, p99, max] =
            ["p50", "p90", "p99", "max"].map(|name| latency[name].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= max, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_requests_are_counted_and_the_first_is_shown() {
    let fake = Fake::start(Faults { fail_create: 10, ..Faults::default() }).await;
    let (success, rows) = measure(&fake, "--objects 200 --workloads create").await;
    assert!(!success);
    assert_eq!((&rows[0]["requests"], &rows[0]["errors"]), (&200.into(), &20.into()));
    let error = rows[0]["firstError"].as_str().unwrap();
    assert!(error.starts_with("500") && error.contains("told to fail"), "{error}");
    assert_eq!(fake.len(), 180);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_errors() {
    let fake = Fake::start(Faults::default()).await;
    let mut arguments = arguments(&fake, "--objects 8 --workloads create");
    arguments[3] = "wrong".to_owned();
    let output = drive(&arguments).await;
    let row = &report(&output)["targets"][0]["workloads"][0];
    assert_eq!(row["errors"], 8);
    assert!(row["firstError"].as_str().unwrap().starts_with("401"), "{row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untrusted_certificate_is_refused() {
    let (fake, other) =
        (Fake::start(Faults::default()).await, Fake::start(Faults::default()).await);
    let mut arguments = arguments(&fake, "--objects 8 --workloads create");
    arguments[5] = other.ca().to_string_lossy().into_owned();
    let output = drive(&arguments).await;
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && message.contains("certificate"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn percentiles_show_slow_answers() {
    let slow = Duration::from_millis(100);
    let fake = Fake::start(Faults { slow_get: 20, slow, ..Faults::default() }).await;
    let (_, rows) = measure(&fake, "--objects 50 --workloads create,get").await;
    let latency = &rows[1]["latencyMs"];
    assert!(latency["p50"].as_f64() < Some(100.0), "{latency}");
    assert!(latency["p99"].as_f64() >= Some(99.0), "{latency}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_connections_are_made_again() {
    let fake = Fake::start(Faults { close: true, ..Faults::default() }).await;
    let (success, rows) = measure(&fake, "--objects 100 --workloads create").await;
    assert!(success, "{rows:#?}");
    assert_eq!((&rows[0]["requests"], &rows[0]["errors"]), (&100.into(), &0.into()));
    assert_eq!(rows[0]["counts"]["reconnects"], 96.0);
    assert_eq!(fake.state.connections.load(Ordering::Relaxed), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_a_good_server_is_complete() {
    let (success, row) = watch_with(None).await;
    assert!(success, "{row}");
    // 5 watchers, 30 measured writes and the sentinel.
    assert_eq!(row["requests"], 5 * 31);
    for count in ["lost", "duplicates", "outOfOrder", "unrelated", "restarts"] {
        assert_eq!(row["counts"][count], 0.0, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_a_watch_are_detected() {
    for (fault, count) in [
        (EventFault::Drop, "lost"),
        (EventFault::Repeat, "duplicates"),
        (EventFault::Swap, "outOfOrder"),
    ] {
        let (success, row) = watch_with(Some((10, fault))).await;
        assert!(!success, "{fault:?}");
        for name in ["lost", "duplicates", "outOfOrder"] {
            let expected = if name == count { 1.0 } else { 0.0 };
            assert_eq!(row["counts"][name], expected, "{fault:?}: {row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_ends_is_resumed_without_loss() {
    let (success, row) = watch_with(Some((10, EventFault::End))).await;
    assert!(success, "{row}");
    assert_eq!(row["counts"]["restarts"], 1.0);
    assert_eq!(row["requests"], 5 * 31);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_event_ends_a_watch_and_the_rest_is_lost() {
    // 5 warm-up writes, 30 measured ones and the sentinel; the first 9 arrive.
    let (success, row) = watch_with(Some((10, EventFault::Error))).await;
    assert!(!success);
    assert_eq!((&row["errors"], &row["counts"]["lost"]), (&1.into(), &27.0.into()));
    assert!(row["firstError"].as_str().unwrap().contains("410"), "{row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_compared_and_spawned_servers_are_measured() {
    let fake = Fake::start(Faults::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, fake.kubeconfig()).unwrap();
    let spawn = format!(
        "ours=spawn:env FAKE_PORT={{port}} FAKE_KUBECONFIG={{kubeconfig}} FAKE_DIR={{dir}} {} \
         --exact serve_as_a_process --ignored --nocapture",
        std::env::current_exe().unwrap().display()
    );
    let other = format!("other=kubeconfig:{}", kubeconfig.display());
    let arguments =
        ["--target", &spawn, "--target", &other, "--objects", "20", "--workloads", "create,get"]
            .map(str::to_owned);
    let output = drive(&arguments).await;
    assert!(output.status.success(), "{output:?}");
    let report = report(&output);
    let (ours, other) = (&report["targets"][0], &report["targets"][1]);
    assert!(ours["timeToReadySeconds"].as_f64() > Some(0.0), "{ours}");
    let usage = &ours["workloads"][1]["server"];
    assert!(usage["rss"].as_u64() > Some(1 << 20), "{ours}");
    assert!(usage["peak"].as_u64() >= usage["rss"].as_u64(), "{ours}");
    assert_eq!(other["timeToReadySeconds"], Value::Null);
    assert_eq!(other["workloads"][1]["server"], Value::Null);
    assert_eq!(report["ratios"][1]["target"], "other");
    assert!(report["ratios"][1]["perSecond"].as_f64() > Some(0.0), "{report}");
    assert_eq!(fake.len(), 20);
}

/// Not a test: what `targets_are_compared_and_spawned_servers_are_measured` starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs until it is stopped"]
async fn serve_as_a_process() {
    let variable = |name| std::env::var(name).unwrap();
    assert!(std::path::Path::new(&variable("FAKE_DIR")).is_dir());
    let port = variable("FAKE_PORT").parse().unwrap();
    let _fake = Fake::start_on(port, Faults::default(), |fake| {
        std::fs::write(variable("FAKE_KUBECONFIG"), fake.kubeconfig()).unwrap();
    })
    .await;
    std::future::pending::<()>().await;
}
