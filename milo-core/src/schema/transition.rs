//! Running CEL rules over an object, beside what it was before.

use kube_cel::cel::{Context, Value as Cel};
use serde_json::Value;

use super::{
    cel, convert,
    expression::{Expression, Extent},
    node::{List, Node},
    path::Path,
    rule::Rule,
    unique,
    view::View,
};
use crate::status::FieldError;

/// Steps that all rules of one object may take together, of about 100 ns each. Upstream allows
/// ten million units of its own cost model.
const BUDGET: u64 = 10_000_000;

/// Longest text of a message expression, in bytes.
const MAX_MESSAGE: usize = 5 * 1024;

/// Runs all rules of a schema.
pub(super) fn run(root: &Node, new: View<'_>, old: Option<View<'_>>) -> Vec<FieldError> {
    let mut run = Run { errors: Vec::new(), budget: Some(BUDGET) };
    run.value(root, new, old, false, &Path::Root);
    run.errors
}

struct Run {
    errors: Vec<FieldError>,
    /// None once it is used up.
    budget: Option<u64>,
}

/// A value with rules, and the scope they run in.
struct Scene {
    context: Context<'static>,
    old: Option<Cel>,
    extent: Extent,
}

impl Run {
    /// `old` is what the value was before, if that can be told. `unchanged` is for values of which
    /// it cannot: whether the nearest value around them is as it was before.
    fn value(
        &mut self,
        node: &Node,
        value: View<'_>,
        old: Option<View<'_>>,
        unchanged: bool,
        path: &Path<'_>,
    ) {
        if !node.rules_below || value == View::Null || self.budget.is_none() {
            return;
        }
        let old = old.filter(|old| *old != View::Null);
        if !node.rules.is_empty() {
            self.rules(node, value, old, unchanged, path);
        }
        match value {
            View::Array(items) => self.items(node, items, old, unchanged, path),
            View::Object(fields) => {
                for (name, field) in fields {
                    let (child, path) = match node.properties.get(name) {
                        Some(child) => (Some(child), Path::Field(path, name)),
                        None => (node.field(name), Path::Key(path, name)),
                    };
                    if let Some(child) = child.filter(|_| !node.is_meta(name)) {
                        let before = old.and_then(|old| old.field(name));
                        let unchanged = old.is_none() && unchanged;
                        self.value(child, field.into(), before, unchanged, &path);
                    }
                }
            }
            _ => {}
        }
    }

    fn items(
        &mut self,
        node: &Node,
        items: &[Value],
        old: Option<View<'_>>,
        unchanged: bool,
        path: &Path<'_>,
    ) {
        let Some(child) = node.items.as_deref().filter(|child| child.rules_below) else { return };
        let before = old.and_then(View::items);
        let correlated = match (&node.list, before) {
            (List::Map(keys), Some(before)) => Some(unique::Correlated::new(keys, before)),
            _ => None,
        };
        let unchanged = match before {
            None => unchanged,
            Some(before) => correlated.is_none() && before == items,
        };
        for (index, item) in items.iter().enumerate() {
            let before = correlated.as_ref().and_then(|before| before.find(item)).map(View::from);
            self.value(child, item.into(), before, unchanged, &Path::Index(path, index));
        }
    }

    fn rules(
        &mut self,
        node: &Node,
        value: View<'_>,
        old: Option<View<'_>>,
        unchanged: bool,
        path: &Path<'_>,
    ) {
        let mut scene = None;
        let mut same = None;
        for rule in &node.rules {
            let runs = if rule.expression.uses_old_self() {
                old.is_some() || rule.optional_old_self
            } else {
                // The error of a value that has not changed would be dropped.
                !*same.get_or_insert_with(|| old.map_or(unchanged, |old| old == value))
            };
            if !runs {
                continue;
            }
            let scene = scene.get_or_insert_with(|| Scene::new(node, value, old));
            if !self.rule(rule, node, scene, path) {
                self.budget = None;
                return;
            }
        }
    }

    /// False when the budget is used up.
    fn rule(&mut self, rule: &Rule, node: &Node, scene: &Scene, path: &Path<'_>) -> bool {
        let fail = |errors: &mut Vec<FieldError>, detail: String| {
            errors.push(FieldError::invalid(path.bracketed(), node.types.name(), detail));
        };
        if !self.pay(&rule.expression, scene) {
            let detail = "validation failed due to running out of cost budget, \
                          no further validation rules will be run";
            fail(&mut self.errors, detail.to_owned());
            return false;
        }
        match scene.evaluate(rule, &rule.expression) {
            Ok(Cel::Bool(true)) => true,
            Ok(Cel::Bool(false)) => {
                let message = match &rule.message_expression {
                    Some(expression) if self.pay(expression, scene) => {
                        scene.evaluate(rule, expression).ok().and_then(message_text)
                    }
                    _ => None,
                };
                self.errors.push(rule.violated(&path.bracketed(), node.types, message));
                true
            }
            Ok(_) => {
                let detail = format!("the result is not a bool evaluating rule: {}", rule.label());
                fail(&mut self.errors, detail);
                true
            }
            Err(problem) if problem == "no such overload" => {
                let detail = format!(
                    "'{problem}': call arguments did not match a supported operator, function \
                     or macro signature for rule: {}",
                    rule.label()
                );
                fail(&mut self.errors, detail);
                true
            }
            Err(problem) => {
                fail(&mut self.errors, format!("{problem} evaluating rule: {}", rule.label()));
                true
            }
        }
    }

    fn pay(&mut self, expression: &Expression, scene: &Scene) -> bool {
        let left = self.budget.and_then(|left| left.checked_sub(expression.steps(&scene.extent)));
        if left.is_some() {
            self.budget = left;
        }
        left.is_some()
    }
}

impl Scene {
    fn new(node: &Node, value: View<'_>, old: Option<View<'_>>) -> Self {
        let mut extent = Extent::default();
        let mut context = cel::scope();
        context.add_variable_from_value("self", convert::convert(Some(node), value, &mut extent));
        let uses_old = node.rules.iter().any(|rule| rule.expression.uses_old_self());
        let old =
            old.filter(|_| uses_old).map(|old| convert::convert(Some(node), old, &mut extent));
        if let Some(old) = &old {
            context.add_variable_from_value("oldSelf", old.clone());
        }
        Self { context, old, extent }
    }

    fn evaluate(&self, rule: &Rule, expression: &Expression) -> Result<Cel, String> {
        if !rule.optional_old_self {
            return cel::evaluate(expression.tree(), &self.context);
        }
        let mut context = self.context.new_inner_scope();
        context.add_variable_from_value("oldSelf", cel::optional(self.old.clone()));
        cel::evaluate(expression.tree(), &context)
    }
}

/// The text of a message expression, if it is fit to be shown.
fn message_text(value: Cel) -> Option<String> {
    let Cel::String(text) = value else { return None };
    let text = text.trim();
    let fit = !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
    fit.then(|| text.to_owned())
}
