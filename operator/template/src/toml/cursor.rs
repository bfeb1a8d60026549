//! A position in a document.

use super::problem::Problem;
use crate::yaml::NODES;

const TOO_MANY: &str = "a TOML document has more keys and values than are allowed";

/// A document, and the offset that is read next.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Parts of keys, and values, that were read.
    nodes: usize,
}

impl<'a> Cursor<'a> {
    /// The start of a document whose characters TOML allows.
    pub(super) fn new(document: &'a [u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(document)
            .map_err(|error| Problem::new(error.valid_up_to(), "the document is not UTF-8"))?;
        match text.char_indices().find(|(at, char)| is_forbidden(text, *at, *char)) {
            Some((at, _)) => Err(Problem::new(at, "TOML does not allow this control character")),
            None => Ok(Self { text, at: 0, nodes: 0 }),
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn problem(&self, message: &'static str) -> Problem {
        Problem::new(self.at, message)
    }

    /// Counts a part of a key or a value: each can need a table, which has much more memory than its text.
    pub(super) fn node(&mut self) -> Result<(), Problem> {
        self.nodes += 1;
        let is_limit = self.nodes > NODES;
        if is_limit { Err(Problem { is_limit, ..self.problem(TOO_MANY) }) } else { Ok(()) }
    }

    /// Skips `text` if it is next.
    pub(super) fn accept(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn expect(&mut self, text: &str, message: &'static str) -> Result<(), Problem> {
        if self.accept(text) { Ok(()) } else { Err(self.problem(message)) }
    }

    /// The longest text of characters that are chosen.
    pub(super) fn take(&mut self, is_chosen: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|char: char| !is_chosen(char)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Skips spaces and tabs.
    pub(super) fn space(&mut self) {
        self.take(|char| matches!(char, ' ' | '\t'));
    }

    /// Skips white space, line breaks and comments.
    pub(super) fn lines(&mut self) {
        loop {
            self.take(|char| matches!(char, ' ' | '\t' | '\r' | '\n'));
            if !self.rest().starts_with('#') {
                return;
            }
            self.take(|char| char != '\n');
        }
    }

    /// The end of a line, before which only a comment is allowed.
    pub(super) fn end_of_line(&mut self) -> Result<(), Problem> {
        self.space();
        if self.rest().starts_with('#') {
            self.take(|char| char != '\n');
        }
        self.accept("\r");
        if self.rest().is_empty() || self.accept("\n") {
            return Ok(());
        }
        Err(self.problem("the line must end here"))
    }
}

/// Control characters, and carriage returns that do not end a line.
fn is_forbidden(text: &str, at: usize, char: char) -> bool {
    match char {
        '\t' | '\n' => false,
        '\r' => !text[at + 1..].starts_with('\n'),
        char => char.is_ascii_control(),
    }
}
