//! What the server fills in.

use jiff::Timestamp;
use uuid::Uuid;

/// Digits and consonants that are hard to confuse and spell no words; the set that Kubernetes
/// uses.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
/// Names made from a prefix fit a DNS label (63) whatever the prefix.
const LONGEST_BASE: usize = 63 - SUFFIX;

/// A name for an object with `metadata.generateName`: the base, cut to 58 bytes, and five random
/// characters. It may be taken; callers try up to eight names.
///
/// ```
/// let name = milo_core::meta::generate_name("org-");
/// assert!(name.starts_with("org-") && name.len() == 9);
/// ```
#[must_use]
pub fn generate_name(base: &str) -> String {
    let mut name = String::with_capacity(LONGEST_BASE + SUFFIX);
    name.push_str(&base[..base.floor_char_boundary(LONGEST_BASE)]);
    let end = name.len() + SUFFIX;
    while name.len() < end {
        random_letters(&mut name, end);
    }
    name
}

fn random_letters(name: &mut String, end: usize) {
    let random = *Uuid::new_v4().as_bytes();
    for (index, byte) in random.into_iter().map(usize::from).enumerate() {
        // Bytes 6 and 8 of a UUID hold its version and variant. Bytes from 243 on would favour
        // the first letters.
        let even = index != 6 && index != 8 && byte < 9 * ALPHABET.len();
        if even && name.len() < end {
            name.push(char::from(ALPHABET[byte % ALPHABET.len()]));
        }
    }
}

/// The current time as metadata holds it: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn now() -> String {
    now_in_seconds().to_string()
}

/// The current time without its fraction, which would not survive a round trip through a client.
pub(crate) fn now_in_seconds() -> Timestamp {
    in_seconds(Timestamp::now())
}

/// Cuts off the fraction of a second.
pub(crate) fn in_seconds(time: Timestamp) -> Timestamp {
    // Whole seconds of a valid time are a valid time.
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_differ_and_use_the_alphabet() {
        let names: HashSet<String> = (0..200).map(|_| generate_name("x-")).collect();
        assert!(names.len() > 190);
        let letters = names.iter().flat_map(|name| name.bytes().skip(2));
        assert!(letters.clone().all(|letter| ALPHABET.contains(&letter)));
        assert_eq!(letters.collect::<HashSet<_>>().len(), ALPHABET.len());
    }

    #[test]
    fn times_have_no_fraction() {
        let now = now();
        assert_eq!(now.len(), "2026-01-02T03:04:05Z".len());
        assert!(now.ends_with('Z') && now.parse::<Timestamp>().is_ok());
    }

    proptest! {
        #[test]
        fn names_keep_at_most_58_bytes_of_any_base(base in ".{0,80}") {
            let name = generate_name(&base);
            let kept = &name[..name.len() - SUFFIX];
            prop_assert!(base.starts_with(kept));
            prop_assert!(kept.len() <= LONGEST_BASE);
            prop_assert!(kept.len() == base.len() || kept.len() > LONGEST_BASE - 4);
        }
    }
}
