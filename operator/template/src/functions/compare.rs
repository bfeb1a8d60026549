//! Comparisons.

use std::cmp::Ordering;
use std::rc::Rc;

use super::signature::Parameter::Value;
use super::signature::{Function, any, rest};
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("eq", &[Value], equal).with(Value),
    Function::new("ne", &[Value, Value], |scope, args| Ok(Item::Bool(!equal(scope, args)?.is_true()))),
    Function::new("lt", &[Value, Value], |_, args| less(args).map(Item::Bool)),
    Function::new("le", &[Value, Value], |_, args| less_or_equal(args).map(Item::Bool)),
    Function::new("gt", &[Value, Value], |_, args| less_or_equal(args).map(|found| Item::Bool(!found))),
    Function::new("ge", &[Value, Value], |_, args| less(args).map(|found| Item::Bool(!found))),
];

/// A value of a type that can be compared with others of this type. Integers of all types are comparable.
enum Basic<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a [u8]),
}

fn basic(item: &Item) -> Option<Basic<'_>> {
    match item {
        Item::Bool(bool) => Some(Basic::Bool(*bool)),
        Item::Int(int) | Item::Int64(int) => Some(Basic::Int(*int)),
        Item::Byte(byte) => Some(Basic::Int(i64::from(*byte))),
        Item::Float(float) => Some(Basic::Float(*float)),
        Item::String(text) | Item::Number(text) => Some(Basic::Text(text)),
        _ => None,
    }
}

fn incompatible(left: &Item, right: &Item) -> Fault {
    Fault::new(format!("incompatible types for comparison: {} and {}", left.type_name(), right.type_name()))
}

fn equal(_: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let left = any(args, 0);
    let others = rest(args, 1);
    if others.is_empty() {
        return Err(Fault::new("missing argument for comparison"));
    }
    for right in others {
        if equals(left, right)? {
            return Ok(Item::Bool(true));
        }
    }
    Ok(Item::Bool(false))
}

fn equals(left: &Item, right: &Item) -> Result<bool, Fault> {
    match (basic(left), basic(right)) {
        (Some(Basic::Bool(left)), Some(Basic::Bool(right))) => Ok(left == right),
        (Some(Basic::Int(left)), Some(Basic::Int(right))) => Ok(left == right),
        (Some(Basic::Float(left)), Some(Basic::Float(right))) => Ok(left == right),
        (Some(Basic::Text(left)), Some(Basic::Text(right))) => Ok(left == right),
        (None, None) => same(left, right),
        _ if left.is_nil() || right.is_nil() => Ok(false),
        _ => Err(incompatible(left, right)),
    }
}

/// Equality of values without a basic type.
fn same(left: &Item, right: &Item) -> Result<bool, Fault> {
    if left.is_nil() || right.is_nil() {
        return Ok(is_nil(left) == is_nil(right));
    }
    if left.kind() != right.kind() {
        return Err(incompatible(left, right));
    }
    if is_nil(left) || is_nil(right) {
        return Ok(is_nil(left) == is_nil(right));
    }
    match (left, right) {
        (Item::Version(left), Item::Version(right)) => Ok(Rc::ptr_eq(left, right)),
        (Item::Moment(left), Item::Moment(right)) => Ok(left == right),
        _ => Err(Fault::new(format!("non-comparable type {}", right.type_name()))),
    }
}

fn is_nil(item: &Item) -> bool {
    match item {
        Item::List(list) => list.nil,
        Item::Dict(dict) => dict.nil,
        other => other.is_nil(),
    }
}

fn order(args: &[Item]) -> Result<Option<Ordering>, Fault> {
    let (left, right) = (any(args, 0), any(args, 1));
    match (basic(left), basic(right)) {
        (Some(Basic::Int(left)), Some(Basic::Int(right))) => Ok(Some(left.cmp(&right))),
        (Some(Basic::Float(left)), Some(Basic::Float(right))) => Ok(left.partial_cmp(&right)),
        (Some(Basic::Text(left)), Some(Basic::Text(right))) => Ok(Some(left.cmp(right))),
        _ => Err(incompatible(left, right)),
    }
}

fn less(args: &[Item]) -> Result<bool, Fault> {
    Ok(order(args)? == Some(Ordering::Less))
}

fn less_or_equal(args: &[Item]) -> Result<bool, Fault> {
    Ok(matches!(order(args)?, Some(Ordering::Less | Ordering::Equal)))
}
