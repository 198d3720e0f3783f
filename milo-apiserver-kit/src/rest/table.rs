//! Tables that a kind lays out itself.

use milo_core::{definition::ColumnKind, object::Object};
use serde_json::Value;

/// Shows objects as rows of its own making, as `kubectl get` prints them. Without it, the columns
/// of the kind's definition are shown.
pub trait Table: Send + Sync + 'static {
    /// The columns that follow the name.
    fn columns(&self) -> Vec<TableColumn>;

    /// What these columns show of an object, one cell for each. Cells are shown as they are: the
    /// time that has passed since a moment is written as text.
    fn cells(&self, object: &Object) -> Vec<Value>;
}

/// A column of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TableColumn {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
    pub(crate) description: String,
    pub(crate) priority: i32,
}

impl TableColumn {
    /// A column that is always shown.
    pub fn new(name: impl Into<String>, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind, description: String::new(), priority: 0 }
    }

    /// Describes the column.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Above 0, the column is shown in wide tables only.
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }
}
