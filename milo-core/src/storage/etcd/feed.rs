//! The one watch of etcd from which all local watches are told what is new.
//!
//! It begins when somebody watches for the first time: telling of a commit costs etcd work, for it
//! reads the value before it. It covers everything below the prefix, so it is told of every commit of the
//! storage in order, whoever made it. When it breaks, all local watches end with an error, and it begins anew: there
//! is no watch that waits for what will not come.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    client::Link,
    messages::RawEvent,
    progress::{EtcdProgress, Proof},
    recent::Recent,
    store::Store,
    stream::{Stream, Told, Untold},
};
use crate::storage::{
    Event, ReadError, Revision,
    relay::{Question, Relay},
};

/// How long to wait for what is on its way before asking or writing for it.
const PATIENCE: Duration = Duration::from_millis(10);
/// How long to wait before asking again: a member does not answer while the watch is behind.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a new local watch waits for a watch of etcd.
const RESUME: Duration = Duration::from_secs(1);
/// How long to wait, at first and at most, before the watch is begun anew.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What is known of new commits.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) store: Arc<Store>,
    pub(super) relay: Relay,
    pub(super) recent: Recent,
    progress: EtcdProgress,
    /// Somebody watches, or has watched.
    demanded: AtomicBool,
    demand: Notify,
    /// Everything up to here has been published; none while the watch is broken.
    reached: watch::Sender<Option<Revision>>,
    /// Somebody waits for [`Feed::reach`].
    awaited: Notify,
    current: Mutex<Option<Current>>,
}

/// The connection that the watch has, and how to prove on it what has been told.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) link: Link,
    pub(super) proof: Proof,
}

impl Feed {
    pub(super) fn new(store: Arc<Store>, progress: EtcdProgress) -> Self {
        Self {
            store,
            relay: Relay::new(),
            recent: Recent::default(),
            progress,
            demanded: AtomicBool::new(false),
            demand: Notify::new(),
            reached: watch::Sender::new(None),
            awaited: Notify::new(),
            current: Mutex::default(),
        }
    }

    pub(super) fn current(&self) -> Result<Current, ReadError> {
        self.current.lock().clone().ok_or_else(|| self.lost())
    }

    /// Waits until everything up to `revision`, which etcd has, has been published. Returns how
    /// far it is then.
    pub(super) async fn reach(&self, revision: Revision) -> Result<Revision, ReadError> {
        let mut reached = self.reached.subscribe();
        let enough = |reached: &Option<Revision>| reached.is_none_or(|reached| reached >= revision);
        let now = *reached.borrow_and_update();
        if !enough(&now) {
            self.awaited.notify_one();
        }
        let patience = self.store.client.deadline() * 2;
        let told = timeout(patience, reached.wait_for(enough)).await;
        told.ok().and_then(Result::ok).and_then(|told| *told).ok_or_else(|| self.lost())
    }

    /// As [`Feed::reach`], for those who want nothing to be missed by watches, if there are any.
    pub(super) async fn tell(&self, revision: Revision) {
        if self.demanded.load(Ordering::SeqCst) {
            let _lost = self.reach(revision).await;
        }
    }

    /// How far watches have been told; or, if there never were any, how far etcd is.
    pub(super) async fn newest(&self) -> Result<Revision, ReadError> {
        if self.demanded.load(Ordering::SeqCst) {
            return Ok(self.relay.revision());
        }
        self.store.revision().await
    }

    /// Begins the watch if it never was, and waits for it. If it has just ended, gives it a moment
    /// to begin anew: so that those who watched it need not come back twice.
    pub(super) async fn start(&self) {
        let first = !self.demanded.swap(true, Ordering::SeqCst);
        self.demand.notify_one();
        let patience = if first { self.store.client.deadline() } else { RESUME };
        let mut reached = self.reached.subscribe();
        let _still_lost = timeout(patience, reached.wait_for(Option::is_some)).await;
    }

    /// Why nothing is heard of etcd.
    pub(super) fn lost(&self) -> ReadError {
        match self.relay.lost() {
            Some(lost) => ReadError::Unavailable(lost.into()),
            None => ReadError::Unavailable("etcd does not tell how far it is".into()),
        }
    }

    /// Watches for ever, once somebody wants it.
    pub(super) async fn run(&self) {
        self.demand.notified().await;
        let (mut pause, mut link) = (BACKOFF.0, self.store.client.separate(None));
        loop {
            let begun = Instant::now();
            let error = match self.begin(&link).await {
                Ok(mut pump) => pump.run().await,
                Err(error) => error,
            };
            self.lose(&error);
            tracing::warn!(%error, endpoint = link.name(), "etcd is not watched; trying again");
            if begun.elapsed() > BACKOFF.1 {
                pause = BACKOFF.0;
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
            link = self.store.client.separate(Some(&link));
        }
    }

    /// Begins at the newest revision: nobody watches now, and whoever comes is told what was
    /// before by [`changes`](super::changes).
    async fn begin(&self, link: &Link) -> Result<Pump<'_>, ReadError> {
        let client = &self.store.client;
        // So that there is a token, and one that is still valid.
        self.store.revision().await?;
        let proof = self.progress.proof(client, link).await.map_err(super::store::unavailable)?;
        let start = match proof {
            Proof::Request => self.store.revision().await?,
            // So that there is an event at every revision that is ever published.
            Proof::Marker => match self.store.mark().await? {
                Some(marked) => marked,
                None => self.store.revision().await?,
            },
        };
        let range = self.store.prefix.everything();
        let mut stream =
            Stream::open(&self.store, link, range, self.store.numbering.number(start)).await?;
        match stream.next_within(client.deadline()).await? {
            Told::Created => {}
            _ => return Err(ReadError::Unavailable("etcd did not begin the watch".into())),
        }
        self.recent.restart(start);
        *self.current.lock() = Some(Current { link: link.clone(), proof });
        self.relay.find(start);
        self.reached.send_replace(Some(start));
        tracing::debug!(endpoint = link.name(), revision = %start, ?proof, "watching etcd");
        Ok(Pump { feed: self, stream, proof, told: start, pursuit: None })
    }

    pub(super) fn lose(&self, cause: impl std::fmt::Display) {
        *self.current.lock() = None;
        self.relay.lose(cause);
        self.reached.send_replace(None);
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Revision, ReadError>> + Send>>;

/// Publishes what a running watch tells.
struct Pump<'a> {
    feed: &'a Feed,
    stream: Stream,
    proof: Proof,
    told: Revision,
    pursuit: Option<Pursuit>,
}

/// Somebody wants to know how far the store is. First it is asked, then everything up to its answer
/// is waited for.
struct Pursuit {
    question: Question,
    stage: Stage,
    /// When to do more than to wait.
    nudge: Instant,
    /// When there is no use in waiting any longer.
    end: Instant,
}

enum Stage {
    /// Asks how far the store is.
    Asking(Answer),
    /// Waits for everything up to a revision to be told.
    Reaching(Revision),
    /// Also writes the marker.
    Marking(Revision, Answer),
}

impl Pump<'_> {
    /// Returns why the watch has ended.
    async fn run(&mut self) -> ReadError {
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    async fn step(&mut self) -> Result<(), ReadError> {
        let Self { feed, stream, pursuit, .. } = self;
        let Some(pursuit) = pursuit else {
            tokio::select! {
                told = stream.next() => self.publish(told?)?,
                () = feed.relay.wanted() => self.pursue(),
                () = feed.awaited.notified() => self.pursue(),
            }
            return Ok(());
        };
        let Pursuit { stage, nudge, end, .. } = pursuit;
        let nudge = (*nudge).min(*end);
        tokio::select! {
            told = stream.next() => self.publish(told?)?,
            answer = stage.answer() => self.answered(answer?),
            () = sleep_until(nudge) => self.nudge()?,
        }
        self.finish_pursuit();
        Ok(())
    }

    fn publish(&mut self, told: Told) -> Result<(), ReadError> {
        let (events, revision) = match told {
            Told::Created => return Ok(()),
            Told::Progress(revision) if self.proof == Proof::Request => (Vec::new(), revision),
            // It may have overtaken something.
            Told::Progress(_) => return Ok(()),
            Told::Changes(events, revision) => (self.events(&events)?, revision),
            Told::Compacted(revision) => return Err(behind(revision)),
        };
        if revision > self.told {
            self.feed.recent.add(&events, revision);
            self.feed.relay.publish(self.told, &events, revision);
            self.told = revision;
            self.feed.reached.send_replace(Some(revision));
        }
        Ok(())
    }

    /// What is new of it, in the storage's terms.
    fn events(&self, events: &[RawEvent]) -> Result<Vec<Event>, ReadError> {
        let mut new = Vec::with_capacity(events.len());
        for event in events {
            match self.feed.store.event(event) {
                Ok(event) if event.revision() > self.told => new.push(event),
                Ok(_) | Err(Untold::Foreign) => {}
                // Whoever watches goes on from the last revision, and gets `Expired` if need be.
                Err(Untold::Forgotten) if self.stream.changed(event) > self.told => {
                    return Err(behind(self.stream.changed(event)));
                }
                Err(Untold::Forgotten) => {}
            }
        }
        Ok(new)
    }

    fn pursue(&mut self) {
        let store = Arc::clone(&self.feed.store);
        let end = Instant::now() + store.client.deadline() * 2;
        self.pursuit = Some(Pursuit {
            question: self.feed.relay.question(),
            stage: Stage::Asking(Box::pin(async move { store.revision().await })),
            nudge: end,
            end,
        });
    }

    fn answered(&mut self, revision: Revision) {
        let Some(pursuit) = &mut self.pursuit else { return };
        match pursuit.stage {
            Stage::Asking(_) => {
                pursuit.stage = Stage::Reaching(revision);
                pursuit.nudge = Instant::now() + PATIENCE;
            }
            // The marker's event is on its way.
            Stage::Marking(target, _) | Stage::Reaching(target) => {
                pursuit.stage = Stage::Reaching(target);
                pursuit.nudge = pursuit.end;
            }
        }
    }

    fn nudge(&mut self) -> Result<(), ReadError> {
        let Some(pursuit) = &mut self.pursuit else { return Ok(()) };
        if Instant::now() >= pursuit.end {
            let error = "the member of the cluster does not tell how far it is";
            return Err(ReadError::Unavailable(error.into()));
        }
        match (&pursuit.stage, self.proof) {
            (Stage::Reaching(_), Proof::Request) => {
                self.stream.ask_progress();
                pursuit.nudge = Instant::now() + ASK_AGAIN;
            }
            (Stage::Reaching(target), Proof::Marker) => {
                let store = Arc::clone(&self.feed.store);
                let marked = Box::pin(async move {
                    let full = || ReadError::Unavailable("the database of etcd is full".into());
                    store.mark().await?.ok_or_else(full)
                });
                pursuit.stage = Stage::Marking(*target, marked);
                pursuit.nudge = pursuit.end;
            }
            (Stage::Asking(_) | Stage::Marking(..), _) => pursuit.nudge = pursuit.end,
        }
        Ok(())
    }

    /// Tells whoever wanted to know.
    fn finish_pursuit(&mut self) {
        let told = self.told;
        let reached = |pursuit: &Pursuit| match &pursuit.stage {
            Stage::Asking(_) => false,
            Stage::Reaching(target) | Stage::Marking(target, _) => told >= *target,
        };
        if let Some(pursuit) = self.pursuit.take_if(|pursuit| reached(pursuit)) {
            self.feed.relay.answer(pursuit.question);
        }
    }
}

impl Stage {
    /// What is being waited for. Cancellation-safe.
    async fn answer(&mut self) -> Result<Revision, ReadError> {
        match self {
            Self::Asking(answer) | Self::Marking(_, answer) => answer.await,
            Self::Reaching(_) => std::future::pending().await,
        }
    }
}

fn behind(revision: Revision) -> ReadError {
    let text = format!("the watch of etcd was behind when it was compacted, at {revision}");
    ReadError::Unavailable(text.into())
}
