//! The writers: random transactions over keys that they share, each of which can be made again
//! from its number.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    hash::{DefaultHasher, Hash, Hasher},
    str::FromStr,
};

use bytes::Bytes;

use super::Random;
use crate::{
    key::{GroupResource, Key, KeyRange},
    scope::Scope,
    storage::{
        CommitError, Event, ListOptions, Precondition, ReadError, Revision, Storage, Transaction,
    },
};

/// How many write at the same time.
pub(crate) const WRITERS: u64 = 6;
/// Keys that all writers change.
const SHARED: u64 = 24;
const MARKERS: &str = "markers";
/// Lives whose markers are told apart.
const LIVES: u64 = 16;

/// A transaction that was or will be sent: the how-many-th of which writer, in which life of the
/// process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Attempt {
    pub(crate) life: u64,
    pub(crate) writer: u64,
    pub(crate) number: u64,
}

/// What a transaction is about.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The key whose state the transaction depends on.
    pub(crate) guard: Option<Key>,
    /// The value; none for a removal.
    pub(crate) changes: Vec<(Key, Option<Bytes>)>,
}

fn key(namespace: &str, name: u64) -> Key {
    let widgets = GroupResource::new("crash.example.com", "widgets");
    Key::object(&widgets, &Scope::Platform, namespace, &name.to_string()).unwrap()
}

fn shared_key(random: &mut Random) -> Key {
    key("shared", random.below(SHARED))
}

impl Attempt {
    pub(super) fn first(life: u64, writer: u64) -> Self {
        Self { life, writer, number: 0 }
    }

    pub(super) fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }

    /// Some transactions change nothing, and so have no revision of their own.
    pub(super) fn changes_nothing(self) -> bool {
        self.number % 16 == 11
    }

    /// The change that names the attempt in its commit: of a key that no other writer changes.
    /// `guard` is the revision that was required of the guard; zero for an absent key.
    pub(super) fn marked(self, guard: Option<Revision>) -> Option<(Key, Option<Bytes>)> {
        let Self { life, writer, number } = self;
        let guard = guard.map_or(String::new(), |revision| revision.to_string());
        let value = Bytes::from(format!("{life} {writer} {number} {guard}"));
        let key = key(MARKERS, life % LIVES * WRITERS + writer);
        (!self.changes_nothing()).then_some((key, Some(value)))
    }

    /// The attempt that a marker's value names.
    pub(super) fn of_marker(value: &[u8]) -> Self {
        let text = std::str::from_utf8(value).unwrap();
        let mut numbers = text.split(' ').map_while(|word| word.parse().ok());
        let mut number = || numbers.next().unwrap();
        Self { life: number(), writer: number(), number: number() }
    }

    pub(super) fn content(self, seed: u64) -> Content {
        let own = self.life << 40 ^ self.writer << 32 ^ self.number;
        let mut random = Random::new(seed ^ Random::new(own).next());
        if self.changes_nothing() {
            return Content { guard: None, changes: vec![(key("never", 0), None)] };
        }
        let guard = random.one_in(3).then(|| shared_key(&mut random));
        let keys: BTreeSet<Key> = (0..random.below(6)).map(|_| shared_key(&mut random)).collect();
        let changes = keys.into_iter().map(|key| {
            let value = (!random.one_in(3)).then(|| self.value(&mut random));
            (key, value)
        });
        Content { guard, changes: changes.collect() }
    }

    /// Of any length, and different for each attempt all the way.
    fn value(self, random: &mut Random) -> Bytes {
        let length = if random.one_in(40) { random.below(30_000) } else { random.below(700) };
        let mut value = Vec::new();
        while (value.len() as u64) < length {
            value.extend(random.next().to_le_bytes());
        }
        value.into()
    }

    /// The transaction, given what the guard's revision is now.
    fn transaction(self, content: Content, guard: Option<Revision>) -> Transaction {
        let mut transaction = Transaction::new();
        if let (Some(key), Some(revision)) = (content.guard, guard) {
            transaction.add_precondition(match revision {
                Revision::ZERO => Precondition::Absent(key),
                _ => Precondition::RevisionIs(key, revision),
            });
        }
        let changes = self.marked(guard).into_iter().chain(content.changes);
        changes.fold(transaction, |transaction, (key, value)| match value {
            Some(value) => transaction.put(key, value),
            None => transaction.delete(key),
        })
    }
}

pub(super) fn is_marker(key: &Key) -> bool {
    key.segments().is_some_and(|segments| segments.namespace == MARKERS)
}

/// What somebody was told before the crash. Also a line of text, for a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The transaction committed.
    Acknowledged(Attempt, Revision),
    /// It did not.
    Refused(Attempt),
    /// A compaction begins.
    Compacting,
    /// This is the oldest revision now, or it is above it.
    Compacted(Revision),
    /// A watch told of a commit with changes of this digest.
    Seen(Revision, u64),
}

impl Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledged(Attempt { life, writer, number }, revision) => {
                write!(f, "acknowledged {life} {writer} {number} {revision}")
            }
            Self::Refused(Attempt { life, writer, number }) => {
                write!(f, "refused {life} {writer} {number}")
            }
            Self::Compacting => write!(f, "compacting"),
            Self::Compacted(floor) => write!(f, "compacted {floor}"),
            Self::Seen(revision, digest) => write!(f, "seen {revision} {digest}"),
        }
    }
}

impl FromStr for Told {
    type Err = ();

    /// An error for any other line, and for a part of one.
    fn from_str(line: &str) -> Result<Self, ()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Result<Vec<u64>, _> = rest.split_terminator(' ').map(str::parse).collect();
        match (word, numbers.map_err(|_| ())?.as_slice()) {
            ("acknowledged", &[life, writer, number, revision]) => {
                let attempt = Attempt { life, writer, number };
                Ok(Self::Acknowledged(attempt, Revision::new(revision)))
            }
            ("refused", &[life, writer, number]) => {
                Ok(Self::Refused(Attempt { life, writer, number }))
            }
            ("compacting", []) => Ok(Self::Compacting),
            ("compacted", &[floor]) => Ok(Self::Compacted(Revision::new(floor))),
            ("seen", &[revision, digest]) => Ok(Self::Seen(Revision::new(revision), digest)),
            _ => Err(()),
        }
    }
}

/// Stands for the changes of one commit.
pub(super) fn digest(events: &[Event]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for event in events {
        event.key().hash(&mut hasher);
        if let Event::Put { record, previous } = event {
            let previous = previous.as_ref().map(|record| (record.revision, &record.value));
            (&record.value, previous).hash(&mut hasher);
        } else if let Event::Delete { previous, .. } = event {
            (previous.revision, &previous.value).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// All writers of a life, until the storage fails; their compactions and reads of the past, and a
/// watch.
pub(crate) async fn work<S: Storage + ?Sized>(
    storage: &S,
    seed: u64,
    life: u64,
    tell: impl Fn(Told),
) {
    let writers = (0..WRITERS).map(|writer| write(storage, seed, life, writer, &tell));
    let mut writers: Vec<_> = writers.map(Box::pin).collect();
    let mut watching = Box::pin(follow(storage, &tell));
    let mut watch_over = false;
    std::future::poll_fn(|context| {
        watch_over = watch_over || watching.as_mut().poll(context).is_ready();
        writers.retain_mut(|writer| writer.as_mut().poll(context).is_pending());
        if writers.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn write<S: Storage + ?Sized>(
    storage: &S,
    seed: u64,
    life: u64,
    writer: u64,
    tell: &impl Fn(Told),
) {
    let mut random = Random::new(seed ^ life << 8 ^ writer);
    let mut attempt = Attempt::first(life, writer);
    loop {
        let content = attempt.content(seed);
        let guard = match &content.guard {
            Some(key) => {
                let current = storage.get(key).await.unwrap();
                Some(current.map_or(Revision::ZERO, |record| record.revision))
            }
            None => None,
        };
        match storage.commit(attempt.transaction(content, guard)).await {
            Ok(revision) => {
                tell(Told::Acknowledged(attempt, revision));
                if look_back(storage, revision, &mut random, tell).await.is_none() {
                    return;
                }
            }
            Err(CommitError::Conflict { .. }) => tell(Told::Refused(attempt)),
            Err(CommitError::Unavailable(_) | CommitError::Uncertain(_)) => return,
            Err(other) => unreachable!("{other:?}"),
        }
        attempt = attempt.next();
    }
}

/// Now and then reads the past, or lets it be forgotten. None when the storage has failed.
async fn look_back<S: Storage + ?Sized>(
    storage: &S,
    revision: Revision,
    random: &mut Random,
    tell: &impl Fn(Told),
) -> Option<()> {
    let past = Revision::new(revision.get().saturating_sub(random.below(60)));
    let result = match random.below(40) {
        0 | 1 => {
            tell(Told::Compacting);
            let compacted = storage.compact(past).await;
            compacted.map(|()| tell(Told::Compacted(past)))
        }
        2 | 3 => storage.list(&KeyRange::all(), ListOptions::default().at(past)).await.map(drop),
        _ => Ok(()),
    };
    match result {
        Ok(()) | Err(ReadError::Expired { .. }) => Some(()),
        Err(ReadError::Unavailable(_)) => None,
        Err(other) => unreachable!("{other:?}"),
    }
}

async fn follow<S: Storage + ?Sized>(storage: &S, tell: &impl Fn(Told)) {
    let Ok(after) = storage.revision().await else { return };
    let Ok(mut watch) = storage.watch(&KeyRange::all(), after).await else { return };
    while let Some(Ok(batch)) = watch.next().await {
        for commit in batch.events.chunk_by(|a, b| a.revision() == b.revision()) {
            if let Some(event) = commit.first() {
                tell(Told::Seen(event.revision(), digest(commit)));
            }
        }
    }
}
