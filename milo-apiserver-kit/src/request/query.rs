//! The query string, decoded once.

use std::borrow::Cow;

use milo_core::status::StatusError;

/// Decoded query parameters, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(crate) fn parse(raw: Option<&'a str>) -> Self {
        match raw {
            None | Some("") => Self::default(),
            Some(raw) => Self(form_urlencoded::parse(raw.as_bytes()).collect()),
        }
    }

    /// The first value of a parameter; empty when missing, as in Go.
    pub(crate) fn first<'q>(&'q self, name: &str) -> &'q str {
        self.all(name).next().unwrap_or_default()
    }

    pub(crate) fn all<'q, 'n>(
        &'q self,
        name: &'n str,
    ) -> impl Iterator<Item = &'q str> + use<'a, 'q, 'n> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// All parameters, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// A boolean as Kubernetes converts them: present without a value, or anything but `false`
    /// and `0`, is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.all(name)
            .next()
            .is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    pub(crate) fn optional_flag(&self, name: &str) -> Option<bool> {
        self.has(name).then(|| self.flag(name))
    }

    /// A number; missing or empty is none.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, StatusError> {
        match self.first(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|error| {
                StatusError::bad_request(format!(
                    "invalid query parameter {name}={text:?}: {error}"
                ))
            }),
        }
    }
}
