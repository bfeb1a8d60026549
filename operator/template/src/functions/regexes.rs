//! Regular expressions.

use regex::bytes::Regex;

use super::signature::Parameter::{Int, String as Str};
use super::signature::{Body, Function, int, shared, text};
use crate::error::Fault;
use crate::expression::{self, Compiled};
use crate::item::{Element, Item, List};
use crate::scope::Scope;
use crate::text::Text;

/// Most expressions that one rendering keeps.
const KEPT: usize = 64;
/// Operations of a search that cost one step.
const OPERATIONS_PER_STEP: usize = 256;

pub(super) const FUNCTIONS: &[Function] = &[
    two("regexMatch", |scope, args| match compiled(scope, args) {
        Err(Fault::Failed(_)) => Ok(Item::Bool(false)),
        other => Ok(Item::Bool(other?.is_match(text(args, 1)))),
    }),
    two("mustRegexMatch", |scope, args| Ok(Item::Bool(compiled(scope, args)?.is_match(text(args, 1))))),
    two("regexFind", find),
    two("mustRegexFind", find),
    counted("regexFindAll", find_all),
    counted("mustRegexFindAll", find_all),
    counted("regexSplit", split),
    counted("mustRegexSplit", split),
    Function::new("regexReplaceAll", &[Str, Str, Str], |scope, args| replace(scope, args, Expand::Groups)),
    Function::new("mustRegexReplaceAll", &[Str, Str, Str], |scope, args| {
        replace(scope, args, Expand::Groups)
    }),
    Function::new("regexReplaceAllLiteral", &[Str, Str, Str], |scope, args| {
        replace(scope, args, Expand::Nothing)
    }),
    Function::new("mustRegexReplaceAllLiteral", &[Str, Str, Str], |scope, args| {
        replace(scope, args, Expand::Nothing)
    }),
    Function::new("regexQuoteMeta", &[Str], |scope, args| {
        let mut out = Vec::new();
        for byte in text(args, 0) {
            if b"\\.+*?()|[]{}^$".contains(byte) {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        scope.string(out)
    }),
];

/// Whether a replacement refers to groups with `$`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expand {
    Groups,
    Nothing,
}

const fn two(name: &'static str, body: Body) -> Function {
    Function::new(name, &[Str, Str], body)
}

const fn counted(name: &'static str, body: Body) -> Function {
    Function::new(name, &[Str, Str, Int], body)
}

/// The expression in the first argument. Pays for its use on the second.
fn compiled(scope: &mut Scope, args: &[Item]) -> Result<Regex, Fault> {
    let source = shared(args, 0);
    let known = scope.regexes().get(&source).cloned();
    let compiled = match known {
        Some(known) => known,
        None => compile(scope, &source)?,
    };
    scope.step(compiled.work(text(args, 1)) / OPERATIONS_PER_STEP)?;
    Ok(compiled.regex)
}

/// Compiles an expression, pays for it, and keeps it.
fn compile(scope: &mut Scope, source: &Text) -> Result<Compiled, Fault> {
    scope.step(500 + source.len())?;
    let invalid = || Fault::new("invalid regular expression");
    let source_text = std::str::from_utf8(source).map_err(|_| invalid())?;
    let compiled = expression::compile(source_text).ok_or_else(invalid)?;
    scope.allocate(compiled.memory())?;
    if scope.regexes().len() >= KEPT {
        scope.regexes().clear();
    }
    scope.regexes().insert(source.clone(), compiled.clone());
    Ok(compiled)
}

fn find(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let regex = compiled(scope, args)?;
    scope.string(regex.find(text(args, 1)).map_or(&b""[..], |found| found.as_bytes()))
}

/// The third argument as a limit. A negative one is none.
fn limit(args: &[Item]) -> usize {
    usize::try_from(int(args, 2)).unwrap_or(usize::MAX)
}

fn nothing() -> Item {
    Item::List(List::nil(Element::String).into())
}

fn find_all(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let regex = compiled(scope, args)?;
    let mut found = Vec::new();
    for part in regex.find_iter(text(args, 1)).take(limit(args)) {
        found.push(scope.string(part.as_bytes())?);
        scope.allocate(size_of::<Item>())?;
    }
    if found.is_empty() { Ok(nothing()) } else { scope.list(Element::String, found) }
}

fn split(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let regex = compiled(scope, args)?;
    let (source, limit) = (text(args, 1), limit(args));
    if limit == 0 {
        return Ok(nothing());
    }
    if source.is_empty() && !text(args, 0).is_empty() {
        return scope.strings([""]);
    }
    let (mut parts, mut start, mut end) = (Vec::new(), 0, 0);
    for found in regex.find_iter(source).take(limit) {
        if parts.len() + 1 == limit {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            scope.allocate(size_of::<Item>())?;
            parts.push(&source[start..end]);
        }
        start = found.end();
    }
    if end != source.len() {
        parts.push(&source[start..]);
    }
    scope.strings(parts)
}

fn replace(scope: &mut Scope, args: &[Item], expand: Expand) -> Result<Item, Fault> {
    let regex = compiled(scope, args)?;
    let (source, replacement) = (text(args, 1), text(args, 2));
    let mut out = Vec::new();
    let mut end = 0;
    for groups in regex.captures_iter(source) {
        let Some(found) = groups.get(0) else { continue };
        out.extend_from_slice(&source[end..found.start()]);
        let before = out.len();
        match expand {
            Expand::Groups => {
                let references = replacement.iter().filter(|byte| **byte == b'$').count();
                scope.allocate_many(references, found.len())?;
                groups.expand(replacement, &mut out);
            }
            Expand::Nothing => out.extend_from_slice(replacement),
        }
        scope.allocate(out.len() - before + 1)?;
        end = found.end();
    }
    out.extend_from_slice(&source[end..]);
    scope.string(out)
}
