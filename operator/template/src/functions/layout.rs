//! Parts of strings, indentation and line breaks.

use super::signature::Parameter::{Int, String as Str};
use super::signature::{Function, int, shared, text};
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;
use crate::text::{is_space, push};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("trunc", &[Int, Str], |scope, args| scope.string(truncated(text(args, 1), int(args, 0)))),
    Function::new("substr", &[Int, Int, Str], substring),
    Function::new("abbrev", &[Int, Str], |scope, args| {
        scope.string(abbreviated(text(args, 1), 0, int(args, 0)))
    }),
    Function::new("abbrevboth", &[Int, Int, Str], |scope, args| {
        scope.string(abbreviated_on_both_sides(text(args, 2), int(args, 0), int(args, 1)))
    }),
    Function::new("indent", &[Int, Str], |scope, args| indent(scope, args, b"")),
    Function::new("nindent", &[Int, Str], |scope, args| indent(scope, args, b"\n")),
    Function::new("wrap", &[Int, Str], |scope, args| {
        let style = Wrap { width: int(args, 0), separator: b"\n", breaks_words: false };
        wrap(scope, text(args, 1), &style)
    }),
    Function::new("wrapWith", &[Int, Str, Str], |scope, args| {
        let separator = shared(args, 1);
        let separator = if separator.is_empty() { &b"\n"[..] } else { &separator[..] };
        let style = Wrap { width: int(args, 0), separator, breaks_words: true };
        wrap(scope, text(args, 2), &style)
    }),
    Function::new("nospace", &[Str], |scope, args| scope.string(without_space(text(args, 0)))),
    Function::new("initials", &[Str], |scope, args| scope.string(initials(text(args, 0)))),
];

fn truncated(text: &[u8], length: i64) -> &[u8] {
    let wanted = usize::try_from(length.unsigned_abs()).unwrap_or(usize::MAX);
    match (length < 0, text.len()) {
        (true, total) if wanted < total => &text[total - wanted..],
        (false, total) if wanted < total => &text[..wanted],
        _ => text,
    }
}

fn substring(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let (start, end, source) = (int(args, 0), int(args, 1), text(args, 2));
    let length = i64::try_from(source.len()).unwrap_or(i64::MAX);
    let range = match (start, end) {
        (..0, end) => (0, end),
        (start, end) if end < 0 || end > length => (start, length),
        other => other,
    };
    let bounds = (usize::try_from(range.0), usize::try_from(range.1));
    let part = match bounds {
        (Ok(start), Ok(end)) => source.get(start..end),
        _ => None,
    };
    scope.string(part.ok_or(Fault::new("the range is not in the string"))?)
}

/// The text from `offset` in at most `width` bytes, with `...` where something is missing.
fn abbreviated(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if width < 4 || length <= width {
        return text.to_vec();
    }
    let kept = usize::try_from(width - 3).unwrap_or(0);
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return [&text[..kept], b"..."].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    let start = usize::try_from(offset).unwrap_or(0);
    if offset + width - 3 < length {
        let tail = &text[start..];
        let inner = if width - 3 < 4 { Vec::new() } else { abbreviated(tail, 0, width - 3) };
        return [b"...", &inner[..]].concat();
    }
    [b"...", &text[text.len() - kept..]].concat()
}

fn abbreviated_on_both_sides(text: &[u8], left: i64, right: i64) -> Vec<u8> {
    if right < 4 || (left > 0 && right < 7) {
        return text.to_vec();
    }
    abbreviated(text, left, right)
}

fn indent(scope: &mut Scope, args: &[Item], before: &[u8]) -> Result<Item, Fault> {
    let spaces =
        usize::try_from(int(args, 0)).map_err(|_| Fault::new("indent needs a width of 0 or more"))?;
    let lines: Vec<&[u8]> = text(args, 1).split(|byte| *byte == b'\n').collect();
    scope.allocate_many(lines.len(), spaces.saturating_add(1))?;
    let pad = b" ".repeat(spaces);
    let separator = [b"\n", &pad[..]].concat();
    scope.string([before, &pad, &lines.join(&separator[..])].concat())
}

struct Wrap<'a> {
    width: i64,
    separator: &'a [u8],
    breaks_words: bool,
}

fn wrap(scope: &mut Scope, source: &[u8], style: &Wrap<'_>) -> Result<Item, Fault> {
    scope.step(source.len() / 16)?;
    scope.allocate_many(source.len(), style.separator.len() + 1)?;
    let width = usize::try_from(style.width.max(1)).unwrap_or(usize::MAX);
    let mut out = Vec::new();
    let mut rest = source;
    while rest.len() > width {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let space = rest[..=width].iter().rposition(|byte| *byte == b' ');
        let next_space = || rest[width..].iter().position(|byte| *byte == b' ').map(|at| at + width);
        let (line, skipped) = match space {
            Some(space) => (space, 1),
            None if style.breaks_words => (width, 0),
            None => match next_space() {
                Some(space) => (space, 1),
                None => break,
            },
        };
        out.extend_from_slice(&rest[..line]);
        out.extend_from_slice(style.separator);
        rest = &rest[line + skipped..];
    }
    out.extend_from_slice(rest);
    Ok(Item::text(out))
}

/// The original function reads bytes and writes characters, so that text outside of ASCII changes.
fn without_space(text: &[u8]) -> Vec<u8> {
    let kept: Vec<char> = text.iter().map(|byte| char::from(*byte)).filter(|char| !is_space(*char)).collect();
    if kept.len() == text.len() {
        return text.to_vec();
    }
    kept.into_iter().collect::<String>().into_bytes()
}

fn initials(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut after_space = true;
    for char in text.iter().map(|byte| char::from(*byte)) {
        if after_space && !is_space(char) {
            push(&mut out, char);
        }
        after_space = is_space(char);
    }
    out
}
