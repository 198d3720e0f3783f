//! Server-side apply.

use serde_json::{Map, Value};

use super::{
    compare::{self, Changes},
    conflict::{Conflicts, Found},
    entry::{self, Entry, Operation},
    fields, last_applied,
    manager::{Manager, ResetFields},
    merge,
    problem::{self, Problem},
    prune,
    set::FieldSet,
    update::{FIELD, exclude, is_owned_by_nobody, managed_fields},
};
use crate::{
    object::Object,
    schema::{Schema, shape::MapShape},
    status::StatusError,
};

/// Why a configuration was not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The request is wrong, whatever the schema says.
    #[error("{0}")]
    Request(String),
    /// The configuration does not fit the schema.
    #[error("{0}")]
    Invalid(String),
    /// Others own what the configuration would change.
    #[error("{}", .0.message())]
    Conflicts(Conflicts),
    /// Items of a list in the stored object have no keys, so nothing can be merged.
    #[error("{0}")]
    Live(String),
}

impl ApplyError {
    /// What the client is answered: 400, 409, or 500.
    #[must_use]
    pub fn to_status(&self) -> StatusError {
        match self {
            Self::Request(text) | Self::Invalid(text) => StatusError::bad_request(text.as_str()),
            Self::Conflicts(conflicts) => conflicts.to_status(),
            Self::Live(text) => StatusError::internal(text),
        }
    }
}

/// Who owns the fields of an object that was not tracked before its first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Server-side apply: merges `config` into `live`, none of which is a create, and returns the
/// object with its `managedFields`; it equals `live` if nothing changed. Defaults are not applied,
/// and what the server decides of metadata is not decided.
///
/// With `force`, what others own is taken from them; otherwise it is refused.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply(
    schema: &Schema,
    live: Option<&Object>,
    config: &Object,
    manager: &Manager<'_>,
    reset: &ResetFields,
    force: bool,
) -> Result<Object, ApplyError> {
    check_request(config, manager)?;
    let shape = schema.shape();
    let set = fields::of_config(shape, config.fields())
        .map_err(|problems| ApplyError::Invalid(untyped("patch", config, &problems)))?;
    let mut apply = Apply { shape, live, config, manager, reset, force };
    let mut applied = apply.run(set)?;
    last_applied::update(&mut applied, config, manager);
    Ok(applied)
}

fn check_request(config: &Object, manager: &Manager<'_>) -> Result<(), ApplyError> {
    let (version, expected) = (config.api_version(), manager.api_version());
    if version != expected {
        return Err(ApplyError::Request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, \
             expected: {expected}"
        )));
    }
    if managed_fields(config).is_some_and(|value| !value.is_null()) {
        return Err(ApplyError::Request("metadata.managedFields must be nil".to_owned()));
    }
    Ok(())
}

/// `failed to create typed patch object (ns/name; g/v, Kind=K): ...`
fn untyped(what: &str, object: &Object, problems: &[Problem]) -> String {
    format!(
        "failed to create typed {what} object ({}/{}; {}, Kind={}): {}",
        object.namespace(),
        object.name(),
        object.api_version(),
        object.kind(),
        problem::list(problems)
    )
}

/// One request.
struct Apply<'a> {
    shape: &'a MapShape,
    live: Option<&'a Object>,
    config: &'a Object,
    manager: &'a Manager<'a>,
    reset: &'a ResetFields,
    force: bool,
}

impl<'a> Apply<'a> {
    fn run(&mut self, mut set: FieldSet<'a>) -> Result<Object, ApplyError> {
        self.reset.filter(&mut set);
        let mut entries = self.entries()?;
        let last = self.take_last(&mut entries);
        let Merged { mut object, mut changed } = self.merge()?;
        if self.prune(&mut object, &set, last.as_ref(), &mut entries) {
            // What is emptied goes, unless it is applied as empty.
            self.merge_into(&mut object)?;
            changed = true;
        }
        if changed {
            self.take_over(&object, &mut entries)?;
        }
        let own = self.own(set, last, changed);
        entries.extend(own);
        if let Some(managed_fields) = entry::encode(entries) {
            object.metadata_mut().insert(FIELD.to_owned(), managed_fields);
        }
        Ok(object)
    }

    /// What is recorded of the live object.
    fn entries(&self) -> Result<Vec<Entry<'a>>, ApplyError> {
        let Some(live) = self.live else { return Ok(Vec::new()) };
        let entries = entry::decode(managed_fields(live)).unwrap_or_default();
        if !entries.is_empty() || is_owned_by_nobody(live) {
            return Ok(entries);
        }
        let mut changes = compare::objects(self.shape, None, Some(live.fields()))
            .map_err(|problem| live_error(live, problem))?;
        exclude(self.reset, &mut changes);
        let (version, subresource) = (self.manager.api_version(), self.manager.in_subresource());
        let set = changes.set;
        let mut before =
            Entry::new(BEFORE_FIRST_APPLY, Operation::Update, version, subresource, set);
        before.touch(self.manager.time());
        Ok(vec![before])
    }

    /// Takes out what the manager applied before.
    fn take_last(&self, entries: &mut Vec<Entry<'a>>) -> Option<Entry<'a>> {
        let (name, subresource) = (self.manager.name(), self.manager.in_subresource());
        let last = entries.iter().position(|e| e.is(name, Operation::Apply, subresource))?;
        Some(entries.swap_remove(last))
    }

    /// The live object with the configuration in it, without `managedFields`.
    fn merge(&self) -> Result<Merged, ApplyError> {
        let Some(live) = self.live else {
            let mut object = self.config.clone();
            object.metadata_mut().remove(FIELD);
            return Ok(Merged { object, changed: true });
        };
        let mut object = without_managed_fields(live)?;
        let changed = self.merge_into(&mut object)?;
        object.metadata_mut().remove(FIELD);
        Ok(Merged { object, changed })
    }

    fn merge_into(&self, object: &mut Object) -> Result<bool, ApplyError> {
        let merged = merge::objects(self.shape, object.fields_mut(), self.config.fields());
        merged.map_err(|problem| live_error(self.live.unwrap_or(self.config), problem))
    }

    /// Removes what the manager does not apply any more. Tells whether something may be gone.
    fn prune(
        &self,
        object: &mut Object,
        set: &FieldSet<'a>,
        last: Option<&Entry<'a>>,
        entries: &mut [Entry<'a>],
    ) -> bool {
        let Some(last) = last.filter(|last| last.api_version == self.manager.api_version()) else {
            return false;
        };
        let mut last = last.clone();
        let last = last.set(self.shape);
        if last.is_subset(set) {
            return false;
        }
        let sets = entries.iter_mut().map(|entry| entry.set(self.shape).clone());
        let owned = FieldSet::union_all(sets.chain([set.clone()]).collect());
        prune::objects(self.shape, object.fields_mut(), last, &owned);
        true
    }

    /// Takes from all others what changed, if that is allowed.
    fn take_over(&self, object: &Object, entries: &mut [Entry<'a>]) -> Result<(), ApplyError> {
        let Some(live) = self.live else { return Ok(()) };
        let mut changes = compare::objects(self.shape, Some(live.fields()), Some(object.fields()))
            .map_err(|problem| live_error(live, problem))?;
        exclude(self.reset, &mut changes);
        if changes.is_empty() {
            return Ok(());
        }
        let version = self.manager.api_version();
        let same_version = |entry: &&mut Entry<'a>| entry.api_version == version;
        let mut conflicts = Found::default();
        for entry in entries.iter_mut().filter(same_version) {
            let taken = entry.set(self.shape).intersection(&changes.set);
            if !taken.is_empty() {
                conflicts.push(entry, taken);
            }
        }
        if !self.force && !conflicts.is_empty() {
            self.refuse(live, conflicts)?;
        }
        let Changes { set, removed } = &changes;
        for entry in entries.iter_mut().filter(same_version) {
            entry.set(self.shape).remove(set);
            entry.set(self.shape).remove(removed);
        }
        Ok(())
    }

    /// Refuses, unless the manager had these values applied on the client's side before.
    fn refuse(&self, live: &Object, mut conflicts: Found<'_>) -> Result<(), ApplyError> {
        if let Some(allowed) = last_applied::values(self.shape, live, self.manager) {
            conflicts.allow(&allowed);
        }
        if conflicts.is_empty() {
            return Ok(());
        }
        Err(ApplyError::Conflicts(conflicts.into_conflicts()))
    }

    /// What the manager owns now. The time moves only if something did.
    fn own(&self, set: FieldSet<'a>, last: Option<Entry<'a>>, changed: bool) -> Option<Entry<'a>> {
        if set.is_empty() {
            return None;
        }
        let (name, version) = (self.manager.name(), self.manager.api_version());
        if let Some(mut last) = last
            && !changed
            && last.api_version == version
            && *last.set(self.shape) == set
        {
            return Some(last);
        }
        let subresource = self.manager.in_subresource();
        let mut own = Entry::new(name, Operation::Apply, version, subresource, set);
        own.touch(self.manager.time());
        Some(own)
    }
}

struct Merged {
    object: Object,
    changed: bool,
}

/// A copy that leaves out what is replaced anyway, and is large.
fn without_managed_fields(live: &Object) -> Result<Object, ApplyError> {
    let copy = |fields: &Map<String, Value>| -> Map<String, Value> {
        let kept = fields.iter().filter(|(name, _)| *name != FIELD);
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let field = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        ("metadata", Value::Object(fields)) => (name.clone(), Value::Object(copy(fields))),
        _ => (name.clone(), value.clone()),
    };
    let fields: Map<String, Value> = live.fields().iter().map(field).collect();
    Object::from_value(Value::Object(fields)).map_err(|error| ApplyError::Live(error.to_string()))
}

fn live_error(live: &Object, problem: Problem) -> ApplyError {
    ApplyError::Live(untyped("live", live, &[problem]))
}
