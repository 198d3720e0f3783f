//! The formats that Kubernetes checks. Others are ignored.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use regex::Regex;

use super::node::Types;

/// A known format.
#[derive(Debug)]
pub(super) struct Format {
    name: String,
    accepts: fn(&str) -> bool,
}

impl Format {
    /// A format that means something for values of a type.
    pub(super) fn new(types: Types, name: &str) -> Option<Self> {
        let accepts: fn(&str) -> bool = match (types, name) {
            (Types::String | Types::Any, name) => for_strings(name)?,
            (Types::Integer, "int32" | "int64") | (Types::Number, "float" | "double") => |_| true,
            _ => return None,
        };
        Some(Self { name: name.to_owned(), accepts })
    }

    /// As the document spells it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn accepts(&self, text: &str) -> bool {
        (self.accepts)(text)
    }
}

fn for_strings(name: &str) -> Option<fn(&str) -> bool> {
    Some(match name.replace('-', "").as_str() {
        "bsonobjectid" => |text| text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "byte" => |text| !text.is_empty() && STANDARD.decode(text).is_ok(),
        "cidr" => is_cidr,
        "creditcard" => is_credit_card,
        "date" => is_date,
        "datetime" => is_date_time,
        "duration" => is_duration,
        "email" => is_email,
        "hexcolor" => |text| matches(&HEX_COLOR, text),
        "hostname" => is_hostname,
        "ipv4" => |text| text.contains('.') && (is_ipv4(text) || is_ipv6(text)),
        "ipv6" => |text| text.contains(':') && is_ipv6(text),
        "isbn" => |text| is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10,
        "isbn13" => is_isbn13,
        "k8slongname" => is_long_name,
        "k8sshortname" => is_short_name,
        "mac" => is_mac,
        "password" => |_| true,
        "quantity" => |text| matches(&QUANTITY, text),
        "rgbcolor" => |text| matches(&RGB_COLOR, text),
        "ssn" => |text| matches(&SSN, text),
        "uri" => is_uri,
        "uuid" => |text| is_uuid(text, None, false),
        "uuid3" => |text| is_uuid(text, Some(b'3'), false),
        "uuid4" => |text| is_uuid(text, Some(b'4'), true),
        "uuid5" => |text| is_uuid(text, Some(b'5'), true),
        _ => return None,
    })
}

/// A pattern of ours; the tests compile them all.
type Pattern = LazyLock<Option<Regex>>;

const fn pattern(compile: fn() -> Option<Regex>) -> Pattern {
    LazyLock::new(compile)
}

fn matches(pattern: &Pattern, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

static HEX_COLOR: Pattern = pattern(|| Regex::new("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$").ok());
static RGB_COLOR: Pattern = pattern(|| {
    const PART: &str = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*";
    Regex::new(&format!("^rgb\\({PART},{PART},{PART}\\)$")).ok()
});
static SSN: Pattern = pattern(|| Regex::new(r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$").ok());
static QUANTITY: Pattern = pattern(|| {
    Regex::new(r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$").ok()
});
static HOSTNAME: Pattern = pattern(|| {
    // Labels of letters, digits, symbols and inner dashes; the last one has no digits.
    const ANY: &str = r"[a-zA-Z0-9\p{S}\p{L}]";
    const LABEL: &str =
        r"[a-zA-Z0-9\p{S}\p{L}]([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?";
    Regex::new(&format!(r"^({ANY}(-?{ANY}{{0,62}})?|({LABEL}\.)+[a-zA-Z\p{{L}}]{{2,63}})$")).ok()
});
static SCALA_DURATION: Pattern = pattern(|| {
    Regex::new("^\\s*([0-9]+\\s*(ns|nano[a-z]*|us|µs|micro[a-z]*|ms|milli[a-z]*|s|sec[a-z]*|m|min[a-z]*|h|hr|hour[a-z]*|d|day[a-z]*|w|wk|week[a-z]*)\\s*)+$").ok()
});
static GO_DURATION: Pattern = pattern(|| {
    Regex::new("^[+-]?(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$").ok()
});

fn is_date(text: &str) -> bool {
    let number = |range| text.get(range).and_then(digits);
    let dashes = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return false;
    };
    dashes && jiff::civil::Date::new(year, month as i8, day as i8).is_ok()
}

/// RFC 3339, with whatever letter case, without leap seconds.
fn is_date_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    let Some(rest) = rest.strip_prefix(['T', 't']) else { return false };
    let Some((time, rest)) = rest.split_at_checked(8) else { return false };
    let rest = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            if end == 0 {
                return false;
            }
            &rest[end..]
        }
        None => rest,
    };
    let zone = match rest.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let time_is_right = match time.as_bytes() {
        [_, _, b':', _, _, b':', _, _] => {
            let below = |range, limit| time.get(range).and_then(digits).is_some_and(|n| n < limit);
            below(0..2, 24) && below(3..5, 60) && below(6..8, 60)
        }
        _ => false,
    };
    is_date(date) && time_is_right && zone
}

fn digits(text: &str) -> Option<i16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// As Go writes durations, or with words as Scala does.
fn is_duration(text: &str) -> bool {
    matches(&GO_DURATION, text) || matches(&SCALA_DURATION, &text.to_lowercase())
}

/// An address, or a name and an address in angle brackets.
fn is_email(text: &str) -> bool {
    let address = match text.trim().strip_suffix('>') {
        Some(text) => text.rsplit_once('<').map_or("", |(_, address)| address),
        None => text.trim(),
    };
    let dot_atom = |text: &str| {
        let special = |c: char| c.is_whitespace() || c.is_control() || "()<>[]:;@\\,\"".contains(c);
        !text.is_empty() && text.split('.').all(|atom| !atom.is_empty() && !atom.contains(special))
    };
    let quoted = |text: &str| text.len() > 2 && text.starts_with('"') && text.ends_with('"');
    address
        .rsplit_once('@')
        .is_some_and(|(local, domain)| (dot_atom(local) || quoted(local)) && dot_atom(domain))
}

fn is_hostname(text: &str) -> bool {
    text.len() <= 255 && text.split('.').all(|label| label.len() <= 63) && matches(&HOSTNAME, text)
}

/// Leading zeros are decimal, as they were in older Go.
fn is_ipv4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let octet = |part: &&str| {
        let significant = part.trim_start_matches('0');
        !part.is_empty() && (significant.is_empty() || significant.parse::<u8>().is_ok())
    };
    text.parse::<Ipv4Addr>().is_ok()
        || (parts.len() == 4
            && parts.iter().all(octet)
            && text.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let limit = if is_ipv4(address) {
        32
    } else if is_ipv6(address) {
        128
    } else {
        return false;
    };
    length.len() <= 3 && digits(length).is_some_and(|length| length <= limit)
}

/// 6, 8 or 20 bytes: `00:00:5e:00:53:01`, `00-00-5e-00-53-01`, `0000.5e00.5301`.
fn is_mac(text: &str) -> bool {
    let grouped = |separator: char, width: usize| {
        let groups: Vec<&str> = text.split(separator).collect();
        matches!(groups.len() * width / 2, 6 | 8 | 20)
            && groups
                .iter()
                .all(|group| group.len() == width && group.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    grouped(':', 2) || grouped('-', 2) || grouped('.', 4)
}

/// An absolute URI or an absolute path.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return false;
    }
    if text.starts_with('/') || text == "*" {
        return true;
    }
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let mut bytes = scheme.bytes();
        let known = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let host = rest.strip_prefix("//").unwrap_or_default();
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        known && !host.contains([' ', '<', '>', '"'])
    })
}

/// Any letter case, dashes optional. `variant` asks for the variant bits of RFC 4122.
fn is_uuid(text: &str, version: Option<u8>, variant: bool) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let mut rest = text.as_bytes();
    for (index, width) in GROUPS.into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        let Some((group, after)) = rest.split_at_checked(width) else { return false };
        let head = group[0].to_ascii_lowercase();
        let wrong_version = index == 2 && version.is_some_and(|version| version != head);
        let wrong_variant = index == 3 && variant && !b"89ab".contains(&head);
        if wrong_version || wrong_variant || !group.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

fn plain_digits(text: &str) -> Vec<u32> {
    text.chars().filter(|c| !matches!(c, '-' | ' ')).map_while(|c| c.to_digit(36)).collect()
}

fn is_isbn10(text: &str) -> bool {
    const X: u32 = 33; // The letter in base 36, which stands for ten at the end.
    let digits = plain_digits(text);
    digits.len() == 10
        && digits[..9].iter().all(|&digit| digit < 10)
        && (digits[9] < 10 || digits[9] == X)
        && digits
            .iter()
            .zip(1..)
            .map(|(&d, place)| place * if d == X { 10 } else { d })
            .sum::<u32>()
            % 11
            == 0
}

fn is_isbn13(text: &str) -> bool {
    let digits = plain_digits(text);
    digits.len() == 13
        && digits.iter().all(|&digit| digit < 10)
        && digits.iter().zip([1, 3].into_iter().cycle()).map(|(d, w)| d * w).sum::<u32>() % 10 == 0
}

/// The number of a card in use, with a right check digit. Anything but digits is skipped.
fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let doubled = |d: u32| if d > 4 { d * 2 - 9 } else { d * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &d)| if place % 2 == 1 { doubled(d) } else { d })
        .sum();
    matches!(digits.len(), 13..=16) && sum.is_multiple_of(10)
}

fn is_short_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 63
        && !text.is_empty()
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_long_name(text: &str) -> bool {
    let segment = |segment: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !segment.is_empty()
            && segment.bytes().all(inner)
            && !segment.starts_with('-')
            && !segment.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(format: &str, texts: &[&str]) -> Vec<bool> {
        let format = Format::new(Types::String, format).unwrap();
        texts.iter().map(|text| format.accepts(text)).collect()
    }

    #[test]
    fn formats_tell_right_from_wrong() {
        // Format, right texts, wrong texts.
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("date", &["2024-02-29"], &["2023-02-29", "2024-2-9", "2024-02-29T", "", "é024-02-2"]),
            (
                "date-time",
                &["2024-02-29T23:59:59Z", "2024-02-29t01:02:03.004z", "2024-02-29T01:02:03-07:00"],
                &[
                    "2024-02-29",
                    "2024-02-29T24:00:00Z",
                    "2024-02-29T01:02:03",
                    "2024-02-29T01:02:03.Z",
                ],
            ),
            (
                "duration",
                &["1h30m", "1.5s", "-2us", "0", "5 days", "3w"],
                &["", "1", "h", "1 fortnight"],
            ),
            ("byte", &["aGk=", "AAAA"], &["", "a", "aGk", "a-_="]),
            (
                "uuid",
                &["7f8a1a8e-8f0e-4c7c-9d5a-0c7c7b0d8e11", "7F8A1A8E8F0E4C7C9D5A0C7C7B0D8E11"],
                &["7f8a1a8e-8f0e-4c7c-9d5a", "x", "7f8a1a8e-8f0e-4c7c-9d5a-0c7c7b0d8e111"],
            ),
            (
                "uuid4",
                &["7f8a1a8e-8f0e-4c7c-9d5a-0c7c7b0d8e11"],
                &["7f8a1a8e-8f0e-3c7c-9d5a-0c7c7b0d8e11"],
            ),
            ("ipv4", &["10.0.0.1", "010.0.0.1"], &["10.0.0", "256.0.0.1", "::1", "a.b.c.d"]),
            ("ipv6", &["::1", "2001:db8::1"], &["10.0.0.1", ":::", "2001:db8"]),
            ("cidr", &["10.0.0.0/8", "2001:db8::/32"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/"]),
            (
                "mac",
                &["00:00:5e:00:53:01", "0000.5e00.5301"],
                &["00:00:5e:00:53", "zz:00:5e:00:53:01"],
            ),
            (
                "email",
                &["a@b.c", "A B <a@b.c>", "a+b@localhost"],
                &["a", "@b", "a@", "a b@c.d", "<a@b"],
            ),
            ("hostname", &["a", "a.example.com", "1a.bc"], &["", "-a", "a_b.com", "a..b"]),
            ("uri", &["https://a.b/c?d", "/a", "mailto:x"], &["", "a", "a b://c", "http://a b/"]),
            ("hexcolor", &["#fff", "00ff00"], &["#ffff", "red"]),
            ("rgbcolor", &["rgb(1, 20,255)"], &["rgb(1,2)", "rgb(256,0,0)"]),
            ("ssn", &["111-22-3333"], &["111-22-333"]),
            ("isbn10", &["0321751043", "0-8044-2957-X"], &["0321751044", "X321751043"]),
            ("isbn13", &["978-0321751041"], &["978-0321751042"]),
            ("isbn", &["0321751043", "9780321751041"], &["1"]),
            ("creditcard", &["4111 1111 1111 1111"], &["4111111111111112"]),
            ("quantity", &["10Gi", "1.5", "100m", "1e3"], &["", "Gi", "1 Gi"]),
            ("bsonobjectid", &["507f1f77bcf86cd799439011"], &["507f"]),
            ("k8s-short-name", &["a-1"], &["", "A", "-a", "a.b"]),
            ("k8s-long-name", &["a-1.b"], &["", "a.", "A"]),
            ("password", &["", "x"], &[]),
        ];
        for (format, right, wrong) in cases {
            assert_eq!(accepted(format, right), vec![true; right.len()], "{format}: {right:?}");
            assert_eq!(accepted(format, wrong), vec![false; wrong.len()], "{format}: {wrong:?}");
        }
    }

    #[test]
    fn formats_depend_on_the_type() {
        assert!(Format::new(Types::String, "no-such").is_none());
        assert!(Format::new(Types::Integer, "uint32").is_none());
        assert!(Format::new(Types::Integer, "int64").is_some());
        assert!(Format::new(Types::Object, "date").is_none());
    }
}
