//! Where a walk is. Text is made only when there is something to report.

use std::fmt::Write as _;

use crate::status::FieldPath;

/// How long a path is shown, in bytes. With long keys the paths to many mistakes would be far larger
/// than the object.
const SHOWN: usize = 1024;

/// A path that borrows from the steps that led here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    /// The object itself.
    Root,
    /// A declared field.
    Field(&'a Path<'a>, &'a str),
    /// An entry of a map.
    Key(&'a Path<'a>, &'a str),
    /// An item of a list.
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// `spec.labels.app`: how structural errors and unknown fields are named.
    pub(super) fn dotted(&self) -> String {
        self.text(false)
    }

    /// `spec.labels[app]`: how all other errors are named; `<nil>` for the root.
    pub(super) fn bracketed(&self) -> FieldPath {
        named(&self.text(true))
    }

    /// The path of a structural error.
    pub(super) fn structural(&self) -> FieldPath {
        named(&self.dotted())
    }

    fn text(&self, brackets: bool) -> String {
        let mut text = String::new();
        self.write(brackets, &mut text);
        text.truncate(text.floor_char_boundary(SHOWN));
        text
    }

    fn write(&self, brackets: bool, text: &mut String) {
        match self {
            Self::Root => {}
            Self::Key(parent, key) if brackets => {
                parent.write(brackets, text);
                text.push('[');
                text.push_str(key);
                text.push(']');
            }
            Self::Field(parent, name) | Self::Key(parent, name) => {
                parent.write(brackets, text);
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Self::Index(parent, index) => {
                parent.write(brackets, text);
                // INVARIANT: writing to a string cannot fail.
                let _ = write!(text, "[{index}]");
            }
        }
    }
}

/// The root has no name; upstream prints a nil path as `<nil>`.
fn named(text: &str) -> FieldPath {
    FieldPath::new(if text.is_empty() { "<nil>" } else { text })
}
