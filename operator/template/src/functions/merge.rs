//! Merging of dicts, as `mergo` does it.

use super::defaults::is_empty;
use crate::error::Fault;
use crate::item::{Dict, Item};
use crate::scope::Scope;

/// Which value wins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The value of the target, unless it is empty.
    Keep,
    /// The value of the source.
    Overwrite,
}

/// Merges the second dict into the first.
pub(super) fn into(scope: &mut Scope, merge: (&Dict, &Dict, Mode), depth: usize) -> Result<(), Fault> {
    scope.visit(depth)?;
    let (target, source, mode) = merge;
    for (key, value) in source.pairs() {
        let current = target.get(&key);
        if let (Item::Dict(value), Some(Item::Dict(current))) = (&value, &current)
            && value.element == current.element
        {
            into(scope, (current, value, mode), depth + 1)?;
            if current.len() > 0 {
                continue;
            }
        }
        let replaces = match (&value, mode) {
            (_, Mode::Overwrite) => true,
            (value, Mode::Keep) => !value.is_nil() && current.as_ref().is_none_or(is_empty),
        };
        if replaces {
            scope.grow(1)?;
            target.entries.borrow_mut().insert(key, value);
        }
    }
    Ok(())
}
