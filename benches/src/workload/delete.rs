//! DELETE the objects that this run created.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use http::Method;

use super::closed_loop::{self, Window};
use super::{Bench, Measurement};
use crate::client::Endpoint;
use crate::progress::Progress;

pub(super) async fn run(bench: &mut Bench<'_>, progress: &Progress) -> anyhow::Result<Measurement> {
    ensure!(bench.names_are_ours, "delete removes what create made: run create before it");
    let names = std::mem::take(&mut bench.names);
    bench.names_are_ours = false;
    let path = bench.path().to_owned();
    let next = AtomicUsize::new(0);
    let source = move |endpoint: &Endpoint| {
        let name = names.get(next.fetch_add(1, Ordering::Relaxed))?;
        Some(endpoint.request(Method::DELETE, &format!("{path}/{name}"), None))
    };
    let connections = bench.cli.load.connections;
    closed_loop::run(bench, "delete", connections, Window::Exhaust, source, progress).await
}
