//! Shows on stderr how far long work is.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use milo_core::storage::snapshot::{Observer, Progress};

/// How often a line is drawn anew on a terminal.
const REDRAWN: Duration = Duration::from_millis(100);
/// How often a line is added elsewhere.
const ADDED: Duration = Duration::from_secs(5);

/// Does what `work` says, showing how far it is.
pub(super) async fn show<F: Future>(work: impl FnOnce(Observer) -> F) -> F::Output {
    let meter = Arc::new(Mutex::new(Meter::new()));
    let told = Arc::clone(&meter);
    let observer = Observer::new(move |progress| {
        told.lock().unwrap_or_else(PoisonError::into_inner).tell(progress);
    });
    let done = work(observer).await;
    meter.lock().unwrap_or_else(PoisonError::into_inner).end_step();
    done
}

/// Bytes, as people read them.
pub(super) fn mebibytes(bytes: u64) -> String {
    // Tenths of a mebibyte, rounded up, so that what is there is not nothing.
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

struct Meter {
    terminal: bool,
    step: Option<Step>,
}

struct Step {
    begun: Instant,
    shown: Instant,
    last: Progress,
}

impl Meter {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), step: None }
    }

    fn tell(&mut self, progress: Progress) {
        let now = Instant::now();
        if self.step.as_ref().is_some_and(|step| step.last.step != progress.step) {
            self.end_step();
        }
        let step = self.step.get_or_insert(Step { begun: now, shown: now, last: progress });
        step.last = progress;
        let due = if self.terminal { REDRAWN } else { ADDED };
        if now.duration_since(step.shown) >= due {
            step.shown = now;
            let line = step.line(now);
            self.draw(&line, false);
        }
    }

    /// Shows what the step has come to.
    fn end_step(&mut self) {
        if let Some(step) = self.step.take() {
            let line = step.line(Instant::now());
            self.draw(&line, true);
        }
    }

    fn draw(&self, line: &str, last: bool) {
        let (before, after) = match (self.terminal, last) {
            (true, false) => ("\r\x1b[K", ""),
            (true, true) => ("\r\x1b[K", "\n"),
            (false, _) => ("", "\n"),
        };
        // Whoever does not listen misses nothing but this.
        let _ = write!(std::io::stderr(), "{before}{line}{after}");
    }
}

impl Step {
    fn line(&self, now: Instant) -> String {
        let Progress { step, objects, bytes, expected, .. } = self.last;
        let percent = objects.saturating_mul(100).checked_div(expected).unwrap_or(100);
        let milliseconds = now.duration_since(self.begun).as_millis().max(1);
        let rate = u128::from(objects) * 1000 / milliseconds;
        let size = mebibytes(bytes);
        format!("{step}: {percent}%, {objects} of {expected} objects, {size}, {rate} objects/s")
    }
}
