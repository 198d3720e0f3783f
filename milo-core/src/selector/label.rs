//! Label selectors.

use std::{fmt, str::FromStr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use serde_json::Value;

use super::{ParseSelectorError, parser};
use crate::{
    meta,
    object::Object,
    status::{FieldError, FieldErrorKind, FieldPath},
};

/// Requirements on labels, all of which must hold. Without any, everything matches.
///
/// Requirements are kept ordered by key; [`Display`](fmt::Display) is the canonical text, which
/// parses to an equal selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<LabelRequirement>,
}

impl LabelSelector {
    /// Parses the text form, such as `app=shop,tier in (web,api),!legacy`. An empty text selects
    /// everything.
    ///
    /// # Errors
    /// When the text breaks the grammar or a key or value is not a valid label.
    pub fn parse(text: &str) -> Result<Self, ParseSelectorError> {
        parser::parse(text).map(|requirements| requirements.into_iter().collect())
    }

    /// Whether nothing is required.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// What is required, ordered by key.
    #[must_use]
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.requirements
    }

    /// The same selector with one more requirement.
    #[must_use]
    pub fn with(mut self, requirement: LabelRequirement) -> Self {
        let at = self.requirements.partition_point(|known| known.key <= requirement.key);
        self.requirements.insert(at, requirement);
        self
    }

    /// Whether labels match; `get` finds the value of a key.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(get(&requirement.key)))
    }

    /// Whether labels match that are sorted by key, without duplicates.
    #[must_use]
    pub fn matches_sorted<K: AsRef<str>, V: AsRef<str>>(&self, labels: &[(K, V)]) -> bool {
        self.matches(|key| {
            let at = labels.binary_search_by(|(label, _)| label.as_ref().cmp(key)).ok()?;
            Some(labels[at].1.as_ref())
        })
    }

    /// Whether the labels of an object match.
    #[must_use]
    pub fn matches_object(&self, object: &Object) -> bool {
        let labels = object.metadata().and_then(|m| m.get("labels")).and_then(Value::as_object);
        self.matches(|key| labels?.get(key)?.as_str())
    }
}

impl FromIterator<LabelRequirement> for LabelSelector {
    fn from_iter<I: IntoIterator<Item = LabelRequirement>>(requirements: I) -> Self {
        let mut requirements: Vec<_> = requirements.into_iter().collect();
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements }
    }
}

impl FromStr for LabelSelector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

/// From the form used in specs. An empty one selects everything, as it does upstream.
impl TryFrom<&v1::LabelSelector> for LabelSelector {
    type Error = InvalidRequirement;

    fn try_from(selector: &v1::LabelSelector) -> Result<Self, Self::Error> {
        let labels = selector.match_labels.iter().flatten().map(|(key, value)| {
            LabelRequirement::new(key.as_str(), LabelOperator::Equals, [value.as_str()])
        });
        let expressions =
            selector.match_expressions.iter().flatten().map(LabelRequirement::try_from);
        labels.chain(expressions).collect()
    }
}

/// How a requirement looks at a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LabelOperator {
    /// `key`: the label is there.
    Exists,
    /// `!key`: the label is not there.
    DoesNotExist,
    /// `key=value` or `key==value`.
    Equals,
    /// `key!=value`; matches when the label is not there, too.
    NotEquals,
    /// `key in (a,b)`.
    In,
    /// `key notin (a,b)`; matches when the label is not there, too.
    NotIn,
    /// `key>number`: the label is an integer above it.
    GreaterThan,
    /// `key<number`: the label is an integer below it.
    LessThan,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelRequirement {
    key: String,
    operator: LabelOperator,
    /// Sorted, each once.
    values: Vec<String>,
    /// The value as a number, for the operators that compare; otherwise zero.
    bound: i64,
}

impl LabelRequirement {
    /// A checked requirement.
    ///
    /// # Errors
    /// When the key or a value is not a valid label, or the number of values does not suit the
    /// operator: none for existence, one for equality and comparison (an integer), at least one
    /// for sets.
    pub fn new<V: Into<String>>(
        key: impl Into<String>,
        operator: LabelOperator,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, InvalidRequirement> {
        let key = key.into();
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        values.sort_unstable();
        values.dedup();
        let mut errors = Vec::new();
        if let Err(problem) = meta::validate_qualified_name(&key) {
            errors.push(FieldError::invalid(FieldPath::new("key"), key.as_str(), problem));
        }
        errors.extend(wrong_count(operator, &values));
        let bound = match operator {
            LabelOperator::GreaterThan | LabelOperator::LessThan => bound(&values, &mut errors),
            _ => 0,
        };
        for (index, value) in values.iter().enumerate() {
            if let Err(problem) = meta::validate_label_value(value) {
                let path = FieldPath::new("values").index(index).key(&key);
                errors.push(FieldError::invalid(path, value.as_str(), problem));
            }
        }
        match errors.is_empty() {
            true => Ok(Self { key, operator, values, bound }),
            false => Err(InvalidRequirement(errors)),
        }
    }

    /// The label looked at.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it is looked at.
    #[must_use]
    pub fn operator(&self) -> LabelOperator {
        self.operator
    }

    /// What it is compared with: sorted, each value once.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the value of the label, or its absence, is what is required.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        match (self.operator, value) {
            (LabelOperator::Exists, value) => value.is_some(),
            (LabelOperator::DoesNotExist, value) => value.is_none(),
            (LabelOperator::NotEquals | LabelOperator::NotIn, None) => true,
            (LabelOperator::NotEquals | LabelOperator::NotIn, Some(value)) => !self.lists(value),
            (_, None) => false,
            (LabelOperator::Equals | LabelOperator::In, Some(value)) => self.lists(value),
            (LabelOperator::GreaterThan, Some(value)) => {
                value.parse::<i64>().is_ok_and(|number| number > self.bound)
            }
            (LabelOperator::LessThan, Some(value)) => {
                value.parse::<i64>().is_ok_and(|number| number < self.bound)
            }
        }
    }

    fn lists(&self, value: &str) -> bool {
        match self.values.as_slice() {
            [one] => one == value,
            many => many.binary_search_by(|known| known.as_str().cmp(value)).is_ok(),
        }
    }
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values, .. } = self;
        let value = values.first().map_or("", String::as_str);
        match operator {
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
            LabelOperator::Equals => write!(f, "{key}={value}"),
            LabelOperator::NotEquals => write!(f, "{key}!={value}"),
            LabelOperator::GreaterThan => write!(f, "{key}>{value}"),
            LabelOperator::LessThan => write!(f, "{key}<{value}"),
            LabelOperator::In => write!(f, "{key} in ({})", values.join(",")),
            LabelOperator::NotIn => write!(f, "{key} notin ({})", values.join(",")),
        }
    }
}

impl TryFrom<&v1::LabelSelectorRequirement> for LabelRequirement {
    type Error = InvalidRequirement;

    fn try_from(requirement: &v1::LabelSelectorRequirement) -> Result<Self, Self::Error> {
        let operator = match requirement.operator.as_str() {
            "In" => LabelOperator::In,
            "NotIn" => LabelOperator::NotIn,
            "Exists" => LabelOperator::Exists,
            "DoesNotExist" => LabelOperator::DoesNotExist,
            other => {
                let path = FieldPath::new("operator");
                let problem = "not a valid selector operator";
                return Err(InvalidRequirement(vec![FieldError::invalid(path, other, problem)]));
            }
        };
        Self::new(
            requirement.key.as_str(),
            operator,
            requirement.values.iter().flatten().map(String::as_str),
        )
    }
}

/// Why there can be no such requirement.
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidRequirement(Vec<FieldError>);

impl InvalidRequirement {
    /// What is wrong, with paths below the requirement: `key`, `operator`, `values`.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.0
    }
}

impl fmt::Display for InvalidRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match texts.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "[{}]", many.join(", ")),
        }
    }
}

impl std::error::Error for InvalidRequirement {}

fn wrong_count(operator: LabelOperator, values: &[String]) -> Option<FieldError> {
    let (fits, problem) = match operator {
        LabelOperator::Exists | LabelOperator::DoesNotExist => {
            (values.is_empty(), "values set must be empty for exists and does not exist")
        }
        LabelOperator::Equals | LabelOperator::NotEquals => {
            (values.len() == 1, "exact-match compatibility requires one single value")
        }
        LabelOperator::In | LabelOperator::NotIn => {
            (!values.is_empty(), "for 'in', 'notin' operators, values set can't be empty")
        }
        LabelOperator::GreaterThan | LabelOperator::LessThan => {
            (values.len() == 1, "for 'Gt', 'Lt' operators, exactly one value is required")
        }
    };
    let error =
        || FieldError::new(FieldErrorKind::Invalid, FieldPath::new("values"), values, problem);
    (!fits).then(error)
}

fn bound(values: &[String], errors: &mut Vec<FieldError>) -> i64 {
    let Some(value) = values.first() else { return 0 };
    value.parse().unwrap_or_else(|_| {
        let path = FieldPath::new("values").index(0);
        let problem = "for 'Gt', 'Lt' operators, the value must be an integer";
        errors.push(FieldError::invalid(path, value.as_str(), problem));
        0
    })
}
