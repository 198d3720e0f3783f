//! Removing what an applier no longer applies.

use serde_json::{Map, Value};

use super::{
    element::Element,
    item,
    set::{Entry, FieldSet},
};
use crate::schema::shape::{Key, ListKind, ListShape, MapShape, Shape, Tracking};

/// Removes from a merged object what is in `last`, the set that the applier owned before, and that
/// nobody wants any more: `owned` is what all managers own now, the applier's new set included.
///
/// A struct that the applier filled goes as a whole, with what nobody owns in it, once nobody owns
/// anything in it.
pub(super) fn objects(
    shape: &MapShape,
    fields: &mut Map<String, Value>,
    last: &FieldSet<'_>,
    owned: &FieldSet<'_>,
) {
    map(shape, fields, last, Some(owned), State::default(), &[]);
}

/// What is known of the place above.
#[derive(Clone, Copy, Default)]
struct State {
    /// The applier owned it or something above it.
    dropped: bool,
    /// It, or something above it, was dropped and is wanted by nobody.
    unwanted: bool,
}

/// What becomes of a place.
struct Fate {
    goes: bool,
    below: State,
}

impl State {
    /// Declared fields belong to a set as soon as something below them does.
    fn step(self, last: &Entry<'_>, owned: Option<&Entry<'_>>, declared: bool) -> Fate {
        let in_last = last.member || (declared && !last.below.is_empty());
        let is_owned =
            owned.is_some_and(|entry| entry.member || (declared && !entry.below.is_empty()));
        let dropped = self.dropped || in_last;
        let unwanted = self.unwanted || (dropped && !is_owned);
        Fate { goes: in_last && unwanted, below: Self { dropped, unwanted } }
    }
}

fn map(
    shape: &MapShape,
    fields: &mut Map<String, Value>,
    last: &FieldSet<'_>,
    owned: Option<&FieldSet<'_>>,
    above: State,
    keep: &[Key],
) {
    for entry in last.entries() {
        let Element::Field(name) = &entry.element else { continue };
        let Some(value) = fields.get_mut(name.as_ref()) else { continue };
        let declared = shape.fields.get(name.as_ref());
        if declared.is_some_and(|field| field.tracking != Tracking::Full) {
            if let Some(Shape::Map(shape)) = declared.map(|field| &field.shape)
                && let Value::Object(fields) = value
            {
                let owned = owned.and_then(|owned| owned.get(&entry.element));
                map(shape, fields, &entry.below, owned.map(|entry| &entry.below), above, keep);
            }
            continue;
        }
        let owner = owned.and_then(|owned| owned.get(&entry.element));
        let fate = above.step(entry, owner, declared.is_some());
        let inner = declared.map(|field| &field.shape).or(shape.others.as_deref());
        // An empty list with keys is owned by nobody.
        let owned_by_none = declared.is_some_and(|field| has_keys(&field.shape)) && is_empty(value);
        let is_key = keep.iter().any(|key| key.name == **name);
        let goes = fate.goes && !owned_by_none && !is_key;
        if goes || descend(inner, value, entry, owner, fate.below) {
            fields.remove(name.as_ref());
        }
    }
}

fn has_keys(shape: &Shape) -> bool {
    matches!(shape, Shape::List(ListShape { kind: ListKind::Set | ListKind::Map(_), .. }))
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Prunes within a value that stays. Tells whether nothing is left of it.
fn descend(
    shape: Option<&Shape>,
    value: &mut Value,
    last: &Entry<'_>,
    owned: Option<&Entry<'_>>,
    state: State,
) -> bool {
    let (last, owned) = (&last.below, owned.map(|entry| &entry.below));
    if last.is_empty() {
        return false;
    }
    match (shape, value) {
        (Some(Shape::Map(shape)), Value::Object(fields)) if !shape.atomic => {
            let before = fields.len();
            map(shape, fields, last, owned, state, &[]);
            before > 0 && fields.is_empty()
        }
        (Some(Shape::List(shape)), Value::Array(items)) => {
            let before = items.len();
            list(shape, items, last, owned, state);
            before > 0 && items.is_empty()
        }
        (Some(Shape::Deduced) | None, Value::Object(fields)) => {
            let before = fields.len();
            free_map(fields, last, owned, state);
            before > 0 && fields.is_empty()
        }
        _ => false,
    }
}

fn free_map(
    fields: &mut Map<String, Value>,
    last: &FieldSet<'_>,
    owned: Option<&FieldSet<'_>>,
    above: State,
) {
    for entry in last.entries() {
        let Element::Field(name) = &entry.element else { continue };
        let Some(value) = fields.get_mut(name.as_ref()) else { continue };
        let owner = owned.and_then(|owned| owned.get(&entry.element));
        let fate = above.step(entry, owner, false);
        if fate.goes || descend(Some(&Shape::Deduced), value, entry, owner, fate.below) {
            fields.remove(name.as_ref());
        }
    }
}

fn list(
    shape: &ListShape,
    items: &mut Vec<Value>,
    last: &FieldSet<'_>,
    owned: Option<&FieldSet<'_>>,
    above: State,
) {
    let keys = match &shape.kind {
        ListKind::Atomic => return,
        ListKind::Set => &[] as &[Key],
        ListKind::Map(keys) => keys,
    };
    items.retain_mut(|value| {
        // Whatever has no step was there before and stays.
        let Ok(element) = item::element(&shape.kind, value) else { return true };
        let Some(entry) = last.get(&element) else { return true };
        let owner = owned.and_then(|owned| owned.get(&element));
        let fate = above.step(entry, owner, false);
        if fate.goes {
            return false;
        }
        // What stays keeps its keys, or it would be another item.
        match (&*shape.items, value) {
            (Shape::Map(shape), Value::Object(fields)) if !shape.atomic => {
                let owned = owner.map(|entry| &entry.below);
                map(shape, fields, &entry.below, owned, fate.below, keys);
            }
            _ => {}
        }
        true
    });
}
