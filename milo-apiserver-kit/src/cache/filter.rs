//! Which objects a read means.

use milo_core::definition::ResourceDefinition;

use super::cached::Cached;
use crate::request::options::Selection;

/// What a client selects, within what can be seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Looked at first: most objects of a kind belong to other tenants, and finding that out costs
    /// little, whatever the client selects.
    view: Selection,
    selection: Selection,
}

impl Filter {
    /// What the client selects, of what `view` lets it see.
    pub(crate) fn new(view: Selection, selection: Selection) -> Self {
        Self { view, selection }
    }

    /// The same view with another selection.
    pub(crate) fn selecting(&self, selection: Selection) -> Self {
        Self { view: self.view.clone(), selection }
    }

    /// What can be seen.
    pub(crate) fn view(&self) -> &Selection {
        &self.view
    }

    /// Whether every object is meant.
    pub(crate) fn is_everything(&self) -> bool {
        [&self.view, &self.selection]
            .into_iter()
            .all(|selection| selection.labels.is_everything() && selection.fields.is_everything())
    }

    pub(crate) fn matches(&self, object: &Cached, definition: &ResourceDefinition) -> bool {
        object.matches(&self.view, definition) && object.matches(&self.selection, definition)
    }
}
