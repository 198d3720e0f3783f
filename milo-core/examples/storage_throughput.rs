//! Measures a storage engine through the trait: commits per second by the number of concurrent
//! writers. What a directory's objects take in memory, the example `storage_restart` measures.
//!
//! ```text
//! cargo run --release -p milo-core --example storage_throughput -- [directory] [seconds]
//! cargo run --release -p milo-core --features postgres --example storage_throughput -- \
//!     postgres://user:password@host/database [seconds]
//! ```
//!
//! The directory may also be the address of an etcd, `etcd://host:port/prefix`, with the feature
//! `etcd`: then a client without an engine writes to the same server in turn with it, and the ratio
//! of the two is printed.
//!
//! A bare loop of writes and syncs on the directory's disk runs first: durable commits by a lone
//! writer cannot be faster than that.

use std::{
    error::Error,
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use milo_core::{
    bytes::Bytes,
    key::{GroupResource, Key, KeyRange},
    scope::Scope,
    storage::{Embedded, ListOptions, Memory, Storage, Transaction},
};

const VALUE_BYTES: usize = 1024;
const OBJECTS: u64 = 50_000;

#[cfg(feature = "etcd")]
#[path = "storage_throughput/raw_etcd.rs"]
mod raw_etcd;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "milo-data/throughput".to_owned());
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let period = Duration::from_secs(seconds);
    #[cfg(feature = "etcd")]
    if directory.starts_with("etcd://") {
        return measure_etcd(&directory, period).await;
    }
    #[cfg(feature = "postgres")]
    if directory.starts_with("postgres://") || directory.starts_with("postgresql://") {
        println!("PostgreSQL");
        let engine = milo_core::storage::Postgres::connect(directory).await?;
        return measure(&(Arc::new(engine) as Arc<dyn Storage>), period).await;
    }
    println!("memory engine");
    measure(&(Arc::new(Memory::new()) as Arc<dyn Storage>), period).await?;
    println!("embedded engine in {directory}");
    let embedded: Arc<dyn Storage> = Arc::new(Embedded::open(&directory)?);
    println!("bare writes and syncs: {:.0}/s", bare_syncs(&directory, period)?);
    measure(&embedded, period).await
}

/// In turn, so that both have the same of what else the machine does.
#[cfg(feature = "etcd")]
async fn measure_etcd(address: &str, period: Duration) -> Result<(), Failure> {
    let storage = milo_core::storage::Etcd::connect(address).await?;
    let storage = Arc::new(storage) as Arc<dyn Storage>;
    for writers in [1, 8, 64, 256] {
        let mut rates = (0.0, 0.0);
        for _ in 0..3 {
            rates.0 += raw_etcd::rate(address, writers, period).await? / 3.0;
            let (rate, p50, p99) = write(&storage, writers, period).await?;
            rates.1 += rate / 3.0;
            println!("{writers:>5} writers: {rate:>8.0} commits/s, p50 {p50:?}, p99 {p99:?}");
        }
        let (raw, engine) = rates;
        println!("{writers:>5} writers: {raw:.0} raw, {engine:.0} here: {:.2} times", raw / engine);
    }
    measure(&storage, period).await
}

/// Writes and syncs a second, with nothing around it.
fn bare_syncs(directory: &str, period: Duration) -> Result<f64, Failure> {
    let path = Path::new(directory).join("bare-syncs");
    let mut file = File::create(&path)?;
    let (start, mut count) = (Instant::now(), 0_u64);
    while start.elapsed() < period {
        // In place: as redb writes, and without the growth of the file.
        file.seek(SeekFrom::Start(count % 256 * 4096))?;
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

fn key(number: u64) -> Result<Key, Failure> {
    let widgets = GroupResource::new("demo.example.com", "widgets");
    let namespace = format!("ns-{}", number % 100);
    Ok(Key::object(&widgets, &Scope::Platform, &namespace, &format!("object-{number}"))?)
}

fn value() -> Bytes {
    Bytes::from(vec![b'x'; VALUE_BYTES])
}

async fn measure(storage: &Arc<dyn Storage>, period: Duration) -> Result<(), Failure> {
    for writers in [1, 8, 64, 256] {
        let (rate, p50, p99) = write(storage, writers, period).await?;
        storage.compact(storage.revision().await?).await?;
        println!("{writers:>5} writers: {rate:>8.0} commits/s, p50 {p50:?}, p99 {p99:?}");
    }
    let start = Instant::now();
    let page = storage.list(&KeyRange::all(), ListOptions::default()).await?;
    println!("list of {} in {:?}", page.records.len(), start.elapsed());
    let start = Instant::now();
    let page = storage.list(&KeyRange::all(), ListOptions::default().limit(500)).await?;
    println!("page of {} in {:?}", page.records.len(), start.elapsed());
    Ok(())
}

async fn write(
    storage: &Arc<dyn Storage>,
    writers: u64,
    period: Duration,
) -> Result<(f64, Duration, Duration), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            tokio::spawn(write_until(Arc::clone(storage), Arc::clone(&next), Arc::clone(&stop)))
        })
        .collect();
    tokio::time::sleep(period).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok((rate, at(0.5), at(0.99)))
}

async fn write_until(
    storage: Arc<dyn Storage>,
    next: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed).wrapping_mul(7919) % OBJECTS;
        let (key, value) = (key(number)?, value());
        let start = Instant::now();
        storage.commit(Transaction::new().put(key, value)).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}
