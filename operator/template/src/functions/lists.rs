//! Lists.

use std::rc::Rc;

use super::defaults::is_empty;
use super::signature::Parameter::{Any, Int, String as Str};
use super::signature::{Body, Function, any, int, rest, shared};
use super::{convert, equality};
use crate::error::Fault;
use crate::item::{Element, Item, List};
use crate::scope::Scope;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("list", &[], list).with(Any),
    Function::new("tuple", &[], list).with(Any),
    Function::new("append", &[Any, Any], push),
    Function::new("push", &[Any, Any], push),
    Function::new("mustAppend", &[Any, Any], push),
    Function::new("mustPush", &[Any, Any], push),
    Function::new("prepend", &[Any, Any], prepend),
    Function::new("mustPrepend", &[Any, Any], prepend),
    one("first", |_, args| Ok(items(args, 0)?.items.first().cloned().unwrap_or(Item::Nil))),
    one("mustFirst", |_, args| Ok(items(args, 0)?.items.first().cloned().unwrap_or(Item::Nil))),
    one("last", |_, args| Ok(items(args, 0)?.items.last().cloned().unwrap_or(Item::Nil))),
    one("mustLast", |_, args| Ok(items(args, 0)?.items.last().cloned().unwrap_or(Item::Nil))),
    one("rest", tail),
    one("mustRest", tail),
    one("initial", initial),
    one("mustInitial", initial),
    one("reverse", reverse),
    one("mustReverse", reverse),
    one("compact", compact),
    one("mustCompact", compact),
    one("uniq", uniq),
    one("mustUniq", uniq),
    Function::new("without", &[Any], without).with(Any),
    Function::new("mustWithout", &[Any], without).with(Any),
    Function::new("has", &[Any, Any], has),
    Function::new("mustHas", &[Any, Any], has),
    Function::new("slice", &[Any], slice).with(Any),
    Function::new("mustSlice", &[Any], slice).with(Any),
    Function::new("chunk", &[Int, Any], chunk),
    Function::new("mustChunk", &[Int, Any], chunk),
    Function::new("concat", &[], concat).with(Any),
    Function::new("sortAlpha", &[Any], sort),
    Function::new("join", &[Str, Any], join),
];

const fn one(name: &'static str, body: Body) -> Function {
    Function::new(name, &[Any], body)
}

fn items(args: &[Item], index: usize) -> Result<Rc<List>, Fault> {
    match any(args, index) {
        Item::List(list) => Ok(list.clone()),
        other => Err(Fault::new(format!("expected a list; got {}", other.type_name()))),
    }
}

fn list(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    scope.list(Element::Any, args.to_vec())
}

fn push(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut items = items(args, 0)?.items.clone();
    items.push(any(args, 1).clone());
    scope.list(Element::Any, items)
}

fn prepend(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut items = items(args, 0)?.items.clone();
    items.insert(0, any(args, 1).clone());
    scope.list(Element::Any, items)
}

/// The list, or Go's nil slice for an empty argument.
fn part(scope: &mut Scope, list: &List, range: std::ops::Range<usize>) -> Result<Item, Fault> {
    match list.items.get(range) {
        Some(items) if !list.items.is_empty() => scope.list(Element::Any, items.to_vec()),
        _ => Ok(Item::List(Rc::new(List::nil(Element::Any)))),
    }
}

fn tail(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let list = items(args, 0)?;
    part(scope, &list, 1..list.items.len())
}

fn initial(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let list = items(args, 0)?;
    part(scope, &list, 0..list.items.len().saturating_sub(1))
}

fn reverse(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let items = items(args, 0)?.items.iter().rev().cloned().collect();
    scope.list(Element::Any, items)
}

fn compact(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let items = items(args, 0)?.items.iter().filter(|item| !is_empty(item)).cloned().collect();
    scope.list(Element::Any, items)
}

fn contains(scope: &mut Scope, items: &[Item], wanted: &Item) -> Result<bool, Fault> {
    for item in items {
        if equality::deep(scope, wanted, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut found = Vec::new();
    for item in &items(args, 0)?.items {
        if !contains(scope, &found, item)? {
            found.push(item.clone());
        }
    }
    scope.list(Element::Any, found)
}

fn without(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut kept = Vec::new();
    for item in &items(args, 0)?.items {
        if !contains(scope, rest(args, 1), item)? {
            kept.push(item.clone());
        }
    }
    scope.list(Element::Any, kept)
}

fn has(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    if any(args, 1).is_nil() {
        return Ok(Item::Bool(false));
    }
    let list = items(args, 1)?;
    contains(scope, &list.items, any(args, 0)).map(Item::Bool)
}

fn slice(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let list = items(args, 0)?;
    let length = list.items.len();
    if length == 0 {
        return Ok(Item::Nil);
    }
    let bound = |index: usize, default: usize| match args.get(index) {
        Some(item) => usize::try_from(convert::to_int(item)).unwrap_or(usize::MAX),
        None => default,
    };
    let part = list.items.get(bound(1, 0)..bound(2, length));
    let part = part.ok_or(Fault::new("the range is not in the list"))?;
    scope.list(list.element, part.to_vec())
}

fn chunk(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let list = items(args, 1)?;
    let size = usize::try_from(int(args, 0)).ok().filter(|size| *size > 0);
    let size = size.ok_or(Fault::new("the size of a chunk must be positive"))?;
    let chunks = list.items.chunks(size).map(|chunk| scope.list(Element::Any, chunk.to_vec()));
    let chunks = chunks.collect::<Result<_, _>>()?;
    scope.list(Element::List, chunks)
}

fn concat(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut all = Vec::new();
    for index in 0..args.len() {
        let list = items(args, index)?;
        scope.allocate_many(list.items.len(), size_of::<Item>())?;
        all.extend(list.items.iter().cloned());
    }
    if all.is_empty() {
        return Ok(Item::List(Rc::new(List::nil(Element::Any))));
    }
    scope.list(Element::Any, all)
}

fn sort(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut texts = match any(args, 0) {
        nil if nil.is_nil() => vec!["<nil>".into()],
        other => convert::to_texts(scope, other)?,
    };
    texts.sort();
    scope.strings(texts)
}

fn join(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let separator = shared(args, 0);
    let texts = convert::to_texts(scope, any(args, 1))?;
    scope.allocate_many(texts.len(), separator.len())?;
    scope.allocate(texts.iter().map(|text| text.len()).sum())?;
    let parts: Vec<&[u8]> = texts.iter().map(|text| &text[..]).collect();
    Ok(Item::text(parts.join(&separator[..])))
}
