//! Sets of fields: a trie of path steps.

use std::cmp::Ordering;

use super::element::Element;

/// A set of fields below some place. It borrows names from the values that it was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet<'a> {
    /// Sorted by step, none twice. Each is a member or has something below.
    entries: Vec<Entry<'a>>,
}

/// What a set knows of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) element: Element<'a>,
    /// The place itself is in the set.
    pub(super) member: bool,
    pub(super) below: FieldSet<'a>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(element: Element<'a>, member: bool, below: FieldSet<'a>) -> Self {
        Self { element, member, below }
    }

    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl<'a> FieldSet<'a> {
    /// From entries in any order. Of entries for one step all is kept; empty ones are dropped.
    pub(super) fn from_entries(mut entries: Vec<Entry<'a>>) -> Self {
        entries.retain(|entry| !entry.is_empty());
        if !entries.is_sorted_by(|left, right| left.element < right.element) {
            entries.sort_by(|left, right| left.element.cmp(&right.element));
            entries.dedup_by(|later, kept| {
                let same = later.element == kept.element;
                if same {
                    kept.member |= later.member;
                    let below = std::mem::take(&mut later.below);
                    kept.below = kept.below.union(&below);
                }
                same
            });
        }
        Self { entries }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// Changes entries in place. The steps must stay as they are.
    pub(super) fn entries_mut(&mut self) -> &mut [Entry<'a>] {
        &mut self.entries
    }

    pub(super) fn get(&self, element: &Element<'_>) -> Option<&Entry<'a>> {
        let found = self.entries.binary_search_by(|entry| entry.element.cmp(element)).ok()?;
        Some(&self.entries[found])
    }

    /// Keeps what is below the steps that `keep` likes.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Element<'a>) -> bool) {
        self.entries.retain(|entry| keep(&entry.element));
    }

    /// Whether all of this is in the other.
    pub(super) fn is_subset(&self, other: &FieldSet<'_>) -> bool {
        self.entries.iter().all(|entry| {
            other.get(&entry.element).is_some_and(|theirs| {
                (theirs.member || !entry.member) && entry.below.is_subset(&theirs.below)
            })
        })
    }

    /// What is in either.
    pub(super) fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        let mut entries = Vec::with_capacity(self.entries.len().max(other.entries.len()));
        let (mut ours, mut theirs) = (self.entries.as_slice(), other.entries.as_slice());
        while let ([left, left_rest @ ..], [right, right_rest @ ..]) = (ours, theirs) {
            match left.element.cmp(&right.element) {
                Ordering::Less => {
                    entries.push(left.clone());
                    ours = left_rest;
                }
                Ordering::Greater => {
                    entries.push(right.clone());
                    theirs = right_rest;
                }
                Ordering::Equal => {
                    let member = left.member || right.member;
                    let below = left.below.union(&right.below);
                    entries.push(Entry::new(left.element.clone(), member, below));
                    (ours, theirs) = (left_rest, right_rest);
                }
            }
        }
        entries.extend_from_slice(ours);
        entries.extend_from_slice(theirs);
        Self { entries }
    }

    /// What is in any. Many sets take no more than a little longer than their size.
    pub(super) fn union_all(mut sets: Vec<Self>) -> Self {
        while sets.len() > 1 {
            let unite = |pair: &[Self]| match pair {
                [left, right] => left.union(right),
                rest => rest.first().cloned().unwrap_or_default(),
            };
            sets = sets.chunks(2).map(unite).collect();
        }
        sets.pop().unwrap_or_default()
    }

    /// What is in both.
    pub(super) fn intersection(&self, other: &FieldSet<'_>) -> Self {
        let mut entries = Vec::new();
        self.each_shared(other, |ours, theirs| {
            let member = ours.member && theirs.member;
            let entry =
                Entry::new(ours.element.clone(), member, ours.below.intersection(&theirs.below));
            if !entry.is_empty() {
                entries.push(entry);
            }
        });
        Self { entries }
    }

    fn each_shared(&self, other: &FieldSet<'_>, mut visit: impl FnMut(&Entry<'a>, &Entry<'_>)) {
        let (mut ours, mut theirs) = (self.entries.as_slice(), other.entries.as_slice());
        while let ([left, left_rest @ ..], [right, right_rest @ ..]) = (ours, theirs) {
            match left.element.cmp(&right.element) {
                Ordering::Less => ours = from(left_rest, &right.element),
                Ordering::Greater => theirs = from(right_rest, &left.element),
                Ordering::Equal => {
                    visit(left, right);
                    (ours, theirs) = (left_rest, right_rest);
                }
            }
        }
    }

    /// Takes out what is in the other. What is below a place that is taken out stays.
    pub(super) fn remove(&mut self, other: &FieldSet<'_>) {
        self.remove_with(other, &|entry, theirs| {
            entry.member &= !theirs.member;
            entry.below.remove(&theirs.below);
        });
    }

    /// Takes out what is in the other, and all below it.
    pub(super) fn remove_trees(&mut self, other: &FieldSet<'_>) {
        self.remove_with(other, &|entry, theirs| {
            if theirs.member {
                entry.member = false;
                entry.below = FieldSet::default();
            } else {
                entry.below.remove_trees(&theirs.below);
            }
        });
    }

    fn remove_with(&mut self, other: &FieldSet<'_>, change: &impl Fn(&mut Entry<'a>, &Entry<'_>)) {
        if self.is_empty() || other.is_empty() {
            return;
        }
        let mut theirs = other.entries.as_slice();
        self.entries.retain_mut(|entry| {
            theirs = from(theirs, &entry.element);
            if let [first, ..] = theirs
                && first.element == entry.element
            {
                change(entry, first);
            }
            !entry.is_empty()
        });
    }

    /// A copy that borrows nothing.
    pub(super) fn into_owned(self) -> FieldSet<'static> {
        let entries = self.entries.into_iter().map(|entry| {
            Entry::new(entry.element.into_owned(), entry.member, entry.below.into_owned())
        });
        FieldSet { entries: entries.collect() }
    }

    /// Adds one path.
    pub(super) fn insert(&mut self, path: &[&'a str]) {
        let [first, rest @ ..] = path else { return };
        let element = Element::field(first);
        let place = match self.entries.binary_search_by(|entry| entry.element.cmp(&element)) {
            Ok(found) => found,
            Err(place) => {
                self.entries.insert(place, Entry::new(element, false, Self::default()));
                place
            }
        };
        let entry = &mut self.entries[place];
        if rest.is_empty() {
            entry.member = true;
        } else {
            entry.below.insert(rest);
        }
    }

    /// Whether a path of field names is a member.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        let [first, rest @ ..] = path else { return false };
        self.get(&Element::field(first))
            .is_some_and(|entry| if rest.is_empty() { entry.member } else { entry.below.has(rest) })
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.entries.iter().map(|entry| usize::from(entry.member) + entry.below.len()).sum()
    }

    /// The paths of all members as people read them: members of a place before what is below. As
    /// many as there is room for, which gets less by the bytes of each: below a long name, paths
    /// are together much longer than the set that they are of.
    pub(super) fn paths(&self, room: &mut usize) -> Vec<String> {
        let mut found = Vec::new();
        self.collect_paths("", room, &mut found);
        found
    }

    fn collect_paths(&self, prefix: &str, room: &mut usize, found: &mut Vec<String>) {
        for entry in self.entries.iter().filter(|entry| entry.member) {
            if *room == 0 {
                return;
            }
            let path = format!("{prefix}{}", entry.element);
            *room = room.saturating_sub(path.len());
            found.push(path);
        }
        for entry in self.entries.iter().filter(|entry| !entry.below.is_empty()) {
            if *room == 0 {
                return;
            }
            entry.below.collect_paths(&format!("{prefix}{}", entry.element), room, found);
        }
    }
}

/// The entries from a step on. Looks further and further ahead, so that a few steps are found among
/// many without passing all of them, and many among many in a little more than passing them.
fn from<'e, 'a>(entries: &'e [Entry<'a>], element: &Element<'_>) -> &'e [Entry<'a>] {
    let is_before = |entry: &Entry<'_>| entry.element < *element;
    let mut ahead = 1;
    while entries.get(ahead - 1).is_some_and(is_before) {
        ahead *= 2;
    }
    let (start, end) = (ahead / 2, ahead.min(entries.len()));
    &entries[start + entries[start..end].partition_point(is_before)..]
}
