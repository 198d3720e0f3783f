//! POST new objects until the wanted number is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;

use super::closed_loop::{self, Window};
use super::{Bench, Measurement};
use crate::client::{Endpoint, JSON};
use crate::object::fresh_prefix;
use crate::progress::Progress;

pub(super) async fn run(bench: &mut Bench<'_>, progress: &Progress) -> anyhow::Result<Measurement> {
    let prefix = fresh_prefix();
    let count = bench.cli.object.objects;
    let names: Vec<String> = (0..count).map(|index| format!("{prefix}-{index:07}")).collect();
    let names = Arc::new(names);
    bench.names = Arc::clone(&names);
    bench.names_are_ours = true;

    let template = Arc::clone(&bench.template);
    let path = bench.path().to_owned();
    let next = AtomicUsize::new(0);
    let source = move |endpoint: &Endpoint| {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let body = template.body(names.get(index)?, index);
        Some(endpoint.request(Method::POST, &path, Some((JSON, body))))
    };
    let connections = bench.cli.load.connections;
    closed_loop::run(bench, "create", connections, Window::Exhaust, source, progress).await
}
