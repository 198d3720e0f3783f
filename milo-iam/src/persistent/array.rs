//! An array of parts that copies share.

use std::sync::Arc;

/// How many parts a group has. Groups keep the list short that every copy duplicates.
const GROUP: usize = 128;

/// Parts by position, in groups. A part may be a slice: there is no pointer more than needed between
/// the array and what is in a part.
#[derive(Debug)]
pub(crate) struct Array<T: ?Sized> {
    groups: Vec<Arc<[Arc<T>]>>,
}

impl<T: ?Sized> Default for Array<T> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<T: ?Sized> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self { groups: self.groups.clone() }
    }
}

impl<T: ?Sized> Array<T> {
    /// How many parts there are.
    pub(crate) fn len(&self) -> usize {
        let Some(last) = self.groups.last() else { return 0 };
        (self.groups.len() - 1) * GROUP + last.len()
    }

    /// A part.
    #[inline]
    pub(crate) fn get(&self, position: usize) -> Option<&T> {
        self.groups.get(position / GROUP)?.get(position % GROUP).map(|part| &**part)
    }

    /// Puts a part in the place of another.
    pub(crate) fn set(&mut self, position: usize, part: Arc<T>) {
        if let Some(group) = self.groups.get_mut(position / GROUP)
            && let Some(place) = Arc::make_mut(group).get_mut(position % GROUP)
        {
            *place = part;
        }
    }

    /// Appends a part.
    pub(crate) fn push(&mut self, part: Arc<T>) {
        match self.groups.last_mut().filter(|group| group.len() < GROUP) {
            Some(group) => *group = group.iter().cloned().chain([part]).collect(),
            None => self.groups.push(Arc::new([part])),
        }
    }

    /// All parts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups.iter().flat_map(|group| group.iter()).map(|part| &**part)
    }

    /// The bytes of the array without its parts, but with what the allocator and the count of
    /// references take for each.
    pub(crate) fn memory(&self) -> usize {
        self.len() * (size_of::<Arc<T>>() + 3 * size_of::<usize>())
    }
}

impl<T: Clone> Array<T> {
    /// A part, to change it. A copy is changed when somebody else holds the part.
    pub(crate) fn get_mut(&mut self, position: usize) -> Option<&mut T> {
        let group = Arc::make_mut(self.groups.get_mut(position / GROUP)?);
        group.get_mut(position % GROUP).map(Arc::make_mut)
    }
}

impl<T: ?Sized> FromIterator<Arc<T>> for Array<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(parts: I) -> Self {
        let mut parts = parts.into_iter();
        let group = || Some(parts.by_ref().take(GROUP).collect::<Arc<[_]>>());
        let groups = std::iter::from_fn(group).take_while(|group| !group.is_empty());
        Self { groups: groups.collect() }
    }
}
