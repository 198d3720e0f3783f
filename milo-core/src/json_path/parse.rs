//! Reading paths.

use serde_json::{Number, Value};

use super::{Filter, InvalidJsonPath, JsonPath, Step, Test};

/// Far above any real column, and a bound on recursion.
const MAX_LENGTH: usize = 1024;

pub(super) fn parse(text: &str) -> Result<JsonPath, InvalidJsonPath> {
    let mut parser = Parser { text, at: 0 };
    match parser.path() {
        Ok(steps) => Ok(JsonPath { text: text.into(), steps: steps.into() }),
        Err(why) => {
            let path: String = text.chars().take(MAX_LENGTH).collect();
            Err(InvalidJsonPath { path, at: parser.at, why })
        }
    }
}

/// What was expected instead.
type Why = &'static str;

struct Parser<'t> {
    text: &'t str,
    /// Always at a character boundary.
    at: usize,
}

/// Where a step stands decides which steps may follow and what ends a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Filter,
}

impl Parser<'_> {
    fn path(&mut self) -> Result<Vec<Step>, Why> {
        if self.text.len() > MAX_LENGTH {
            return Err("a path is at most 1024 bytes long");
        }
        let braced = self.take('{');
        self.take('$');
        let steps = self.steps(Place::Path)?;
        if braced {
            self.expect('}', "expected `}`")?;
        }
        if self.peek().is_some() {
            return Err("expected `.` or `[`");
        }
        if steps.is_empty() {
            return Err("expected `.` and a field name");
        }
        Ok(steps)
    }

    fn steps(&mut self, place: Place) -> Result<Vec<Step>, Why> {
        let mut steps = Vec::new();
        loop {
            if self.take('.') {
                steps.push(self.dotted(place)?);
            } else if self.take('[') {
                steps.push(self.bracketed(place)?);
            } else {
                return Ok(steps);
            }
        }
    }

    fn dotted(&mut self, place: Place) -> Result<Step, Why> {
        if self.take('*') {
            return if place == Place::Path { Ok(Step::Every) } else { Err(NOT_IN_FILTER) };
        }
        let mut name = String::new();
        while let Some(next) = self.peek() {
            match next {
                '.' | '[' | '}' => break,
                ')' | '=' | '!' | '<' | '>' | ' ' if place == Place::Filter => break,
                '\\' => {
                    self.bump();
                    name.push(self.bump().ok_or("expected a character after `\\`")?);
                }
                ' ' | ',' | ']' | '$' | '@' | '{' | '(' | ')' | '\'' | '"' | '*' | '|' => {
                    return Err("a field name with this character must be quoted: ['name']");
                }
                next => {
                    self.bump();
                    name.push(next);
                }
            }
        }
        if name.is_empty() { Err("expected a field name") } else { Ok(Step::Field(name.into())) }
    }

    /// After `[`.
    fn bracketed(&mut self, place: Place) -> Result<Step, Why> {
        self.skip_spaces();
        let step = match self.peek() {
            Some(quote @ ('\'' | '"')) => Step::Field(self.quoted(quote)?.into()),
            Some('*' | '?') if place == Place::Filter => return Err(NOT_IN_FILTER),
            Some('*') => {
                self.bump();
                Step::Every
            }
            Some('?') => {
                self.bump();
                Step::Filter(self.filter()?)
            }
            _ => Step::Index(self.word().parse().map_err(|_| EXPECTED_SUBSCRIPT)?),
        };
        self.skip_spaces();
        self.expect(']', "expected `]`")?;
        Ok(step)
    }

    /// After `[?`.
    fn filter(&mut self) -> Result<Filter, Why> {
        self.expect('(', "expected `(`")?;
        self.skip_spaces();
        self.expect('@', "expected `@`")?;
        let path = self.steps(Place::Filter)?.into();
        self.skip_spaces();
        let test = match self.bump() {
            Some(')') => return Ok(Filter { path, test: None }),
            Some(sign @ ('=' | '!')) if self.take('=') => {
                self.skip_spaces();
                Test { equal: sign == '=', literal: self.literal()? }
            }
            _ => return Err("expected `==`, `!=` or `)`"),
        };
        self.skip_spaces();
        self.expect(')', "expected `)`")?;
        Ok(Filter { path, test: Some(test) })
    }

    fn literal(&mut self) -> Result<Value, Why> {
        if let Some(quote @ ('\'' | '"')) = self.peek() {
            return self.quoted(quote).map(Value::String);
        }
        match self.word() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            word => word
                .parse::<Number>()
                .map(Value::Number)
                .map_err(|_| "expected a quoted string, a number, `true`, `false` or `null`"),
        }
    }

    /// From the opening quote to after the closing one.
    fn quoted(&mut self, quote: char) -> Result<String, Why> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump().ok_or("expected a closing quote")? {
                '\\' => text.push(self.bump().ok_or("expected a character after `\\`")?),
                end if end == quote => return Ok(text),
                other => text.push(other),
            }
        }
    }

    /// The longest run of characters that a number or a keyword can hold.
    fn word(&mut self) -> &str {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))
        {
            self.bump();
        }
        &self.text[start..self.at]
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, wanted: char, why: Why) -> Result<(), Why> {
        if self.take(wanted) { Ok(()) } else { Err(why) }
    }

    fn skip_spaces(&mut self) {
        while self.take(' ') {}
    }
}

const NOT_IN_FILTER: Why = "only fields and indices can be compared";
const EXPECTED_SUBSCRIPT: Why = "expected a quoted name, an index, `*` or `?(`";
