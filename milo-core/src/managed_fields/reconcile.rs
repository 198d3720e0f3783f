//! Fields that were recorded under an older schema.

use super::{
    element::Element,
    set::{Entry, FieldSet},
};
use crate::schema::shape::{ListKind, MapShape, Shape};

/// Rewrites a set to a schema in which lists and objects have become one leaf: who owned something
/// inside owns the whole. What has become divisible needs no rewriting.
pub(super) fn objects(shape: &MapShape, set: &mut FieldSet<'_>) {
    for entry in set.entries_mut() {
        let Element::Field(name) = &entry.element else { continue };
        let declared = shape.fields.get(name.as_ref()).map(|field| &field.shape);
        if let Some(inner) = declared.or(shape.others.as_deref()) {
            reconcile(inner, entry);
        }
    }
}

fn reconcile(shape: &Shape, entry: &mut Entry<'_>) {
    if entry.below.is_empty() {
        return;
    }
    match shape {
        Shape::Map(shape) if !shape.atomic => objects(shape, &mut entry.below),
        Shape::List(shape) if !matches!(shape.kind, ListKind::Atomic) => {
            for item in entry.below.entries_mut() {
                reconcile(&shape.items, item);
            }
        }
        Shape::Map(_) | Shape::List(_) => {
            entry.member = true;
            entry.below = FieldSet::default();
        }
        Shape::Scalar(_) | Shape::Deduced => {}
    }
}
