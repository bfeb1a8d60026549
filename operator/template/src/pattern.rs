//! Regular expressions of Go in the syntax of the `regex` crate.
//!
//! `\d`, `\s`, `\w` and `\b` are ASCII in Go. `[` and `&&` in a class, `{` without a number and `\Q` have no special
//! meaning in one of the two languages.

/// The expression for the `regex` crate, or none if Go refuses it.
pub(crate) fn translate(pattern: &str) -> Option<String> {
    let mut translator = Translator { rest: pattern, out: String::new(), repeatable: false, repeated: false };
    while !translator.rest.is_empty() {
        translator.item()?;
    }
    Some(translator.out)
}

/// Largest count of a repetition in Go.
const REPETITIONS: u32 = 1000;

/// Names of ASCII classes such as `[:alpha:]`.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// Whether something can be repeated here.
    repeatable: bool,
    /// Whether the previous item is a repetition.
    repeated: bool,
}

impl<'a> Translator<'a> {
    fn next(&mut self) -> Option<char> {
        let char = self.rest.chars().next()?;
        self.rest = &self.rest[char.len_utf8()..];
        Some(char)
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.rest.strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn atom(&mut self, text: &str) -> Option<()> {
        self.out.push_str(text);
        (self.repeatable, self.repeated) = (true, false);
        Some(())
    }

    fn literal(&mut self, char: char) -> Option<()> {
        self.out.push_str(&regex::escape(char.encode_utf8(&mut [0; 4])));
        (self.repeatable, self.repeated) = (true, false);
        Some(())
    }

    fn item(&mut self) -> Option<()> {
        if self.accept("\\Q") {
            return self.quoted();
        }
        match self.next()? {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.group(),
            '|' => self.open("|"),
            '*' => self.repetition("*"),
            '+' => self.repetition("+"),
            '?' => self.repetition("?"),
            '{' => self.counted(),
            char @ ('^' | '$' | ')' | '.') => self.atom(char.encode_utf8(&mut [0; 4])),
            char => self.literal(char),
        }
    }

    /// Something after which nothing can be repeated.
    fn open(&mut self, text: &str) -> Option<()> {
        self.out.push_str(text);
        (self.repeatable, self.repeated) = (false, false);
        Some(())
    }

    fn quoted(&mut self) -> Option<()> {
        let end = self.rest.find("\\E");
        let text = &self.rest[..end.unwrap_or(self.rest.len())];
        self.rest = end.map_or("", |end| &self.rest[end + 2..]);
        for char in text.chars() {
            self.literal(char)?;
        }
        Some(())
    }

    /// Go refuses a repetition of a repetition, except `?` after one.
    fn repetition(&mut self, text: &str) -> Option<()> {
        if !self.repeatable || self.repeated {
            return None;
        }
        self.out.push_str(text);
        if self.accept("?") {
            self.out.push('?');
        }
        self.repeated = true;
        Some(())
    }

    /// `{2}`, `{2,}` or `{2,3}`. Anything else is text.
    fn counted(&mut self) -> Option<()> {
        let Some((inner, after)) = self.rest.split_once('}').filter(|(inner, _)| is_count(inner)) else {
            return self.literal('{');
        };
        let numbers = inner.split(',').filter(|number| !number.is_empty());
        if numbers.map(str::parse::<u32>).any(|number| number.is_ok_and(|number| number > REPETITIONS)) {
            return None;
        }
        self.rest = after;
        self.repetition(&format!("{{{inner}}}"))
    }

    fn group(&mut self) -> Option<()> {
        if !self.accept("?") {
            return self.open("(");
        }
        let end = self.rest.find([')', ':', '>'])?;
        let (head, close) = self.rest.split_at(end);
        let is_name = head.starts_with("P<") || head.starts_with('<');
        let is_flags = head.chars().all(|flag| "imsU-".contains(flag));
        let valid = if close.starts_with('>') { is_name } else { is_flags };
        if !valid {
            return None;
        }
        self.rest = &close[1..];
        self.open(&format!("(?{head}{}", &close[..1]))
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            'd' => self.atom("[0-9]"),
            'D' => self.atom("[^0-9]"),
            's' => self.atom(r"[\t\n\f\r ]"),
            'S' => self.atom(r"[^\t\n\f\r ]"),
            'w' => self.atom("[0-9A-Za-z_]"),
            'W' => self.atom("[^0-9A-Za-z_]"),
            'b' => self.atom(r"(?-u:\b)"),
            'B' => self.atom(r"(?-u:\B)"),
            'A' => self.atom(r"\A"),
            'z' => self.atom(r"\z"),
            char @ ('p' | 'P') => {
                let class = self.property(char)?;
                self.atom(&class)
            }
            char => {
                let char = self.character(char)?;
                self.literal(char)
            }
        }
    }

    /// `\pL` or `\p{Greek}`.
    fn property(&mut self, kind: char) -> Option<String> {
        let name = if self.accept("{") {
            let (name, after) = self.rest.split_once('}')?;
            self.rest = after;
            name.to_owned()
        } else {
            self.next()?.to_string()
        };
        let (negation, name) = name.strip_prefix('^').map_or(("", name.as_str()), |name| ("^", name));
        // Go knows general categories and scripts by their exact names.
        let valid = !name.is_empty() && name.chars().all(|char| char.is_ascii_alphabetic() || char == '_');
        let negated = (kind == 'P') != (negation == "^");
        valid.then(|| format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// The character of an escape.
    fn character(&mut self, code: char) -> Option<char> {
        match code {
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            'x' => self.hex(),
            '0' => Some(self.octal("")?),
            '1'..='7' if self.rest.starts_with(|next: char| next.is_digit(8)) => {
                self.octal(code.encode_utf8(&mut [0; 4]))
            }
            char if char.is_ascii_punctuation() || char == ' ' => Some(char),
            _ => None,
        }
    }

    fn octal(&mut self, first: &str) -> Option<char> {
        let count = self.rest.chars().take(2).take_while(|char| char.is_digit(8)).count();
        let (digits, after) = self.rest.split_at(count);
        self.rest = after;
        char::from_u32(u32::from_str_radix(&format!("0{first}{digits}"), 8).ok()?)
    }

    fn hex(&mut self) -> Option<char> {
        let braced = self.accept("{");
        let (digits, after) =
            if braced { self.rest.split_once('}')? } else { self.rest.split_at_checked(2)? };
        self.rest = after;
        let valid = digits.chars().all(|digit| digit.is_ascii_hexdigit());
        valid.then(|| u32::from_str_radix(digits, 16).ok()).flatten().and_then(char::from_u32)
    }

    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.accept("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            self.member(first)?;
            first = false;
        }
        self.rest = &self.rest[1..];
        self.atom("]")
    }

    /// A character, a range, an escape or a named class.
    fn member(&mut self, first: bool) -> Option<()> {
        if self.rest.starts_with("[:")
            && let Some((name, after)) = self.rest.split_once(":]")
        {
            if !CLASSES.contains(&name[2..].trim_start_matches('^')) {
                return None;
            }
            self.rest = after;
            self.out.push_str(name);
            self.out.push_str(":]");
            return Some(());
        }
        if self.rest.starts_with('-') && !first && !self.rest.starts_with("-]") {
            return None;
        }
        if let Some(set) = self.set_escape() {
            self.out.push_str(&set?);
            return Some(());
        }
        let low = self.bound()?;
        self.bounded(low);
        if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.rest = &self.rest[1..];
            let high = self.bound()?;
            if high < low {
                return None;
            }
            self.out.push('-');
            self.bounded(high);
        }
        Some(())
    }

    /// An escape that is a set of characters.
    fn set_escape(&mut self) -> Option<Option<String>> {
        let code = self.rest.strip_prefix('\\')?.chars().next()?;
        let set = match code {
            'd' => "0-9",
            'D' => "[^0-9]",
            's' => r"\t\n\f\r ",
            'S' => r"[^\t\n\f\r ]",
            'w' => "0-9A-Za-z_",
            'W' => "[^0-9A-Za-z_]",
            'p' | 'P' => {
                self.rest = &self.rest[2..];
                return Some(self.property(code));
            }
            _ => return None,
        };
        self.rest = &self.rest[2..];
        Some(Some(set.to_owned()))
    }

    fn bound(&mut self) -> Option<char> {
        match self.next()? {
            '\\' => {
                let code = self.next()?;
                self.character(code)
            }
            char => Some(char),
        }
    }

    fn bounded(&mut self, char: char) {
        self.out.push_str(&format!("\\x{{{:X}}}", u32::from(char)));
    }
}

/// Whether the text between braces is a count.
fn is_count(inner: &str) -> bool {
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r"\d", Some("[0-9]"))]
    #[case("a{", Some(r"a\{"))]
    #[case("a**", None)]
    #[case("(?x)a", None)]
    #[case("a{1001}", None)]
    #[case(r"\Qa.b\E", Some(r"a\.b"))]
    #[case("[a&&b]", Some(r"[\x{61}\x{26}\x{26}\x{62}]"))]
    fn expressions_are_translated(#[case] go: &str, #[case] rust: Option<&str>) {
        assert_eq!(translate(go).as_deref(), rust);
    }
}
