//! Text to tokens.

use super::delimiter::{CLOSE, OPEN, SPACES, closing, trims_left};
use super::token::{self, Kind, Token};

/// A problem at an offset of the text.
pub(crate) type Problem = (usize, &'static str);

/// Tokens of a text. The last one is [`Kind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let mut lexer = Lexer { text, at: 0, start: 0, parens: 0, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    start: usize,
    parens: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) -> Result<(), Problem> {
        while let Some(found) = self.rest().find(OPEN) {
            self.text_before(found);
            self.open()?;
        }
        self.at = self.text.len();
        if self.at > self.start {
            self.emit(Kind::Text);
        }
        self.emit(Kind::End);
        Ok(())
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += char.len_utf8();
        Some(char)
    }

    fn emit(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, start: self.start, end: self.at });
        self.start = self.at;
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.start = self.at;
    }

    fn problem<T>(&self, message: &'static str) -> Result<T, Problem> {
        Err((self.start, message))
    }

    /// The text before an action, without the space that its trim marker removes.
    fn text_before(&mut self, length: usize) {
        let text = &self.rest()[..length];
        let kept = if trims_left(&self.rest()[length + OPEN.len()..]) {
            text.trim_end_matches(SPACES).len()
        } else {
            length
        };
        self.at += kept;
        if kept > 0 {
            self.emit(Kind::Text);
        }
        self.skip(length - kept);
    }

    fn open(&mut self) -> Result<(), Problem> {
        let after = &self.rest()[OPEN.len()..];
        let marker = if trims_left(after) { 2 } else { 0 };
        if after[marker..].starts_with("/*") {
            return self.comment(OPEN.len() + marker);
        }
        self.at += OPEN.len();
        self.emit(Kind::Open);
        self.skip(marker);
        self.parens = 0;
        while !self.close()? {
            self.inside()?;
        }
        Ok(())
    }

    fn comment(&mut self, opening: usize) -> Result<(), Problem> {
        let Some(end) = self.rest()[opening + 2..].find("*/") else {
            return self.problem("unclosed comment");
        };
        self.at += opening + 2 + end + 2;
        let Some(length) = closing(self.rest()) else {
            return self.problem("comment ends before closing delimiter");
        };
        self.finish(length);
        Ok(())
    }

    /// Ends an action if its closing delimiter follows.
    fn close(&mut self) -> Result<bool, Problem> {
        let Some(length) = closing(self.rest()) else { return Ok(false) };
        if self.parens > 0 {
            return self.problem("unclosed left paren");
        }
        self.start = self.at;
        self.at += length;
        self.emit(Kind::Close);
        self.at -= length;
        self.finish(length);
        Ok(true)
    }

    fn finish(&mut self, length: usize) {
        self.skip(length);
        if length > CLOSE.len() {
            self.skip(self.rest().len() - self.rest().trim_start_matches(SPACES).len());
        }
    }

    fn inside(&mut self) -> Result<(), Problem> {
        match self.next() {
            None => self.problem("unclosed action"),
            Some(char) if SPACES.contains(&char) => {
                self.space();
                Ok(())
            }
            Some('=') => self.single(Kind::Assign),
            Some(':') if self.peek() == Some('=') => {
                self.at += 1;
                self.single(Kind::Declare)
            }
            Some(':') => self.problem("expected :="),
            Some('|') => self.single(Kind::Pipe),
            Some('"') => self.quoted('"', Kind::String),
            Some('\'') => self.quoted('\'', Kind::CharConstant),
            Some('`') => self.raw(),
            Some('$') => self.name(Kind::Variable),
            Some('(') => self.open_paren(),
            Some(')') => self.close_paren(),
            Some(char) => self.word(char),
        }
    }

    fn single(&mut self, kind: Kind) -> Result<(), Problem> {
        self.emit(kind);
        Ok(())
    }

    fn open_paren(&mut self) -> Result<(), Problem> {
        self.parens += 1;
        self.single(Kind::OpenParen)
    }

    fn close_paren(&mut self) -> Result<(), Problem> {
        match self.parens.checked_sub(1) {
            Some(parens) => self.parens = parens,
            None => return self.problem("unexpected right paren"),
        }
        self.single(Kind::CloseParen)
    }

    fn word(&mut self, first: char) -> Result<(), Problem> {
        let digit_follows = self.peek().is_some_and(|next| next.is_ascii_digit());
        match first {
            '.' if !digit_follows && self.peek().is_some() => self.name(Kind::Field),
            '.' | '+' | '-' | '0'..='9' => {
                self.at -= 1;
                self.number()
            }
            char if is_alphanumeric(char) => {
                self.run_of(is_alphanumeric);
                let kind = token::word(&self.text[self.start..self.at]);
                self.terminated(kind)
            }
            char if char.is_ascii_graphic() => self.single(Kind::Char),
            _ => self.problem("unrecognized character in action"),
        }
    }

    /// Spaces before a closing delimiter with a trim marker belong to the delimiter.
    fn space(&mut self) {
        self.run_of(|char| SPACES.contains(&char));
        if self.rest().starts_with("-}}") {
            self.at -= 1;
            if self.at > self.start {
                self.emit(Kind::Space);
            }
        } else {
            self.emit(Kind::Space);
        }
    }

    fn run_of(&mut self, accepted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&accepted) {
            self.next();
        }
    }

    fn accept(&mut self, chars: &str) -> bool {
        let accepted = self.peek().is_some_and(|char| chars.contains(char));
        if accepted {
            self.next();
        }
        accepted
    }

    /// The name after `.` or `$`.
    fn name(&mut self, kind: Kind) -> Result<(), Problem> {
        self.run_of(is_alphanumeric);
        let bare = self.at == self.start + 1;
        self.terminated(if bare && kind == Kind::Field { Kind::Dot } else { kind })
    }

    fn terminated(&mut self, kind: Kind) -> Result<(), Problem> {
        let terminator = match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(char) => SPACES.contains(&char) || self.rest().starts_with(CLOSE),
        };
        if terminator { self.single(kind) } else { self.problem("bad character in a name") }
    }

    fn quoted(&mut self, quote: char, kind: Kind) -> Result<(), Problem> {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|next| next != '\n') => {
                    self.next();
                }
                None | Some('\\' | '\n') => return self.problem("unterminated quoted string or character"),
                Some(char) if char == quote => return self.single(kind),
                Some(_) => {}
            }
        }
    }

    fn raw(&mut self) -> Result<(), Problem> {
        let Some(end) = self.rest().find('`') else {
            return self.problem("unterminated raw quoted string");
        };
        self.at += end + 1;
        self.single(Kind::RawString)
    }

    fn number(&mut self) -> Result<(), Problem> {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.run_of(|char| digits.contains(char));
        if self.accept(".") {
            self.run_of(|char| digits.contains(char));
        }
        self.exponent(digits);
        if self.peek().is_some_and(|char| is_alphanumeric(char) || "+-".contains(char)) {
            return self.problem("bad number syntax");
        }
        self.single(Kind::Number)
    }

    fn exponent(&mut self, digits: &str) {
        let marks = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(marks) {
            self.accept("+-");
            self.run_of(|char| "0123456789_".contains(char));
        }
    }
}

fn is_alphanumeric(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).unwrap().iter().map(|token| token.kind).collect()
    }

    #[test]
    fn trim_markers_remove_space_around_an_action() {
        let text = "a \n{{- 1 -}} \t b";
        let found = tokens(text).unwrap();
        let texts: Vec<&str> = found.iter().map(|token| &text[token.start..token.end]).collect();
        assert_eq!(texts, ["a", "{{", "1", " -}}", "b", ""]);
    }

    #[test]
    fn a_dot_before_a_digit_starts_a_number() {
        assert_eq!(kinds("{{.5}}"), [Kind::Open, Kind::Number, Kind::Close, Kind::End]);
        assert_eq!(kinds("{{.a}}"), [Kind::Open, Kind::Field, Kind::Close, Kind::End]);
    }

    #[test]
    fn an_unclosed_action_is_a_problem() {
        assert!(tokens("{{ 1").is_err());
        assert!(tokens("{{ (1 }}").is_err());
    }
}
