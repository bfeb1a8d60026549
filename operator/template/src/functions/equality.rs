//! Go's `reflect.DeepEqual`.

use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;

/// Whether two values have the same type and the same content.
pub(super) fn deep(scope: &mut Scope, left: &Item, right: &Item) -> Result<bool, Fault> {
    compare(scope, (left, right), 0)
}

fn compare(scope: &mut Scope, pair: (&Item, &Item), depth: usize) -> Result<bool, Fault> {
    scope.visit(depth)?;
    Ok(match pair {
        (Item::Missing | Item::Nil, Item::Missing | Item::Nil) => true,
        (Item::Bool(left), Item::Bool(right)) => left == right,
        (Item::Int(left), Item::Int(right)) | (Item::Int64(left), Item::Int64(right)) => left == right,
        (Item::Byte(left), Item::Byte(right)) => left == right,
        (Item::Float(left), Item::Float(right)) => left == right,
        (Item::String(left), Item::String(right)) | (Item::Number(left), Item::Number(right)) => {
            left == right
        }
        (Item::Version(left), Item::Version(right)) => left == right,
        (Item::Moment(left), Item::Moment(right)) => left == right,
        (Item::List(left), Item::List(right)) => {
            let shape = |list: &crate::item::List| (list.element, list.nil, list.items.len());
            shape(left) == shape(right) && all(scope, left.items.iter().zip(&right.items), depth)?
        }
        (Item::Dict(left), Item::Dict(right)) => {
            let shape = |dict: &crate::item::Dict| (dict.element, dict.nil, dict.len());
            let (pairs, others) = (left.pairs(), right.pairs());
            let keys = pairs.iter().map(|(key, _)| key).eq(others.iter().map(|(key, _)| key));
            let values = pairs.iter().zip(&others).map(|((_, left), (_, right))| (left, right));
            shape(left) == shape(right) && keys && all(scope, values, depth)?
        }
        _ => false,
    })
}

fn all<'a>(
    scope: &mut Scope,
    pairs: impl Iterator<Item = (&'a Item, &'a Item)>,
    depth: usize,
) -> Result<bool, Fault> {
    for pair in pairs {
        if !compare(scope, pair, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}
