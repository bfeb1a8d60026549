//! Dicts.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::signature::Parameter::{Any, Dict as Map, String as Str};
use super::signature::{Function, any, dict, shared, text};
use super::{convert, merge};
use crate::error::Fault;
use crate::item::{Dict, Element, Item, List};
use crate::scope::Scope;
use crate::text::Text;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("dict", &[], create).with(Any),
    Function::new("get", &[Map, Str], |_, args| {
        Ok(dict(args, 0)?.get(text(args, 1)).unwrap_or_else(|| Item::text("")))
    }),
    Function::new("set", &[Map, Str, Any], set),
    Function::new("unset", &[Map, Str], unset),
    Function::new("hasKey", &[Map, Str], |_, args| {
        Ok(Item::Bool(dict(args, 0)?.get(text(args, 1)).is_some()))
    }),
    Function::new("pluck", &[Str], pluck).with(Map),
    Function::new("keys", &[], keys).with(Map),
    Function::new("values", &[Map], values),
    Function::new("pick", &[Map], |scope, args| filter(scope, args, Filter::Pick)).with(Str),
    Function::new("omit", &[Map], |scope, args| filter(scope, args, Filter::Omit)).with(Str),
    Function::new("merge", &[Map], |scope, args| merged(scope, args, merge::Mode::Keep)).with(Map),
    Function::new("mustMerge", &[Map], |scope, args| merged(scope, args, merge::Mode::Keep)).with(Map),
    Function::new("mergeOverwrite", &[Map], |scope, args| merged(scope, args, merge::Mode::Overwrite))
        .with(Map),
    Function::new("mustMergeOverwrite", &[Map], |scope, args| merged(scope, args, merge::Mode::Overwrite))
        .with(Map),
    Function::new("dig", &[], dig).with(Any),
    Function::new("deepCopy", &[Any], deep_copy),
    Function::new("mustDeepCopy", &[Any], deep_copy),
];

/// Which keys a filter keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    Pick,
    Omit,
}

fn create(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut entries = BTreeMap::new();
    for pair in args.chunks(2) {
        let key = convert::to_text(scope, any(pair, 0))?;
        scope.allocate(key.len())?;
        entries.insert(key, pair.get(1).cloned().unwrap_or_else(|| Item::text("")));
    }
    scope.dict(Element::Any, entries).map(Item::Dict)
}

fn set(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let dict = dict(args, 0)?;
    if dict.nil {
        return Err(Fault::new("cannot set a key of a nil dict"));
    }
    let key = shared(args, 1);
    scope.grow(1)?;
    scope.allocate(key.len())?;
    dict.entries.borrow_mut().insert(key, any(args, 2).clone());
    Ok(Item::Dict(dict))
}

fn unset(_: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let dict = dict(args, 0)?;
    dict.entries.borrow_mut().remove(text(args, 1));
    Ok(Item::Dict(dict))
}

fn pluck(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut found = Vec::new();
    for index in 1..args.len() {
        found.extend(dict(args, index)?.get(text(args, 0)));
    }
    scope.list(Element::Any, found)
}

fn keys(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let mut keys = Vec::new();
    for index in 0..args.len() {
        keys.extend(dict(args, index)?.pairs().into_iter().map(|(key, _)| key));
    }
    scope.strings(keys)
}

fn values(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let values = dict(args, 0)?.pairs().into_iter().map(|(_, value)| value).collect();
    scope.list(Element::Any, values)
}

fn filter(scope: &mut Scope, args: &[Item], filter: Filter) -> Result<Item, Fault> {
    let listed = |key: &Text| (1..args.len()).any(|index| text(args, index) == &key[..]);
    let pairs = dict(args, 0)?.pairs().into_iter();
    scope.step((args.len() + 1) * dict(args, 0)?.len())?;
    let kept = pairs.filter(|(key, _)| listed(key) == (filter == Filter::Pick)).collect();
    scope.dict(Element::Any, kept).map(Item::Dict)
}

fn merged(scope: &mut Scope, args: &[Item], mode: merge::Mode) -> Result<Item, Fault> {
    let mut target = dict(args, 0)?;
    for index in 1..args.len() {
        let source = dict(args, index)?;
        if target.nil && !source.nil {
            target = scope.dict(Element::Any, BTreeMap::new())?;
        }
        merge::into(scope, (&target, &source, mode), 0)?;
    }
    Ok(Item::Dict(target))
}

fn dig(_: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    if args.len() < 3 {
        return Err(Fault::new("dig needs at least three arguments"));
    }
    let (path, tail) = args.split_at(args.len() - 2);
    if !path.iter().all(|key| matches!(key, Item::String(_))) {
        return Err(Fault::new("dig needs strings as keys"));
    }
    let mut found = any(tail, 1).clone();
    for key in path {
        let Item::Dict(dict) = &found else {
            return Err(Fault::new(format!("dig found {} instead of a dict", found.type_name())));
        };
        if dict.element != Element::Any {
            return Err(Fault::new(format!("dig found {} instead of a dict", found.type_name())));
        }
        match dict.get(text(std::slice::from_ref(key), 0)) {
            Some(next) => found = next,
            None => return Ok(any(tail, 0).clone()),
        }
    }
    Ok(found)
}

fn deep_copy(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    match any(args, 0) {
        nil if nil.is_nil() => Err(Fault::new("cannot copy nil")),
        item => copy(scope, item, 0),
    }
}

fn copy(scope: &mut Scope, item: &Item, depth: usize) -> Result<Item, Fault> {
    scope.visit(depth)?;
    match item {
        Item::List(list) => copy_list(scope, list, depth),
        Item::Dict(dict) => copy_dict(scope, dict, depth),
        other => Ok(other.clone()),
    }
}

fn copy_list(scope: &mut Scope, list: &Rc<List>, depth: usize) -> Result<Item, Fault> {
    if list.nil {
        return Ok(Item::List(list.clone()));
    }
    let items = list.items.iter().map(|item| copy(scope, item, depth + 1)).collect::<Result<_, _>>()?;
    scope.list(list.element, items)
}

fn copy_dict(scope: &mut Scope, dict: &Rc<Dict>, depth: usize) -> Result<Item, Fault> {
    let pairs = dict.pairs().into_iter();
    let entries =
        pairs.map(|(key, value)| Ok((key, copy(scope, &value, depth + 1)?))).collect::<Result<_, Fault>>()?;
    scope.dict(dict.element, entries).map(Item::Dict)
}
