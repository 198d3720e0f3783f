//! How much room the indexes take.

use crate::persistent::Table;

use super::{index::Index, tenant::Tenant};

impl Index {
    /// How many bytes the grants take.
    pub(super) fn memory_of_grants(&self) -> usize {
        self.by_node.memory() + self.by_subject.memory()
    }

    /// How many bytes it takes to find things by name.
    pub(super) fn memory_of_names(&self) -> usize {
        let tables = [&self.by_target, &self.users, &self.accounts];
        let tenants = self.tenants.memory() + self.projects.memory() + self.kinds_of.memory();
        tables.into_iter().map(Table::memory).sum::<usize>()
            + tenants
            + self.tenants.iter().count() * (size_of::<Tenant>() + 128)
            + self.nodes.memory()
            + self.subjects.memory()
            + self.roles.memory()
            + self.groups.memory()
            + self.of_user.memory()
            + self.in_group.memory()
            + self.named.memory()
            + self.identities.memory()
            + self.members.memory()
    }
}
