//! Strings and keys.

use super::cursor::Cursor;
use super::problem::Problem;

const UNCLOSED: &str = "a string has no end";
const ESCAPES: &[(&str, char)] =
    &[("b", '\x08'), ("t", '\t'), ("n", '\n'), ("f", '\x0c'), ("r", '\r'), ("\"", '"'), ("\\", '\\')];

/// The parts of a key before its last one, and the last one.
pub(super) fn key(cursor: &mut Cursor<'_>) -> Result<(Vec<String>, String), Problem> {
    let mut parents = Vec::new();
    loop {
        cursor.space();
        cursor.node()?;
        let part = part(cursor)?;
        cursor.space();
        if !cursor.accept(".") {
            return Ok((parents, part));
        }
        parents.push(part);
    }
}

fn part(cursor: &mut Cursor<'_>) -> Result<String, Problem> {
    if cursor.accept("\"") {
        return basic(cursor);
    }
    if cursor.accept("'") {
        return literal(cursor);
    }
    let bare = cursor.take(|char| char.is_ascii_alphanumeric() || char == '_' || char == '-');
    if bare.is_empty() { Err(cursor.problem("a key is missing")) } else { Ok(bare.to_owned()) }
}

/// The string that is next, if the next value is one.
pub(super) fn string(cursor: &mut Cursor<'_>) -> Result<Option<String>, Problem> {
    let text = if cursor.accept("\"\"\"") {
        long_basic(cursor)?
    } else if cursor.accept("'''") {
        long_literal(cursor)?
    } else if cursor.accept("\"") {
        basic(cursor)?
    } else if cursor.accept("'") {
        literal(cursor)?
    } else {
        return Ok(None);
    };
    Ok(Some(text))
}

fn basic(cursor: &mut Cursor<'_>) -> Result<String, Problem> {
    let mut text = String::new();
    loop {
        text.push_str(cursor.take(|char| !matches!(char, '"' | '\\' | '\r' | '\n')));
        if cursor.accept("\"") {
            return Ok(text);
        }
        cursor.expect("\\", UNCLOSED)?;
        text.push(escape(cursor)?);
    }
}

fn literal(cursor: &mut Cursor<'_>) -> Result<String, Problem> {
    let text = cursor.take(|char| !matches!(char, '\'' | '\r' | '\n'));
    cursor.expect("'", UNCLOSED)?;
    Ok(text.to_owned())
}

fn long_basic(cursor: &mut Cursor<'_>) -> Result<String, Problem> {
    let mut text = String::new();
    line_break(cursor);
    loop {
        text.push_str(cursor.take(|char| char != '"' && char != '\\'));
        if cursor.accept("\\") {
            if !continues(cursor) {
                text.push(escape(cursor)?);
            }
        } else if quotes(cursor, '"', &mut text) {
            return Ok(text);
        } else if cursor.rest().is_empty() {
            return Err(cursor.problem(UNCLOSED));
        }
    }
}

fn long_literal(cursor: &mut Cursor<'_>) -> Result<String, Problem> {
    let mut text = String::new();
    line_break(cursor);
    loop {
        text.push_str(cursor.take(|char| char != '\''));
        if quotes(cursor, '\'', &mut text) {
            return Ok(text);
        }
        if cursor.rest().is_empty() {
            return Err(cursor.problem(UNCLOSED));
        }
    }
}

/// Skips the line break at the start of a string of several lines.
fn line_break(cursor: &mut Cursor<'_>) {
    cursor.accept("\r");
    cursor.accept("\n");
}

/// Reads up to five quotes. Three of them end the string, and the others belong to its text.
fn quotes(cursor: &mut Cursor<'_>, quote: char, text: &mut String) -> bool {
    let count = cursor.rest().chars().take(5).take_while(|char| *char == quote).count();
    let run = &cursor.rest()[..count];
    cursor.accept(run);
    let ends = count >= 3;
    text.push_str(if ends { &run[3..] } else { run });
    ends
}

/// Skips the white space after a backslash that ends a line.
fn continues(cursor: &mut Cursor<'_>) -> bool {
    let rest = cursor.rest();
    let end = rest.find(|char: char| !matches!(char, ' ' | '\t' | '\r' | '\n')).unwrap_or(rest.len());
    let white = &rest[..end];
    white.contains('\n') && cursor.accept(white)
}

/// The character of an escape sequence after its backslash.
fn escape(cursor: &mut Cursor<'_>) -> Result<char, Problem> {
    for (code, char) in ESCAPES {
        if cursor.accept(code) {
            return Ok(*char);
        }
    }
    let problem = cursor.problem("an escape sequence is invalid");
    let digits = if cursor.accept("u") {
        4
    } else if cursor.accept("U") {
        8
    } else {
        return Err(problem);
    };
    let code = cursor.rest().get(..digits).ok_or(problem)?;
    cursor.accept(code);
    let is_hex = code.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u32::from_str_radix(code, 16).ok().filter(|_| is_hex);
    number.and_then(char::from_u32).ok_or(problem)
}
