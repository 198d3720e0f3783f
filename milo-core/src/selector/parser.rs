//! The text form of label selectors.
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = [ "!" ] key | key ( "=" | "==" | "!=" | ">" | "<" ) [ value ]
//!             | key ( "in" | "notin" ) "(" [ value ] { "," [ value ] } ")"
//! ```
//!
//! Blanks, tabs and line ends may stand between any two tokens. `in` and `notin` are operators
//! only where an operator belongs; elsewhere they are ordinary words.

use super::{LabelOperator, LabelRequirement, ParseSelectorError};

const SIGNS: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn parse(text: &str) -> Result<Vec<LabelRequirement>, ParseSelectorError> {
    let mut tokens = Tokens::new(text);
    let mut requirements = Vec::new();
    if tokens.next == Token::End {
        return Ok(requirements);
    }
    if !tokens.starts_requirement() {
        return Err(tokens.expected("!, identifier, or 'end of string'"));
    }
    loop {
        requirements.push(requirement(&mut tokens)?);
        match tokens.next {
            Token::End => return Ok(requirements),
            Token::Sign(",") => tokens.advance(),
            _ => return Err(tokens.expected("',' or 'end of string'")),
        }
        if !tokens.starts_requirement() {
            return Err(tokens.expected("identifier after ','"));
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<LabelRequirement, ParseSelectorError> {
    let negated = tokens.accept("!");
    let key = tokens.word("identifier")?;
    if negated {
        return checked(key, LabelOperator::DoesNotExist, Vec::new());
    }
    if matches!(tokens.next, Token::End | Token::Sign(",")) {
        return checked(key, LabelOperator::Exists, Vec::new());
    }
    let operator = operator(tokens)?;
    let values = match operator {
        LabelOperator::In | LabelOperator::NotIn => set(tokens)?,
        _ => vec![single(tokens)?],
    };
    checked(key, operator, values)
}

fn checked(
    key: &str,
    operator: LabelOperator,
    values: Vec<&str>,
) -> Result<LabelRequirement, ParseSelectorError> {
    LabelRequirement::new(key, operator, values)
        .map_err(|invalid| ParseSelectorError::Requirement(invalid.to_string()))
}

fn operator(tokens: &mut Tokens<'_>) -> Result<LabelOperator, ParseSelectorError> {
    let operator = match tokens.next {
        Token::Word("in") => LabelOperator::In,
        Token::Word("notin") => LabelOperator::NotIn,
        Token::Sign("=" | "==") => LabelOperator::Equals,
        Token::Sign("!=") => LabelOperator::NotEquals,
        Token::Sign(">") => LabelOperator::GreaterThan,
        Token::Sign("<") => LabelOperator::LessThan,
        _ => return Err(tokens.expected("in, notin, =, ==, !=, gt, lt")),
    };
    tokens.advance();
    Ok(operator)
}

/// One value; nothing before a comma or the end is the empty value.
fn single<'a>(tokens: &mut Tokens<'a>) -> Result<&'a str, ParseSelectorError> {
    match tokens.next {
        Token::End | Token::Sign(",") => Ok(""),
        _ => tokens.word("identifier"),
    }
}

/// Values in parentheses; nothing between two commas is the empty value.
fn set<'a>(tokens: &mut Tokens<'a>) -> Result<Vec<&'a str>, ParseSelectorError> {
    if !tokens.accept("(") {
        return Err(tokens.expected("'('"));
    }
    let mut values = Vec::new();
    loop {
        values.push(match tokens.next {
            Token::Sign("," | ")") => "",
            _ => tokens.word("',', ')' or identifier")?,
        });
        if tokens.accept(")") {
            return Ok(values);
        }
        if !tokens.accept(",") {
            return Err(tokens.expected("',' or ')'"));
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Sign(&'a str),
    End,
}

struct Tokens<'a> {
    next: Token<'a>,
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        let mut tokens = Self { next: Token::End, rest: text };
        tokens.advance();
        tokens
    }

    fn advance(&mut self) {
        let text = self.rest.trim_start_matches(BLANKS);
        let word = text.find(|c| SIGNS.contains(&c) || BLANKS.contains(&c)).unwrap_or(text.len());
        let sign = if text.starts_with("==") || text.starts_with("!=") { 2 } else { 1 };
        (self.next, self.rest) = match word {
            _ if text.is_empty() => (Token::End, text),
            0 => (Token::Sign(&text[..sign]), &text[sign..]),
            end => (Token::Word(&text[..end]), &text[end..]),
        };
    }

    fn starts_requirement(&self) -> bool {
        matches!(self.next, Token::Word(_) | Token::Sign("!"))
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = matches!(self.next, Token::Sign(found) if found == sign);
        if found {
            self.advance();
        }
        found
    }

    fn word(&mut self, expected: &str) -> Result<&'a str, ParseSelectorError> {
        let Token::Word(word) = self.next else { return Err(self.expected(expected)) };
        self.advance();
        Ok(word)
    }

    fn expected(&self, expected: &str) -> ParseSelectorError {
        let found = match self.next {
            Token::Word(text) | Token::Sign(text) => text,
            Token::End => "",
        };
        ParseSelectorError::Requirement(format!("found '{found}', expected: {expected}"))
    }
}
