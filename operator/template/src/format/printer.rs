//! Values, as Go's `fmt` writes them.

use super::flags::Flags;
use super::quote::{self, Charset};
use super::{float, integer};
use crate::error::Fault;
use crate::item::{Dict, Item, List};
use crate::scope::Scope;

/// Text of `item`, as `%v` prints it.
pub(crate) fn display(scope: &mut Scope, item: &Item) -> Result<Vec<u8>, Fault> {
    let mut printer = Printer::new(scope);
    printer.print(item, 'v')?;
    Ok(printer.out)
}

/// Go's `fmt.Sprint`: a space between two values of which none is a string.
pub(crate) fn print(scope: &mut Scope, items: &[Item]) -> Result<Vec<u8>, Fault> {
    let mut printer = Printer::new(scope);
    let mut after_string = true;
    for item in items {
        let is_string = matches!(item, Item::String(_) | Item::Number(_));
        if !after_string && !is_string {
            printer.out.push(b' ');
        }
        printer.print(item, 'v')?;
        after_string = is_string;
    }
    Ok(printer.out)
}

/// Go's `fmt.Sprintln`.
pub(crate) fn println(scope: &mut Scope, items: &[Item]) -> Result<Vec<u8>, Fault> {
    let mut printer = Printer::new(scope);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            printer.out.push(b' ');
        }
        printer.print(item, 'v')?;
    }
    printer.out.push(b'\n');
    Ok(printer.out)
}

pub(crate) struct Printer<'a> {
    pub(crate) scope: &'a mut Scope,
    pub(crate) out: Vec<u8>,
    pub(crate) flags: Flags,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(scope: &'a mut Scope) -> Self {
        Self { scope, out: Vec::new(), flags: Flags::default() }
    }

    /// Appends an argument.
    pub(crate) fn print(&mut self, item: &Item, verb: char) -> Result<(), Fault> {
        match (item, verb) {
            (Item::Nil | Item::Missing, 'v' | 'T') => self.pad(b"<nil>"),
            (Item::Nil | Item::Missing, _) | (_, 'w') => self.bad_verb(item, verb, 0),
            (_, 'T') => {
                let name = item.type_name();
                self.string(name.as_bytes(), 's')
            }
            _ => self.value(item, verb, 0),
        }
    }

    fn pad(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.scope.allocate(text.len() + self.flags.size())?;
        self.flags.pad(&mut self.out, text);
        Ok(())
    }

    fn value(&mut self, item: &Item, verb: char, depth: usize) -> Result<(), Fault> {
        self.scope.visit(depth)?;
        match item {
            Item::Nil | Item::Missing if self.flags.sharp_v => self.raw(b"interface {}(nil)"),
            Item::Nil | Item::Missing => self.raw(b"<nil>"),
            Item::Bool(bool) if matches!(verb, 't' | 'v') => self.pad(bool.to_string().as_bytes()),
            Item::Int(int) | Item::Int64(int) if is_integer_verb(verb) => {
                self.integer(i128::from(*int), verb)
            }
            Item::Byte(byte) if verb == 'v' && self.flags.sharp_v => {
                self.raw(format!("{byte:#x}").as_bytes())
            }
            Item::Byte(byte) if is_integer_verb(verb) => self.integer(i128::from(*byte), verb),
            Item::Float(float) if is_float_verb(verb) => self.float(*float, verb),
            Item::String(text) | Item::Number(text) if is_string_verb(verb) => self.string(text, verb),
            Item::Version(version) if is_string_verb(verb) => {
                self.string(version.to_string().as_bytes(), verb)
            }
            Item::Moment(moment) if is_string_verb(verb) => self.string(moment.to_string().as_bytes(), verb),
            Item::List(list) => self.list(list, verb, depth),
            Item::Dict(dict) => self.dict(dict, verb, depth),
            _ => self.bad_verb(item, verb, depth),
        }
    }

    fn raw(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.scope.allocate(text.len())?;
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn bad_verb(&mut self, item: &Item, verb: char, depth: usize) -> Result<(), Fault> {
        self.raw(format!("%!{verb}(").as_bytes())?;
        if item.is_nil() {
            self.raw(b"<nil>")?;
        } else {
            self.raw(format!("{}=", item.type_name()).as_bytes())?;
            self.value(item, 'v', depth + 1)?;
        }
        self.raw(b")")
    }

    fn integer(&mut self, value: i128, verb: char) -> Result<(), Fault> {
        self.scope.allocate(32 + self.flags.size())?;
        match verb {
            'c' | 'q' => integer::write_char(&mut self.out, &self.flags, verb, value),
            'U' => integer::write_unicode(&mut self.out, &self.flags, value),
            _ => integer::write(&mut self.out, &self.flags, verb, value),
        }
        Ok(())
    }

    fn float(&mut self, value: f64, verb: char) -> Result<(), Fault> {
        self.scope.allocate(400 + self.flags.size())?;
        let (verb, default) = match verb {
            'v' => ('g', None),
            'F' => ('f', Some(6)),
            'f' | 'e' | 'E' => (verb, Some(6)),
            other => (other, None),
        };
        let precision = self.flags.precision.or(default);
        let mut text = float::format(value, verb, precision);
        if !text.starts_with(['-', '+']) {
            text.insert(0, '+');
        }
        if self.flags.space && text.starts_with('+') && !self.flags.plus {
            text.replace_range(..1, " ");
        }
        if !value.is_finite() {
            return self.not_finite(&text);
        }
        if self.flags.sharp && verb != 'b' {
            text = with_point(&text, verb, precision);
        }
        self.signed(&text)
    }

    fn not_finite(&mut self, text: &str) -> Result<(), Fault> {
        let hides_sign = text.ends_with("NaN") && !self.flags.space && !self.flags.plus;
        let shown = if hides_sign { &text[1..] } else { text };
        self.flags.pad_with_spaces(&mut self.out, shown.as_bytes());
        Ok(())
    }

    /// Appends a number that starts with a sign. Zero padding belongs between the sign and the digits.
    fn signed(&mut self, text: &str) -> Result<(), Fault> {
        if !self.flags.plus && text.starts_with('+') {
            return self.pad(&text.as_bytes()[1..]);
        }
        match self.flags.width {
            Some(width) if self.flags.zero && !self.flags.minus && width > text.len() => {
                self.out.push(text.as_bytes()[0]);
                self.flags.fill(&mut self.out, width - text.len());
                self.raw(&text.as_bytes()[1..])
            }
            _ => self.pad(text.as_bytes()),
        }
    }

    fn string(&mut self, text: &[u8], verb: char) -> Result<(), Fault> {
        self.scope.step(text.len() / 64)?;
        match verb {
            'x' | 'X' => self.hex(text, verb),
            'q' => self.quoted(text),
            'v' if self.flags.sharp_v => self.quoted(text),
            _ => self.pad(self.flags.truncate(text)),
        }
    }

    fn quoted(&mut self, text: &[u8]) -> Result<(), Fault> {
        let text = self.flags.truncate(text);
        if self.flags.sharp && quote::can_backquote(text) {
            return self.pad(&[b"`", text, b"`"].concat());
        }
        let charset = if self.flags.plus { Charset::Ascii } else { Charset::Printable };
        self.pad(&quote::string(text, charset))
    }

    fn hex(&mut self, text: &[u8], verb: char) -> Result<(), Fault> {
        let text = &text[..text.len().min(self.flags.precision.unwrap_or(usize::MAX))];
        self.scope.allocate_many(text.len(), 5)?;
        let prefix = match verb {
            _ if !self.flags.sharp || text.is_empty() => "",
            'x' => "0x",
            _ => "0X",
        };
        let bytes =
            text.iter().map(|byte| if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") });
        let encoded = if self.flags.space {
            bytes.map(|byte| format!("{prefix}{byte}")).collect::<Vec<_>>().join(" ")
        } else {
            format!("{prefix}{}", bytes.collect::<String>())
        };
        self.pad(encoded.as_bytes())
    }

    fn list(&mut self, list: &List, verb: char, depth: usize) -> Result<(), Fault> {
        if self.flags.sharp_v {
            self.raw(format!("[]{}", list.element.name()).as_bytes())?;
            if list.nil {
                return self.raw(b"(nil)");
            }
        }
        self.raw(if self.flags.sharp_v { b"{" } else { b"[" })?;
        for (index, item) in list.items.iter().enumerate() {
            self.separate(index)?;
            self.value(item, verb, depth + 1)?;
        }
        self.raw(if self.flags.sharp_v { b"}" } else { b"]" })
    }

    fn dict(&mut self, dict: &Dict, verb: char, depth: usize) -> Result<(), Fault> {
        if self.flags.sharp_v {
            self.raw(format!("map[string]{}", dict.element.name()).as_bytes())?;
            if dict.nil {
                return self.raw(b"(nil)");
            }
        }
        self.raw(if self.flags.sharp_v { b"{" } else { b"map[" })?;
        for (index, (key, item)) in dict.pairs().into_iter().enumerate() {
            self.separate(index)?;
            self.value(&Item::String(key), verb, depth + 1)?;
            self.raw(b":")?;
            self.value(&item, verb, depth + 1)?;
        }
        self.raw(if self.flags.sharp_v { b"}" } else { b"]" })
    }

    fn separate(&mut self, index: usize) -> Result<(), Fault> {
        match index {
            0 => Ok(()),
            _ if self.flags.sharp_v => self.raw(b", "),
            _ => self.raw(b" "),
        }
    }
}

fn is_integer_verb(verb: char) -> bool {
    "vdboOxXcqU".contains(verb)
}

fn is_float_verb(verb: char) -> bool {
    "vbgGxXfFeE".contains(verb)
}

fn is_string_verb(verb: char) -> bool {
    "vsxXq".contains(verb)
}

/// The number with a point, and with the zeros that `%#g` keeps.
fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let marks: &[char] = if matches!(verb, 'x' | 'X') { &['p', 'P'] } else { &['e', 'E', 'p', 'P'] };
    let (number, tail) = text.split_at(text.find(marks).unwrap_or(text.len()));
    let mut number = number.to_owned();
    let wanted = if matches!(verb, 'g' | 'G' | 'x' | 'X') { precision.unwrap_or(6) } else { 0 };
    let counted = number[1..].trim_start_matches(['0', '.']).chars().filter(|char| *char != '.');
    let mut missing = wanted.saturating_sub(counted.count());
    if !number.contains('.') {
        if number.len() == 2 && number.ends_with('0') {
            missing = missing.saturating_sub(1);
        }
        number.push('.');
    }
    number + &"0".repeat(missing) + tail
}
