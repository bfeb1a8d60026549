//! Parts of a URL, as Go's `net/url` reads and writes them.

/// Name and password before `@`.
pub(crate) type User = (Vec<u8>, Option<Vec<u8>>);

/// A URL in decoded parts.
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) scheme: Vec<u8>,
    pub(crate) opaque: Vec<u8>,
    pub(crate) user: Option<User>,
    pub(crate) host: Vec<u8>,
    pub(crate) path: Vec<u8>,
    pub(crate) query: Vec<u8>,
    pub(crate) fragment: Vec<u8>,
}

/// Part of a URL, which decides about the characters that need an escape.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Host,
    User,
    Path,
    Query,
    Fragment,
}

fn needs_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    match part {
        Part::Host => !b"!$&'()*+,;=:[]<>\"".contains(&byte),
        Part::Path => !b"$&+,/:;=@".contains(&byte),
        Part::User => !b"$&+,;=".contains(&byte),
        Part::Query => true,
        Part::Fragment => !b"$&+,/:;=?@!()*".contains(&byte),
    }
}

pub(crate) fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' if part == Part::Query => out.push(b'+'),
            byte if needs_escape(*byte, part) => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            byte => out.push(*byte),
        }
    }
    out
}

fn unescape(text: &[u8], part: Part) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            let decoded = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
            if part == Part::Host && decoded < 0x80 && decoded != b'%' {
                return None;
            }
            out.push(decoded);
            rest = &after[2..];
        } else if part == Part::Host && byte.is_ascii() && needs_escape(*byte, part) {
            return None;
        } else {
            out.push(*byte);
        }
    }
    Some(out)
}

fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == separator) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

impl Link {
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (before, fragment) = cut(text, b'#');
        if before.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return None;
        }
        let fragment = unescape(fragment.unwrap_or_default(), Part::Fragment)?;
        let (scheme, rest) = scheme(before)?;
        let (rest, query) = cut(rest, b'?');
        let link = Self { scheme, query: query.unwrap_or_default().to_vec(), fragment, ..Self::default() };
        link.hierarchy(rest)
    }

    /// Reads the part after the scheme and before the query.
    fn hierarchy(mut self, rest: &[u8]) -> Option<Self> {
        if !rest.starts_with(b"/") {
            if !self.scheme.is_empty() {
                self.opaque = rest.to_vec();
                return Some(self);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return None;
            }
        }
        let mut path = rest;
        let has_authority = !self.scheme.is_empty() || !rest.starts_with(b"///");
        if has_authority && rest.starts_with(b"//") {
            let length = rest[2..].iter().position(|byte| *byte == b'/').unwrap_or(rest.len() - 2);
            self.authority(&rest[2..2 + length])?;
            path = &rest[2 + length..];
        }
        self.path = unescape(path, Part::Path)?;
        Some(self)
    }

    fn authority(&mut self, authority: &[u8]) -> Option<()> {
        let at = authority.iter().rposition(|byte| *byte == b'@');
        self.host = host(at.map_or(authority, |at| &authority[at + 1..]))?;
        let Some(at) = at else { return Some(()) };
        let userinfo = &authority[..at];
        let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
        if !userinfo.iter().all(valid) {
            return None;
        }
        let (name, password) = cut(userinfo, b':');
        let password = match password {
            Some(password) => Some(unescape(password, Part::User)?),
            None => None,
        };
        self.user = Some((unescape(name, Part::User)?, password));
        Some(())
    }

    /// The host without its port.
    pub(crate) fn hostname(&self) -> &[u8] {
        let colon = self.host.iter().rposition(|byte| *byte == b':');
        let bare = match colon {
            Some(colon) if valid_port(&self.host[colon..]) => &self.host[..colon],
            _ => &self.host,
        };
        bare.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(bare)
    }

    /// Escaped name and password.
    pub(crate) fn userinfo(&self) -> Vec<u8> {
        let Some((name, password)) = &self.user else { return Vec::new() };
        let mut out = escape(name, Part::User);
        if let Some(password) = password {
            out.push(b':');
            out.extend(escape(password, Part::User));
        }
        out
    }

    pub(crate) fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.write_hierarchy(&mut out)
        } else {
            out.extend_from_slice(&self.opaque)
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escape(&self.fragment, Part::Fragment));
        }
        out
    }

    fn write_hierarchy(&self, out: &mut Vec<u8>) {
        let named = !self.host.is_empty() || self.user.is_some();
        if named || (!self.scheme.is_empty() && !self.path.is_empty()) {
            out.extend_from_slice(b"//");
        }
        if self.user.is_some() {
            out.extend(self.userinfo());
            out.push(b'@');
        }
        out.extend(escape(&self.host, Part::Host));
        let path = if self.path == b"*" { b"*".to_vec() } else { escape(&self.path, Part::Path) };
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            out.push(b'/');
        }
        if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
            out.extend_from_slice(b"./");
        }
        out.extend(path);
    }
}

/// Scheme in lower case, and the rest.
fn scheme(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b':' if index == 0 => return None,
            b':' => return Some((text[..index].to_ascii_lowercase(), &text[index + 1..])),
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            byte if byte.is_ascii_alphabetic() => {}
            _ => break,
        }
    }
    Some((Vec::new(), text))
}

fn valid_port(port: &[u8]) -> bool {
    port.is_empty() || port.strip_prefix(b":").is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

fn host(text: &[u8]) -> Option<Vec<u8>> {
    let port = if text.starts_with(b"[") {
        &text[text.iter().rposition(|byte| *byte == b']')? + 1..]
    } else {
        text.iter().rposition(|byte| *byte == b':').map_or(&b""[..], |colon| &text[colon..])
    };
    if !valid_port(port) {
        return None;
    }
    unescape(text, Part::Host)
}
