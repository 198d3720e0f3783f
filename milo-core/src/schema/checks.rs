//! Constraints on single values: enumerations, limits, lengths, patterns.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Number, Value};

use super::{path::Path, unique, view::View};
use crate::status::{FieldError, FieldErrorKind};

/// All that a schema says about a value besides its type. A check applies to the values that it
/// makes sense for, whatever type is declared.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) allowed: Vec<Value>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<Number>,
    /// A format that limits integers further.
    pub(super) int32: bool,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) pattern: Option<Regex>,
    pub(super) min_items: Option<usize>,
    pub(super) max_items: Option<usize>,
    pub(super) unique_items: bool,
    pub(super) min_properties: Option<usize>,
    pub(super) max_properties: Option<usize>,
}

/// A limit of a number.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) limit: Number,
    pub(super) exclusive: bool,
}

impl Checks {
    pub(super) fn check_enum(
        &self,
        value: View<'_>,
        path: &Path<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        if self.allowed.is_empty() || self.allowed.iter().any(|allowed| same(allowed, value)) {
            return;
        }
        let texts: Vec<String> = self.allowed.iter().map(enum_text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        errors.push(FieldError::not_supported(path.structural(), value.to_value(), &texts));
    }

    /// Stops at the first problem, as upstream does.
    pub(super) fn check_string(&self, text: &str, path: &Path<'_>, errors: &mut Vec<FieldError>) {
        // A string has at least a quarter as many characters as bytes: counting is rarely needed.
        if let Some(max) = self.max_length
            && text.len() > max
            && text.chars().count() > max
        {
            errors.push(FieldError::too_long(path.structural(), max));
        } else if let Some(min) = self.min_length
            && text.len() < min.saturating_mul(4)
            && text.chars().count() < min
        {
            let detail = format!("should be at least {min} chars long");
            errors.push(invalid(path, text, &detail));
        } else if let Some(pattern) = &self.pattern
            && !pattern.is_match(text)
        {
            errors.push(invalid(path, text, &format!("should match '{pattern}'")));
        }
    }

    pub(super) fn check_number(
        &self,
        number: &Number,
        path: &Path<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        if self.int32 && number.as_i64().is_some_and(|value| i32::try_from(value).is_err()) {
            let name = path.dotted();
            let detail =
                format!("Checked value must be of type integer with format int32 in {name}");
            let value = Value::Number(number.clone());
            errors.push(FieldError::invalid(path.structural(), value, detail));
        }
        let mut fail = |detail: String| errors.push(invalid(path, number.clone(), &detail));
        if let Some(factor) = &self.multiple_of
            && !is_multiple(number, factor)
        {
            fail(format!("should be a multiple of {}", limit_text(factor, number)));
        }
        if let Some(bound) = &self.minimum
            && bound.is_violated(number, Ordering::Less)
        {
            let than = if bound.exclusive { "greater than" } else { "greater than or equal to" };
            fail(format!("should be {than} {}", limit_text(&bound.limit, number)));
        }
        if let Some(bound) = &self.maximum
            && bound.is_violated(number, Ordering::Greater)
        {
            let than = if bound.exclusive { "less than" } else { "less than or equal to" };
            fail(format!("should be {than} {}", limit_text(&bound.limit, number)));
        }
    }

    pub(super) fn check_list(
        &self,
        items: &[Value],
        path: &Path<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        if let Some(min) = self.min_items
            && items.len() < min
        {
            errors.push(invalid(path, items.len(), &format!("should have at least {min} items")));
        }
        if let Some(max) = self.max_items
            && items.len() > max
        {
            errors.push(too_many(path, items.len(), max));
        }
        if self.unique_items && !unique::repeated(items).is_empty() {
            errors.push(invalid(path, "", "shouldn't contain duplicates"));
        }
    }

    /// The number of fields; false when nothing else about the object should be checked.
    pub(super) fn check_size(
        &self,
        size: usize,
        path: &Path<'_>,
        errors: &mut Vec<FieldError>,
    ) -> bool {
        if let Some(min) = self.min_properties
            && size < min
        {
            errors.push(invalid(path, size, &format!("should have at least {min} properties")));
            return false;
        }
        if let Some(max) = self.max_properties
            && size > max
        {
            errors.push(too_many(path, size, max));
            return false;
        }
        true
    }
}

impl Bound {
    /// Whether the number lies on the wrong side.
    fn is_violated(&self, number: &Number, wrong: Ordering) -> bool {
        let order = compare(number, &self.limit);
        order == Some(wrong) || (self.exclusive && order == Some(Ordering::Equal))
    }
}

fn invalid(path: &Path<'_>, value: impl Into<Value>, problem: &str) -> FieldError {
    let name = path.dotted();
    FieldError::invalid(path.structural(), value, format!("{name} in body {problem}"))
}

fn too_many(path: &Path<'_>, actual: usize, max: usize) -> FieldError {
    let items = if max == 1 { "item" } else { "items" };
    let detail = format!("must have at most {max} {items}");
    FieldError::new(FieldErrorKind::TooMany, path.structural(), actual, detail)
}

/// Equal as JSON; numbers by value, so that `1` is `1.0`.
fn same(allowed: &Value, value: View<'_>) -> bool {
    match (allowed, value) {
        (Value::Number(allowed), View::Number(value)) => {
            compare(allowed, value) == Some(Ordering::Equal)
        }
        _ => View::from(allowed) == value,
    }
}

fn enum_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

fn is_multiple(number: &Number, factor: &Number) -> bool {
    match (number.as_i64(), factor.as_i64()) {
        (Some(number), Some(factor)) => number.checked_rem(factor).is_none_or(|rest| rest == 0),
        _ => match (number.as_f64(), factor.as_f64()) {
            (Some(number), Some(factor)) => {
                // Dividing by a small factor loses less when it is turned round first.
                let times = if factor < 1.0 { 1.0 / factor * number } else { number / factor };
                (times - times.round()).abs() <= times.abs() * 1e-9
            }
            _ => false,
        },
    }
}

/// A limit as Go prints it: as an integer beside integers, else in its shortest float form.
fn limit_text(limit: &Number, value: &Number) -> String {
    match (limit.as_i64(), limit.as_f64()) {
        (Some(limit), _) if value.is_i64() => limit.to_string(),
        (_, Some(limit)) => go_float(limit),
        _ => limit.to_string(),
    }
}

/// `%v` of a float64: exponents below -4 and from 6 on are written out.
fn go_float(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => value.to_string(),
    }
}
