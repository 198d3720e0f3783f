//! Lists of numbers by name: most are short, and some may be as long as somebody wants.

use std::{hash::Hash, sync::Arc};

use crate::persistent::{Fingerprint, Table};

/// So many numbers need no room of their own.
const FEW: usize = 5;

/// Stands for no number.
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
enum Numbers {
    Few([u32; FEW]),
    /// In order.
    Many(Arc<Vec<u32>>),
}

impl Numbers {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::Few(few) => {
                let len = few.iter().position(|number| *number == NONE).unwrap_or(FEW);
                few.get(..len).unwrap_or_default()
            }
            Self::Many(many) => many,
        }
    }

    fn of(numbers: Vec<u32>) -> Self {
        if numbers.len() > FEW {
            return Self::Many(Arc::new(numbers));
        }
        let mut few = [NONE; FEW];
        few.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
        Self::Few(few)
    }

    fn add(&mut self, number: u32) {
        if let Self::Many(many) = self {
            let place = many.partition_point(|other| *other < number);
            return Arc::make_mut(many).insert(place, number);
        }
        let mut numbers = self.as_slice().to_vec();
        numbers.insert(numbers.partition_point(|other| *other < number), number);
        *self = Self::of(numbers);
    }

    fn remove(&mut self, number: u32) {
        let Ok(place) = self.as_slice().binary_search(&number) else { return };
        if let Self::Many(many) = self
            && many.len() > FEW + 1
        {
            Arc::make_mut(many).remove(place);
        } else {
            let others = self.as_slice().iter().copied().filter(|other| *other != number);
            *self = Self::of(others.collect());
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    lists: Table<(Fingerprint, Numbers)>,
}

fn hash((name, _): &(Fingerprint, Numbers)) -> u64 {
    name.hash()
}

impl Lists {
    pub(super) fn for_entries(expected: usize) -> Self {
        Self { lists: Table::for_entries(expected) }
    }

    /// The numbers with a name, in order.
    pub(super) fn get<T: Hash + ?Sized>(&self, name: &T) -> &[u32] {
        let name = Fingerprint::of(name);
        let found = self.lists.find(name.hash(), |(known, _)| *known == name);
        found.map(|(_, numbers)| numbers.as_slice()).unwrap_or_default()
    }

    /// Adds a number under a name.
    pub(super) fn add<T: Hash + ?Sized>(&mut self, name: &T, number: u32) {
        let name = Fingerprint::of(name);
        let is_it = |(known, _): &(Fingerprint, Numbers)| *known == name;
        match self.lists.find_mut(name.hash(), is_it) {
            Some((_, numbers)) => numbers.add(number),
            None => self.lists.add(name.hash(), (name, Numbers::of(vec![number])), hash),
        }
    }

    /// Takes a number out that is under a name.
    pub(super) fn remove<T: Hash + ?Sized>(&mut self, name: &T, number: u32) {
        let name = Fingerprint::of(name);
        let is_it = |(known, _): &(Fingerprint, Numbers)| *known == name;
        let Some((_, numbers)) = self.lists.find_mut(name.hash(), is_it) else { return };
        numbers.remove(number);
        if numbers.as_slice().is_empty() {
            self.lists.remove(name.hash(), is_it);
        }
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        let many = |(_, numbers): &(Fingerprint, Numbers)| match numbers {
            Numbers::Few(_) => 0,
            Numbers::Many(many) => 56 + many.capacity() * size_of::<u32>(),
        };
        self.lists.memory() + self.lists.iter().map(many).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_are_sets_by_name(
            steps in prop::collection::vec((0u8..3, 0u32..20, any::<bool>()), 0..300),
        ) {
            let mut lists = Lists::for_entries(0);
            let mut expected = BTreeMap::<u8, BTreeSet<u32>>::new();
            for (name, number, add) in steps {
                let set = expected.entry(name).or_default();
                if add && set.insert(number) {
                    lists.add(&name, number);
                } else if !add {
                    set.remove(&number);
                    lists.remove(&name, number);
                }
                let wanted: Vec<u32> = set.iter().copied().collect();
                prop_assert_eq!(lists.get(&name), &wanted);
            }
        }
    }
}
