//! Facts in the order of their keys.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use super::{
    Fact,
    records::Records,
    view::{FactRef, KeyRef, KindRef},
};
use crate::persistent::Order;

/// A set of facts, one for each key. To copy one costs little; see [`persistent`](crate::persistent).
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    records: Records,
    order: Order,
}

/// Facts that are sorted before they go where they belong.
const RUN: usize = 1 << 16;

impl Facts {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// How many numbers were given to facts; see [`at`](Self::at).
    pub(super) fn given(&self) -> u32 {
        self.records.given()
    }

    /// A fact by its number.
    pub(super) fn at(&self, number: u32) -> Option<FactRef<'_>> {
        self.records.at(number)
    }

    /// A fact by its number, to keep.
    pub(super) fn fact(&self, number: u32) -> Option<Arc<Fact>> {
        self.records.get(number)
    }

    /// The number of the fact with a key.
    pub(super) fn number(&self, key: KeyRef<'_>) -> Option<u32> {
        self.order.get(self.order.find(|number| self.compare(number, key)).ok()?)
    }

    fn compare(&self, number: u32, key: KeyRef<'_>) -> Ordering {
        // INVARIANT: what is in the order is there.
        self.at(number).map_or(Ordering::Equal, |fact| fact.key.cmp(&key))
    }

    /// Puts a fact in its place. The one that was there before.
    pub(super) fn insert(&mut self, fact: Arc<Fact>) -> Option<Arc<Fact>> {
        let key = KeyRef::from(fact.key());
        let place = self.order.find(|number| self.compare(number, key));
        let number = self.records.push(fact);
        match place {
            Ok(place) => {
                let old = self.order.get(place)?;
                let replaced = self.fact(old);
                self.order.set(place, number);
                self.records.forget(old);
                replaced
            }
            Err(place) => {
                self.order.insert(place, number);
                None
            }
        }
    }

    /// Takes the fact with a key out, if it is there.
    pub(super) fn remove(&mut self, key: KeyRef<'_>) -> Option<Arc<Fact>> {
        let place = self.order.find(|number| self.compare(number, key)).ok()?;
        let number = self.order.get(place)?;
        let removed = self.fact(number);
        self.order.remove(place);
        self.records.forget(number);
        removed
    }

    /// The numbers of all facts.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.from(Default::default())
    }

    /// Where among all the facts of a kind begin, and where they end.
    pub(super) fn range_of(&self, kind: KindRef<'_>) -> Range<usize> {
        let place = |others: fn(Ordering) -> Ordering| {
            let compare =
                |number| self.at(number).map_or(Ordering::Equal, |f| f.key.kind.cmp(&kind));
            self.order
                .before(self.order.find(|number| others(compare(number))).unwrap_or_else(|p| p))
        };
        let start = place(|order| order.then(Ordering::Greater));
        start..place(|order| order.then(Ordering::Less))
    }

    /// The numbers of the facts whose keys are not below `key`, or are above it.
    pub(super) fn from(
        &self,
        key: KeyRef<'_>,
        inclusive: bool,
    ) -> impl Iterator<Item = u32> + use<'_> {
        let found = self.order.find(|number| self.compare(number, key));
        let skip = usize::from(found.is_ok() && !inclusive);
        self.order.from(found.unwrap_or_else(|place| place)).skip(skip)
    }

    /// For each key, the fact here and the fact there, where they are not the same.
    pub(super) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (Option<Arc<Fact>>, Option<Arc<Fact>>)> + 'a {
        let compare = |here, there| match (self.at(here), other.at(there)) {
            (Some(here), Some(there)) => here.key.cmp(&there.key),
            // INVARIANT: what is in an order is there.
            _ => Ordering::Equal,
        };
        self.order.differences(&other.order, compare).filter_map(|(here, there)| {
            let here = here.and_then(|number| self.fact(number));
            let there = there.and_then(|number| other.fact(number));
            (here != there).then_some((here, there))
        })
    }

    /// Puts facts where they belong: fast when they come in the order of their keys, as lists do.
    fn extend(&mut self, run: &mut Vec<Arc<Fact>>) {
        run.sort_by(|a, b| a.key().cmp(b.key()));
        for fact in run.drain(..) {
            let last = self.order.last().and_then(|number| self.at(number));
            if last.is_some_and(|last| last.key >= KeyRef::from(fact.key())) {
                self.insert(fact);
            } else {
                let number = self.records.push(fact);
                self.order.push(number);
            }
        }
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        self.records.memory() + self.order.memory()
    }
}

/// Of several facts with one key the last one counts.
impl FromIterator<Arc<Fact>> for Facts {
    fn from_iter<T: IntoIterator<Item = Arc<Fact>>>(facts: T) -> Self {
        let mut all = Self::default();
        let mut run = Vec::new();
        for fact in facts {
            run.push(fact);
            if run.len() == RUN {
                all.extend(&mut run);
            }
        }
        all.extend(&mut run);
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{
        super::{Body, Key, KindName},
        *,
    };

    type Model = BTreeMap<Key, Arc<Fact>>;

    fn key(number: u16) -> Key {
        Key::new(KindName::new("g.io", "Thing"), &format!("{number:05}"))
    }

    fn fact(key: Key, version: u8) -> Fact {
        Fact::new(key, &version.to_string(), Body::Other)
    }

    fn check(facts: &Facts, model: &Model) {
        assert!(facts.order.is_well_formed());
        assert_eq!(facts.len(), model.len());
        let fact = |number| facts.fact(number).unwrap();
        assert!(facts.numbers().map(fact).eq(model.values().cloned()));
        let from = key(300);
        let all = facts.from((&from).into(), true).map(fact);
        assert!(all.eq(model.range(from.clone()..).map(|(_, fact)| fact.clone())));
        let above = model.range(from.clone()..).filter(|(key, _)| **key != from);
        let found = facts.from((&from).into(), false).map(fact);
        assert!(found.eq(above.map(|(_, fact)| fact.clone())));
    }

    proptest! {
        #[test]
        fn behaves_as_a_btree_map_and_so_do_its_copies(
            steps in prop::collection::vec((any::<bool>(), 0_u16..600, 0_u8..3), 0..1500),
            copied in 0_usize..1500,
        ) {
            let (mut facts, mut model) = (Facts::default(), Model::new());
            let mut kept = None;
            for (number, (put, at, version)) in steps.into_iter().enumerate() {
                if number == copied {
                    kept = Some((facts.clone(), model.clone()));
                }
                let key = key(at);
                if put || number % 3 == 0 {
                    let fact = Arc::new(fact(key.clone(), version));
                    prop_assert_eq!(facts.insert(fact.clone()), model.insert(key, fact));
                } else {
                    prop_assert_eq!(facts.remove((&key).into()), model.remove(&key));
                }
            }
            check(&facts, &model);
            let collected: Facts = model.values().cloned().collect();
            check(&collected, &model);
            prop_assert_eq!(facts.differences(&collected).count(), 0);
            if let Some((old, before)) = kept {
                check(&old, &before);
                let keys = before.keys().chain(model.keys()).collect::<std::collections::BTreeSet<_>>();
                let expected: Vec<_> = keys
                    .into_iter()
                    .map(|key| (before.get(key).cloned(), model.get(key).cloned()))
                    .filter(|(old, new)| old != new)
                    .collect();
                prop_assert_eq!(old.differences(&facts).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn the_last_of_several_counts() {
        let all = [fact(key(1), 0), fact(key(0), 1), fact(key(1), 2)].map(Arc::new);
        let facts: Facts = all.iter().cloned().collect();
        let found = facts.numbers().map(|number| facts.fact(number).unwrap());
        assert!(found.eq([all[1].clone(), all[2].clone()]));
    }
}
