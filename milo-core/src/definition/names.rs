//! What names a kind may have: they become URL segments and parts of storage keys.

/// See [`is_label`].
pub(super) const LABEL_RULE: &str = "it must be 1 to 63 lower-case letters, digits and `-`, start with a letter and not end with `-`";
/// See [`is_group`].
pub(super) const GROUP_RULE: &str =
    "it must be a lower-case domain name of at most 253 bytes, or empty for the core group";
/// See [`is_kind`].
pub(super) const KIND_RULE: &str =
    "it must be 1 to 63 letters, digits and `-`, start with a letter and not end with `-`";

/// A DNS label of RFC 1035.
pub(super) fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && is_part(name)
}

/// A DNS subdomain of RFC 1123, or the empty core group.
pub(super) fn is_group(name: &str) -> bool {
    name.is_empty() || (name.len() <= 253 && name.split('.').all(is_part))
}

/// A DNS label, case aside.
pub(super) fn is_kind(name: &str) -> bool {
    is_label(&name.to_ascii_lowercase())
}

fn is_part(part: &str) -> bool {
    (1..=63).contains(&part.len())
        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !part.starts_with('-')
        && !part.ends_with('-')
}
