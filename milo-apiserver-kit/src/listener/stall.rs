//! Notices what waits to be sent while the peer takes nothing of it.
//!
//! Time is cut into ticks, and a connection counts what is waiting by the tick in which it last
//! moved. To begin, to move and to be done is then an atomic operation or two, without a timer or
//! an allocation for each response, and one look per tick finds whatever stands still.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::sleep;

/// Ticks in the time that something may stand still. More make the cut more punctual.
const TICKS: u32 = 4;
/// More than the ticks that anything can be behind before the connection is closed.
const SLOTS: usize = 8;

/// What is waiting to be sent on one connection.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    now: AtomicU32,
    /// How many things last moved in a tick, by its number modulo [`SLOTS`].
    waiting: [AtomicU32; SLOTS],
}

/// The tick in which something last moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick(u32);

impl Stalls {
    /// Something begins to wait.
    pub(super) fn enter(&self) -> Tick {
        let now = Tick(self.now.load(Ordering::Relaxed));
        self.at(now).fetch_add(1, Ordering::Relaxed);
        now
    }

    /// Some of it was taken.
    pub(super) fn moved(&self, since: &mut Tick) {
        if self.now.load(Ordering::Relaxed) != since.0 {
            let before = std::mem::replace(since, self.enter());
            self.leave(before);
        }
    }

    /// All of it was taken, or was given up.
    pub(super) fn leave(&self, since: Tick) {
        self.at(since).fetch_sub(1, Ordering::Relaxed);
    }

    /// Completes when something has stood still for `limit`, at most a quarter of that later.
    pub(super) async fn found(&self, limit: Duration) {
        let tick = (limit / TICKS).max(Duration::from_millis(1));
        loop {
            sleep(tick).await;
            let now = self.now.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            // What moved at the very end of a tick has that tick to itself.
            let late = Tick(now.wrapping_sub(TICKS + 1));
            if self.at(late).load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    }

    fn at(&self, tick: Tick) -> &AtomicU32 {
        &self.waiting[tick.0 as usize % SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn what_stands_still_is_found_in_time() {
        for offset in [0, 7, 14, 15, 40, 200] {
            let stalls = Stalls::default();
            let begin = async {
                sleep(Duration::from_secs(offset)).await;
                stalls.enter();
                Instant::now()
            };
            let ((), began) = tokio::join!(stalls.found(LIMIT), begin);
            let waited = began.elapsed();
            assert!(waited >= LIMIT && waited <= LIMIT * 5 / 4, "{waited:?} from {offset} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_or_is_done_is_not_found() {
        let stalls = Stalls::default();
        let mut since = stalls.enter();
        stalls.leave(stalls.enter());
        let moving = async {
            for _ in 0..100 {
                sleep(Duration::from_secs(59)).await;
                stalls.moved(&mut since);
            }
            stalls.leave(since);
            sleep(LONG).await;
        };
        tokio::select! {
            () = stalls.found(LIMIT) => panic!("cut"),
            () = moving => {}
        }
        assert!(stalls.waiting.iter().all(|count| count.load(Ordering::Relaxed) == 0));
        timeout(LONG, stalls.found(LIMIT)).await.unwrap_err();
    }
}
