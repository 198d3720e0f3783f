//! The tree of Kubernetes' `RunTestList`, read at every moment of its history: what its 86 cases
//! ask of the storage below tokens and selectors.

use bytes::Bytes;

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    vocabulary::*,
};
use crate::{
    key::{Key, KeyRange},
    storage::{Event, ListOptions, Page, ReadError, Record, Revision, Storage},
};

/// The tree, and its state after each step.
struct Tree {
    /// By revision, oldest first: the empty store, six creations, an update, a removal, and a
    /// write elsewhere.
    moments: Vec<(Revision, Vec<Record>)>,
}

/// Steps of the [`Tree`].
const EMPTY: usize = 0;
const FIRST_BAR: usize = 1;
const SECOND_BAR: usize = 2;
const REMOVED: usize = 8;
const NEWEST: usize = 9;

impl Tree {
    async fn plant(storage: &dyn Storage) -> Result<Self, Failure> {
        let created = [
            ("first", "bar"),
            ("second", "bar"),
            ("second", "foo"),
            ("third", "barfoo"),
            ("third", "foo"),
            ("second", "baz"),
        ];
        let mut state: Vec<Record> = Vec::new();
        let mut moments = vec![(storage.revision().await?, Vec::new())];
        for (namespace, name) in created {
            let key = key(namespace, name);
            let revision = storage.commit(create(&key, "created")).await?;
            state.push(record(&key, revision, "created"));
            state.sort_by(|a, b| a.key.cmp(&b.key));
            moments.push((revision, state.clone()));
        }
        let updated = key("first", "bar");
        let revision = storage.commit(put(&updated, "updated")).await?;
        state.retain(|record| record.key != updated);
        state.insert(0, record(&updated, revision, "updated"));
        moments.push((revision, state.clone()));
        let removed = key("second", "baz");
        let revision = storage.commit(delete(&removed)).await?;
        state.retain(|record| record.key != removed);
        moments.push((revision, state.clone()));
        let elsewhere = Key::from_storage(bytes("/elsewhere"));
        moments.push((storage.commit(put(&elsewhere, "unrelated")).await?, state));
        Ok(Self { moments })
    }

    fn revision(&self, step: usize) -> Revision {
        self.moments[step].0
    }

    /// The records of a range after a step.
    fn records(&self, step: usize, range: &KeyRange) -> Vec<Record> {
        let records = self.moments[step].1.iter();
        records.filter(|record| range.contains(&record.key)).cloned().collect()
    }
}

fn everything() -> Result<KeyRange, Failure> {
    Ok(KeyRange::resource(&widgets())?)
}

fn check(page: &Page, expected: &[Record], limit: usize, at: Revision) -> Outcome {
    let shown = limit.min(expected.len());
    ensure_eq!(page.records, expected[..shown], "limit {limit} at {at}");
    ensure_eq!(page.remaining, (expected.len() - shown) as u64, "limit {limit} at {at}");
    Ok(())
}

/// Every prefix at every moment, with every limit.
pub(super) async fn lists_of_a_tree_at_every_moment(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let tree = Tree::plant(storage).await?;
    let mut ranges = vec![everything()?, KeyRange::key(&key("first", "bar"))];
    ranges.extend(["first", "second", "third", "empty", "non-existing"].map(namespace));
    for range in &ranges {
        for step in EMPTY..=NEWEST {
            let (at, expected) = (tree.revision(step), tree.records(step, range));
            for limit in [1, 2, 4, 5, 8, usize::MAX] {
                let page = storage.list(range, all().at(at).limit(limit)).await?;
                check(&page, &expected, limit, at)?;
                ensure_eq!(page.revision, at);
            }
        }
    }
    Ok(())
}

/// The newest state is at a revision of the whole store, whatever the range.
pub(super) async fn lists_of_a_tree_now(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let tree = Tree::plant(storage).await?;
    let mut ranges = vec![everything()?];
    ranges.extend(["first", "second", "third", "empty", "non-existing"].map(namespace));
    for range in &ranges {
        let expected = tree.records(NEWEST, range);
        for limit in [1, 2, 5, usize::MAX] {
            let page = storage.list(range, all().limit(limit)).await?;
            check(&page, &expected, limit, page.revision)?;
            ensure!(page.revision >= tree.revision(NEWEST), "a list at {}", page.revision);
            if lab.capabilities().dense {
                ensure_eq!(page.revision, tree.revision(NEWEST));
            }
        }
    }
    Ok(())
}

/// From behind each record on, at every moment: what continue tokens ask for.
pub(super) async fn pages_of_a_tree_go_on_at_every_moment(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let tree = Tree::plant(storage).await?;
    let range = everything()?;
    for step in FIRST_BAR..=NEWEST {
        let moment = tree.revision(step);
        let expected = tree.records(step, &range);
        for limit in [1, 2, 4] {
            let (mut rest, mut read) = (range.clone(), Vec::new());
            loop {
                let page = storage.list(&rest, all().at(moment).limit(limit)).await?;
                ensure_eq!(page.revision, moment);
                let Some(behind) = rest_of(&rest, &page) else { break };
                read.extend(page.records);
                ensure_eq!(page.remaining as usize, expected.len() - read.len());
                rest = behind;
            }
            ensure_eq!(read, expected, "in pages of {limit} at {moment}");
        }
        // Behind a key, between two keys, and at one that has been removed; then and now.
        let behind = |key: Key| [key.as_bytes(), b"\0"].concat().into();
        let starts: [Bytes; 4] = [
            behind(key("first", "bar")),
            behind(key("second", "foo")),
            key("second", "barzzz").to_bytes(),
            key("second", "baz").to_bytes(),
        ];
        for start in starts {
            let Some(rest) = range.starting_at(start.clone()) else { continue };
            for at in [all().at(moment), all()] {
                let step = if at.at.is_some() { step } else { NEWEST };
                let page = storage.list(&rest, at).await?;
                ensure_eq!(page.records, tree.records(step, &rest), "from {start:?} at {at:?}");
            }
        }
    }
    Ok(())
}

pub(super) async fn the_first_moments_of_a_tree_are_compacted(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let tree = Tree::plant(storage).await?;
    storage.compact(tree.revision(FIRST_BAR)).await?;
    let range = everything()?;
    for range in [&range, &namespace("first"), &namespace("empty")] {
        for options in [all(), all().limit(1)] {
            let old = tree.revision(EMPTY);
            ensure_matches!(
                storage.list(range, options.at(old)).await,
                Err(ReadError::Expired { requested, .. }) if requested == old
            );
        }
        for step in FIRST_BAR..=NEWEST {
            let at = tree.revision(step);
            let page = storage.list(range, all().at(at)).await?;
            ensure_eq!(page.records, tree.records(step, range), "at {at} after compaction");
        }
    }
    let far = Revision::new(tree.revision(NEWEST).get() + 1_000_000);
    for options in [all(), all().limit(1)] {
        let result = storage.list(&range, ListOptions { at: Some(far), ..options }).await;
        ensure_matches!(result, Err(ReadError::Future { requested, .. }) if requested == far);
    }
    Ok(())
}

/// A watch from each moment tells exactly what makes the last state of that one.
pub(super) async fn watches_of_a_tree_from_every_moment(lab: Lab) -> Outcome {
    let storage = &**lab.storage();
    let tree = Tree::plant(storage).await?;
    let last = tree.revision(NEWEST);
    let mut ranges = vec![everything()?, KeyRange::key(&key("second", "baz"))];
    ranges.extend(["first", "second", "third", "non-existing"].map(namespace));
    for range in &ranges {
        for step in EMPTY..=NEWEST {
            let mut state = tree.records(step, range);
            for event in history(storage, range, tree.revision(step), last).await? {
                let found = state.iter().position(|record| record.key == *event.key());
                let known = found.map(|index| state.remove(index));
                match event {
                    Event::Put { record, previous } => {
                        ensure_eq!(previous, known, "what {} replaced", record.key);
                        state.push(record);
                    }
                    Event::Delete { revision, previous } => {
                        ensure_eq!(Some(previous), known);
                        ensure_eq!(revision, tree.revision(REMOVED));
                    }
                }
            }
            state.sort_by(|a, b| a.key.cmp(&b.key));
            ensure_eq!(state, tree.records(NEWEST, range), "{range:?} from step {step}");
        }
    }
    // The second creation is the first event after the first one.
    let events = history(storage, &everything()?, tree.revision(FIRST_BAR), last).await?;
    ensure_eq!(events.first().map(Event::revision), Some(tree.revision(SECOND_BAR)));
    Ok(())
}
