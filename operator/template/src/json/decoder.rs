//! JSON documents to values.

use std::collections::BTreeMap;

use crate::text;
use crate::value::Value;

/// Levels of arrays and objects.
const DEPTH: usize = 90;

/// The value of a document, with the text of its numbers. Invalid UTF-8 and lone surrogates become U+FFFD.
pub(crate) fn decode(document: &[u8]) -> Option<Value> {
    let mut decoder = Decoder { document, at: 0 };
    let value = decoder.value(0)?;
    decoder.space();
    (decoder.at == document.len()).then_some(value)
}

struct Decoder<'a> {
    document: &'a [u8],
    at: usize,
}

impl Decoder<'_> {
    fn peek(&self) -> Option<u8> {
        self.document.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn accept(&mut self, text: &[u8]) -> Option<()> {
        self.document[self.at..].starts_with(text).then(|| self.at += text.len())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Value::String),
            b't' => self.accept(b"true").map(|()| Value::Bool(true)),
            b'f' => self.accept(b"false").map(|()| Value::Bool(false)),
            b'n' => self.accept(b"null").map(|()| Value::Null),
            _ => self.number().map(Value::Number),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.accept(b"[")?;
        let mut items = Vec::new();
        self.space();
        if self.accept(b"]").is_some() {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.accept(b"]").is_some() {
                return Some(Value::List(items));
            }
            self.accept(b",")?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.accept(b"{")?;
        let mut entries = BTreeMap::new();
        self.space();
        if self.accept(b"}").is_some() {
            return Some(Value::Map(entries));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.accept(b":")?;
            let value = self.value(depth + 1)?;
            entries.insert(key, value);
            self.space();
            if self.accept(b"}").is_some() {
                return Some(Value::Map(entries));
            }
            self.accept(b",")?;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<String> {
        let start = self.at;
        self.accept(b"-");
        if self.accept(b"0").is_none() {
            self.digits()?;
        }
        if self.accept(b".").is_some() {
            self.digits()?;
        }
        if self.accept(b"e").or_else(|| self.accept(b"E")).is_some() {
            self.accept(b"+").or_else(|| self.accept(b"-"));
            self.digits()?;
        }
        String::from_utf8(self.document[start..self.at].to_vec()).ok()
    }

    fn string(&mut self) -> Option<String> {
        self.accept(b"\"")?;
        let mut bytes = Vec::new();
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(text::runes(&bytes).map(|rune| rune.char).collect());
                }
                b'\\' => text::push(&mut bytes, self.escape()?),
                0..=0x1f => return None,
                byte => {
                    bytes.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        self.at += 1;
        let code = self.peek()?;
        self.at += 1;
        match code {
            b'"' | b'\\' | b'/' => Some(char::from(code)),
            b'b' => Some('\x08'),
            b'f' => Some('\x0c'),
            b'n' => Some('\n'),
            b'r' => Some('\r'),
            b't' => Some('\t'),
            b'u' => self.unicode(),
            _ => None,
        }
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if let Some(char) = char::from_u32(first) {
            return Some(char);
        }
        let before = self.at;
        if first < 0xdc00 && self.accept(b"\\u").is_some() {
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
        }
        self.at = before;
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.document.get(self.at..self.at + 4)?;
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text() {
        assert!(
            decode(b" [1.50, 1e3] ")
                == Some(Value::List(vec![Value::Number("1.50".into()), Value::Number("1e3".into())]))
        );
    }

    #[test]
    fn invalid_documents_are_refused() {
        for document in ["", "01", "[1,]", "{a:1}", "nul", "1 2", "\"\\x\"", "\"a\nb\"", "1.", "-"] {
            assert!(decode(document.as_bytes()).is_none(), "{document}");
        }
        assert!(decode("[".repeat(1000).as_bytes()).is_none());
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        assert!(decode(br#""\ud83d\ude00\ud800x""#) == Some(Value::String("\u{1f600}\u{fffd}x".into())));
    }
}
