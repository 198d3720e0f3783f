//! Checking a configuration against the schema, and the set of its fields, in one walk.

use serde_json::{Map, Value};

use super::{
    element::Element,
    item,
    problem::Problem,
    set::{Entry, FieldSet},
    text::{go_syntax, go_type, go_value},
};
use crate::schema::shape::{ListKind, ListShape, MapShape, Scalar, Shape, Tracking};

/// Deepest nesting of a configuration. Schemas end long before; only undeclared parts get there.
const MAX_DEPTH: usize = 256;
/// More problems than anybody reads.
const MOST_PROBLEMS: usize = 64;
/// A value in an error text is cut to this many bytes.
const LONGEST_VALUE: usize = 256;

/// The fields that a configuration speaks of, unless something in it does not fit.
pub(super) fn of_config<'a>(
    shape: &'a MapShape,
    fields: &'a Map<String, Value>,
) -> Result<FieldSet<'a>, Vec<Problem>> {
    let mut walk = Walk { problems: Vec::new() };
    let set = walk.fields(shape, fields, true, 0);
    if walk.problems.is_empty() { Ok(set) } else { Err(walk.problems) }
}

struct Walk {
    problems: Vec<Problem>,
}

/// Whether a place itself is owned, and what is owned below.
type Owned<'a> = (bool, FieldSet<'a>);

impl Walk {
    /// `record` is false within atomic lists and maps, whose parts are checked but owned by nobody.
    fn value<'a>(
        &mut self,
        shape: &'a Shape,
        value: &'a Value,
        record: bool,
        depth: usize,
    ) -> Owned<'a> {
        if depth > MAX_DEPTH {
            self.report(format!("is nested deeper than {MAX_DEPTH} levels"));
            return (true, FieldSet::default());
        }
        match shape {
            Shape::Scalar(scalar) => {
                self.scalar(*scalar, value);
                (true, FieldSet::default())
            }
            Shape::List(shape) => self.list(shape, value, record, depth),
            Shape::Map(shape) => match value {
                Value::Object(fields) => {
                    let below = self.fields(shape, fields, record && !shape.atomic, depth);
                    (shape.atomic, below)
                }
                Value::Null => (shape.atomic, FieldSet::default()),
                other => {
                    self.report(format!("expected map, got &{{{}}}", go_value(other)));
                    (false, FieldSet::default())
                }
            },
            Shape::Deduced => match value {
                Value::Object(fields) => (false, self.free_fields(fields, record, depth)),
                Value::Null => (false, FieldSet::default()),
                Value::Array(items) => {
                    for item in items {
                        self.value(&Shape::Deduced, item, false, depth + 1);
                    }
                    (true, FieldSet::default())
                }
                _ => (true, FieldSet::default()),
            },
        }
    }

    fn fields<'a>(
        &mut self,
        shape: &'a MapShape,
        fields: &'a Map<String, Value>,
        record: bool,
        depth: usize,
    ) -> FieldSet<'a> {
        let mut entries = Vec::with_capacity(if record { fields.len() } else { 0 });
        for (name, value) in fields {
            let declared = shape.fields.get(name);
            let tracking = declared.map_or(Tracking::Full, |field| field.tracking);
            let found = declared.map(|field| &field.shape).or(shape.others.as_deref());
            let element = Element::field(name);
            let Some(inner) = found else {
                // Upstream stops at the first unknown field of an object.
                self.report_at(&element, "field not declared in schema");
                break;
            };
            let record = record && tracking != Tracking::Never;
            let (member, below) =
                self.below(&element, |walk| walk.value(inner, value, record, depth + 1));
            if record {
                let member = (member || declared.is_none() || is_nothing(value))
                    && tracking == Tracking::Full;
                entries.push(Entry::new(element, member, below));
            }
        }
        FieldSet::from_entries(entries)
    }

    fn free_fields<'a>(
        &mut self,
        fields: &'a Map<String, Value>,
        record: bool,
        depth: usize,
    ) -> FieldSet<'a> {
        let mut entries = Vec::with_capacity(if record { fields.len() } else { 0 });
        for (name, value) in fields {
            let element = Element::field(name);
            let (_, below) =
                self.below(&element, |walk| walk.value(&Shape::Deduced, value, record, depth + 1));
            if record {
                entries.push(Entry::new(element, true, below));
            }
        }
        FieldSet::from_entries(entries)
    }

    fn list<'a>(
        &mut self,
        shape: &'a ListShape,
        value: &'a Value,
        record: bool,
        depth: usize,
    ) -> Owned<'a> {
        let atomic = matches!(shape.kind, ListKind::Atomic);
        let items = match value {
            Value::Array(items) => items,
            Value::Null => return (atomic, FieldSet::default()),
            other => {
                self.report(format!("expected list, got &{{{}}}", go_value(other)));
                return (atomic, FieldSet::default());
            }
        };
        if atomic {
            for (place, item) in items.iter().enumerate() {
                let place = Element::Index(i64::try_from(place).unwrap_or(i64::MAX));
                self.below(&place, |walk| walk.value(&shape.items, item, false, depth + 1));
            }
            return (true, FieldSet::default());
        }
        match item::elements(&shape.kind, items) {
            Ok(elements) => (false, self.items(shape, items, elements, record, depth)),
            Err(problem) => {
                self.push(problem);
                (false, FieldSet::default())
            }
        }
    }

    fn items<'a>(
        &mut self,
        shape: &'a ListShape,
        items: &'a [Value],
        elements: Vec<Element<'static>>,
        record: bool,
        depth: usize,
    ) -> FieldSet<'a> {
        self.find_duplicates(&elements);
        let mut entries = Vec::with_capacity(if record { items.len() } else { 0 });
        for (element, item) in elements.into_iter().zip(items) {
            let (_, below) =
                self.below(&element, |walk| walk.value(&shape.items, item, record, depth + 1));
            if record {
                entries.push(Entry::new(element, true, below));
            }
        }
        FieldSet::from_entries(entries)
    }

    fn find_duplicates(&mut self, elements: &[Element<'_>]) {
        if elements.is_sorted_by(|left, right| left < right) {
            return;
        }
        let mut sorted: Vec<&Element<'_>> = elements.iter().collect();
        sorted.sort_unstable();
        for pair in sorted.windows(2) {
            if pair[0] == pair[1] {
                self.report(format!("duplicate entries for key {}", pair[0]));
            }
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        let fits = match scalar {
            Scalar::Any => !value.is_object() && !value.is_array(),
            Scalar::String => value.is_string(),
            Scalar::Number => value.is_number(),
            Scalar::Boolean => value.is_boolean(),
        };
        if fits || value.is_null() {
            return;
        }
        self.report(match scalar {
            Scalar::Any => format!("expected any scalar, got &{{{}}}", go_value(value)),
            Scalar::String => {
                let value = go_syntax(value);
                format!("expected string, got &value.valueUnstructured{{Value:{value}}}")
            }
            Scalar::Number => format!("expected numeric (int or float), got {}", go_type(value)),
            Scalar::Boolean => format!("expected boolean, got &{{{}}}", go_value(value)),
        });
    }

    /// Walks one step further in; problems found there are named from here.
    fn below<T>(&mut self, element: &Element<'_>, walk: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.problems.len();
        let result = walk(self);
        for at in before..self.problems.len() {
            self.problems[at] = self.problems[at].clone().below(element);
        }
        result
    }

    fn report(&mut self, mut text: String) {
        if text.len() > LONGEST_VALUE {
            text.truncate(text.floor_char_boundary(LONGEST_VALUE));
            text.push_str("...");
        }
        self.push(Problem::new(text));
    }

    fn report_at(&mut self, element: &Element<'_>, text: &str) {
        self.push(Problem::new(text).below(element));
    }

    fn push(&mut self, problem: Problem) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

/// Null and the empty object are owned as such: nothing in them could be.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
