//! `kill -9` at any moment: while opening, writing, compacting and reading the past.
//!
//! `MILO_CRASH_RUNS` says how often (200 times otherwise), `MILO_TEST_SEED` repeats a run as far
//! as the timing allows.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]
#![cfg(feature = "embedded")]

#[path = "../src/storage/embedded/crash/mod.rs"]
mod crash;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crash::{Ledger, Random, Told, runs, work};
// The names by which the shared files know the library.
use milo_core::{key, scope, storage};
use storage::Embedded;

const KILLS: usize = 200;
const DIRECTORY: &str = "MILO_CRASH_TEST_DIRECTORY";
const SEED: &str = "MILO_CRASH_TEST_SEED";
const LIFE: &str = "MILO_CRASH_TEST_LIFE";

/// Not a test of its own: the process that is killed. It prints what it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let number = |name| -> u64 { std::env::var(name).unwrap().parse().unwrap() };
    let (seed, life) = (number(SEED), number(LIFE));
    let mut builder = Embedded::builder().directory(directory);
    if life % 2 == 0 {
        // History also goes by itself.
        builder = builder.retention(Duration::from_millis(30));
    }
    println!("\nopening");
    let storage = builder.open().unwrap();
    println!("opened");
    work(&storage, seed, life, |told| println!("{told}")).await;
    panic!("the storage failed");
}

/// When a process dies: some time after it has said so many lines of this kind.
#[derive(Clone, Copy, Debug)]
struct Death {
    lines: &'static str,
    count: u64,
    pause: Duration,
}

/// How often what was interrupted.
#[derive(Clone, Copy, Debug, Default)]
struct Interrupted {
    opening: usize,
    writing: usize,
    compacting: usize,
}

impl Death {
    fn choose(random: &mut Random, opening: Duration) -> Self {
        let up_to = |random: &mut Random, limit: Duration| {
            Duration::from_micros(random.below(limit.as_micros().try_into().unwrap()))
        };
        match random.below(6) {
            0 => Self { lines: "opening", count: 1, pause: up_to(random, opening) },
            1 => {
                let pause = up_to(random, Duration::from_millis(2));
                Self { lines: "compacting", count: 1 + random.below(3), pause }
            }
            _ => {
                let pause = up_to(random, Duration::from_millis(1));
                Self { lines: "acknowledged", count: 1 + random.below(80), pause }
            }
        }
    }
}

/// The whole run.
struct Run<'a> {
    directory: &'a Path,
    seed: u64,
    random: Random,
    ledger: Ledger,
    life: u64,
    /// How long the last complete opening took.
    opening: Duration,
    interrupted: Interrupted,
}

impl Run<'_> {
    fn start(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIRECTORY, self.directory)
            .env(SEED, self.seed.to_string())
            .env(LIFE, self.life.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// One life of the process. What it said before the kill it had been told before the kill.
    fn live_and_die(&mut self) {
        self.life += 1;
        self.ledger.begin(self.life);
        let death = Death::choose(&mut self.random, self.opening);
        let mut child = self.start();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (mut left, mut last, mut started) = (death.count, String::new(), Instant::now());
        loop {
            let mut line = String::new();
            // A line without an end was cut by the kill.
            if output.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                break;
            }
            let line = line.trim_end();
            match line {
                "opening" => started = Instant::now(),
                "opened" => self.opening = started.elapsed(),
                _ => line.parse::<Told>().into_iter().for_each(|told| self.ledger.note(told)),
            }
            if !line.is_empty() {
                line.clone_into(&mut last);
            }
            if left > 0 && line.starts_with(death.lines) {
                left -= 1;
                if left == 0 {
                    wait(death.pause);
                    child.kill().unwrap();
                }
            }
        }
        assert_eq!(child.wait().unwrap().code(), None, "the process ended by itself: {last}");
        match last.as_str() {
            "opening" => self.interrupted.opening += 1,
            "compacting" => self.interrupted.compacting += 1,
            _ => self.interrupted.writing += 1,
        }
    }
}

/// For less than a timer can.
fn wait(pause: Duration) {
    let start = Instant::now();
    while start.elapsed() < pause {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_takes_nothing_that_was_acknowledged() {
    let seed = Random::seed();
    println!("seed {seed} (repeat with MILO_TEST_SEED={seed})");
    let (kills, started) = (runs("MILO_CRASH_RUNS", KILLS), Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let mut run = Run {
        directory: directory.path(),
        seed,
        random: Random::new(seed),
        ledger: Ledger::new(seed),
        life: 0,
        opening: Duration::from_millis(10),
        interrupted: Interrupted::default(),
    };
    let (mut done, mut checks) = (0, 0);
    while done < kills {
        let lives = 1 + run.random.below(3);
        for _ in 0..lives {
            run.live_and_die();
            done += 1;
        }
        let storage = Embedded::open(directory.path()).unwrap();
        run.ledger.check(&storage, &mut run.random).await;
        checks += 1;
    }
    println!(
        "{done} kills in {:.1?}: {:?}; {checks} checks: {:?}; revision {}",
        started.elapsed(),
        run.interrupted,
        run.ledger.counts(),
        run.ledger.newest()
    );
    assert!(run.ledger.counts().acknowledged > done, "it hardly ever wrote");
}
