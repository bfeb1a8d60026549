//! Values to JSON documents.

use crate::error::Fault;
use crate::format::float;
use crate::item::Item;
use crate::scope::Scope;
use crate::text;

/// Form of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `<`, `>` and `&` are escaped, as Go does by default.
    Html,
    /// As [`Style::Html`], with one line for each value.
    Pretty,
    /// Without those escapes.
    Raw,
}

/// The document of a value. A value without a JSON form is [`Fault::Failed`].
pub(crate) fn encode(scope: &mut Scope, item: &Item, style: Style) -> Result<Vec<u8>, Fault> {
    let mut encoder = Encoder { scope, style, out: Vec::new() };
    encoder.value(item, 0)?;
    Ok(encoder.out)
}

struct Encoder<'a> {
    scope: &'a mut Scope,
    style: Style,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn value(&mut self, item: &Item, depth: usize) -> Result<(), Fault> {
        self.scope.visit(depth)?;
        match item {
            Item::Missing | Item::Nil => self.emit("null"),
            Item::Bool(bool) => self.emit(&bool.to_string()),
            Item::Int(int) | Item::Int64(int) => self.emit(&int.to_string()),
            Item::Byte(byte) => self.emit(&byte.to_string()),
            Item::Float(value) => self.float(*value),
            Item::Number(number) => self.emit(&number.lossy()),
            Item::String(text) => self.string(text),
            Item::Version(version) => self.string(version.to_string().as_bytes()),
            Item::Moment(moment) => self.string(moment.rfc3339().as_bytes()),
            Item::List(list) if list.nil => self.emit("null"),
            Item::List(list) => self.list(&list.items, depth),
            Item::Dict(dict) if dict.nil => self.emit("null"),
            Item::Dict(dict) => self.dict(&dict.pairs(), depth),
        }
    }

    fn emit(&mut self, text: &str) -> Result<(), Fault> {
        self.scope.allocate(text.len())?;
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn line(&mut self, depth: usize) -> Result<(), Fault> {
        if self.style == Style::Pretty { self.emit(&format!("\n{}", "  ".repeat(depth))) } else { Ok(()) }
    }

    fn list(&mut self, items: &[Item], depth: usize) -> Result<(), Fault> {
        self.emit("[")?;
        for (index, item) in items.iter().enumerate() {
            self.emit(if index > 0 { "," } else { "" })?;
            self.line(depth + 1)?;
            self.value(item, depth + 1)?;
        }
        if !items.is_empty() {
            self.line(depth)?;
        }
        self.emit("]")
    }

    fn dict(&mut self, entries: &[(text::Text, Item)], depth: usize) -> Result<(), Fault> {
        self.emit("{")?;
        for (index, (key, item)) in entries.iter().enumerate() {
            self.emit(if index > 0 { "," } else { "" })?;
            self.line(depth + 1)?;
            self.string(key)?;
            self.emit(if self.style == Style::Pretty { ": " } else { ":" })?;
            self.value(item, depth + 1)?;
        }
        if !entries.is_empty() {
            self.line(depth)?;
        }
        self.emit("}")
    }

    fn float(&mut self, value: f64) -> Result<(), Fault> {
        if !value.is_finite() {
            return Err(Fault::new("JSON has no NaN and no infinity"));
        }
        let large = value != 0.0 && !(1e-6..1e21).contains(&value.abs());
        if !large {
            return self.emit(&float::format(value, 'f', None));
        }
        let text = float::format(value, 'e', None);
        self.emit(&text.replace("e-0", "e-"))
    }

    fn string(&mut self, text: &[u8]) -> Result<(), Fault> {
        let mut out = vec![b'"'];
        for rune in text::runes(text) {
            match rune.char {
                '"' | '\\' => out.extend_from_slice(&[b'\\', text[rune.at]]),
                '\x08' => out.extend_from_slice(b"\\b"),
                '\x0c' => out.extend_from_slice(b"\\f"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                char if self.is_escaped(char) || rune.is_invalid() => {
                    out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
                }
                char => text::push(&mut out, char),
            }
        }
        out.push(b'"');
        self.scope.allocate(out.len())?;
        self.out.append(&mut out);
        Ok(())
    }

    fn is_escaped(&self, char: char) -> bool {
        let html = self.style != Style::Raw && matches!(char, '<' | '>' | '&');
        html || char < ' ' || matches!(char, '\u{2028}' | '\u{2029}')
    }
}
