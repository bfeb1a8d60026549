//! JSON of servers: bounded in depth, and with errors that state a position instead of the content.

use serde::Deserialize;
use serde_json::error::Category;

/// Highest number of levels in a response.
const DEPTH: usize = 64;

/// Reason why a response is not what the endpoint returns. Contains no text of the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The body is not JSON.
    #[error("no JSON at line {line}, column {column}")]
    Syntax {
        /// Line of the error.
        line: usize,
        /// Column of the error.
        column: usize,
    },
    /// The body is JSON of another shape.
    #[error("unexpected type or missing field at line {line}, column {column}")]
    Shape {
        /// Line of the error.
        line: usize,
        /// Column of the error.
        column: usize,
    },
    /// The body has too many levels.
    #[error("nested more than {DEPTH} levels")]
    Nested,
    /// The body is too large.
    #[error("larger than {} KiB", .0 / 1024)]
    TooLarge(usize),
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => Self::Shape { line, column },
            Category::Syntax | Category::Eof | Category::Io => Self::Syntax { line, column },
        }
    }
}

/// Parses a document of a server.
pub(crate) fn parse<'a, T: Deserialize<'a>>(document: &'a [u8]) -> Result<T, Malformed> {
    if depth(document) > DEPTH {
        return Err(Malformed::Nested);
    }
    Ok(serde_json::from_slice(document)?)
}

/// Returns the number of levels of a document, without recursion.
fn depth(document: &[u8]) -> usize {
    let (mut level, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in document {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => level += 1,
            b']' | b'}' if !quoted => level = level.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(level);
    }
    deepest
}

/// Returns compact JSON with every number exactly as stored. OpenBao escapes `<`, `>` and `&` in strings; this function
/// does not.
pub(crate) fn compact(json: &str) -> String {
    let (mut compact, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(start) = rest.find('"') {
        let (plain, string) = rest.split_at(start);
        push_plain(&mut compact, plain);
        let (string, after) = string.split_at(string_end(string));
        match serde_json::from_str::<String>(string) {
            Ok(text) => compact.push_str(&serde_json::Value::String(text).to_string()),
            Err(_) => compact.push_str(string),
        }
        rest = after;
    }
    push_plain(&mut compact, rest);
    compact
}

fn push_plain(compact: &mut String, plain: &str) {
    compact.extend(plain.chars().filter(|character| !character.is_ascii_whitespace()));
}

/// Returns the length of the JSON string at the start of a text, with its quotes.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case::flat("1", 0)]
    #[case::levels(r#"{"a": [{}, [1]]}"#, 3)]
    #[case::brackets_in_strings(r#"["[[[", "\"[[", "\\"]"#, 1)]
    fn levels_are_counted_outside_of_strings(#[case] document: &str, #[case] expected: usize) {
        assert_eq!(depth(document.as_bytes()), expected);
    }

    #[test]
    fn a_document_with_many_levels_is_rejected() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse::<Value>(nested(DEPTH).as_bytes()).is_ok());
        for levels in [DEPTH + 1, 50_000, 1_000_000] {
            assert_eq!(parse::<Value>(nested(levels).as_bytes()), Err(Malformed::Nested));
            let open = "[".repeat(levels);
            assert_eq!(parse::<Value>(open.as_bytes()), Err(Malformed::Nested));
        }
    }

    #[rstest]
    #[case::strings(r#"{"e": ["\u003c\\u003c", "a b\""], "c": 1}"#, r#"{"e":["<\\u003c","a b\""],"c":1}"#)]
    #[case::numbers(
        "[ 123456789012345678901234567890,\n 1.10, 1e400 ]",
        "[123456789012345678901234567890,1.10,1e400]"
    )]
    #[case::keys(r#"{"\u0061 b" : {}}"#, r#"{"a b":{}}"#)]
    fn compact_json_keeps_values(#[case] json: &str, #[case] expected: &str) {
        assert_eq!(compact(json), expected);
    }
}
