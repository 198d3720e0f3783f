//! What does not fit the schema, and where.

use std::fmt;

use super::element::Element;

/// No step is told further than this, in bytes: there are many problems below one step.
const LONGEST_STEP: usize = 1024;

/// Something that does not fit. The path grows from the inside while a walk returns, so that a
/// walk that finds nothing never makes text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    path: String,
    text: String,
}

impl Problem {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { path: String::new(), text: text.into() }
    }

    /// The problem of an item that cannot be named otherwise.
    pub(super) fn of_item(mut self, place: usize) -> Self {
        self.text.insert_str(0, &format!("element {place}: "));
        self
    }

    /// The problem as seen from one step further out.
    pub(super) fn below(mut self, element: &Element<'_>) -> Self {
        let mut step = element.to_string();
        step.truncate(step.floor_char_boundary(LONGEST_STEP));
        self.path.insert_str(0, &step);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

/// Several problems in upstream's notation.
pub(super) fn list(problems: &[Problem]) -> String {
    if let [one] = problems {
        return one.to_string();
    }
    let lines = problems.iter().map(|problem| format!("\n  {problem}"));
    std::iter::once("errors:".to_owned()).chain(lines).collect()
}
