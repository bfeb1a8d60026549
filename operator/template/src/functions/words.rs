//! `fooBar` to `foo_bar`, with the details of `xstrings.ToSnakeCase`.

use super::letters::{is_connector, lower};
use crate::text;

/// Kind of a run of characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

/// Words in lower case with a connector between them.
pub(super) fn joined(text: &[u8], connector: char) -> String {
    let chars: Vec<char> = text::runes(text).map(|rune| rune.char).collect();
    let mut joiner = Joiner { rest: &chars, connector, out: String::new() };
    joiner.run();
    joiner.out
}

struct Joiner<'a> {
    rest: &'a [char],
    connector: char,
    out: String,
}

type Word<'a> = (Kind, &'a [char]);

impl<'a> Joiner<'a> {
    fn next(&mut self) -> Word<'a> {
        let (kind, length) = word(self.rest);
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        (kind, word)
    }

    fn push(&mut self, (kind, word): Word<'a>) {
        if kind == Kind::Connector {
            self.out.extend(word.iter().map(|_| self.connector));
        } else {
            self.out.extend(word.iter().map(|char| lower(*char)));
        }
    }

    fn separate(&mut self, (kind, _): Word<'a>) {
        if !matches!(kind, Kind::None | Kind::Connector | Kind::Punctuation) {
            self.out.push(self.connector);
        }
    }

    fn run(&mut self) {
        let mut current = self.next();
        while !self.rest.is_empty() {
            if current.0 != Kind::Connector {
                self.push(current);
            }
            let previous = current;
            current = self.next();
            current = match previous.0 {
                Kind::Number => self.after_number(current),
                Kind::Connector => {
                    self.push(previous);
                    current
                }
                Kind::Punctuation => current,
                _ => self.after_letters(current),
            };
        }
        self.push(current);
    }

    /// Letters right after a number belong to it.
    fn after_number(&mut self, mut current: Word<'a>) -> Word<'a> {
        while matches!(current.0, Kind::Letters | Kind::Number) {
            self.push(current);
            current = self.next();
        }
        self.separate(current);
        current
    }

    /// A number right after letters belongs to them, unless letters in lower case follow.
    fn after_letters(&mut self, current: Word<'a>) -> Word<'a> {
        if current.0 != Kind::Number {
            self.separate(current);
            return current;
        }
        if self.rest.is_empty() {
            return current;
        }
        let number = current;
        let next = self.next();
        if next.0 != Kind::Letters {
            self.push(number);
            if !matches!(next.0, Kind::Connector | Kind::Punctuation) {
                self.out.push(self.connector);
            }
            return next;
        }
        self.out.push(self.connector);
        self.push(number);
        self.after_number(next)
    }
}

fn is_punctuation(char: char) -> bool {
    let symbol = "$+<=>^`|~".contains(char);
    (char.is_ascii_punctuation() && !symbol)
        || matches!(char, '\u{2010}'..='\u{2027}' | '\u{3001}'..='\u{3003}')
}

fn is_letter(char: char) -> bool {
    char.is_alphabetic() && (char.is_lowercase() || char.is_uppercase())
}

/// Kind and length of the first word.
fn word(chars: &[char]) -> (Kind, usize) {
    let run =
        |accepted: &dyn Fn(char) -> bool| 1 + chars[1..].iter().take_while(|char| accepted(**char)).count();
    let small = |char: char| is_letter(char) && !char.is_uppercase();
    match chars.first() {
        None => (Kind::None, 0),
        Some(char) if is_connector(*char) => (Kind::Connector, run(&is_connector)),
        Some(char) if is_punctuation(*char) => (Kind::Punctuation, run(&is_punctuation)),
        Some(char) if char.is_uppercase() => (Kind::Upper, upper_word(chars)),
        Some(char) if is_letter(*char) => (Kind::Letters, run(&small)),
        Some(char) if char.is_numeric() => (Kind::Number, run(&char::is_numeric)),
        Some(_) => (Kind::Other, run(&is_other)),
    }
}

fn is_other(char: char) -> bool {
    !is_connector(char) && !is_letter(char) && !char.is_numeric() && !is_punctuation(char)
}

/// Length of a capitalized word, or of capitals up to the last one before small letters.
fn upper_word(chars: &[char]) -> usize {
    let capitals = chars.iter().take_while(|char| char.is_uppercase()).count();
    let small = chars[capitals..].iter().take_while(|char| is_letter(**char) && !char.is_uppercase()).count();
    match (capitals, small) {
        (1, small) => 1 + small,
        (capitals, 0) => capitals,
        (capitals, _) => capitals - 1,
    }
}
