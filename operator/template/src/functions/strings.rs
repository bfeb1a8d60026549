//! Strings: search, replacement, splitting and joining.

use memchr::memmem;

use super::convert;
use super::signature::Parameter::{Any, Int, String as Str};
use super::signature::{Body, Function, any, int, lossy, shared, text};
use crate::error::Fault;
use crate::format::printer;
use crate::format::quote::{self, Charset};
use crate::item::{Element, Item};
use crate::scope::Scope;
use crate::text::{self, Text};

pub(super) const FUNCTIONS: &[Function] =
    &[
        Function::new("trim", &[Str], |scope, args| scope.string(lossless_trim(text(args, 0)))),
        Function::new("trimAll", &[Str, Str], trim_all),
        Function::new("trimall", &[Str, Str], trim_all),
        two("trimPrefix", |scope, args| {
            scope.string(text(args, 1).strip_prefix(text(args, 0)).unwrap_or(text(args, 1)))
        }),
        two("trimSuffix", |scope, args| {
            scope.string(text(args, 1).strip_suffix(text(args, 0)).unwrap_or(text(args, 1)))
        }),
        two("contains", |scope, args| {
            scope.step(text(args, 1).len() / 64)?;
            Ok(Item::Bool(memmem::find(text(args, 1), text(args, 0)).is_some()))
        }),
        two("hasPrefix", |_, args| Ok(Item::Bool(text(args, 1).starts_with(text(args, 0))))),
        two("hasSuffix", |_, args| Ok(Item::Bool(text(args, 1).ends_with(text(args, 0))))),
        Function::new("replace", &[Str, Str, Str], replace),
        Function::new("repeat", &[Int, Str], repeat),
        Function::new("plural", &[Str, Str, Int], |_, args| {
            Ok(any(args, usize::from(int(args, 2) != 1)).clone())
        }),
        Function::new("quote", &[], |scope, args| quoted(scope, args, double)).with(Any),
        Function::new("squote", &[], |scope, args| quoted(scope, args, single)).with(Any),
        Function::new("cat", &[], cat).with(Any),
        two("splitList", |scope, args| {
            let parts = split(scope, args, -1)?;
            scope.strings(parts)
        }),
        two("split", |scope, args| {
            let parts = split(scope, args, -1)?;
            numbered(scope, parts)
        }),
        Function::new("splitn", &[Str, Int, Str], |scope, args| {
            let parts = split(scope, &[any(args, 0).clone(), any(args, 2).clone()], int(args, 1))?;
            numbered(scope, parts)
        }),
    ];

const fn two(name: &'static str, body: Body) -> Function {
    Function::new(name, &[Str, Str], body)
}

/// The text without space at both ends.
fn lossless_trim(bytes: &[u8]) -> &[u8] {
    trim_matches(bytes, text::is_space)
}

fn trim_matches(bytes: &[u8], trimmed: impl Fn(char) -> bool) -> &[u8] {
    let mut kept = text::runes(bytes).filter(|rune| rune.is_invalid() || !trimmed(rune.char));
    let Some(first) = kept.next() else { return b"" };
    let last = kept.last().unwrap_or(first);
    &bytes[first.at..last.at + last.size]
}

fn trim_all(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let set = lossy(args, 0);
    scope.step(text(args, 1).len() * (set.len() + 1) / 64)?;
    scope.string(trim_matches(text(args, 1), |char| set.contains(char)))
}

/// The parts of `text` between separators. An empty separator separates characters.
fn parts<'a>(bytes: &'a [u8], separator: &[u8], limit: usize) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while parts.len() + 1 < limit {
        let found = match text::runes(rest).next() {
            Some(rune) if separator.is_empty() && rune.size < rest.len() => Some(rune.size),
            _ if separator.is_empty() => None,
            _ => memmem::find(rest, separator),
        };
        let Some(found) = found else { break };
        parts.push(&rest[..found]);
        rest = &rest[found + separator.len()..];
    }
    if !separator.is_empty() || !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// The second argument, split at the first into at most `limit` parts. A negative limit is none.
fn split(scope: &mut Scope, args: &[Item], limit: i64) -> Result<Vec<Text>, Fault> {
    let (separator, bytes) = (text(args, 0), text(args, 1));
    if limit == 0 {
        return Ok(Vec::new());
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    scope.step(bytes.len() / 16)?;
    let pieces = parts(bytes, separator, limit);
    scope.allocate_many(pieces.len(), 4 * size_of::<Item>())?;
    Ok(pieces.into_iter().map(Text::from).collect())
}

/// A dict with the keys `_0`, `_1` and so on.
fn numbered(scope: &mut Scope, parts: Vec<Text>) -> Result<Item, Fault> {
    let named = parts.into_iter().enumerate();
    let entries = named.map(|(index, part)| (format!("_{index}").into(), Item::String(part))).collect();
    scope.dict(Element::String, entries).map(Item::Dict)
}

fn replace(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let (old, new, source) = (text(args, 0), text(args, 1), shared(args, 2));
    scope.step(source.len() / 16)?;
    if old.is_empty() {
        scope.allocate_many(source.len() + 1, new.len() + 1)?;
        let mut out = Vec::new();
        for rune in text::runes(&source) {
            out.extend_from_slice(new);
            out.extend_from_slice(&source[rune.at..rune.at + rune.size]);
        }
        out.extend_from_slice(new);
        return Ok(Item::text(out));
    }
    let pieces = parts(&source, old, usize::MAX);
    scope.allocate_many(pieces.len(), new.len() + size_of::<Item>())?;
    scope.string(pieces.join(new))
}

fn repeat(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let count = usize::try_from(int(args, 0)).map_err(|_| Fault::new("repeat needs a count of 0 or more"))?;
    scope.allocate_many(count, text(args, 1).len())?;
    let empty = text(args, 1).is_empty();
    Ok(Item::text(text(args, 1).repeat(if empty { 0 } else { count })))
}

fn double(scope: &mut Scope, item: &Item) -> Result<Vec<u8>, Fault> {
    let text = convert::to_text(scope, item)?;
    scope.allocate_many(text.len(), 4)?;
    Ok(quote::string(&text, Charset::Printable))
}

fn single(scope: &mut Scope, item: &Item) -> Result<Vec<u8>, Fault> {
    Ok([b"'", &printer::display(scope, item)?[..], b"'"].concat())
}

/// The arguments that are not nil, each in quotes.
fn quoted(
    scope: &mut Scope,
    args: &[Item],
    quote: fn(&mut Scope, &Item) -> Result<Vec<u8>, Fault>,
) -> Result<Item, Fault> {
    let known = args.iter().filter(|item| !item.is_nil());
    let parts = known.map(|item| quote(scope, item)).collect::<Result<Vec<_>, _>>()?;
    scope.string(parts.join(&b" "[..]))
}

fn cat(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let known = args.iter().filter(|item| !item.is_nil());
    let parts = known.map(|item| printer::display(scope, item)).collect::<Result<Vec<_>, _>>()?;
    scope.string(parts.join(&b" "[..]))
}
