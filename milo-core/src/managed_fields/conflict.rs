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
    /// How many fields there are, with those that are not told.
    count: usize,
}

/// How many bytes are told. Nobody reads that much; and of a large object, or of ten thousand
/// managers, it could be more than fits into memory.
const ROOM: usize = 256 << 10;

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
        let mut found = self.managers;
        found.sort_by(|left, right| left.0.cmp(&right.0));
        let count = found.iter().map(|(_, set)| set.len()).sum();
        let mut room = ROOM;
        let mut managers = Vec::new();
        for (manager, set) in found {
            room = room.saturating_sub(manager.len());
            if room == 0 {
                break;
            }
            managers.push(Conflict { manager, fields: set.paths(&mut room) });
        }
        Conflicts { managers, count }
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
        if self.count == 1
            && let [Conflict { manager, fields }] = self.managers.as_slice()
            && let [field] = fields.as_slice()
        {
            return format!("Apply failed with 1 conflict: conflict with {manager}: {field}");
        }
        let lines = self.managers.iter().flat_map(|conflict| {
            let fields = conflict.fields.iter().map(|field| format!("- {field}"));
            std::iter::once(format!("conflicts with {}:", conflict.manager)).chain(fields)
        });
        let mut lines: Vec<String> = lines.collect();
        let told: usize = self.managers.iter().map(|conflict| conflict.fields.len()).sum();
        if told < self.count {
            lines.push(format!("and {} more", self.count - told));
        }
        format!("Apply failed with {} conflicts: {}", self.count, lines.join("\n"))
    }

    /// One cause for each field that is told: message, and path of the field.
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
