//! Objects filed under what they are often asked for by, so that a selection need not look at all.
//!
//! What tenants see of a kind that lives elsewhere is always filed. Labels and selectable fields
//! are once selections by them have had to look at many objects for few ([`Indexes::wants`]), and
//! until nobody asks for them any more. A filed object costs one pointer, whatever the number of
//! values.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use milo_core::{definition::ResourceDefinition, key::KeyRange};

use super::{
    attribute::{Attribute, Filing},
    cached::Shared,
    objects::Objects,
};

/// A selection that looks at fewer objects than this in vain needs no index.
pub(super) const IN_VAIN: usize = 4096;
/// How often an attribute must have been missed before objects are filed by it.
const MISSED: u32 = 2;
/// How many attributes are filed by at most because they are asked for.
const ASKED_FOR: usize = 8;
/// How many attributes are remembered that have been missed.
const REMEMBERED: usize = 64;
/// After so many [rounds](Indexes::tidy) in which nobody asked, an attribute is filed by no longer.
const IDLE_ROUNDS: u32 = 10;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    kept: Vec<Index>,
    missed: HashMap<Attribute, u32>,
}

#[derive(Debug)]
struct Index {
    objects: Objects,
    /// Whether it stays though nobody asks for it.
    stays: bool,
    used: AtomicBool,
    idle: u32,
}

impl Index {
    fn new(objects: Objects, stays: bool) -> Self {
        Self { objects, stays, used: AtomicBool::new(true), idle: 0 }
    }

    fn is_by(&self, attribute: &Attribute) -> bool {
        self.objects.attribute() == Some(attribute)
    }
}

impl Indexes {
    /// Of a complete set of objects in key order: by what tenants see them by.
    pub(super) fn of(objects: &[Shared], definition: &ResourceDefinition) -> Self {
        let mut indexes = Self::default();
        for (_, view) in definition.views() {
            let Some(attribute) = Attribute::of_view(view, definition) else { continue };
            if !indexes.kept.iter().any(|index| index.is_by(&attribute)) {
                let filed = Objects::filed_by(attribute, objects.iter().cloned());
                indexes.kept.push(Index::new(filed, true));
            }
        }
        indexes
    }

    /// Files a change.
    pub(super) fn replace(&mut self, previous: Option<&Shared>, current: Option<&Shared>) {
        for index in &mut self.kept {
            index.objects.replace(previous, current);
        }
    }

    /// Of what objects are filed under, that which leaves the fewest in a range.
    pub(super) fn narrowest<'a>(
        &self,
        filings: &'a [Filing],
        range: &KeyRange,
    ) -> Option<(&Objects, &'a Filing)> {
        let filed = filings.iter().filter_map(|filing| {
            let index = self.kept.iter().find(|index| index.is_by(&filing.attribute))?;
            index.used.store(true, Ordering::Relaxed);
            Some((index.objects.walk_filed(&filing.value, range).len(), &index.objects, filing))
        });
        filed.min_by_key(|(count, ..)| *count).map(|(_, objects, filing)| (objects, filing))
    }

    /// Notes that a selection had to look at many objects in vain. The attribute that they should
    /// now be filed by, if that pays.
    pub(super) fn wants(&mut self, filings: &[Filing]) -> Option<Attribute> {
        let asked_for = self.kept.iter().filter(|index| !index.stays).count();
        let wanted = filings.iter().find(|filing| !self.has(&filing.attribute));
        let attribute = &wanted.filter(|_| asked_for < ASKED_FOR)?.attribute;
        if !self.missed.contains_key(attribute) && self.missed.len() >= REMEMBERED {
            self.missed.clear();
        }
        let missed = self.missed.entry(attribute.clone()).or_default();
        *missed += 1;
        // Once: whoever misses it next waits for this one.
        (*missed == MISSED).then(|| attribute.clone())
    }

    /// Takes over objects that have been filed by an attribute, up to date.
    pub(super) fn add(&mut self, objects: Objects) {
        if objects.attribute().is_some_and(|attribute| !self.has(attribute)) {
            self.kept.push(Index::new(objects, false));
        }
    }

    /// A round of looking for what nobody asks for any more.
    pub(super) fn tidy(&mut self) {
        self.kept.retain_mut(|index| {
            let used = index.used.swap(false, Ordering::Relaxed);
            index.idle = if used { 0 } else { index.idle + 1 };
            index.stays || index.idle < IDLE_ROUNDS
        });
        // What was missed seldom is forgotten, and what could not be filed is tried again.
        self.missed.clear();
    }

    fn has(&self, attribute: &Attribute) -> bool {
        self.kept.iter().any(|index| index.is_by(attribute))
    }

    /// By how many attributes objects are filed.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.kept.len()
    }
}
