//! What stands between an applier and what it wants.

use std::fmt::Write as _;

use super::{
    entry::{Entry, Operation},
    set::FieldSet,
};
use crate::status::StatusError;

/// Fields that others own and that an applier wants to have another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts {
    managers: Vec<Conflict>,
}

/// The conflicts with one manager.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Conflict {
    /// As messages name it: `"kubectl" with subresource "status" using apps/v1`.
    manager: String,
    fields: Vec<String>,
}

/// Conflicts while they are found.
#[derive(Default)]
pub(super) struct Found<'a> {
    managers: Vec<(String, FieldSet<'a>)>,
}

impl<'a> Found<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.managers.is_empty()
    }

    pub(super) fn push(&mut self, entry: &Entry<'_>, fields: FieldSet<'a>) {
        self.managers.push((shown(entry), fields));
    }

    /// Leaves out what may be taken over without asking.
    pub(super) fn allow(&mut self, allowed: &FieldSet<'_>) {
        for (_, fields) in &mut self.managers {
            fields.remove(allowed);
        }
        self.managers.retain(|(_, fields)| !fields.is_empty());
    }

    pub(super) fn into_conflicts(self) -> Conflicts {
        let conflict =
            |(manager, set): (String, FieldSet<'_>)| Conflict { manager, fields: set.paths() };
        let mut managers: Vec<Conflict> = self.managers.into_iter().map(conflict).collect();
        managers.sort_by(|left, right| left.manager.cmp(&right.manager));
        Conflicts { managers }
    }
}

/// Appliers are the same in all versions, so theirs is not told.
fn shown(entry: &Entry<'_>) -> String {
    let mut text = format!("{:?}", entry.manager);
    // INVARIANT: writing to a string cannot fail.
    if !entry.subresource.is_empty() {
        let _ = write!(text, " with subresource {:?}", entry.subresource);
    }
    if entry.operation == Operation::Update {
        let _ = write!(text, " using {}", entry.api_version);
    }
    text
}

impl Conflicts {
    /// The text that clients print.
    #[must_use]
    pub fn message(&self) -> String {
        let count: usize = self.managers.iter().map(|conflict| conflict.fields.len()).sum();
        if let [Conflict { manager, fields }] = self.managers.as_slice()
            && let [field] = fields.as_slice()
        {
            return format!("Apply failed with 1 conflict: conflict with {manager}: {field}");
        }
        let lines = self.managers.iter().flat_map(|conflict| {
            let fields = conflict.fields.iter().map(|field| format!("- {field}"));
            std::iter::once(format!("conflicts with {}:", conflict.manager)).chain(fields)
        });
        let lines: Vec<String> = lines.collect();
        format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
    }

    /// One cause for each field: message, and path of the field.
    pub fn causes(&self) -> impl Iterator<Item = (String, &str)> {
        self.managers.iter().flat_map(|conflict| {
            let message = move || format!("conflict with {}", conflict.manager);
            conflict.fields.iter().map(move |field| (message(), field.as_str()))
        })
    }

    /// 409 `Conflict`, as clients expect it.
    #[must_use]
    pub fn to_status(&self) -> StatusError {
        let error = StatusError::new(409, "Conflict", self.message());
        self.causes().fold(error, |error, (message, field)| {
            error.with_cause("FieldManagerConflict", &message, field)
        })
    }
}
