//! Measures how long the embedded engine takes to open a full directory, and what its objects
//! take in memory.
//!
//! ```text
//! cargo run --release -p milo-core --example storage_restart -- [directory] [objects] [bytes]
//! ```
//!
//! An empty directory is filled with so many objects (80,000 when not said) with values of so many
//! bytes (900), by transactions of one object each in random order of names, 64 at a time. Then
//! the directory is opened by a new process. The processor time is printed too: on a busy machine
//! it says more than the clock.

use std::{
    error::Error,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use milo_core::{
    bytes::Bytes,
    key::{GroupResource, Key, KeyRange},
    scope::Scope,
    storage::{Embedded, ListOptions, Storage, Transaction},
};

const WRITERS: u64 = 64;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "milo-data/restart".to_owned());
    let objects = arguments.next().map_or(Ok(80_000), |text| text.parse())?;
    let bytes = arguments.next().map_or(Ok(900), |text| text.parse())?;
    if arguments.next().is_some() {
        return measure(&directory).await;
    }
    fill(&directory, objects, bytes).await?;
    let program = std::env::current_exe()?;
    let measured = Command::new(program).args([&directory, "0", "0", "measure"]).status()?;
    if measured.success() { Ok(()) } else { Err("the measurement failed".into()) }
}

async fn measure(directory: &str) -> Result<(), Failure> {
    let (before, start) = (Usage::now()?, Instant::now());
    let storage = Embedded::open(directory)?;
    let (opened, took) = (Usage::now()?, start.elapsed());
    let page = storage.list(&KeyRange::all(), ListOptions::default()).await?;
    let objects = page.records.len() as u64;
    let bytes: usize = page.records.iter().map(|record| record.value.len()).sum();
    drop(page);
    let listed = Usage::now()?;
    let each = |usage: &Usage| usage.resident.saturating_sub(before.resident) / objects.max(1);
    println!("{objects} objects, {} bytes of values each", bytes as u64 / objects.max(1));
    println!("opened in {took:.2?}, of processor time {:.2?}", opened.processor - before.processor);
    println!("resident {} MiB, {} bytes per object", opened.resident >> 20, each(&opened));
    println!(
        "after a list of all: {} MiB, {} bytes per object; at most {} MiB ever",
        listed.resident >> 20,
        each(&listed),
        listed.peak >> 20
    );
    Ok(())
}

async fn fill(directory: &str, objects: u64, bytes: usize) -> Result<(), Failure> {
    let storage = Arc::new(Embedded::open(directory)?);
    let there = storage.list(&KeyRange::all(), ListOptions::default().limit(0)).await?.remaining;
    let writers = (0..WRITERS).map(|writer| {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move {
            let own = (there..objects).filter(|number| number % WRITERS == writer);
            for number in own {
                let transaction = Transaction::new().put(key(number)?, value(number, bytes));
                storage.commit(transaction).await?;
            }
            Ok::<_, Failure>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    storage.compact(storage.revision().await?).await?;
    Ok(())
}

fn key(number: u64) -> Result<Key, Failure> {
    let organizations = GroupResource::new("resourcemanager.miloapis.com", "organizations");
    let name = format!("organization-{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Ok(Key::object(&organizations, &Scope::Platform, "", &name)?)
}

fn value(number: u64, bytes: usize) -> Bytes {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(bytes, b'x');
    value.into()
}

/// What this process has used.
struct Usage {
    resident: u64,
    /// The most that was ever resident.
    peak: u64,
    processor: Duration,
}

impl Usage {
    fn now() -> Result<Self, Failure> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let kilobytes = |name: &str| -> Option<u64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let bytes = |name| kilobytes(name).map(|number| number * 1024).ok_or("no such number");
        let schedule = std::fs::read_to_string("/proc/self/schedstat")?;
        let nanoseconds = schedule.split(' ').next().unwrap_or_default().parse()?;
        Ok(Self {
            resident: bytes("VmRSS:")?,
            peak: bytes("VmHWM:")?,
            processor: Duration::from_nanos(nanoseconds),
        })
    }
}
