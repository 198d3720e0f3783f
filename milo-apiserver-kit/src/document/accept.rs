//! The `Accept` header, in the order in which a client prefers its clauses.

use std::cmp::Reverse;

use http::{HeaderMap, header::ACCEPT};

/// A parsed `Accept` header.
#[derive(Clone, Debug)]
pub struct Accept<'a> {
    ranges: Vec<MediaRange<'a>>,
}

/// One clause: a media type, perhaps with wildcards, and its parameters.
#[derive(Clone, Debug)]
pub struct MediaRange<'a> {
    media_type: &'a str,
    subtype: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    /// Thousandths, 0 to 1000.
    quality: u16,
}

impl<'a> Accept<'a> {
    /// The `Accept` of a request. A missing or empty header accepts everything; clauses that are
    /// not media types, and those with `q=0`, are left out.
    #[must_use]
    pub fn of(request: &'a HeaderMap) -> Self {
        let clauses = super::values(request, &ACCEPT)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|clause| !clause.is_empty());
        Self::from_clauses(clauses)
    }

    fn from_clauses(clauses: impl Iterator<Item = &'a str>) -> Self {
        let mut clauses = clauses.peekable();
        if clauses.peek().is_none() {
            return Self { ranges: MediaRange::parse("*/*").into_iter().collect() };
        }
        let mut ranges: Vec<_> =
            clauses.filter_map(MediaRange::parse).filter(|range| range.quality > 0).collect();
        // Stable: clauses of equal weight stay in the order in which the client wrote them.
        ranges.sort_by_key(|range| Reverse((range.quality, range.specificity())));
        Self { ranges }
    }

    /// The clauses, most preferred first.
    pub fn ranges(&self) -> impl Iterator<Item = &MediaRange<'a>> {
        self.ranges.iter()
    }
}

impl<'a> MediaRange<'a> {
    fn parse(clause: &'a str) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        let (media_type, subtype) = parts.next()?.split_once('/')?;
        let mut parameters: Vec<_> = parts
            .filter_map(|parameter| parameter.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            .collect();
        let weight = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let quality = weight.map_or(Some(1000), |(_, value)| thousandths(value))?;
        parameters.retain(|(name, _)| !name.eq_ignore_ascii_case("q"));
        Some(Self { media_type, subtype, parameters, quality })
    }

    /// The value of a parameter other than `q`. Names are compared without regard to case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut parameters = self.parameters.iter();
        parameters.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Whether `media_type` (`application/json`) is in the range.
    #[must_use]
    pub fn includes(&self, media_type: &str) -> bool {
        let covers = |range: &str, found: &str| range == "*" || range.eq_ignore_ascii_case(found);
        media_type.split_once('/').is_some_and(|(media_type, subtype)| {
            covers(self.media_type, media_type) && covers(self.subtype, subtype)
        })
    }

    fn specificity(&self) -> u8 {
        u8::from(self.media_type != "*") + u8::from(self.subtype != "*")
    }
}

/// A `q` value as thousandths; none when it is not a number from 0 to 1.
fn thousandths(quality: &str) -> Option<u16> {
    let quality: f32 = quality.parse().ok()?;
    // The cast cannot overflow: the range is checked.
    (0.0..=1.0).contains(&quality).then(|| (quality * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(accept: &str) -> Vec<String> {
        let parsed = Accept::from_clauses(accept.split(',').map(str::trim));
        parsed.ranges().map(|range| format!("{}/{}", range.media_type, range.subtype)).collect()
    }

    #[test]
    fn clauses_are_ordered_by_weight_then_as_written() {
        assert_eq!(order("a/a;q=0.2, b/b, c/c;q=0.9, d/d"), ["b/b", "d/d", "c/c", "a/a"]);
        assert_eq!(order("*/*, a/*, a/b"), ["a/b", "a/*", "*/*"]);
        assert_eq!(order("a/a;q=0, b/b;q=2, c/c;q=x, nonsense, d/d"), ["d/d"]);
    }

    #[test]
    fn no_header_accepts_everything() {
        let headers = HeaderMap::new();
        let accept = Accept::of(&headers);
        assert!(accept.ranges().next().unwrap().includes("application/json"));
    }

    #[test]
    fn parameters_are_free_in_order_and_case() {
        let range = MediaRange::parse("Application/JSON; AS=Table ;q=0.5;v=\"v1\"").unwrap();
        assert_eq!((range.parameter("as"), range.parameter("v")), (Some("Table"), Some("v1")));
        assert_eq!((range.parameter("q"), range.quality), (None, 500));
        assert!(range.includes("application/json") && !range.includes("application/yaml"));
    }
}
