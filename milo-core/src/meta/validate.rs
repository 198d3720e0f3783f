//! Whether metadata says something that is allowed.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    at, dns_label_name,
    names::{label_value_problems, qualified_name_problems},
};
use crate::{
    object::Object,
    status::{FieldError, FieldPath},
};

/// Keys and values of all annotations together, in bytes.
const LARGEST_ANNOTATIONS: usize = 262_144;
const LONGEST_MANAGER: usize = 128;
const LONGEST_SUBRESOURCE: usize = 256;
/// Nobody reads more errors about one object, and each is far longer than what it takes to cause it.
const MOST_ERRORS: usize = 100;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What is wrong with the metadata of an object that is about to be created.
///
/// Values of the wrong JSON type are skipped: [`validate_shape`](super::validate_shape) reports
/// them. `namespaced` is whether objects of the kind live in namespaces. `validate_name` is a
/// [`NameRule`](super::NameRule), or something that holds one. After about a hundred errors it
/// stops looking.
#[must_use]
pub fn validate(
    object: &Object,
    namespaced: bool,
    validate_name: impl Fn(&str, bool) -> Vec<String>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    names(object, validate_name, &mut errors);
    namespace(object.namespace(), namespaced, &mut errors);
    if let Some(metadata) = object.metadata() {
        contents(metadata, &mut errors);
    }
    errors
}

/// The rules that hold for new and for changed objects.
pub(super) fn contents(metadata: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    // One walk over what is there is quicker than looking up what might be.
    for (field, value) in metadata {
        match (field.as_str(), value) {
            ("generation", Value::Number(number)) => generation(number.as_i64(), errors),
            ("labels", Value::Object(map)) => labels(map, errors),
            ("annotations", Value::Object(map)) => annotations(map, errors),
            ("finalizers", Value::Array(list)) => finalizers(list, errors),
            ("ownerReferences", Value::Array(list)) => owner_references(list, errors),
            ("managedFields", Value::Array(list)) => managed_fields(list, errors),
            _ => {}
        }
    }
}

/// What is wrong with `metadata.managedFields`: with its entries, not with what they own.
#[must_use]
pub fn validate_managed_fields(object: &Object) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let entries = object.metadata().and_then(|metadata| metadata.get("managedFields"));
    match entries {
        Some(Value::Array(list)) => managed_fields(list, &mut errors),
        None | Some(Value::Null) => {}
        Some(other) => {
            let problem = "must be a list of entries";
            errors.push(FieldError::invalid(at("managedFields"), other.clone(), problem));
        }
    }
    errors
}

/// What is wrong with the name of a field manager: each character that cannot be printed, and its
/// length above 128 bytes.
#[must_use]
pub fn validate_field_manager(manager: &str, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    field_manager(manager, || path.clone(), &mut errors);
    errors
}

/// Warnings for finalizers that might be anyone's, because no domain says whose they are. On
/// update, those that were there before are not told again.
#[must_use]
pub fn finalizer_warnings(object: &Object, old: Option<&Object>) -> Vec<String> {
    let known: HashSet<&str> = old.into_iter().flat_map(Object::finalizers).collect();
    object
        .finalizers()
        .filter(|name| !name.contains('/') && !matches!(*name, ORPHAN | FOREGROUND | "kubernetes"))
        .filter(|name| !known.contains(name))
        .take(MOST_ERRORS)
        .map(|name| {
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name \
                 including a path (/) to avoid accidental conflicts with other finalizer writers"
            )
        })
        .collect()
}

fn names(
    object: &Object,
    validate_name: impl Fn(&str, bool) -> Vec<String>,
    errors: &mut Vec<FieldError>,
) {
    let (name, base) = (object.name(), object.meta("generateName"));
    if !base.is_empty() {
        invalid(errors, || at("generateName"), base, validate_name(base, true));
    }
    if name.is_empty() {
        errors.push(FieldError::required(at("name"), "name or generateName is required"));
    } else {
        invalid(errors, || at("name"), name, validate_name(name, false));
    }
}

fn namespace(namespace: &str, namespaced: bool, errors: &mut Vec<FieldError>) {
    match (namespaced, namespace) {
        (true, "") => errors.push(FieldError::required(at("namespace"), "")),
        (true, name) => {
            invalid(errors, || at("namespace"), name, dns_label_name(name, false));
        }
        (false, "") => {}
        (false, _) => {
            errors.push(FieldError::forbidden(at("namespace"), "not allowed on this type"));
        }
    }
}

fn generation(generation: Option<i64>, errors: &mut Vec<FieldError>) {
    if let Some(generation @ ..0) = generation {
        let problem = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(at("generation"), generation, problem));
    }
}

fn labels(map: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    for (key, value) in strings(map) {
        if errors.len() >= MOST_ERRORS {
            return;
        }
        invalid(errors, || at("labels"), key, qualified_name_problems(key, false));
        invalid(errors, || at("labels"), value, label_value_problems(value));
    }
}

fn annotations(map: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in strings(map) {
        if errors.len() >= MOST_ERRORS {
            return;
        }
        size += key.len() + value.len();
        invalid(errors, || at("annotations"), key, qualified_name_problems(key, true));
    }
    if size > LARGEST_ANNOTATIONS {
        errors.push(FieldError::too_long(at("annotations"), LARGEST_ANNOTATIONS));
    }
}

fn finalizers(list: &[Value], errors: &mut Vec<FieldError>) {
    let (mut orphan, mut foreground) = (false, false);
    for name in list.iter().filter_map(Value::as_str) {
        if errors.len() >= MOST_ERRORS {
            return;
        }
        orphan |= name == ORPHAN;
        foreground |= name == FOREGROUND;
        invalid(errors, || at("finalizers"), name, qualified_name_problems(name, false));
    }
    if orphan && foreground {
        let problem = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(at("finalizers"), list, problem));
    }
}

fn owner_references(list: &[Value], errors: &mut Vec<FieldError>) {
    let mut controller: Option<&Value> = None;
    let mut several = false;
    for (index, owner) in list.iter().enumerate() {
        if errors.len() >= MOST_ERRORS {
            return;
        }
        owner_reference(owner, || at("ownerReferences").index(index), errors);
        // The list is shown with the error, so once is enough.
        if several || owner.get("controller") != Some(&Value::Bool(true)) {
            continue;
        }
        if let Some(first) = controller {
            let problem = format!(
                "Only one reference can have Controller set to true. Found \"true\" in \
                 references for {}/{} and {}/{}",
                text(first, "kind"),
                text(first, "name"),
                text(owner, "kind"),
                text(owner, "name"),
            );
            errors.push(FieldError::invalid(at("ownerReferences"), list, problem));
            several = true;
        } else {
            controller = Some(owner);
        }
    }
}

fn owner_reference(owner: &Value, path: impl Fn() -> FieldPath, errors: &mut Vec<FieldError>) {
    let api_version = text(owner, "apiVersion");
    let version = api_version.rsplit('/').next().unwrap_or_default();
    if version.is_empty() || api_version.matches('/').count() > 1 {
        let problem = "version must not be empty";
        errors.push(FieldError::invalid(path().child("apiVersion"), api_version, problem));
    }
    for field in ["kind", "name", "uid"] {
        if text(owner, field).is_empty() {
            errors.push(FieldError::invalid(path().child(field), "", "must not be empty"));
        }
    }
    if api_version == "v1" && text(owner, "kind") == "Event" {
        let problem = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(FieldError::invalid(path(), owner.clone(), problem));
    }
}

fn managed_fields(list: &[Value], errors: &mut Vec<FieldError>) {
    for (index, entry) in list.iter().enumerate() {
        if errors.len() >= MOST_ERRORS {
            return;
        }
        let path = |field| at("managedFields").index(index).child(field);
        let operation = text(entry, "operation");
        if !matches!(operation, "Apply" | "Update") {
            let problem = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(path("operation"), operation, problem));
        }
        let fields_type = text(entry, "fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            let problem = "must be `FieldsV1`";
            errors.push(FieldError::invalid(path("fieldsType"), fields_type, problem));
        }
        field_manager(text(entry, "manager"), || path("manager"), errors);
        if text(entry, "subresource").len() > LONGEST_SUBRESOURCE {
            errors.push(FieldError::too_long(path("subresource"), LONGEST_SUBRESOURCE));
        }
    }
}

fn field_manager(manager: &str, path: impl Fn() -> FieldPath, errors: &mut Vec<FieldError>) {
    if manager.len() > LONGEST_MANAGER {
        errors.push(FieldError::too_long(path(), LONGEST_MANAGER));
    }
    let unprintable = manager.char_indices().filter(|(_, character)| !is_printable(*character));
    for (position, character) in unprintable.take(MOST_ERRORS) {
        let code = u32::from(character);
        let problem = format!("invalid character U+{code:04X} (at position {position})");
        errors.push(FieldError::invalid(path(), manager, problem));
    }
}

/// No control characters, nothing invisible, and no blanks but the ordinary one.
pub(crate) fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    // Behind a letter, all that the standard library escapes is what cannot be seen.
    !character.is_whitespace() && format!("a{character}").escape_debug().count() == 2
}

fn strings(map: &Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn invalid(
    errors: &mut Vec<FieldError>,
    path: impl Fn() -> FieldPath,
    value: &str,
    problems: Vec<String>,
) {
    errors.extend(problems.into_iter().map(|problem| FieldError::invalid(path(), value, problem)));
}
