//! Functions of Go's `text/template` itself, except comparisons.

use super::signature::Parameter::{Any, String as Str, Value};
use super::signature::{Function, any, rest, text};
use super::urls;
use crate::error::Fault;
use crate::format::{directive, printer};
use crate::item::{Element, Item};
use crate::scope::Scope;
use crate::text;

pub(super) const FUNCTIONS: &[Function] = &[
    // The executor evaluates the arguments of these two one by one.
    Function::new("and", &[Value], |_, args| Ok(any(args, 0).clone())).with(Value),
    Function::new("or", &[Value], |_, args| Ok(any(args, 0).clone())).with(Value),
    Function::new("not", &[Value], |_, args| Ok(Item::Bool(!any(args, 0).is_true()))),
    Function::new("call", &[Value], |_, _| Err(Fault::new("the first argument of call is no function")))
        .with(Value),
    Function::new("len", &[Value], length),
    Function::new("index", &[Value], index).with(Value),
    Function::new("print", &[], |scope, args| Ok(Item::text(printer::print(scope, args)?))).with(Any),
    Function::new("println", &[], |scope, args| Ok(Item::text(printer::println(scope, args)?))).with(Any),
    Function::new("printf", &[Str], |scope, args| {
        Ok(Item::text(directive::sprintf(scope, text(args, 0), rest(args, 1))?))
    })
    .with(Any),
    Function::new("html", &[], |scope, args| escaped(scope, args, html)).with(Any),
    Function::new("js", &[], |scope, args| escaped(scope, args, javascript)).with(Any),
    Function::new("urlquery", &[], |scope, args| escaped(scope, args, urls::query)).with(Any),
];

fn length(_: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let length = match any(args, 0) {
        Item::String(text) | Item::Number(text) => text.len(),
        Item::List(list) => list.items.len(),
        Item::Dict(dict) => dict.len(),
        other => return Err(Fault::new(format!("len of type {}", other.type_name()))),
    };
    Ok(Item::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(_: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut item = any(args, 0).clone();
    if item.is_nil() {
        return Err(Fault::new("index of untyped nil"));
    }
    for key in rest(args, 1) {
        item = element(&item, key)?;
    }
    Ok(item)
}

fn element(item: &Item, key: &Item) -> Result<Item, Fault> {
    let range = || Fault::new("index out of range");
    match item {
        Item::List(list) => list.items.get(position(key)?).cloned().ok_or_else(range),
        Item::String(text) | Item::Number(text) => {
            text.get(position(key)?).map(|byte| Item::Byte(*byte)).ok_or_else(range)
        }
        Item::Dict(dict) => match key {
            Item::String(key) if dict.element == Element::String => {
                Ok(dict.get(key).unwrap_or_else(|| Item::text("")))
            }
            Item::String(key) => Ok(dict.get(key).unwrap_or(Item::Nil)),
            other => Err(Fault::new(format!("the key has type {}; should be string", other.type_name()))),
        },
        nil if nil.is_nil() => Err(Fault::new("index of nil pointer")),
        other => Err(Fault::new(format!("can't index item of type {}", other.type_name()))),
    }
}

fn position(key: &Item) -> Result<usize, Fault> {
    let position = match key {
        Item::Int(int) | Item::Int64(int) => *int,
        Item::Byte(byte) => i64::from(*byte),
        other => return Err(Fault::new(format!("cannot index slice/array with type {}", other.type_name()))),
    };
    usize::try_from(position).map_err(|_| Fault::new("index out of range"))
}

/// The text of the arguments after `escape`.
fn escaped(scope: &mut Scope, args: &[Item], escape: fn(&[u8]) -> Vec<u8>) -> Result<Item, Fault> {
    let plain = match args {
        [nil] if nil.is_nil() => b"<no value>".to_vec(),
        _ => {
            let shown: Vec<Item> = args.iter().map(shown).collect();
            printer::print(scope, &shown)?
        }
    };
    scope.allocate_many(plain.len(), 6)?;
    Ok(Item::text(escape(&plain)))
}

fn shown(item: &Item) -> Item {
    if item.is_nil() { Item::text("<no value>") } else { item.clone() }
}

fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

fn javascript(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for rune in text::runes(text) {
        match rune.char {
            '\\' | '\'' | '"' => out.extend_from_slice(&[b'\\', text[rune.at]]),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(rune.char)).as_bytes());
            }
            char if char.is_ascii() || text::is_print(char) => {
                out.extend_from_slice(&text[rune.at..rune.at + rune.size]);
            }
            char => out.extend_from_slice(format!("\\u{:04X}", u32::from(char)).as_bytes()),
        }
    }
    out
}
