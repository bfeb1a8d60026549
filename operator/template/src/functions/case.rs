//! Upper case, lower case and the cases of identifiers.

use super::letters::{is_connector, lower, upper};
use super::signature::Parameter::String as Str;
use super::signature::{Function, text};
use super::words;
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;
use crate::text::{self, is_space};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("upper", &[Str], |scope, args| mapped(scope, args, |text| each(text, upper))),
    Function::new("lower", &[Str], |scope, args| mapped(scope, args, |text| each(text, lower))),
    Function::new("title", &[Str], |scope, args| mapped(scope, args, capitalized)),
    Function::new("untitle", &[Str], |scope, args| mapped(scope, args, uncapitalized)),
    Function::new("swapcase", &[Str], |scope, args| mapped(scope, args, swapped)),
    Function::new("camelcase", &[Str], |scope, args| mapped(scope, args, pascal)),
    Function::new("snakecase", &[Str], |scope, args| mapped(scope, args, |text| words::joined(text, '_'))),
    Function::new("kebabcase", &[Str], |scope, args| mapped(scope, args, |text| words::joined(text, '-'))),
];

fn mapped(scope: &mut Scope, args: &[Item], map: fn(&[u8]) -> String) -> Result<Item, Fault> {
    scope.step(text(args, 0).len() / 16)?;
    scope.string(map(text(args, 0)))
}

fn chars(text: &[u8]) -> Vec<char> {
    text::runes(text).map(|rune| rune.char).collect()
}

fn each(text: &[u8], map: fn(char) -> char) -> String {
    text::runes(text).map(|rune| map(rune.char)).collect()
}

fn title(char: char) -> char {
    match char {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        other => upper(other),
    }
}

fn is_separator(char: char) -> bool {
    if char.is_ascii() {
        return !char.is_ascii_alphanumeric() && char != '_';
    }
    !char.is_alphanumeric() && is_space(char)
}

fn capitalized(text: &[u8]) -> String {
    let mut previous = ' ';
    let map = |char| {
        let mapped = if is_separator(previous) { title(char) } else { char };
        previous = char;
        mapped
    };
    chars(text).into_iter().map(map).collect()
}

fn uncapitalized(text: &[u8]) -> String {
    let mut start = true;
    let map = |char| {
        let mapped = if start { lower(char) } else { char };
        start = is_space(char);
        mapped
    };
    chars(text).into_iter().map(map).collect()
}

fn swapped(text: &[u8]) -> String {
    let mut start = true;
    let map = |char: char| {
        let mapped = match char {
            char if char.is_uppercase() => lower(char),
            char if char.is_lowercase() && start => title(char),
            char if char.is_lowercase() => upper(char),
            char => {
                start = is_space(char);
                return char;
            }
        };
        start = false;
        mapped
    };
    chars(text).into_iter().map(map).collect()
}

/// `foo_bar` to `FooBar`, with the details of `xstrings.ToPascalCase`.
fn pascal(text: &[u8]) -> String {
    let chars = chars(text);
    let start = chars.iter().position(|char| !is_connector(*char));
    let Some(start) = start else {
        // The original function writes the last connector twice.
        return chars.iter().chain(chars.last()).collect();
    };
    let mut out: String = chars[..start].iter().collect();
    let mut current = upper(chars[start]);
    let mut after_upper = chars[start].is_uppercase();
    for next in &chars[start + 1..] {
        let previous = std::mem::replace(&mut current, *next);
        match (is_connector(*next), is_connector(previous)) {
            (true, true) => out.push(previous),
            (false, true) => {
                after_upper = next.is_uppercase();
                current = upper(*next);
            }
            (_, false) => {
                if after_upper && next.is_uppercase() {
                    current = lower(*next);
                } else {
                    after_upper = false;
                }
                out.push(previous);
            }
        }
    }
    out.push(current);
    out
}
