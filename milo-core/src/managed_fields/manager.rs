//! Who writes.

use jiff::Timestamp;

use super::{element::Element, set::FieldSet};
use crate::meta;

/// Who writes, as `managedFields` records it.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    name: &'a str,
    api_version: &'a str,
    subresource: &'a str,
    time: Timestamp,
}

impl<'a> Manager<'a> {
    /// A manager that writes the object itself, now, in a version such as `apps/v1`. See
    /// [`default_manager`] for a request that names none; without any name it is `unknown`.
    #[must_use]
    pub fn new(name: &'a str, api_version: &'a str) -> Self {
        let name = if name.is_empty() { "unknown" } else { name };
        Self { name, api_version, subresource: "", time: meta::now_in_seconds() }
    }

    /// The same manager writing through a subresource.
    #[must_use]
    pub fn subresource(self, subresource: &'a str) -> Self {
        Self { subresource, ..self }
    }

    /// The same manager writing at a certain time.
    #[must_use]
    pub fn at(self, time: Timestamp) -> Self {
        Self { time: meta::in_seconds(time), ..self }
    }

    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    pub(super) fn api_version(&self) -> &'a str {
        self.api_version
    }

    pub(super) fn in_subresource(&self) -> &'a str {
        self.subresource
    }

    pub(super) fn time(&self) -> Timestamp {
        self.time
    }
}

/// Longest name of a manager, in bytes.
const LONGEST_NAME: usize = 128;

/// The manager of a write whose request names none: the program in `User-Agent`, what is before
/// the first slash, without unprintable characters.
///
/// ```
/// use milo_core::managed_fields::default_manager;
///
/// assert_eq!(default_manager("kubectl/v1.32.0 (linux/amd64)"), "kubectl");
/// assert_eq!(default_manager(""), "unknown");
/// ```
#[must_use]
pub fn default_manager(user_agent: &str) -> String {
    let program = user_agent.split('/').next().unwrap_or_default();
    let mut name = String::new();
    for character in program.chars().filter(|&character| meta::is_printable(character)) {
        if name.len() + character.len_utf8() > LONGEST_NAME {
            break;
        }
        name.push(character);
    }
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// Fields that a write may not change, because the server resets them: nobody comes to own them by
/// it.
#[derive(Clone, Debug)]
pub struct ResetFields {
    fields: Fields,
}

#[derive(Clone, Debug)]
enum Fields {
    Trees(FieldSet<'static>),
    AllBut(Vec<String>),
}

impl ResetFields {
    /// None: everything may be changed.
    #[must_use]
    pub fn none() -> Self {
        Self { fields: Fields::Trees(FieldSet::default()) }
    }

    /// Fields and all below them. A write of an object whose kind has the subresource `status` is
    /// `ResetFields::trees([["status"]])`.
    #[must_use]
    pub fn trees<P: AsRef<[&'static str]>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut set = FieldSet::default();
        for path in paths {
            set.insert(path.as_ref());
        }
        Self { fields: Fields::Trees(set) }
    }

    /// Everything but some fields of the object. A write of `status` is
    /// `ResetFields::all_but(["status"])`.
    #[must_use]
    pub fn all_but<S: Into<String>>(fields: impl IntoIterator<Item = S>) -> Self {
        Self { fields: Fields::AllBut(fields.into_iter().map(Into::into).collect()) }
    }

    /// Takes these fields out of a set.
    pub(super) fn filter(&self, set: &mut FieldSet<'_>) {
        match &self.fields {
            Fields::Trees(trees) => set.remove_trees(trees),
            Fields::AllBut(kept) => set.retain(
                |element| matches!(element, Element::Field(name) if kept.iter().any(|k| k == name)),
            ),
        }
    }
}
