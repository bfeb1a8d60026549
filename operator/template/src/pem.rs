//! PEM, as Go's `encoding/pem` reads and writes it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::error::Fault;
use crate::scope::Scope;

/// Characters of a line.
const WIDTH: usize = 64;
/// Most headers of a block. An encrypted key has two.
const HEADERS: usize = 100;
/// Bytes of text after a damaged block that cost one step.
const BYTES_PER_STEP: usize = 256;
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) bytes: Vec<u8>,
}

impl Block {
    pub(crate) fn new(label: &str, bytes: &[u8]) -> Self {
        Self { label: label.to_owned(), headers: Vec::new(), bytes: bytes.to_vec() }
    }

    /// The text, with a line break at its end.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{BEGIN}{}{DASHES}\n", self.label);
        for (name, value) in self.sorted() {
            text += &format!("{name}: {value}\n");
        }
        if !self.headers.is_empty() {
            text.push('\n');
        }
        let encoded = BASE64_STANDARD.encode(&self.bytes);
        for line in encoded.as_bytes().chunks(WIDTH) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text + &format!("{END}{}{DASHES}\n", self.label)
    }

    /// The headers. That of an encrypted key is the first one.
    fn sorted(&self) -> Vec<&(String, String)> {
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort_by_key(|(name, _)| (name != "Proc-Type", name.clone()));
        headers
    }
}

/// The blocks of a text. Other text between them is skipped, and so are blocks that are damaged.
///
/// # Errors
/// A limit of the rendering. A damaged block costs a search in the rest of the text.
pub(crate) fn blocks(scope: &mut Scope, text: &str) -> Result<Vec<Block>, Fault> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(after) = begin(rest) {
        match block(after) {
            Some((block, left)) => {
                scope.allocate_many(block.headers.len() + 1, size_of::<Block>())?;
                found.push(block);
                rest = left;
            }
            None => {
                scope.step(1 + after.len() / BYTES_PER_STEP)?;
                rest = after;
            }
        }
    }
    Ok(found)
}

/// The text after the next `-----BEGIN `, which is at the start of a line.
fn begin(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let at = rest.find(BEGIN)?;
        let after = &rest[at + BEGIN.len()..];
        let before = text.len() - rest.len() + at;
        if before == 0 || text.as_bytes()[before - 1] == b'\n' {
            return Some(after);
        }
        rest = after;
    }
}

/// The block after `-----BEGIN `, and the text after it.
fn block(text: &str) -> Option<(Block, &str)> {
    let (first, body) = line(text);
    let label = first.strip_suffix(DASHES)?;
    let (headers, body) = headers(body)?;
    let end = format!("{END}{label}{DASHES}");
    let at =
        body.match_indices(&end).map(|(at, _)| at).find(|at| *at == 0 || body.as_bytes()[at - 1] == b'\n')?;
    let (last, rest) = line(&body[at..]);
    let encoded: String = body[..at].split_ascii_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(encoded).ok().filter(|_| last == end)?;
    Some((Block { label: label.to_owned(), headers, bytes }, rest))
}

/// Headers before the data, and the text after them. `None` for too many.
fn headers(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let (mut headers, mut rest) = (Vec::new(), text);
    loop {
        let (first, after) = line(rest);
        let Some((name, value)) = first.split_once(':') else {
            return Some((headers, rest));
        };
        if headers.len() == HEADERS {
            return None;
        }
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
        rest = after;
    }
}

/// The first line without white space at its end, and the text after it.
fn line(text: &str) -> (&str, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    (line.trim_end_matches([' ', '\t', '\r']), rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Limits;

    fn found(text: &str) -> Vec<Block> {
        blocks(&mut Scope::new(&Limits::default()), text).unwrap()
    }

    #[test]
    fn damaged_blocks_and_headers_are_limited() {
        let read = |text: &str| blocks(&mut Scope::new(&Limits::default()), text);
        assert!(matches!(read(&"-----BEGIN A-----\n".repeat(20_000)), Err(Fault::Limit(_))));
        let headers = |count: usize| {
            let lines = "a:b\n".repeat(count);
            format!("-----BEGIN A-----\n{lines}\nAAAA\n-----END A-----\n")
        };
        assert_eq!(read(&headers(HEADERS)).unwrap().len(), 1);
        assert!(read(&headers(HEADERS + 1)).unwrap().is_empty());
        assert!(matches!(read(&headers(HEADERS).repeat(5000)), Err(Fault::Limit(_))));
    }

    #[test]
    fn text_between_blocks_and_damaged_blocks_are_skipped() {
        let good = Block::new("A KEY", b"bytes").text();
        let text = format!(
            "subject=x\n{good}-----BEGIN B-----\nAA!A\n-----END B-----\n x{good}-----BEGIN C-----\r\nAAAA\r\n-----END C-----"
        );
        let labels: Vec<String> = found(&text).into_iter().map(|block| block.label).collect();
        assert_eq!(labels, ["A KEY", "C"]);
    }

    #[test]
    fn headers_are_kept() {
        let text = "-----BEGIN K-----\nDEK-Info: x,1\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END K-----\n";
        let found = found(text);
        assert_eq!(found[0].headers.len(), 2);
        let expected = "-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x,1\n\nAAAA\n-----END K-----\n";
        assert_eq!(found[0].text(), expected);
    }

    proptest! {
        #[test]
        fn a_block_is_read_as_it_was_written(label in "[A-Z]{1,9}( [A-Z]{1,9})?", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let block = Block::new(&label, &bytes);
            prop_assert_eq!(found(&block.text()), vec![block]);
        }

        #[test]
        fn any_text_is_read_without_a_panic(parts in proptest::collection::vec(prop_oneof![
            Just("-----BEGIN A-----"), Just("-----END A-----"), Just("\n"), Just("AAAA"), Just("a: b"), Just("-----"), Just("é")
        ], 0..12)) {
            found(&parts.concat());
        }
    }
}
