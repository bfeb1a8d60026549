//! Go's `fmt.Sprintf`.

use super::flags::Flags;
use super::printer::Printer;
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;
use crate::text;

/// Largest width, precision and index.
const LARGEST: i64 = 1_000_000;

/// Text of `items` in the directives of `format`.
pub(crate) fn sprintf(scope: &mut Scope, format: &[u8], items: &[Item]) -> Result<Vec<u8>, Fault> {
    let mut directives =
        Directives { printer: Printer::new(scope), format, items, at: 0, next: 0, state: State::default() };
    directives.run()?;
    Ok(directives.printer.out)
}

#[derive(Default)]
struct State {
    /// Whether an index such as `[1]` was used, which permits unused arguments.
    reordered: bool,
    good_index: bool,
    after_index: bool,
}

struct Directives<'a> {
    printer: Printer<'a>,
    format: &'a [u8],
    items: &'a [Item],
    at: usize,
    next: usize,
    state: State,
}

impl Directives<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        while self.at < self.format.len() {
            let rest = &self.format[self.at..];
            let length = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
            self.printer.out.extend_from_slice(&rest[..length]);
            self.at += length;
            if self.at < self.format.len() {
                self.at += 1;
                self.directive()?;
            }
        }
        self.extra()
    }

    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn emit(&mut self, text: &str) {
        self.printer.out.extend_from_slice(text.as_bytes());
    }

    fn directive(&mut self) -> Result<(), Fault> {
        self.printer.flags = Flags::default();
        self.state.good_index = true;
        self.state.after_index = false;
        self.flags();
        self.index();
        self.width();
        self.precision();
        if !self.state.after_index {
            self.index();
        }
        let Some(verb) = text::runes(&self.format[self.at..]).next() else {
            self.emit("%!(NOVERB)");
            return Ok(());
        };
        self.at += verb.size;
        self.verb(verb.char)
    }

    fn flags(&mut self) {
        while let Some(byte) = self.peek() {
            let flags = &mut self.printer.flags;
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    fn verb(&mut self, verb: char) -> Result<(), Fault> {
        if verb == '%' {
            self.emit("%");
            return Ok(());
        }
        if !self.state.good_index {
            self.emit(&format!("%!{verb}(BADINDEX)"));
            return Ok(());
        }
        let Some(item) = self.items.get(self.next) else {
            self.emit(&format!("%!{verb}(MISSING)"));
            return Ok(());
        };
        if matches!(verb, 'v' | 'w') {
            let flags = &mut self.printer.flags;
            (flags.sharp_v, flags.sharp, flags.plus) = (flags.sharp, false, false);
        }
        self.next += 1;
        self.printer.print(item, verb)
    }

    /// The decimal number at the current position. A number that is too large ends the directive.
    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut number = 0;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            number = number * 10 + i64::from(digit - b'0');
            if number > LARGEST {
                self.at = self.format.len();
                return None;
            }
            self.at += 1;
        }
        if self.at > start { usize::try_from(number).ok() } else { None }
    }

    /// An argument index such as `[2]`.
    fn index(&mut self) {
        self.state.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.state.reordered = true;
        let rest = &self.format[self.at..];
        let closing = rest.iter().position(|byte| *byte == b']').filter(|_| rest.len() >= 3);
        let Some(closing) = closing else {
            self.state.good_index = false;
            self.at += 1;
            return;
        };
        let inner = std::str::from_utf8(&rest[1..closing]).unwrap_or_default();
        let digits = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit());
        let index = inner.parse::<usize>().ok().filter(|index| digits && *index <= 1_000_000);
        self.at += closing + 1;
        match index.and_then(|index| index.checked_sub(1)).filter(|index| *index < self.items.len()) {
            Some(index) => {
                self.next = index;
                self.state.after_index = true;
            }
            None => {
                self.state.good_index = false;
                self.state.after_index = index.is_some();
            }
        }
    }

    /// The integer argument of `*`.
    fn star(&mut self) -> Option<i64> {
        let item = self.items.get(self.next)?;
        self.next += 1;
        let number = match item {
            Item::Int(int) | Item::Int64(int) => *int,
            Item::Byte(byte) => i64::from(*byte),
            _ => return None,
        };
        (-LARGEST..=LARGEST).contains(&number).then_some(number)
    }

    fn width(&mut self) {
        if self.peek() == Some(b'*') {
            self.at += 1;
            let width = self.star();
            if width.is_none() {
                self.emit("%!(BADWIDTH)");
            }
            let flags = &mut self.printer.flags;
            if width.is_some_and(i64::is_negative) {
                (flags.minus, flags.zero) = (true, false);
            }
            flags.width = width.and_then(|width| usize::try_from(width.unsigned_abs()).ok());
            self.state.after_index = false;
            return;
        }
        self.printer.flags.width = self.number();
        if self.state.after_index && self.printer.flags.width.is_some() {
            self.state.good_index = false;
        }
    }

    fn precision(&mut self) {
        if self.peek() != Some(b'.') || self.at + 1 >= self.format.len() {
            return;
        }
        self.at += 1;
        if self.state.after_index {
            self.state.good_index = false;
        }
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            let precision = self.star().and_then(|precision| usize::try_from(precision).ok());
            if precision.is_none() {
                self.emit("%!(BADPREC)");
            }
            self.printer.flags.precision = precision;
            self.state.after_index = false;
        } else {
            self.printer.flags.precision = Some(self.number().unwrap_or(0));
        }
    }

    /// Arguments without a directive.
    fn extra(&mut self) -> Result<(), Fault> {
        if self.state.reordered || self.next >= self.items.len() {
            return Ok(());
        }
        self.printer.flags = Flags::default();
        self.emit("%!(EXTRA ");
        for (index, item) in self.items[self.next..].iter().enumerate() {
            if index > 0 {
                self.emit(", ");
            }
            if !item.is_nil() {
                self.emit(&format!("{}=", item.type_name()));
            }
            self.printer.print(item, 'v')?;
        }
        self.emit(")");
        Ok(())
    }
}
