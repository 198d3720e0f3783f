//! Reads of a cluster, and what else needs no watch.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::{
    client::{Client, Repeat},
    errors::{CallError, Verdict},
    keys::Prefix,
    messages::{
        COMPACT, CompactionRequest, KeyValue, PUT, PutRequest, RANGE, RangeRequest, RangeResponse,
    },
    newest::Newest,
    numbering::Numbering,
    stream::{Stream, Told},
};
use crate::{
    key::{Key, KeyRange},
    storage::{Cause, ListOptions, Page, ReadError, Record, Revision},
};

/// How many bytes of records are read with one request, more or less.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// How many bytes the first request of a list may bring, if all records are as large as the
/// largest that was ever seen.
const FIRST_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// How large the largest record is thought to be before any was seen.
const GUESSED_BYTES: usize = 64 * 1024;
/// How many records are read with one request at most.
const PAGE_RECORDS: usize = 10_000;
/// How often a list begins again whose snapshot was compacted while it was read.
const SNAPSHOTS: usize = 3;

/// A part of the key space of a cluster.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) client: Client,
    pub(super) prefix: Prefix,
    pub(super) numbering: Numbering,
    newest: Newest,
    /// The size of the largest record seen so far.
    largest: AtomicUsize,
}

impl Store {
    pub(super) fn new(client: Client, prefix: Prefix) -> Self {
        Self {
            client,
            prefix,
            numbering: Numbering::default(),
            newest: Newest::default(),
            largest: AtomicUsize::new(GUESSED_BYTES),
        }
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
        let request =
            RangeRequest { key: self.prefix.outer(key.as_bytes()), ..RangeRequest::default() };
        let answer = self.range(request).await.map_err(unavailable)?;
        Ok(answer.kvs.into_iter().next().map(|kv| self.named(key.clone(), &kv)))
    }

    /// The newest revision. Calls at the same time share a question.
    pub(super) async fn revision(&self) -> Result<Revision, ReadError> {
        self.newest.get(self.ask_revision()).await
    }

    /// The newest revision, with the error as it is.
    pub(super) async fn ask_revision(&self) -> Result<Revision, ReadError> {
        let answer = self.range(self.nothing(0)).await.map_err(unavailable)?;
        self.numbering.revision_of(answer.header.as_ref())
    }

    /// Proves that all changes after `revision` are still there, and returns the newest revision.
    pub(super) async fn prove(&self, revision: Revision) -> Result<Revision, ReadError> {
        self.numbering.check(revision)?;
        let at = self.numbering.start(revision);
        match self.range(self.nothing(at)).await {
            Ok(answer) => self.numbering.revision_of(answer.header.as_ref()),
            Err(error) => Err(self.explain(error, revision).await),
        }
    }

    pub(super) async fn list(
        &self,
        range: &KeyRange,
        options: ListOptions,
    ) -> Result<Page, ReadError> {
        for _ in 1..SNAPSHOTS {
            match self.list_once(range, options).await {
                Err(ReadError::Expired { .. }) if options.at.is_none() => {}
                done => return done,
            }
        }
        self.list_once(range, options).await.map_err(|error| match error {
            ReadError::Expired { .. } if options.at.is_none() => ReadError::Unavailable(
                "etcd is compacted to the newest revision faster than it can be listed".into(),
            ),
            other => other,
        })
    }

    async fn list_once(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
        let (mut next, end) = self.prefix.range(range);
        let mut page = Page { revision: options.at.unwrap_or_default(), ..Page::default() };
        if let Some(at) = options.at {
            self.numbering.check(at)?;
        }
        let mut at = options.at.map_or(0, |at| self.numbering.start(at));
        let mut missing = options.limit.unwrap_or(usize::MAX);
        let mut records = (FIRST_PAGE_BYTES / self.largest.load(Ordering::Relaxed)).max(1);
        loop {
            let limit = missing.min(records);
            let request = RangeRequest {
                key: next.clone(),
                range_end: end.clone(),
                // No limit is zero for etcd.
                limit: i64::try_from(limit).unwrap_or(i64::MAX),
                revision: at,
                count_only: limit == 0,
            };
            let answer = match self.range(request).await {
                Ok(answer) => answer,
                Err(error) => return Err(self.explain(error, page.revision).await),
            };
            if at == 0 {
                page.revision = self.numbering.revision_of(answer.header.as_ref())?;
                at = self.numbering.number(page.revision);
            }
            let last = answer.kvs.last().map(|kv| kv.key.clone());
            let found = answer.kvs.len();
            records = self.measure(&answer).unwrap_or(records);
            page.records.extend(answer.kvs.iter().filter_map(|kv| self.record(kv)));
            missing -= found.min(missing);
            let rest = u64::try_from(answer.count).unwrap_or(0).saturating_sub(found as u64);
            page.remaining = rest;
            match last {
                Some(last) if rest > 0 && missing > 0 => next = [&last[..], &[0]].concat().into(),
                _ => return Ok(page),
            }
        }
    }

    /// How many records fit into the next answer, if they are like those of this one.
    fn measure(&self, answer: &RangeResponse) -> Option<usize> {
        let sizes = || answer.kvs.iter().map(|kv| kv.key.len() + kv.value.len());
        self.saw(sizes().max()?);
        let average = sizes().sum::<usize>().checked_div(answer.kvs.len())?;
        Some((PAGE_BYTES / average.max(1)).clamp(1, PAGE_RECORDS))
    }

    /// Notes how large records are.
    pub(super) fn saw(&self, bytes: usize) {
        if self.largest.load(Ordering::Relaxed) < bytes {
            self.largest.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Forgets what was before `floor`, which is not in the future.
    pub(super) async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
        // An empty store, which is what there is before the second revision, needs no history.
        let revision = self.numbering.number(floor);
        if revision <= 1 {
            return Ok(());
        }
        let request = CompactionRequest { revision };
        match self.client.call(&COMPACT, request, Repeat::Harmless).await {
            Ok(_) => Ok(()),
            Err(error) if error.verdict == Verdict::Compacted => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Writes the marker, and returns the revision at which its event will come. None when the
    /// database is full.
    pub(super) async fn mark(&self) -> Result<Option<Revision>, ReadError> {
        let request = PutRequest { key: self.prefix.marker(), value: Bytes::new() };
        match self.client.call(&PUT, request, Repeat::Harmless).await {
            Ok(answer) => self.numbering.revision_of(answer.header.as_ref()).map(Some),
            Err(error) if error.verdict == Verdict::NoSpace => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// What stands at a key that is none of the storage's.
    pub(super) async fn raw(&self, key: Bytes) -> Result<Option<KeyValue>, ReadError> {
        let request = RangeRequest { key, ..RangeRequest::default() };
        let answer = self.range(request).await.map_err(unavailable)?;
        Ok(answer.kvs.into_iter().next())
    }

    /// Writes to a key that is none of the storage's.
    #[cfg(feature = "snapshot")]
    pub(super) async fn put_raw(&self, key: Bytes, value: Bytes) -> Result<(), ReadError> {
        let request = PutRequest { key, value };
        let answer = self.client.call(&PUT, request, Repeat::Harmless).await;
        answer.map(drop).map_err(unavailable)
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, CallError> {
        self.client.call(&RANGE, request, Repeat::Harmless).await
    }

    /// A read that only tells the revision, or whether there still is one.
    fn nothing(&self, revision: i64) -> RangeRequest {
        let key = self.prefix.marker();
        RangeRequest { key, revision, count_only: true, ..RangeRequest::default() }
    }

    /// What a record of the storage is called, and its value, in buffers of exactly their size:
    /// they may be kept for long, and must not keep the whole answer.
    pub(super) fn record(&self, kv: &KeyValue) -> Option<Record> {
        self.prefix.inner(&kv.key).map(|key| self.named(key, kv))
    }

    fn named(&self, key: Key, kv: &KeyValue) -> Record {
        let revision = self.numbering.revision(kv.mod_revision);
        Record { key, revision, value: Bytes::copy_from_slice(&kv.value) }
    }

    /// Why the state at `requested` cannot be read.
    async fn explain(&self, error: CallError, requested: Revision) -> ReadError {
        let found = match error.verdict {
            Verdict::Compacted => {
                self.compacted(requested).await.map(|compacted| match compacted {
                    Some(compacted) => ReadError::Expired { requested, compacted },
                    None => unavailable(error),
                })
            }
            Verdict::Future => {
                self.revision().await.map(|current| ReadError::Future { requested, current })
            }
            _ => return unavailable(error),
        };
        found.unwrap_or_else(|error| error)
    }

    /// Up to where etcd is compacted, if that is above `revision`. It only says so to watches.
    pub(super) async fn compacted(
        &self,
        revision: Revision,
    ) -> Result<Option<Revision>, ReadError> {
        let link = self.client.link();
        let marker = self.prefix.marker();
        let range = (marker.clone(), Bytes::new());
        let mut stream = Stream::open(self, &link, range, self.numbering.start(revision)).await?;
        loop {
            match stream.next_within(self.client.deadline()).await? {
                Told::Created => {}
                Told::Compacted(compacted) => return Ok(Some(compacted)),
                Told::Changes(..) | Told::Progress(_) => return Ok(None),
            }
        }
    }
}

/// A read that failed for no reason of its own.
pub(super) fn unavailable(error: CallError) -> ReadError {
    match error.verdict {
        Verdict::Corrupt => ReadError::Corrupted(Cause::from(error)),
        _ => ReadError::Unavailable(Cause::from(error)),
    }
}
