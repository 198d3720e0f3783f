//! How a schema says that values are merged and owned: which lists and maps are one leaf, which
//! have parts, and how items are told apart.
//!
//! Unlike the nodes for validation, a shape covers `apiVersion`, `kind` and `metadata` too, and
//! knows for every place whether undeclared fields may stand there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node::{Additional, List, Node, Types};

/// How a value is merged and owned.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Nothing is declared: maps have parts, lists are leaves.
    Deduced,
    /// A leaf that is a scalar.
    Scalar(Scalar),
    /// A list.
    List(ListShape),
    /// An object with declared fields, free keys, or both.
    Map(MapShape),
}

/// What a scalar may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Any,
    String,
    Number,
    Boolean,
}

/// A list.
#[derive(Debug)]
pub(crate) struct ListShape {
    pub(crate) kind: ListKind,
    pub(crate) items: Box<Shape>,
}

/// How items are told apart.
#[derive(Debug)]
pub(crate) enum ListKind {
    /// Not at all: the list is one leaf.
    Atomic,
    /// By value.
    Set,
    /// By these fields, sorted by name.
    Map(Vec<Key>),
}

/// A field that is part of the identity of an item.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) default: Option<Value>,
}

/// An object.
#[derive(Debug)]
pub(crate) struct MapShape {
    /// One leaf, whatever is inside.
    pub(crate) atomic: bool,
    pub(crate) fields: BTreeMap<String, Field>,
    /// What undeclared fields are; none may be there if there is no shape.
    pub(crate) others: Option<Box<Shape>>,
}

/// A declared field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) shape: Shape,
    pub(crate) tracking: Tracking,
}

/// Whether owners of a field are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracking {
    Full,
    /// What is inside is recorded, the field itself is not.
    Inside,
    /// Never: the server's own fields.
    Never,
}

impl Shape {
    /// The shape of a whole object.
    pub(super) fn of_object(root: &Node) -> MapShape {
        let mut shape = object(root, false);
        shape.atomic = false;
        for name in ["apiVersion", "kind"] {
            shape.fields.insert(name.to_owned(), Field::new(STRING, Tracking::Never));
        }
        let metadata = Field::new(metadata(Tracking::Never), Tracking::Inside);
        shape.fields.insert("metadata".to_owned(), metadata);
        shape
    }

    fn of(node: &Node, preserve_unknown: bool) -> Self {
        match node.types {
            Types::Any => Self::Deduced,
            Types::IntOrString => Self::Scalar(Scalar::Any),
            Types::String => STRING,
            Types::Integer | Types::Number => NUMBER,
            Types::Boolean => BOOLEAN,
            Types::Array => Self::List(list(node, preserve_unknown)),
            Types::Object => Self::Map(object(node, preserve_unknown)),
        }
    }
}

const STRING: Shape = Shape::Scalar(Scalar::String);
const NUMBER: Shape = Shape::Scalar(Scalar::Number);
const BOOLEAN: Shape = Shape::Scalar(Scalar::Boolean);

impl Field {
    fn new(shape: Shape, tracking: Tracking) -> Self {
        Self { shape, tracking }
    }

    fn tracked(shape: Shape) -> Self {
        Self::new(shape, Tracking::Full)
    }
}

/// Unknown fields that are kept are kept everywhere below, as upstream reads a schema for merging.
fn object(node: &Node, inherited: bool) -> MapShape {
    let preserve = inherited || node.preserve_unknown;
    let mut fields: BTreeMap<String, Field> = node
        .properties
        .iter()
        .map(|(name, node)| (name.clone(), Field::tracked(Shape::of(node, preserve))))
        .collect();
    let others = match &node.additional {
        // Upstream takes an object of which nothing is said for a free one.
        Additional::Undeclared => {
            let free = preserve || (fields.is_empty() && !node.embedded);
            free.then_some(Shape::Deduced)
        }
        Additional::Forbidden => None,
        Additional::Any => Some(Shape::Deduced),
        Additional::Node(node) => Some(Shape::of(node, preserve)),
    };
    if node.embedded {
        fields.insert("apiVersion".to_owned(), Field::tracked(STRING));
        fields.insert("kind".to_owned(), Field::tracked(STRING));
        fields.insert("metadata".to_owned(), Field::tracked(metadata(Tracking::Full)));
    }
    MapShape { atomic: node.atomic_map, fields, others: others.map(Box::new) }
}

fn list(node: &Node, inherited: bool) -> ListShape {
    let preserve = inherited || node.preserve_unknown;
    let items = node.items.as_deref();
    let kind = match &node.list {
        List::Atomic => ListKind::Atomic,
        List::Set => ListKind::Set,
        List::Map(names) => {
            let default = |name: &str| items?.properties.get(name)?.default.clone();
            let key = |name: &String| Key { name: name.clone(), default: default(name) };
            let mut keys: Vec<Key> = names.iter().map(key).collect();
            keys.sort_by(|left, right| left.name.cmp(&right.name));
            ListKind::Map(keys)
        }
    };
    let items = items.map_or(Shape::Deduced, |items| Shape::of(items, preserve));
    ListShape { kind, items: Box::new(items) }
}

/// Object metadata, which is the same for every kind. `own` is for the fields that the server sets.
fn metadata(own: Tracking) -> Shape {
    let texts = || {
        let others = Some(Box::new(STRING));
        Shape::Map(MapShape { atomic: false, fields: BTreeMap::new(), others })
    };
    let list = |kind, items| Shape::List(ListShape { kind, items: Box::new(items) });
    let uid = Key { name: "uid".to_owned(), default: None };
    let fields = [
        ("annotations", texts(), Tracking::Full),
        ("creationTimestamp", STRING, own),
        ("deletionGracePeriodSeconds", NUMBER, Tracking::Full),
        ("deletionTimestamp", STRING, Tracking::Full),
        ("finalizers", list(ListKind::Set, STRING), Tracking::Full),
        ("generateName", STRING, Tracking::Full),
        ("generation", NUMBER, own),
        ("labels", texts(), Tracking::Full),
        ("managedFields", list(ListKind::Atomic, Shape::Deduced), own),
        ("name", STRING, own),
        ("namespace", STRING, own),
        ("ownerReferences", list(ListKind::Map(vec![uid]), owner_reference()), Tracking::Full),
        ("resourceVersion", STRING, own),
        ("selfLink", STRING, own),
        ("uid", STRING, own),
    ];
    let field = |(name, shape, tracking): (&str, Shape, Tracking)| {
        (name.to_owned(), Field::new(shape, tracking))
    };
    let fields = fields.into_iter().map(field).collect();
    Shape::Map(MapShape { atomic: false, fields, others: None })
}

fn owner_reference() -> Shape {
    let fields = [
        ("apiVersion", STRING),
        ("blockOwnerDeletion", BOOLEAN),
        ("controller", BOOLEAN),
        ("kind", STRING),
        ("name", STRING),
        ("uid", STRING),
    ];
    let fields =
        fields.into_iter().map(|(name, shape)| (name.to_owned(), Field::tracked(shape))).collect();
    Shape::Map(MapShape { atomic: true, fields, others: None })
}
