//! Which texts are names, label keys and label values. Hand-written byte checks: these run on
//! every label of every write.

const DNS_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
    alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character \
    (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
    characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  \
    or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
    regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NON_EMPTY: &str = "must be non-empty";

const LONGEST_SUBDOMAIN: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Says what is wrong with a name, one text per problem. With `true` it is the beginning of a
/// name (`generateName`), which may end in a dash.
pub type NameRule = fn(&str, bool) -> Vec<String>;

/// The [`NameRule`] of most kinds: a DNS subdomain of at most 253 bytes.
#[must_use]
pub fn dns_subdomain_name(name: &str, prefix: bool) -> Vec<String> {
    let dashed = prefix && name.ends_with('-');
    subdomain_problems(name, dashed, false)
}

/// The [`NameRule`] of kinds whose names become host names or namespaces: a DNS label of at most
/// 63 bytes.
#[must_use]
pub fn dns_label_name(name: &str, prefix: bool) -> Vec<String> {
    label_problems(name, prefix && name.ends_with('-'))
}

/// The weakest [`NameRule`]: whatever can stand in a URL path.
#[must_use]
pub fn path_segment_name(name: &str, prefix: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if !prefix && matches!(name, "." | "..") {
        problems.push(format!("may not be '{name}'"));
    }
    for illegal in ["/", "%"] {
        if name.contains(illegal) {
            problems.push(format!("may not contain '{illegal}'"));
        }
    }
    problems
}

/// A DNS subdomain: labels of lower-case letters, digits and dashes, joined by dots; at most 253
/// bytes.
///
/// # Errors
/// What is wrong, in upstream's words.
pub fn validate_dns_subdomain(name: &str) -> Result<(), String> {
    joined(&dns_subdomain_name(name, false))
}

/// A DNS label: lower-case letters, digits and dashes; at most 63 bytes.
///
/// # Errors
/// What is wrong, in upstream's words.
pub fn validate_dns_label(name: &str) -> Result<(), String> {
    joined(&label_problems(name, false))
}

/// A name that can be a segment of a URL path.
///
/// # Errors
/// What is wrong, in upstream's words.
pub fn validate_path_segment(name: &str) -> Result<(), String> {
    joined(&path_segment_name(name, false))
}

/// A label key, an annotation key in lower case, or a finalizer: a name of at most 63 bytes, with
/// or without a DNS subdomain and a slash before it.
///
/// # Errors
/// What is wrong, in upstream's words.
pub fn validate_qualified_name(key: &str) -> Result<(), String> {
    joined(&qualified_name_problems(key, false))
}

/// A label value: empty, or at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit
/// at both ends.
///
/// # Errors
/// What is wrong, in upstream's words.
pub fn validate_label_value(value: &str) -> Result<(), String> {
    joined(&label_value_problems(value))
}

pub(super) fn label_value_problems(value: &str) -> Vec<String> {
    let mut problems = too_long(value, LONGEST_LABEL);
    if !value.is_empty() && !is_name_part(value.as_bytes()) {
        problems.push(LABEL_VALUE.to_owned());
    }
    problems
}

/// `fold`: letters of the prefix may be upper case, as in annotation keys.
pub(super) fn qualified_name_problems(key: &str, fold: bool) -> Vec<String> {
    let slash = key.bytes().position(|byte| byte == b'/');
    let (prefix, name) = match slash {
        None => (None, key),
        Some(at) if key[at + 1..].contains('/') => return vec![two_slashes()],
        Some(at) => (Some(&key[..at]), &key[at + 1..]),
    };
    let mut problems = match prefix {
        None => Vec::new(),
        Some("") => vec![format!("prefix part {NON_EMPTY}")],
        Some(prefix) => {
            let mut problems = subdomain_problems(prefix, false, fold);
            problems.iter_mut().for_each(|problem| problem.insert_str(0, "prefix part "));
            problems
        }
    };
    if name.is_empty() {
        problems.push(format!("name part {NON_EMPTY}"));
    } else if name.len() > LONGEST_LABEL {
        problems.push(format!("name part must be no more than {LONGEST_LABEL} bytes"));
    }
    if !is_name_part(name.as_bytes()) {
        problems.push(format!("name part {NAME_PART}"));
    }
    problems
}

fn two_slashes() -> String {
    format!(
        "a qualified name {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. \
         'example.com/MyName')"
    )
}

fn subdomain_problems(name: &str, dashed: bool, fold: bool) -> Vec<String> {
    let mut problems = too_long(name, LONGEST_SUBDOMAIN);
    if !is_dns(name, dashed, fold, true) {
        problems.push(DNS_SUBDOMAIN.to_owned());
    }
    problems
}

fn label_problems(name: &str, dashed: bool) -> Vec<String> {
    let mut problems = too_long(name, LONGEST_LABEL);
    if !is_dns(name, dashed, false, false) {
        let dotted = is_dns(name, dashed, false, true);
        problems.push(if dotted { "must not contain dots" } else { DNS_LABEL }.to_owned());
    }
    problems
}

fn too_long(text: &str, longest: usize) -> Vec<String> {
    match text.len() > longest {
        true => vec![format!("must be no more than {longest} bytes")],
        false => Vec::new(),
    }
}

fn joined(problems: &[String]) -> Result<(), String> {
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// Lower-case letters, digits and dashes, with a letter or digit at both ends of the text and of
/// each part between `dots`. `dashed`: more letters will follow a dash at the end.
fn is_dns(text: &str, dashed: bool, fold: bool, dots: bool) -> bool {
    let mut last = b'.';
    for byte in text.bytes() {
        let allowed = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'A'..=b'Z' => fold,
            b'-' => last != b'.',
            b'.' => dots && last.is_ascii_alphanumeric(),
            _ => false,
        };
        if !allowed {
            return false;
        }
        last = byte;
    }
    dashed || last.is_ascii_alphanumeric()
}

fn is_name_part(text: &[u8]) -> bool {
    let at_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    at_end(text.first()) && at_end(text.last()) && text.iter().all(|&b| IN_NAME[usize::from(b)])
}

/// Which bytes may stand in the middle of a label key or value.
const IN_NAME: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        allowed[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        byte += 1;
    }
    allowed
};
