//! Whether a history is one that the contract allows.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
};

use bytes::Bytes;

use super::{
    log::{Answer, Entry, Log, Question, Tick},
    model::{Model, State, apply, changes, conflict},
};
use crate::{
    key::KeyRange,
    storage::{
        Event, ListOptions, Operation, Page, Record, Revision, Transaction, WatchBatch,
        conformance::failure::{Failure, Outcome},
    },
};

/// Checks all that was recorded of a store that was empty at `start`, and what a watch from there
/// on tells at the end. Every value that was put must be another one.
pub(in super::super) fn verify(log: &Log, start: Revision, replay: &[Event]) -> Outcome {
    let history = History::new(log.take(), start, replay);
    let (model, changers) = history.model()?;
    let told = WatchBatch { events: replay.to_vec(), revision: model.last() };
    check_stream(&model, &KeyRange::all(), start, &[(0, told)])?;
    history.check_floors()?;
    history.check_streams(&model)?;
    history.check_order(&model, &changers)
}

struct History {
    entries: Vec<Entry>,
    /// For each entry, the revision of the commit that it is.
    committed: Vec<Option<Revision>>,
    start: Revision,
}

impl History {
    /// Commits whose answer nobody waited for are found by what they wrote.
    fn new(entries: Vec<Entry>, start: Revision, replay: &[Event]) -> Self {
        let written: HashMap<&Bytes, Revision> = replay.iter().filter_map(written).collect();
        let committed = |entry: &Entry| match (&entry.question, &entry.answer) {
            (Question::Commit(_), Answer::Committed(revision)) => Some(*revision),
            (Question::Commit(transaction), Answer::Unknown) => {
                values(transaction).find_map(|value| written.get(value)).copied()
            }
            _ => None,
        };
        let committed = entries.iter().map(committed).collect();
        Self { entries, committed, start }
    }

    /// Applies every commit in the order of the revisions. Also returns which entries changed
    /// something.
    fn model(&self) -> Result<(Model, HashSet<usize>), Failure> {
        let mut commits: BTreeMap<Revision, Vec<(usize, &Transaction)>> = BTreeMap::new();
        for (number, (entry, revision)) in self.entries.iter().zip(&self.committed).enumerate() {
            if let (Question::Commit(transaction), Some(revision)) = (&entry.question, revision) {
                commits.entry(*revision).or_default().push((number, transaction));
            }
        }
        let (mut model, mut changers) = (Model::new(self.start), HashSet::new());
        for (revision, transactions) in commits.range(self.start.next()..) {
            changers.extend(commit(&mut model, *revision, transactions)?);
        }
        Ok((model, changers))
    }

    /// Whether what was forgotten was to be forgotten, and nothing else.
    fn check_floors(&self) -> Outcome {
        for entry in &self.entries {
            let requested = match &entry.question {
                Question::List(_, ListOptions { at: Some(at), .. }) => *at,
                Question::Watch(_, after) => *after,
                _ => continue,
            };
            let asked = &entry.question;
            let known = self.floor(|compaction| compaction.returned < entry.invoked);
            let possible = self.floor(|compaction| compaction.invoked < entry.returned);
            match entry.answer {
                Answer::Unknown => {}
                Answer::Expired(compacted) => ensure!(
                    requested < compacted && compacted <= possible,
                    "{asked:?} expired at {compacted}, and {possible} was asked for"
                ),
                _ => ensure!(requested >= known, "{asked:?} was compacted to {known}"),
            }
        }
        Ok(())
    }

    fn floor(&self, which: impl Fn(&Entry) -> bool) -> Revision {
        let floors = self.entries.iter().filter_map(|entry| match entry.question {
            Question::Compact(floor) if which(entry) => Some(floor),
            _ => None,
        });
        floors.max().unwrap_or(self.start)
    }

    fn check_streams(&self, model: &Model) -> Outcome {
        for entry in &self.entries {
            if let (Question::Watch(range, after), Answer::Told(told)) =
                (&entry.question, &entry.answer)
            {
                check_stream(model, range, *after, told)?;
            }
        }
        Ok(())
    }

    /// Gives each answer the earliest moment that explains it and is not before what had been seen
    /// when the question was asked. Fails when there is none.
    fn check_order(&self, model: &Model, changers: &HashSet<usize>) -> Outcome {
        let mut seen = Seen { newest: self.start, later: BinaryHeap::new() };
        for entry in &self.entries {
            if let Answer::Told(told) = &entry.answer {
                seen.later.extend(told.iter().map(|(at, batch)| Reverse((*at, batch.revision))));
            }
        }
        for (number, (entry, committed)) in self.entries.iter().zip(&self.committed).enumerate() {
            let least = seen.before(entry.invoked);
            let moment = match (&entry.question, committed) {
                (Question::Commit(transaction), Some(revision)) if changers.contains(&number) => {
                    ensure!(
                        *revision > least,
                        "{transaction:?} is {revision}, {least} had been seen before"
                    );
                    Some(*revision)
                }
                (Question::Commit(transaction), Some(revision)) => {
                    check_idle(model, transaction, *revision, least)?;
                    Some(*revision)
                }
                _ => explain(model, entry, least)?,
            };
            seen.later.extend(moment.map(|moment| Reverse((entry.returned, moment))));
        }
        Ok(())
    }
}

/// The newest revision that anybody had seen at some time.
struct Seen {
    newest: Revision,
    later: BinaryHeap<Reverse<(Tick, Revision)>>,
}

impl Seen {
    fn before(&mut self, now: Tick) -> Revision {
        while let Some(Reverse((tick, revision))) = self.later.peek().copied()
            && tick < now
        {
            self.newest = self.newest.max(revision);
            self.later.pop();
        }
        self.newest
    }
}

/// At one revision one transaction changes something: the one whose number is returned. Others may
/// have been answered with it because they found nothing to change then.
fn commit(
    model: &mut Model,
    revision: Revision,
    transactions: &[(usize, &Transaction)],
) -> Result<Option<usize>, Failure> {
    let before = model.at(revision);
    let changing: Vec<_> =
        transactions.iter().filter(|(_, each)| changes(before, each) > 0).collect();
    let mut possible = changing.iter().filter(|(_, each)| conflict(before, each).is_none());
    let idle = |after: &State, (_, each): &(usize, &Transaction)| {
        changes(after, each) == 0 && conflict(after, each).is_none()
    };
    // Of several, the first that was asked for: it is the least bound by what had been seen.
    let found = possible.find_map(|(number, transaction)| {
        let (after, events) = apply(before, revision, transaction);
        let mut others = transactions.iter().filter(|(other, _)| other != number);
        others.all(|other| idle(&after, other)).then_some((*number, after, events))
    });
    match (found, changing.as_slice()) {
        (Some((number, after, events)), _) => {
            model.insert(revision, after, events);
            Ok(Some(number))
        }
        (None, []) => Ok(None),
        (None, [(_, one)]) if transactions.len() == 1 => Err(Failure::new(format_args!(
            "{one:?} committed as {revision}, but this did not hold: {:?}",
            conflict(before, one)
        ))),
        (None, _) => Err(Failure::new(format_args!(
            "these cannot all have been answered with {revision}: {transactions:?}"
        ))),
    }
}

/// A transaction that found nothing to change returns the revision that was current.
fn check_idle(
    model: &Model,
    transaction: &Transaction,
    revision: Revision,
    least: Revision,
) -> Outcome {
    ensure!(revision >= least, "{transaction:?} returned {revision}, {least} had been seen");
    let state = model.at(revision);
    ensure!(changes(state, transaction) == 0, "{transaction:?} as {revision} changed nothing");
    let failed = conflict(state, transaction);
    ensure!(failed.is_none(), "{transaction:?} returned {revision}, but not so: {failed:?}");
    Ok(())
}

/// The earliest moment, not before `least`, that explains an answer. None for answers that need
/// none.
fn explain(model: &Model, entry: &Entry, least: Revision) -> Result<Option<Revision>, Failure> {
    match (&entry.question, &entry.answer) {
        (Question::Commit(transaction), Answer::Conflict(failed, current)) => {
            let found = model.moments(least).find(|(_, state)| {
                conflict(state, transaction) == Some((failed, current.as_ref()))
            });
            unexplained(entry, least, found.map(|(moment, _)| moment))
        }
        (Question::Get(key), Answer::Found(found)) => {
            let moment = model.moments(least).find(|(_, state)| state.get(key) == found.as_ref());
            unexplained(entry, least, moment.map(|(moment, _)| moment))
        }
        (Question::List(range, options), Answer::Listed(page)) => {
            match options.at {
                Some(at) => ensure_eq!(page.revision, at, "the revision of {:?}", entry.question),
                None => ensure!(page.revision >= least, "{entry:?}: {least} had been seen"),
            }
            check_page(model, range, options.limit, page)?;
            Ok(Some(page.revision))
        }
        (Question::Revision, Answer::At(revision)) => {
            ensure!(*revision >= least, "at {revision}, and {least} had been seen");
            Ok(Some(*revision))
        }
        _ => Ok(None),
    }
}

fn unexplained(
    entry: &Entry,
    least: Revision,
    moment: Option<Revision>,
) -> Result<Option<Revision>, Failure> {
    ensure!(moment.is_some(), "{entry:?} was so at no time after {least}");
    Ok(moment)
}

fn check_page(model: &Model, range: &KeyRange, limit: Option<usize>, page: &Page) -> Outcome {
    let state = model.at(page.revision);
    let expected: Vec<&Record> =
        state.values().filter(|record| range.contains(&record.key)).collect();
    let shown = expected.len().min(limit.unwrap_or(usize::MAX));
    let at = page.revision;
    ensure_eq!(page.records.iter().collect::<Vec<_>>(), expected[..shown], "{range:?} at {at}");
    let remaining = (expected.len() - shown) as u64;
    ensure_eq!(page.remaining, remaining, "what remains of {range:?} at {at}");
    Ok(())
}

/// A watch tells exactly the history of its range, commit by commit.
fn check_stream(
    model: &Model,
    range: &KeyRange,
    after: Revision,
    told: &[(Tick, WatchBatch)],
) -> Outcome {
    let mut reached = after;
    for (_, batch) in told {
        let until = batch.revision;
        ensure!(until >= reached, "{range:?}: progress went back from {reached} to {until}");
        ensure!(batch.events.is_sorted_by_key(Event::revision), "out of order: {batch:?}");
        let mut events: Vec<&Event> = batch.events.iter().collect();
        events.sort_by(|a, b| (a.revision(), a.key()).cmp(&(b.revision(), b.key())));
        let expected: Vec<&Event> = model.events(range, reached, until).collect();
        ensure_eq!(events, expected, "a watch of {range:?} from {reached} to {until}");
        reached = until;
    }
    Ok(())
}

fn values(transaction: &Transaction) -> impl Iterator<Item = &Bytes> {
    transaction.operations().iter().filter_map(|operation| match operation {
        Operation::Put(_, value) => Some(value),
        Operation::Delete(_) => None,
    })
}

fn written(event: &Event) -> Option<(&Bytes, Revision)> {
    match event {
        Event::Put { record, .. } => Some((&record.value, record.revision)),
        Event::Delete { .. } => None,
    }
}
