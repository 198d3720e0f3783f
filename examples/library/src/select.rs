//! Selectors as SQL. What is left out here is selected by the kit: then a page may be short, but
//! nothing is shown that should not be.

use milo_apiserver_kit::rest::ListQuery;
use milo_core::selector::{FieldOperator, FieldRequirement, LabelOperator, LabelRequirement};
use rusqlite::types::Value;

/// Conditions on the table `books`, called `b`, and what their question marks stand for.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// All that a query selects, as far as SQL can.
    pub(crate) fn of(query: &ListQuery) -> Self {
        let mut conditions = Self::default();
        for requirement in query.labels.requirements() {
            conditions.label(requirement);
        }
        for requirement in query.fields.requirements() {
            conditions.field(requirement);
        }
        conditions
    }

    /// Adds a condition.
    pub(crate) fn and(
        &mut self,
        condition: &str,
        values: impl IntoIterator<Item = impl Into<Value>>,
    ) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
        self.text.push_str(condition);
        self.values.extend(values.into_iter().map(Into::into));
    }

    /// The conditions, and what their question marks stand for.
    pub(crate) fn into_parts(self) -> (String, Vec<Value>) {
        (self.text, self.values)
    }

    fn label(&mut self, requirement: &LabelRequirement) {
        let (not, any) = match requirement.operator() {
            LabelOperator::Exists => ("", true),
            LabelOperator::DoesNotExist => ("NOT ", true),
            LabelOperator::Equals | LabelOperator::In => ("", false),
            LabelOperator::NotEquals | LabelOperator::NotIn => ("NOT ", false),
            // Numbers among labels are rare.
            _ => return,
        };
        let mut values = vec![requirement.key().to_owned()];
        let mut value = String::new();
        if !any {
            let marks = vec!["?"; requirement.values().len()].join(", ");
            value = format!(" AND l.value IN ({marks})");
            values.extend_from_slice(requirement.values());
        }
        let condition = format!(
            "{not}EXISTS (SELECT 1 FROM labels l WHERE l.scope = b.scope \
             AND l.namespace = b.namespace AND l.name = b.name AND l.key = ?{value})"
        );
        self.and(&condition, values);
    }

    fn field(&mut self, requirement: &FieldRequirement) {
        let column = match requirement.path() {
            "metadata.name" => "b.name",
            "metadata.namespace" => "b.namespace",
            "spec.author" => "b.author",
            "spec.shelf" => "b.shelf",
            _ => return,
        };
        let operator = match requirement.operator() {
            FieldOperator::Equals => "=",
            FieldOperator::NotEquals => "<>",
            _ => return,
        };
        self.and(&format!("{column} {operator} ?"), [requirement.value().to_owned()]);
    }
}
