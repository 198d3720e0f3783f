//! List the collection: a page, all of it, or what a label selects.

use http::Method;

use super::closed_loop::{self, Window};
use super::{Bench, Measurement};
use crate::cli::WorkloadName;
use crate::client::Endpoint;
use crate::object::TENTH_SELECTOR;
use crate::progress::Progress;

pub(super) async fn run(
    bench: &Bench<'_>,
    name: WorkloadName,
    progress: &Progress,
) -> anyhow::Result<Measurement> {
    let load = &bench.cli.load;
    let query = match name {
        WorkloadName::List => format!("?limit={}", load.page_size),
        WorkloadName::ListSelected => format!("?labelSelector={TENTH_SELECTOR}"),
        _ => String::new(),
    };
    let path = format!("{}{query}", bench.path());
    let source = move |endpoint: &Endpoint| Some(endpoint.request(Method::GET, &path, None));
    let window = Window::Timed { warmup: load.warmup, duration: load.duration };
    closed_loop::run(bench, name.as_str(), load.list_connections, window, source, progress).await
}
