//! Reading a store at one revision, in pages.

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;

use super::{
    Head,
    source::{Part, Sender, SourceError},
};
use crate::{
    key::{Key, KeyRange},
    storage::{ListOptions, Page, ReadError, Record, Storage},
};

/// How often the reading starts again when the store forgets the revision.
const ATTEMPTS: u32 = 5;
/// How large pages should be, in bytes.
const PAGE_BYTES: usize = 4 << 20;
/// Records in the first page, before it is known how large they are.
const FIRST_PAGE: usize = 64;
/// Records in a page, at most.
const LARGEST_PAGE: usize = 2048;

/// Why an attempt was not the last one.
enum Broken {
    /// The revision is no longer kept.
    Expired,
    /// Nobody waits for the rest.
    Unwanted,
    Failed(ReadError),
}

impl From<ReadError> for Broken {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Expired { .. } => Self::Expired,
            other => Self::Failed(other),
        }
    }
}

/// Sends everything, from the beginning to before the end.
pub(super) async fn read(storage: &dyn Storage, sender: &Sender) -> Result<(), SourceError> {
    for _ in 0..ATTEMPTS {
        match attempt(storage, sender).await {
            Err(Broken::Expired) => {}
            Ok(()) => return Ok(()),
            Err(Broken::Unwanted) => return Err(SourceError::Stopped),
            Err(Broken::Failed(error)) => return Err(error.into()),
        }
    }
    Err(SourceError::TooSlow { attempts: ATTEMPTS })
}

async fn attempt(storage: &dyn Storage, sender: &Sender) -> Result<(), Broken> {
    let send = async |part| sender.send(Ok(part)).await.map_err(|_| Broken::Unwanted);
    let all = KeyRange::all();
    // Not later than the revision: see how `restore` uses it.
    let taken = now();
    let mut limit = FIRST_PAGE;
    let mut page = storage.list(&all, ListOptions::default().limit(limit)).await?;
    let revision = page.revision;
    let expected = page.records.len() as u64 + page.remaining;
    send(Part::Begin(Head { revision, taken, expected })).await?;
    loop {
        limit = next_limit(limit, &page);
        let rest = rest_of(&all, &page);
        send(Part::Records(page.records)).await?;
        let Some(rest) = rest else { return Ok(()) };
        page = storage.list(&rest, ListOptions::default().limit(limit).at(revision)).await?;
    }
}

/// To the millisecond, as snapshots have it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// The range after the last record of the page; none when there is no more.
fn rest_of(all: &KeyRange, page: &Page) -> Option<KeyRange> {
    let last = page.records.last().filter(|_| page.remaining > 0)?;
    all.starting_at(after(&last.key))
}

/// The first key that could follow.
fn after(key: &Key) -> Bytes {
    let mut bytes = BytesMut::with_capacity(key.as_bytes().len() + 1);
    bytes.put_slice(key.as_bytes());
    bytes.put_u8(0);
    bytes.freeze()
}

/// As many records as are likely to have the bytes of a page: not many more at a time, since the
/// next ones may be larger.
fn next_limit(limit: usize, page: &Page) -> usize {
    let bytes: usize = page.records.iter().map(size).sum();
    let average = (bytes / page.records.len().max(1)).max(1);
    (PAGE_BYTES / average).clamp(1, limit * 2).min(LARGEST_PAGE)
}

fn size(record: &Record) -> usize {
    record.key.as_bytes().len() + record.value.len()
}
