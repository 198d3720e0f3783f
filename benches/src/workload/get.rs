//! GET random objects by name.

use http::Method;

use super::closed_loop::{self, Window};
use super::{Bench, Measurement};
use crate::client::Endpoint;
use crate::progress::Progress;

pub(super) async fn run(bench: &mut Bench<'_>, progress: &Progress) -> anyhow::Result<Measurement> {
    let names = bench.names().await?;
    let path = bench.path().to_owned();
    let source = move |endpoint: &Endpoint| {
        let name = &names[fastrand::usize(..names.len())];
        Some(endpoint.request(Method::GET, &format!("{path}/{name}"), None))
    };
    let load = &bench.cli.load;
    let window = Window::Timed { warmup: load.warmup, duration: load.duration };
    closed_loop::run(bench, "get", load.connections, window, source, progress).await
}
