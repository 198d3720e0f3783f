//! How much room the indexes take.

use super::index::Index;

impl Index {
    /// How many bytes the grants take.
    pub(super) fn memory_of_grants(&self) -> usize {
        self.by_node.memory() + self.by_subject.memory()
    }

    /// How many bytes it takes to find things by name.
    pub(super) fn memory_of_names(&self) -> usize {
        self.by_target.memory()
            + self.nodes.memory()
            + self.subjects.memory()
            + self.roles.memory()
            + self.places.memory()
            + self.identities.memory()
    }
}
