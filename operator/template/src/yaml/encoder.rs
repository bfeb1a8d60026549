//! Values to documents.

use super::style::{Style, style, written};
use crate::error::Fault;
use crate::format::float;
use crate::item::{Dict, Item};
use crate::scope::Scope;
use crate::text::Text;

/// The document of a value, with a line break at its end.
pub(crate) fn encode(scope: &mut Scope, item: &Item) -> Result<String, Fault> {
    let mut encoder = Encoder { scope, out: String::new() };
    encoder.root(item)?;
    Ok(encoder.out)
}

struct Encoder<'a> {
    scope: &'a mut Scope,
    out: String,
}

/// Place of a value.
#[derive(Clone, Copy)]
struct Place {
    /// Column of the surrounding mapping or sequence.
    indent: usize,
    depth: usize,
}

impl Place {
    fn deeper(self, by: usize) -> Self {
        Self { indent: self.indent + by, depth: self.depth + 1 }
    }
}

impl Encoder<'_> {
    fn emit(&mut self, text: &str) -> Result<(), Fault> {
        self.scope.allocate(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn root(&mut self, item: &Item) -> Result<(), Fault> {
        let place = Place { indent: 0, depth: 0 };
        match item {
            Item::Dict(dict) if dict.len() > 0 => self.mapping(dict, place),
            Item::List(list) if !list.items.is_empty() => self.sequence(&list.items, place),
            other => self.scalar(other, place),
        }
    }

    /// The entries of a mapping. The first one continues the line.
    fn mapping(&mut self, dict: &Dict, place: Place) -> Result<(), Fault> {
        self.scope.visit(place.depth)?;
        for (position, (key, item)) in dict.pairs().iter().enumerate() {
            self.margin(position, place)?;
            let key = self.key(key)?;
            self.emit(&key)?;
            self.value(item, place)?;
        }
        Ok(())
    }

    fn margin(&mut self, position: usize, place: Place) -> Result<(), Fault> {
        if position > 0 { self.emit(&" ".repeat(place.indent)) } else { Ok(()) }
    }

    fn key(&mut self, key: &Text) -> Result<String, Fault> {
        self.scope.allocate(key.len() * 2)?;
        let key = key.lossy();
        Ok(written(&key, style(&key)) + ":")
    }

    fn value(&mut self, item: &Item, place: Place) -> Result<(), Fault> {
        match item {
            Item::Dict(dict) if dict.len() > 0 => {
                let inner = place.deeper(2);
                self.emit(&format!("\n{}", " ".repeat(inner.indent)))?;
                self.mapping(dict, inner)
            }
            Item::List(list) if !list.items.is_empty() => {
                let inner = place.deeper(0);
                self.emit(&format!("\n{}", " ".repeat(inner.indent)))?;
                self.sequence(&list.items, inner)
            }
            other => {
                self.emit(" ")?;
                self.scalar(other, place)
            }
        }
    }

    /// The items of a sequence. The first one continues the line.
    fn sequence(&mut self, items: &[Item], place: Place) -> Result<(), Fault> {
        self.scope.visit(place.depth)?;
        for (position, item) in items.iter().enumerate() {
            self.margin(position, place)?;
            self.emit("- ")?;
            match item {
                Item::Dict(dict) if dict.len() > 0 => self.mapping(dict, place.deeper(2))?,
                Item::List(list) if !list.items.is_empty() => self.sequence(&list.items, place.deeper(2))?,
                other => self.scalar(other, place)?,
            }
        }
        Ok(())
    }

    fn scalar(&mut self, item: &Item, place: Place) -> Result<(), Fault> {
        self.scope.visit(place.depth)?;
        match item {
            Item::Missing | Item::Nil => self.emit("null\n"),
            Item::List(list) => self.emit(if list.nil { "null\n" } else { "[]\n" }),
            Item::Dict(dict) => self.emit(if dict.nil { "null\n" } else { "{}\n" }),
            Item::Bool(bool) => self.emit(&format!("{bool}\n")),
            Item::Int(int) | Item::Int64(int) => self.emit(&format!("{int}\n")),
            Item::Byte(byte) => self.emit(&format!("{byte}\n")),
            Item::Float(value) if value.is_finite() => {
                let is_short = *value == 0.0 || (1e-6..1e21).contains(&value.abs());
                self.emit(&(float::format(*value, if is_short { 'f' } else { 'g' }, None) + "\n"))
            }
            Item::Float(_) => {
                Err(Fault::new("a value is NaN or infinite, which Kubernetes does not write to YAML"))
            }
            Item::Number(number) => self.emit(&(number.lossy() + "\n")),
            Item::String(text) => self.string(&text.lossy(), place),
            Item::Version(version) => self.string(&version.to_string(), place),
            Item::Moment(moment) => self.string(&moment.rfc3339(), place),
        }
    }

    fn string(&mut self, text: &str, place: Place) -> Result<(), Fault> {
        match style(text) {
            Style::Literal => self.literal(text, place.indent + 2),
            style => {
                self.scope.allocate(text.len())?;
                self.emit(&(written(text, style) + "\n"))
            }
        }
    }

    /// A string with several lines.
    fn literal(&mut self, text: &str, indent: usize) -> Result<(), Fault> {
        let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
        let body = text.strip_suffix('\n');
        let chomping = match body {
            None => "-",
            Some(body) if body.is_empty() || body.ends_with('\n') => "+",
            Some(_) => "",
        };
        self.emit(&format!("|{hint}{chomping}\n"))?;
        for line in body.unwrap_or(text).split('\n') {
            let margin = if line.is_empty() { 0 } else { indent };
            self.emit(&format!("{}{line}\n", " ".repeat(margin)))?;
        }
        Ok(())
    }
}
