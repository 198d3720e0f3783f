//! Field selectors.

use std::{fmt, str::FromStr};

use super::ParseSelectorError;

/// Requirements on fields, all of which must hold. Without any, everything matches.
///
/// Which paths a kind knows is not decided here: look at [`requirements`](Self::requirements).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Parses the text form, such as `metadata.name=shop,status.phase!=Failed`. In a value `,`,
    /// `=` and `\` are written with a backslash before them. Empty terms are skipped; blanks mean
    /// themselves.
    ///
    /// # Errors
    /// When a term has no operator or a value is not escaped well.
    pub fn parse(text: &str) -> Result<Self, ParseSelectorError> {
        let requirements = terms(text)
            .filter(|term| !term.is_empty())
            .map(|term| FieldRequirement::parse(term, text))
            .collect::<Result<_, _>>()?;
        Ok(Self { requirements })
    }

    /// Whether nothing is required.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// What is required, in the order given.
    #[must_use]
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// The same selector with one more requirement.
    #[must_use]
    pub fn with(mut self, requirement: FieldRequirement) -> Self {
        self.requirements.push(requirement);
        self
    }

    /// Whether fields match; `get` finds the value at a path. A missing field equals the empty
    /// text.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| {
            let equal = get(&requirement.path).unwrap_or_default() == requirement.value;
            equal == (requirement.operator == FieldOperator::Equals)
        })
    }

    /// The value that a field must have for anything to match. When two equalities contradict each
    /// other this is the first; nothing will match.
    #[must_use]
    pub fn required_value(&self, path: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|known| known.path == path && known.operator == FieldOperator::Equals)
            .map(|known| known.value.as_str())
    }
}

impl FromIterator<FieldRequirement> for FieldSelector {
    fn from_iter<I: IntoIterator<Item = FieldRequirement>>(requirements: I) -> Self {
        Self { requirements: requirements.into_iter().collect() }
    }
}

impl FromStr for FieldSelector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for FieldSelector {
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

/// How a requirement looks at a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldOperator {
    /// `path=value` or `path==value`.
    Equals,
    /// `path!=value`.
    NotEquals,
}

/// One requirement on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    path: String,
    operator: FieldOperator,
    value: String,
}

impl FieldRequirement {
    /// A requirement. The path is written as in selectors, `spec.nodeName`; the value is plain,
    /// without escapes.
    #[must_use]
    pub fn new(path: impl Into<String>, operator: FieldOperator, value: impl Into<String>) -> Self {
        Self { path: path.into(), operator, value: value.into() }
    }

    /// The field looked at.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How it is looked at.
    #[must_use]
    pub fn operator(&self) -> FieldOperator {
        self.operator
    }

    /// What it is compared with.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    fn parse(term: &str, selector: &str) -> Result<Self, ParseSelectorError> {
        let unknown =
            || ParseSelectorError::Term { selector: selector.to_owned(), term: term.to_owned() };
        let equals = term.find('=').ok_or_else(unknown)?;
        let (left, right) = (&term[..equals], &term[equals + 1..]);
        match left.strip_suffix('!') {
            Some(path) => Ok(Self::new(path, FieldOperator::NotEquals, unescape(right)?)),
            None => {
                let value = right.strip_prefix('=').unwrap_or(right);
                Ok(Self::new(left, FieldOperator::Equals, unescape(value)?))
            }
        }
    }
}

impl fmt::Display for FieldRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        f.write_str(match self.operator {
            FieldOperator::Equals => "=",
            FieldOperator::NotEquals => "!=",
        })?;
        for part in self.value.split_inclusive(['\\', ',', '=']) {
            match part.strip_suffix(['\\', ',', '=']) {
                Some(plain) => write!(f, "{plain}\\{}", &part[plain.len()..])?,
                None => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// The parts between commas that have no backslash before them.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let splits = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
}

fn unescape(text: &str) -> Result<String, ParseSelectorError> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                other => {
                    let sequence = other.map_or("\\".to_owned(), |other| format!("\\{other}"));
                    return Err(ParseSelectorError::Escape(sequence));
                }
            },
            ',' | '=' => return Err(ParseSelectorError::Unescaped(character)),
            plain => value.push(plain),
        }
    }
    Ok(value)
}
