//! `allOf`, `anyOf`, `oneOf` and `not`.

use super::{node::Node, path::Path, validate, view::View};
use crate::status::FieldError;

/// Schemas that constrain a value further.
#[derive(Debug, Default)]
pub(super) struct Compositions {
    pub(super) all: Vec<Node>,
    pub(super) any: Vec<Node>,
    pub(super) one: Vec<Node>,
    pub(super) not: Option<Node>,
}

impl Compositions {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.any.is_empty() && self.one.is_empty() && self.not.is_none()
    }

    pub(super) fn check(&self, value: View<'_>, path: &Path<'_>, errors: &mut Vec<FieldError>) {
        if !self.any.is_empty() {
            self.check_any(value, path, errors);
        }
        if !self.one.is_empty() {
            self.check_one(value, path, errors);
        }
        if !self.all.is_empty() {
            self.check_all(value, path, errors);
        }
        if self.not.as_ref().is_some_and(|node| run(node, value, path).is_empty()) {
            errors.push(error(path, "must not validate the schema (not)"));
        }
    }

    fn check_any(&self, value: View<'_>, path: &Path<'_>, errors: &mut Vec<FieldError>) {
        let mut best: Option<Vec<FieldError>> = None;
        for node in &self.any {
            let found = run(node, value, path);
            if found.is_empty() {
                return;
            }
            keep_best(&mut best, found);
        }
        errors.push(error(path, "must validate at least one schema (anyOf)"));
        errors.extend(best.into_iter().flatten());
    }

    fn check_one(&self, value: View<'_>, path: &Path<'_>, errors: &mut Vec<FieldError>) {
        let mut best = None;
        let mut valid = 0;
        for node in &self.one {
            let found = run(node, value, path);
            if found.is_empty() {
                valid += 1;
            } else {
                keep_best(&mut best, found);
            }
        }
        let how_many = match valid {
            1 => return,
            0 => "Found none valid".to_owned(),
            many => format!("Found {many} valid alternatives"),
        };
        errors.push(error(
            path,
            &format!("must validate one and only one schema (oneOf). {how_many}"),
        ));
        if valid == 0 {
            errors.extend(best.into_iter().flatten());
        }
    }

    fn check_all(&self, value: View<'_>, path: &Path<'_>, errors: &mut Vec<FieldError>) {
        let mut valid = 0;
        for node in &self.all {
            let found = run(node, value, path);
            valid += usize::from(found.is_empty());
            errors.extend(found);
        }
        if valid < self.all.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            errors.push(error(path, &format!("must validate all the schemas (allOf){none}")));
        }
    }
}

/// Never ratcheted: only the value as a whole is.
fn run(node: &Node, value: View<'_>, path: &Path<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    validate::value(node, value, None, path, &mut errors);
    errors
}

/// Keeps the errors of the alternative that came nearest. Upstream counts passed checks, we count
/// failed ones; both keep the first of equals.
fn keep_best(best: &mut Option<Vec<FieldError>>, found: Vec<FieldError>) {
    if best.as_ref().is_none_or(|best| found.len() < best.len()) {
        *best = Some(found);
    }
}

fn error(path: &Path<'_>, problem: &str) -> FieldError {
    FieldError::invalid(Path::Root.structural(), "", format!("{:?} {problem}", path.dotted()))
}
