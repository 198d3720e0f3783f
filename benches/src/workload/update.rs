//! Merge-patch an annotation of random objects.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::Method;

use super::closed_loop::{self, Window};
use super::{Bench, Measurement};
use crate::client::{Endpoint, MERGE_PATCH};
use crate::progress::Progress;

pub(super) async fn run(bench: &mut Bench<'_>, progress: &Progress) -> anyhow::Result<Measurement> {
    let names = bench.names().await?;
    let path = bench.path().to_owned();
    let next = AtomicU64::new(0);
    let source = move |endpoint: &Endpoint| {
        let name = &names[fastrand::usize(..names.len())];
        // A new value each time: a patch that changes nothing is not written.
        let value = next.fetch_add(1, Ordering::Relaxed);
        let body = annotation("bench.miloapis.com/update", &value.to_string());
        let path = format!("{path}/{name}");
        Some(endpoint.request(Method::PATCH, &path, Some((MERGE_PATCH, body))))
    };
    let load = &bench.cli.load;
    let window = Window::Timed { warmup: load.warmup, duration: load.duration };
    closed_loop::run(bench, "update", load.connections, window, source, progress).await
}

/// A merge patch that sets one annotation. Neither text needs escaping.
pub(super) fn annotation(key: &str, value: &str) -> Bytes {
    Bytes::from(format!(r#"{{"metadata":{{"annotations":{{"{key}":"{value}"}}}}}}"#))
}
