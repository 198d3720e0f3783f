//! The task that keeps a cache in step with the storage.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use milo_core::storage::{Event, ListOptions, Revision, Watch, WatchBatch, WatchError};
use tokio::time::Instant;

use super::{Cache, CorruptObject, FeedError, Progress, SILENCE, cached::Cached};

/// How many records are read at once while a cache is filled.
const PAGE: usize = 10_000;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// How often ranges that nobody watches any more, and old changes, are forgotten.
const TIDY: Duration = Duration::from_secs(30);

impl Cache {
    /// Keeps the cache fed until it is dropped. Failures are retried for as long as it takes; what
    /// is served meanwhile is never presented as fresh.
    pub(crate) fn spawn(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        tokio::spawn(run(Arc::downgrade(self)))
    }

    /// Builds the cache from a complete listing and starts to watch right after it.
    async fn rebuild(&self) -> Result<Watch, FeedError> {
        let (mut objects, mut corrupt) = (Vec::new(), Vec::new());
        let mut range = Some(self.range.clone());
        let mut at = None;
        while let Some(part) = range.take() {
            let mut options = ListOptions::default().limit(PAGE);
            if let Some(revision) = at {
                options = options.at(revision);
            }
            let page = self.storage.list(&part, options).await?;
            at = Some(page.revision);
            if page.remaining > 0
                && let Some(last) = page.records.last()
            {
                let mut start = last.key.as_bytes().to_vec();
                start.push(0);
                range = self.range.starting_at(start.into());
            }
            for record in page.records {
                match Cached::new(record, &self.definition) {
                    Ok(object) => objects.push(Arc::new(object)),
                    Err(error) => {
                        tracing::error!(%error, "lists and watches that mean it fail");
                        corrupt.push(error);
                    }
                }
            }
        }
        let revision = at.unwrap_or(Revision::ZERO);
        let watch = self.storage.watch(&self.range, revision).await?;
        self.state.write().reset(objects, corrupt, revision, &self.definition);
        self.progress.send_replace(Progress { revision, lost: None });
        Ok(watch)
    }

    fn apply(&self, batch: WatchBatch) {
        let changes: Vec<_> = batch
            .events
            .into_iter()
            .map(|event| {
                let (key, revision) = (event.key().clone(), event.revision());
                (key, revision, self.cached(event))
            })
            .collect();
        let mut state = self.state.write();
        let mut woken = state.waking();
        for (key, revision, current) in changes {
            let stored = current.map(|current| current.map(Arc::new));
            state.apply(&key, revision, stored, &self.definition, &mut woken);
        }
        state.revision = state.revision.max(batch.revision);
        drop(state);
        // Waking a thousand watchers takes a while, and the first thing they do is to read here.
        self.progress.send_if_modified(|progress| {
            let newer = batch.revision > progress.revision;
            progress.revision = batch.revision.max(progress.revision);
            newer
        });
        woken.tell();
    }

    /// Goes on where we were; as an error, why that is not known any more. A storage that is away
    /// is waited for.
    async fn resume(&self, retry: &mut Retry) -> Result<Watch, WatchError> {
        retry.wait().await;
        loop {
            let revision = self.state.read().revision;
            match self.storage.watch(&self.range, revision).await {
                Ok(watch) => {
                    watch.request_progress();
                    self.progress.send_modify(|progress| progress.lost = None);
                    return Ok(watch);
                }
                Err(WatchError::Unavailable(error)) => {
                    let resource = self.definition.group_resource();
                    tracing::error!(%resource, %error, "watch cache waits for the storage");
                    self.lose();
                }
                Err(error) => return Err(error),
            }
            retry.wait().await;
        }
    }

    /// Nothing is heard from the storage any more.
    fn lose(&self) {
        self.progress.send_modify(|progress| {
            progress.lost.get_or_insert_with(Instant::now);
        });
    }

    fn cached(&self, event: Event) -> Result<Option<Cached>, CorruptObject> {
        let Event::Put { record, .. } = event else { return Ok(None) };
        Cached::new(record, &self.definition).map(Some).inspect_err(|error| {
            tracing::error!(%error, "lists and watches that mean it fail");
        })
    }
}

/// How long to wait before something that failed is tried again: not at all at first, then longer
/// each time, until something came of it.
#[derive(Debug, Default)]
struct Retry(Duration);

impl Retry {
    async fn wait(&mut self) {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
        self.0 = (self.0 * 2).clamp(FIRST_RETRY, LAST_RETRY);
    }

    fn succeeded(&mut self) {
        self.0 = Duration::ZERO;
    }
}

async fn run(cache: Weak<Cache>) {
    let mut retry = Retry::default();
    loop {
        retry.wait().await;
        let Some(strong) = cache.upgrade() else { return };
        let resource = strong.definition.group_resource().clone();
        match strong.rebuild().await {
            Ok(watch) => {
                drop(strong);
                match follow(&cache, watch, &mut retry).await {
                    None => return,
                    Some(error) => tracing::warn!(%resource, %error, "watch cache starts again"),
                }
            }
            Err(error) => {
                strong.lose();
                tracing::error!(%resource, %error, "watch cache cannot be filled; trying again");
            }
        }
    }
}

/// Applies what the watch tells until it ends; none when the cache is gone.
async fn follow(cache: &Weak<Cache>, mut watch: Watch, retry: &mut Retry) -> Option<FeedError> {
    // There is nothing to tidy at first.
    let mut tidy = tokio::time::interval_at(Instant::now() + TIDY, TIDY);
    // What was asked for before went to another watch.
    watch.request_progress();
    // Since when the watch owes an answer.
    let mut asked: Option<Instant> = None;
    loop {
        let strong = cache.upgrade()?;
        let next = tokio::select! {
            next = watch.next() => next,
            () = strong.wanted.notified() => {
                watch.request_progress();
                asked.get_or_insert_with(Instant::now);
                continue;
            }
            () = silence(asked) => {
                let resource = strong.definition.group_resource();
                tracing::warn!(%resource, "the storage's watch tells nothing; it is begun anew");
                Some(Err(WatchError::Lagged))
            }
            _ = tidy.tick() => {
                strong.state.write().tidy();
                continue;
            }
        };
        asked = None;
        match next {
            Some(Ok(batch)) => {
                retry.succeeded();
                strong.apply(batch);
            }
            // Cut off, or the connection is gone.
            Some(Err(error @ (WatchError::Lagged | WatchError::Unavailable(_)))) => {
                if matches!(error, WatchError::Unavailable(_)) {
                    // At once: nothing that is asked for meanwhile may pass for fresh.
                    strong.lose();
                }
                match strong.resume(retry).await {
                    Ok(resumed) => watch = resumed,
                    Err(error) => return Some(error.into()),
                }
            }
            Some(Err(error)) => return Some(error.into()),
            None => return Some(FeedError::Ended),
        }
    }
}

/// Waits until a watch that was asked should have answered.
async fn silence(asked: Option<Instant>) {
    match asked {
        Some(asked) => tokio::time::sleep_until(asked + SILENCE).await,
        None => std::future::pending().await,
    }
}
