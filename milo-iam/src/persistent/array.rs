//! An array of parts that copies share.

use std::sync::Arc;

/// How many parts a group has. Groups keep the list short that every copy duplicates.
const GROUP: usize = 256;

/// Parts by position, in groups.
#[derive(Clone, Debug)]
pub(crate) struct Array<T> {
    groups: Vec<Arc<Vec<Arc<T>>>>,
}

impl<T> Default for Array<T> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<T: Clone> Array<T> {
    /// How many parts there are.
    pub(crate) fn len(&self) -> usize {
        let Some(last) = self.groups.last() else { return 0 };
        (self.groups.len() - 1) * GROUP + last.len()
    }

    /// A part.
    pub(crate) fn get(&self, position: usize) -> Option<&T> {
        self.groups.get(position / GROUP)?.get(position % GROUP).map(|part| &**part)
    }

    /// A part, to change it. A copy is changed when somebody else holds the part.
    pub(crate) fn get_mut(&mut self, position: usize) -> Option<&mut T> {
        let group = Arc::make_mut(self.groups.get_mut(position / GROUP)?);
        group.get_mut(position % GROUP).map(Arc::make_mut)
    }

    /// Puts a part in the place of another.
    pub(crate) fn set(&mut self, position: usize, part: T) {
        if let Some(group) = self.groups.get_mut(position / GROUP)
            && let Some(place) = Arc::make_mut(group).get_mut(position % GROUP)
        {
            *place = Arc::new(part);
        }
    }

    /// Appends a part.
    pub(crate) fn push(&mut self, part: T) {
        let part = Arc::new(part);
        match self.groups.last_mut().filter(|group| group.len() < GROUP) {
            Some(group) => Arc::make_mut(group).push(part),
            None => self.groups.push(Arc::new(vec![part])),
        }
    }

    /// All parts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups.iter().flat_map(|group| group.iter()).map(|part| &**part)
    }

    /// The bytes of the array without its parts.
    pub(crate) fn memory(&self) -> usize {
        self.len() * (size_of::<usize>() + size_of::<T>() + 2 * size_of::<usize>())
    }
}
