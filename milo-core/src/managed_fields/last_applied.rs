//! The way from client-side to server-side apply: kubectl's annotation that holds what it applied.

use serde_json::Value;

use super::{compare, fields, manager::Manager, set::FieldSet};
use crate::{object::Object, schema::shape::MapShape};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The only manager that all this is for.
const KUBECTL: &str = "kubectl";
/// Largest sum of annotations, in bytes.
const MOST_ANNOTATIONS: usize = 256 << 10;

/// Fields that kubectl applied on the client's side and that still have the value from then:
/// whoever is recorded as their owner, kubectl may take them over.
pub(super) fn values(
    shape: &MapShape,
    live: &Object,
    manager: &Manager<'_>,
) -> Option<FieldSet<'static>> {
    if manager.name() != KUBECTL {
        return None;
    }
    let applied = Object::from_slice(annotation(live)?.as_bytes()).ok()?;
    if applied.api_version() != manager.api_version() {
        return None;
    }
    let mut set = fields::of_config(shape, applied.fields()).ok()?;
    let changes = compare::objects(shape, Some(applied.fields()), Some(live.fields())).ok()?;
    set.remove(&changes.set);
    set.remove(&changes.removed);
    Some(set.into_owned())
}

/// Keeps the annotation, if there is one, in step with what kubectl applied, so that the way back
/// stays open.
pub(super) fn update(object: &mut Object, config: &Object, manager: &Manager<'_>) {
    if manager.name() != KUBECTL || annotation(object).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) =
        applied.metadata_mut().get_mut("annotations").and_then(Value::as_object_mut)
    {
        annotations.remove(ANNOTATION);
    }
    let mut text = applied.into_value().to_string();
    text.push('\n');
    let others = object.annotations().filter(|(name, _)| *name != ANNOTATION);
    let size: usize = others.map(|(name, value)| name.len() + value.len()).sum();
    let fits = size + ANNOTATION.len() + text.len() <= MOST_ANNOTATIONS;
    if let Some(annotations) =
        object.metadata_mut().get_mut("annotations").and_then(Value::as_object_mut)
    {
        if fits {
            annotations.insert(ANNOTATION.to_owned(), Value::String(text));
        } else {
            annotations.remove(ANNOTATION);
        }
    }
}

fn annotation(object: &Object) -> Option<&str> {
    let value = object.metadata()?.get("annotations")?.get(ANNOTATION)?.as_str()?;
    (!value.is_empty()).then_some(value)
}
