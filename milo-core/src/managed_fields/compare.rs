//! What differs between two objects.

use std::iter;

use serde_json::{Map, Value};

use super::{
    element::Element,
    item,
    problem::Problem,
    set::{Entry, FieldSet},
    text::same,
};
use crate::schema::shape::{ListKind, ListShape, MapShape, Shape, Tracking};

/// What differs. Fields that are never tracked are never in it.
#[derive(Debug, Default)]
pub(super) struct Changes<'a> {
    /// Added, or there before with another value.
    pub(super) set: FieldSet<'a>,
    /// No longer there.
    pub(super) removed: FieldSet<'a>,
}

impl Changes<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }
}

/// What differs at one place: of the place itself, and below.
#[derive(Default)]
struct Change<'a> {
    is_set: bool,
    is_removed: bool,
    below: Changes<'a>,
}

/// Compares whole objects, or objects anywhere.
pub(super) fn objects<'a>(
    shape: &'a MapShape,
    old: Option<&'a Map<String, Value>>,
    new: Option<&'a Map<String, Value>>,
) -> Result<Changes<'a>, Problem> {
    let mut found = Collected::default();
    let in_new = new
        .into_iter()
        .flatten()
        .map(|(name, value)| (name, old.and_then(|old| old.get(name)), Some(value)));
    let gone = old.into_iter().flatten().filter_map(|(name, value)| {
        let there = new.is_some_and(|new| new.contains_key(name));
        (!there).then_some((name, Some(value), None))
    });
    for (name, old, new) in in_new.chain(gone) {
        let declared = shape.fields.get(name);
        let tracking = declared.map_or(Tracking::Full, |field| field.tracking);
        if tracking == Tracking::Never {
            continue;
        }
        let element = Element::field(name);
        // What the schema does not know may be in old objects; it is compared as it looks.
        let shape = declared.map(|field| &field.shape).or(shape.others.as_deref());
        let mut change = values(shape.unwrap_or(&Shape::Deduced), old, new)
            .map_err(|problem| problem.below(&element))?;
        if tracking == Tracking::Inside {
            (change.is_set, change.is_removed) = (false, false);
        }
        found.push(element, change);
    }
    Ok(found.finish())
}

/// At least one of the two is there.
fn values<'a>(
    shape: &'a Shape,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
) -> Result<Change<'a>, Problem> {
    let below = match shape {
        Shape::Scalar(_) => None,
        Shape::Map(shape) => parts_of_map(shape, old, new)?,
        Shape::List(shape) => parts_of_list(shape, old, new)?,
        Shape::Deduced => return deduced(old, new),
    };
    Ok(below.map_or_else(|| leaf(old, new), |below| container(old, new, below)))
}

/// None if it is one leaf.
fn parts_of_map<'a>(
    shape: &'a MapShape,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
) -> Result<Option<Changes<'a>>, Problem> {
    let (old, new) = (full_map(old), full_map(new));
    if shape.atomic || (old.is_none() && new.is_none()) {
        return Ok(None);
    }
    objects(shape, old, new).map(Some)
}

fn full_map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object).filter(|fields| !fields.is_empty())
}

/// None if it is one leaf.
fn parts_of_list<'a>(
    shape: &'a ListShape,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
) -> Result<Option<Changes<'a>>, Problem> {
    let items = |value: Option<&'a Value>| {
        value.and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice)
    };
    let (old, new) = (items(old), items(new));
    if matches!(shape.kind, ListKind::Atomic) || (old.is_empty() && new.is_empty()) {
        return Ok(None);
    }
    // Mostly so, and much cheaper than telling items apart.
    if old == new {
        return Ok(Some(Changes::default()));
    }
    lists(shape, old, new).map(Some)
}

fn leaf<'a>(old: Option<&Value>, new: Option<&Value>) -> Change<'a> {
    match (old, new) {
        (Some(old), Some(new)) => Change { is_set: !same(old, new), ..Change::default() },
        (old, new) => {
            Change { is_set: old.is_none(), is_removed: new.is_none(), ..Change::default() }
        }
    }
}

fn container<'a>(old: Option<&Value>, new: Option<&Value>, below: Changes<'a>) -> Change<'a> {
    Change { is_set: old.is_none(), is_removed: new.is_none(), below }
}

/// Without a schema, each of the two is what it looks like.
fn deduced<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> Result<Change<'a>, Problem> {
    let (old_map, new_map) = (full_map(old), full_map(new));
    if old_map.is_none() && new_map.is_none() {
        return Ok(leaf(old, new));
    }
    let below = free_objects(old_map, new_map)?;
    let mut change = container(old, new, below);
    let turned = |value: Option<&Value>| value.is_some_and(|v| !v.is_object() && !v.is_null());
    if turned(old) || turned(new) {
        change.is_set |= old.is_some() && new.is_some();
    }
    Ok(change)
}

fn free_objects<'a>(
    old: Option<&'a Map<String, Value>>,
    new: Option<&'a Map<String, Value>>,
) -> Result<Changes<'a>, Problem> {
    let mut found = Collected::default();
    for (name, value) in new.into_iter().flatten() {
        let before = old.and_then(|old| old.get(name));
        found.push(Element::field(name), deduced(before, Some(value))?);
    }
    for (name, value) in old.into_iter().flatten() {
        if !new.is_some_and(|new| new.contains_key(name)) {
            found.push(Element::field(name), deduced(Some(value), None)?);
        }
    }
    Ok(found.finish())
}

fn lists<'a>(
    shape: &'a ListShape,
    old: &'a [Value],
    new: &'a [Value],
) -> Result<Changes<'a>, Problem> {
    let (old, new) = (sorted(&shape.kind, old)?, sorted(&shape.kind, new)?);
    let (mut old, mut new) = (old.as_slice(), new.as_slice());
    let mut found = Collected::default();
    while let Some(element) = first(old, new) {
        let (before, after) = (take(&mut old, &element), take(&mut new, &element));
        let change = repeated(shape, before, after).map_err(|problem| problem.below(&element))?;
        found.push(element, change);
    }
    Ok(found.finish())
}

type Item<'a> = (Element<'static>, &'a Value);

fn sorted<'a>(kind: &ListKind, items: &'a [Value]) -> Result<Vec<Item<'a>>, Problem> {
    let elements = item::elements(kind, items)?;
    let mut items: Vec<Item<'a>> = elements.into_iter().zip(items).collect();
    items.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(items)
}

fn first(old: &[Item<'_>], new: &[Item<'_>]) -> Option<Element<'static>> {
    let (old, new) = (old.first().map(|item| &item.0), new.first().map(|item| &item.0));
    old.into_iter().chain(new).min().cloned()
}

/// Takes all items with this step off the front.
fn take<'s, 'a>(items: &mut &'s [Item<'a>], element: &Element<'_>) -> &'s [Item<'a>] {
    let count = items.iter().take_while(|item| item.0 == *element).count();
    let (taken, rest) = items.split_at(count);
    *items = rest;
    taken
}

/// Compares the items with one step. There is one of each, but for duplicates in old objects,
/// which are owned together.
fn repeated<'a>(
    shape: &'a ListShape,
    old: &[Item<'a>],
    new: &[Item<'a>],
) -> Result<Change<'a>, Problem> {
    let value = |items: &[Item<'a>]| items.first().map(|item| item.1);
    let mut change = match (old, new) {
        ([_, _, ..], [_, _, ..]) => {
            let same =
                old.len() == new.len() && iter::zip(old, new).all(|(old, new)| same(old.1, new.1));
            return Ok(Change { is_set: !same, ..Change::default() });
        }
        ([_, _, ..], []) | ([], [_, _, ..]) => Change::default(),
        ([_, _, ..], _) => values(&shape.items, None, value(new))?,
        (_, [_, _, ..]) => values(&shape.items, value(old), None)?,
        _ => return values(&shape.items, value(old), value(new)),
    };
    change.is_removed |= old.len() > 1;
    change.is_set |= new.len() > 1;
    Ok(change)
}

/// Changes of several places.
#[derive(Default)]
struct Collected<'a> {
    set: Vec<Entry<'a>>,
    removed: Vec<Entry<'a>>,
}

impl<'a> Collected<'a> {
    fn push(&mut self, element: Element<'a>, change: Change<'a>) {
        let Change { is_set, is_removed, below } = change;
        if is_removed || !below.removed.is_empty() {
            self.removed.push(Entry::new(element.clone(), is_removed, below.removed));
        }
        if is_set || !below.set.is_empty() {
            self.set.push(Entry::new(element, is_set, below.set));
        }
    }

    fn finish(self) -> Changes<'a> {
        Changes {
            set: FieldSet::from_entries(self.set),
            removed: FieldSet::from_entries(self.removed),
        }
    }
}
