//! Comments, string literals and test names of a Rust file.

use std::sync::LazyLock;

use regex::Regex;

use super::text::{Kind, Text, joined};

/// A part of a Rust file.
#[derive(Clone, Copy)]
enum Piece {
    Code,
    Comment,
    Literal,
    RawLiteral,
}

pub(super) fn texts(source: &str) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut code = String::new();
    let mut line = 1;
    let mut rest = source;
    while let Some((piece, length)) = next(rest) {
        let (part, after) = rest.split_at(length);
        let breaks = part.matches('\n').count();
        match piece {
            Piece::Code => code.push_str(part),
            _ => code.push_str(&"\n".repeat(breaks)),
        }
        texts.extend(text(piece, line, part));
        line += breaks;
        rest = after;
    }
    let mut texts = joined(texts);
    texts.extend(test_names(&code));
    texts
}

fn text(piece: Piece, line: usize, part: &str) -> Option<Text> {
    match piece {
        Piece::Code => None,
        Piece::Comment => Some(comment(line, part)),
        Piece::Literal => literal(line, part),
        Piece::RawLiteral => raw_literal(line, part),
    }
}

/// The piece at the start of `rest`, and its length.
fn next(rest: &str) -> Option<(Piece, usize)> {
    let first = rest.chars().next()?;
    let found = match first {
        '/' if rest.starts_with("//") => (Piece::Comment, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (Piece::Comment, block_comment(rest)),
        '"' => (Piece::Literal, quoted(rest, '"')),
        '\'' => (Piece::Code, character(rest)),
        _ if first.is_alphabetic() || first == '_' => word(rest),
        _ => (Piece::Code, first.len_utf8()),
    };
    Some(found)
}

/// An identifier, or a literal with a prefix such as `b` or `r#`.
fn word(rest: &str) -> (Piece, usize) {
    let length = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    let (prefix, after) = rest.split_at(length);
    match prefix {
        "r" | "br" | "cr" if after.trim_start_matches('#').starts_with('"') => {
            (Piece::RawLiteral, length + raw(after))
        }
        "b" | "c" if after.starts_with('"') => (Piece::Literal, length + quoted(after, '"')),
        _ => (Piece::Code, length),
    }
}

/// Length of a block comment, with those inside it.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut position = 0;
    while position < rest.len() {
        let here = &rest.as_bytes()[position..];
        if here.starts_with(b"/*") {
            depth += 1;
            position += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += 1;
        }
    }
    rest.len()
}

/// Length of a literal between two `quote`s.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = true;
    for (position, letter) in rest.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return position + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// Length of a raw literal that starts with `#` or a quote.
fn raw(rest: &str) -> usize {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(hashes));
    let start = hashes + 1;
    rest[start..].find(&end).map_or(rest.len(), |position| start + position + end.len())
}

/// Length of a character literal, or of the quote before a lifetime.
fn character(rest: &str) -> usize {
    let mut letters = rest.chars().skip(1);
    match (letters.next(), letters.next()) {
        (Some('\\'), _) => quoted(rest, '\''),
        (Some(letter), Some('\'')) => 2 + letter.len_utf8(),
        _ => 1,
    }
}

fn comment(line: usize, part: &str) -> Text {
    let outer = part.starts_with("///") && !part.starts_with("////");
    let outer_block = part.starts_with("/**") && !part.starts_with("/***") && part != "/**/";
    let inner = part.starts_with("//!") || part.starts_with("/*!");
    let kind = if outer || outer_block || inner { Kind::Documentation } else { Kind::Comment };
    let words = part.trim_start_matches(['/', '*', '!']).trim_end_matches(['/', '*']);
    Text::new(kind, line, words.trim_matches([' ', '\t']))
}

/// A literal with a line break is a program (SQL, CEL, YAML), not a text.
fn raw_literal(line: usize, part: &str) -> Option<Text> {
    let words = part.trim_start_matches(['b', 'c', 'r']).trim_matches('#').trim_matches('"');
    (!words.contains('\n')).then(|| Text::new(Kind::Literal, line, words))
}

/// A literal with a line break is a program, unless the break is escaped: then its lines are one text.
fn literal(line: usize, part: &str) -> Option<Text> {
    let mut words = String::new();
    let quoted = part.trim_start_matches(['b', 'c']);
    let mut letters = quoted.get(1..quoted.len() - 1)?.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n' | 'r' | 't') => words.push(' '),
                Some(escaped) => words.push(escaped),
                None => {}
            },
            '\n' if !words.trim_end_matches([' ', '\t']).ends_with('\n') => return None,
            _ => words.push(letter),
        }
    }
    Some(Text::new(Kind::Literal, line, words))
}

/// Names of functions behind a test attribute, with spaces between the words.
fn test_names(code: &str) -> Vec<Text> {
    static TEST: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"#\[(?:\w+::)*(?:rs)?test\b(?s:.*?)\bfn\s+(\w+)").ok());
    let names = TEST.iter().flat_map(|test| test.captures_iter(code)).filter_map(|found| found.get(1));
    names
        .map(|name| {
            let line = 1 + code[..name.start()].matches('\n').count();
            Text::new(Kind::TestName, line, name.as_str().replace('_', " "))
        })
        .collect()
}
