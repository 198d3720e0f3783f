//! What is printed, without what differs from run to run.

use std::sync::LazyLock;

use regex::Regex;

/// A pattern, and what stands for it.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        // In headers of `diff`.
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "TIME"),
        (r#"(resourceVersion"?: ")\d+""#, "${1}RV\""),
        (r"(Resource Version: +)\d+", "${1}RV"),
        // The age is the last column.
        (r"(?m) (\d+m)?\d+s$", " AGE"),
        (r"(?m) +$", ""),
        (r"https://127\.0\.0\.1:\d+", "https://SERVER"),
        // Files that kubectl makes.
        (r"/\S*/(LIVE|MERGED)-\d+/", "$1/"),
        (r#"/\S*/kubectl-edit-\d+\.yaml"#, "EDITED"),
    ]
    .into_iter()
    .map(|(pattern, stands)| (Regex::new(pattern).unwrap(), stands))
    .collect()
});

/// Replaces what differs from run to run.
pub(super) fn normalise(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, stands) in VARYING.iter() {
        text = pattern.replace_all(&text, *stands).into_owned();
    }
    text.trim_end().to_owned()
}

/// A text without the margin that it has in the source of a test.
pub(super) fn unindent(text: &str) -> String {
    let Some(block) = text.strip_prefix('\n') else { return text.to_owned() };
    let filled = || block.lines().filter(|line| !line.trim().is_empty());
    let margin = filled().map(|line| line.len() - line.trim_start_matches(' ').len()).min();
    let margin = margin.unwrap_or_default();
    let lines: Vec<&str> =
        block.lines().map(|line| line.get(margin..).unwrap_or_default().trim_end()).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

/// The words of a command line, as a shell would split it. Only single quotes are known.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Fails with both texts as they are, when they differ.
#[track_caller]
pub(super) fn assert_same(what: &str, printed: &str, expected: &str) {
    let (printed, expected) = (normalise(printed), unindent(expected));
    let expected = expected.trim_end();
    assert!(printed == expected, "{what}\n--- expected\n{expected}\n--- printed\n{printed}\n---");
}
