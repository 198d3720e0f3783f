//! A line on stderr that says how far the driver is.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// Counts of the workload that is running.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    done: AtomicU64,
    errors: AtomicU64,
}

impl Counters {
    /// Counts one request, or one event of a watch.
    pub(crate) fn add(&self, is_error: bool) {
        self.done.fetch_add(1, Ordering::Relaxed);
        if is_error {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Prints the counters until it is dropped.
pub(crate) struct Progress {
    counters: Arc<Counters>,
    printer: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to print, unless `quiet`: every second on a terminal, less often elsewhere.
    pub(crate) fn start(label: String, quiet: bool) -> Self {
        let counters = Arc::new(Counters::default());
        let printer = (!quiet).then(|| tokio::spawn(print(label, Arc::clone(&counters))));
        Self { counters, printer }
    }

    pub(crate) const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(printer) = &self.printer {
            printer.abort();
            if std::io::stderr().is_terminal() {
                eprint!("\r\x1b[K");
            }
        }
    }
}

async fn print(label: String, counters: Arc<Counters>) {
    let is_terminal = std::io::stderr().is_terminal();
    let mut ticks = tokio::time::interval(Duration::from_secs(if is_terminal { 1 } else { 5 }));
    let started = Instant::now();
    loop {
        ticks.tick().await;
        let done = counters.done.load(Ordering::Relaxed);
        let errors = counters.errors.load(Ordering::Relaxed);
        let seconds = started.elapsed().as_secs();
        let line = format!("{label}: {done} done, {errors} errors, {seconds} s");
        let mut stderr = std::io::stderr().lock();
        // Nobody to tell when stderr is closed.
        let _ = if is_terminal {
            write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{line}")
        };
    }
}
