//! What objects can be filed under besides their key.

use std::sync::Arc;

use milo_core::definition::{ResourceDefinition, View};

/// A label, or a field that the kind declares selectable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Attribute {
    /// A label, by its key.
    Label(Arc<str>),
    /// A selectable field, by its place in the kind's list of them.
    Field(usize),
    /// `metadata.name`.
    Name,
    /// `metadata.namespace`.
    Namespace,
}

/// An attribute and a value of it: the objects that have it are filed together. No object is filed
/// under an empty value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filing {
    pub(super) attribute: Attribute,
    pub(super) value: Arc<str>,
}

impl Attribute {
    /// The field that a selector calls `path`; none when the kind has no such field.
    pub(super) fn field(path: &str, definition: &ResourceDefinition) -> Option<Self> {
        match path {
            "metadata.name" => Some(Self::Name),
            "metadata.namespace" => Some(Self::Namespace),
            path => {
                let mut fields = definition.selectable_fields().iter();
                fields.position(|field| field.label() == path).map(Self::Field)
            }
        }
    }

    /// What a view tells tenants apart by.
    pub(super) fn of_view(view: &View, definition: &ResourceDefinition) -> Option<Self> {
        match view {
            View::Label(key) | View::LabelUid(key) => Some(Self::Label(key.as_str().into())),
            View::Field(path) => Self::field(path, definition),
            _ => None,
        }
    }
}
