//! Texts with something in them that does not belong there.

use crate::choices::Choices;

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "-0",
    "0x10",
    "18446744073709551616",
    "1.5",
    "NaN",
    "\"a\":1,",
    "{\"a\":",
    "[[",
    "\u{feff}",
    "\n",
    "\t",
    " ",
    "/",
    "//",
    "~",
    "~0",
    "~1",
    "-",
    "---\n",
    "...\n",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!binary ",
    "!!str ",
    "!!float ",
    "? ",
    "- ",
    "|\n  ",
    ">-\n  ",
    "#",
    "%YAML 1.2\n",
    ".inf",
    ".nan",
    "0o17",
    "yes",
    "~",
    "'",
    "@",
    "`",
    "\u{0}",
    "\u{85}",
    "\u{2028}",
    "%2f",
    "%00",
    "%",
    "+",
    "&",
    "=",
    "==",
    "!=",
    "(",
    ")",
    " in ",
    " notin ",
    "<",
    ">",
    "!",
];

/// The same text, with a few tokens put in and a few bytes taken out.
pub(crate) fn spoiled(choices: &mut Choices<'_>, text: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut text = text.into();
    for _ in 0..choices.below(4) {
        let at = position(choices, text.len());
        match choices.below(6) {
            0 => drop(text.splice(at..at, choices.pick(TOKENS).bytes())),
            1 => drop(text.drain(at..text.len().min(at + 1 + choices.below(8)))),
            2 => text.truncate(at),
            3 => drop(text.splice(at..at, [choices.byte()])),
            4 => {
                // A piece of itself, again.
                let end = text.len().min(at + choices.below(64));
                let piece = text[at..end].to_vec();
                drop(text.splice(at..at, piece));
            }
            _ => {
                let many = choices.pick(TOKENS).repeat(1 << choices.below(12));
                drop(text.splice(at..at, many.bytes()));
            }
        }
    }
    text
}

fn position(choices: &mut Choices<'_>, length: usize) -> usize {
    let wide = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
    wide % (length + 1)
}
