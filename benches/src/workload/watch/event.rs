//! The few facts of a watch event that matter here, read without decoding it.

use memchr::memmem::Finder;

/// Splits what arrives into lines; copies only those that arrive in parts.
#[derive(Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Hands every line that is now complete to `on_line`, without its newline.
    pub(super) fn feed(&mut self, data: &[u8], mut on_line: impl FnMut(&[u8])) {
        let mut rest = data;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.partial.is_empty() {
                on_line(line);
            } else {
                self.partial.extend_from_slice(line);
                on_line(&self.partial);
                self.partial.clear();
            }
            rest = after;
        }
        self.partial.extend_from_slice(rest);
    }

    /// Forgets an incomplete line, when its stream has ended.
    pub(super) fn reset(&mut self) {
        self.partial.clear();
    }
}

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// An object was added, modified or deleted.
    Change {
        /// The object's revision as the server writes it.
        revision: &'a str,
        /// The number of the write, if it is one of this run.
        write: Option<usize>,
    },
    /// Nothing but a newer revision.
    Bookmark { revision: &'a str },
    /// The watch is over.
    Error,
    /// None of the above.
    Unreadable,
}

/// Reads events of one run.
pub(super) struct EventReader {
    revision: Finder<'static>,
    mark: Finder<'static>,
}

impl EventReader {
    /// `mark` is what comes before the number of a write.
    pub(super) fn new(mark: &str) -> Self {
        Self {
            revision: Finder::new(br#""resourceVersion":""#),
            mark: Finder::new(mark.as_bytes()).into_owned(),
        }
    }

    /// `line` is compact JSON that begins with the event's type, as every server writes it.
    pub(super) fn read<'a>(&self, line: &'a [u8]) -> Event<'a> {
        let Some(kind) = line.strip_prefix(br#"{"type":""#) else { return Event::Unreadable };
        if kind.starts_with(b"ERROR\"") {
            return Event::Error;
        }
        let revision = text_after(line, &self.revision);
        match (kind, revision) {
            (_, None) => Event::Unreadable,
            ([b'B', b'O', ..], Some(revision)) => Event::Bookmark { revision },
            (_, Some(revision)) => {
                let write = text_after(line, &self.mark).and_then(|number| number.parse().ok());
                Event::Change { revision, write }
            }
        }
    }
}

/// What is between the first match and the next quotation mark.
fn text_after<'a>(line: &'a [u8], finder: &Finder<'_>) -> Option<&'a str> {
    let rest = &line[finder.find(line)? + finder.needle().len()..];
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let text = b"one\n\ntwo three\nfour\n";
        for size in 1..=text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for part in text.chunks(size) {
                lines.feed(part, |line| seen.push(String::from_utf8(line.to_vec()).unwrap()));
            }
            assert_eq!(seen, ["one", "", "two three", "four"], "in parts of {size}");
        }
    }

    #[test]
    fn events_are_told_apart() {
        let reader = EventReader::new(r#""x":"run."#);
        let read = |text: &'static str| reader.read(text.as_bytes());
        let ours = r#"{"type":"MODIFIED","object":{"metadata":{"annotations":{"x":"run.12"},"resourceVersion":"7"}}}"#;
        assert_eq!(read(ours), Event::Change { revision: "7", write: Some(12) });
        let other = r#"{"type":"ADDED","object":{"metadata":{"annotations":{"x":"old.12"},"resourceVersion":"8"}}}"#;
        assert_eq!(read(other), Event::Change { revision: "8", write: None });
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#;
        assert_eq!(read(bookmark), Event::Bookmark { revision: "9" });
        assert_eq!(read(r#"{"type":"ERROR","object":{"code":410}}"#), Event::Error);
        assert_eq!(read(r#"{"type":"ADDED","object":{}}"#), Event::Unreadable);
        assert_eq!(read("{}"), Event::Unreadable);
    }
}
