//! Values to documents.

use crate::error::Fault;
use crate::format::float;
use crate::item::{Dict, Item, List};
use crate::scope::Scope;
use crate::syntax::number;
use crate::text::Text;

const NIL: &str = "TOML has no nil, except as a value of a dict, which is left out";

/// The document of a dict. Other values have the text that they have in a document.
pub(crate) fn encode(scope: &mut Scope, item: &Item) -> Result<Vec<u8>, Fault> {
    let mut encoder = Encoder { scope, out: Vec::new() };
    match item {
        Item::Dict(dict) => encoder.table(dict, Place { key: b"", level: 0 })?,
        Item::List(list) if encoder.is_tables(list)? => {
            return Err(Fault::new("a list of dicts needs a key in TOML: put it into a dict"));
        }
        other => encoder.element(other, 0)?,
    }
    Ok(encoder.out)
}

struct Encoder<'a> {
    scope: &'a mut Scope,
    out: Vec<u8>,
}

/// A table: its key, as its header writes it, and the number of the parts of the key.
#[derive(Clone, Copy)]
struct Place<'k> {
    key: &'k [u8],
    level: usize,
}

impl Encoder<'_> {
    fn emit(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.scope.allocate(text.len())?;
        self.out.extend_from_slice(text);
        Ok(())
    }

    /// The values of a table before the tables in it, both in the order of their keys.
    fn table(&mut self, dict: &Dict, place: Place<'_>) -> Result<(), Fault> {
        self.scope.visit(place.level)?;
        for (is_table, key, item) in self.ordered(dict)? {
            let key = written(&key);
            if is_table {
                self.inner(&key, &item, place)?;
            } else {
                self.indent(place.level)?;
                self.pair(&key, &item, place.level)?;
                self.emit(b"\n")?;
            }
        }
        Ok(())
    }

    /// A dict, or a list of dicts, with a header for each of them.
    fn inner(&mut self, key: &[u8], item: &Item, place: Place<'_>) -> Result<(), Fault> {
        let separator: &[u8] = if place.level == 0 { b"" } else { b"." };
        let key = [place.key, separator, key].concat();
        let inner = Place { key: &key, level: place.level + 1 };
        match item {
            Item::Dict(dict) => {
                self.separate(place.level == 0)?;
                self.header(inner, "[", "]")?;
                self.table(dict, inner)
            }
            Item::List(list) => self.tables(list, inner),
            _ => Ok(()),
        }
    }

    fn tables(&mut self, list: &List, place: Place<'_>) -> Result<(), Fault> {
        for item in &list.items {
            if let Item::Dict(dict) = item {
                self.separate(true)?;
                self.header(place, "[[", "]]")?;
                self.table(dict, place)?;
            }
        }
        Ok(())
    }

    /// An empty line before a table that is not at the start of the document.
    fn separate(&mut self, is_separate: bool) -> Result<(), Fault> {
        if is_separate && !self.out.is_empty() { self.emit(b"\n") } else { Ok(()) }
    }

    fn header(&mut self, place: Place<'_>, open: &str, close: &str) -> Result<(), Fault> {
        self.indent(place.level - 1)?;
        self.emit(open.as_bytes())?;
        self.emit(place.key)?;
        self.emit(close.as_bytes())?;
        self.emit(b"\n")
    }

    fn indent(&mut self, level: usize) -> Result<(), Fault> {
        self.emit("  ".repeat(level).as_bytes())
    }

    fn pair(&mut self, key: &[u8], item: &Item, depth: usize) -> Result<(), Fault> {
        self.emit(key)?;
        self.emit(b" = ")?;
        self.element(item, depth + 1)
    }

    fn element(&mut self, item: &Item, depth: usize) -> Result<(), Fault> {
        self.scope.visit(depth)?;
        match item {
            Item::Missing | Item::Nil => Err(Fault::new(NIL)),
            Item::Bool(bool) => self.emit(bool.to_string().as_bytes()),
            Item::Int(int) | Item::Int64(int) => self.emit(int.to_string().as_bytes()),
            Item::Byte(byte) => self.emit(byte.to_string().as_bytes()),
            Item::Float(value) => self.float(*value),
            Item::Number(text) => self.number(text),
            Item::String(text) => self.emit(&quoted(text)),
            Item::Version(version) => self.emit(&quoted(version.to_string().as_bytes())),
            Item::Moment(moment) => self.emit(moment.rfc3339().as_bytes()),
            Item::List(list) => self.list(&list.items, depth),
            Item::Dict(dict) => self.inline(dict, depth),
        }
    }

    /// The entries of a dict that are not nil, and whether they are tables: first the values, then the tables.
    fn ordered(&mut self, dict: &Dict) -> Result<Vec<(bool, Text, Item)>, Fault> {
        self.scope.step(dict.len())?;
        let mut entries = Vec::new();
        for (key, item) in dict.pairs().into_iter().filter(|(_, item)| !is_nil(item)) {
            entries.push((self.is_table(&item)?, key, item));
        }
        entries.sort_by_key(|(is_table, ..)| *is_table);
        Ok(entries)
    }

    fn is_table(&mut self, item: &Item) -> Result<bool, Fault> {
        match item {
            Item::Dict(_) => Ok(true),
            Item::List(list) => self.is_tables(list),
            _ => Ok(false),
        }
    }

    /// Whether a list contains dicts, and no other values.
    fn is_tables(&mut self, list: &List) -> Result<bool, Fault> {
        self.scope.step(list.items.len())?;
        let is_dict = |item: &Item| matches!(item, Item::Dict(dict) if !dict.nil);
        Ok(!list.items.is_empty() && list.items.iter().all(is_dict))
    }

    fn comma(&mut self, index: usize) -> Result<(), Fault> {
        if index > 0 { self.emit(b", ") } else { Ok(()) }
    }

    fn list(&mut self, items: &[Item], depth: usize) -> Result<(), Fault> {
        self.emit(b"[")?;
        for (index, item) in items.iter().enumerate() {
            if is_nil(item) {
                return Err(Fault::new(NIL));
            }
            self.comma(index)?;
            self.element(item, depth + 1)?;
        }
        self.emit(b"]")
    }

    /// A dict in a list with other values.
    fn inline(&mut self, dict: &Dict, depth: usize) -> Result<(), Fault> {
        self.emit(b"{")?;
        for (index, (_, key, item)) in self.ordered(dict)?.into_iter().enumerate() {
            self.comma(index)?;
            self.pair(&written(&key), &item, depth)?;
        }
        self.emit(b"}")
    }

    /// A number of a secret: an integer if its text is one.
    fn number(&mut self, text: &Text) -> Result<(), Fault> {
        if let Some(int) = number::parse_int(text, 10) {
            return self.emit(int.to_string().as_bytes());
        }
        let value = number::parse_float(&text.lossy());
        self.float(value.ok_or(Fault::new("a number is too large"))?)
    }

    fn float(&mut self, value: f64) -> Result<(), Fault> {
        let sign = if value.is_sign_negative() { "-" } else { "" };
        let text = match value {
            value if value.is_nan() => format!("{sign}nan"),
            value if value.is_infinite() => format!("{sign}inf"),
            value => float::format(value, 'f', None),
        };
        let point = if value.is_finite() && !text.contains('.') { ".0" } else { "" };
        self.emit(format!("{text}{point}").as_bytes())
    }
}

fn is_nil(item: &Item) -> bool {
    match item {
        Item::Dict(dict) => dict.nil,
        Item::List(list) => list.nil,
        other => other.is_nil(),
    }
}

/// A key, in quotes unless it is a bare key.
fn written(key: &[u8]) -> Vec<u8> {
    let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.iter().all(is_bare) { key.to_vec() } else { quoted(key) }
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..=0x1f | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}
