//! Semantic versions.

use std::rc::Rc;

use super::signature::Parameter::String as Str;
use super::signature::{Function, lossy};
use crate::constraint;
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;
use crate::version::Version;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("semver", &[Str], |scope, args| {
        scope.step(10)?;
        parsed(args, 0).map(|version| Item::Version(Rc::new(version)))
    }),
    Function::new("semverCompare", &[Str, Str], compare),
];

fn parsed(args: &[Item], index: usize) -> Result<Version, Fault> {
    Version::parse(&lossy(args, index)).ok_or(Fault::new("the argument is not a semantic version"))
}

fn compare(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let source = lossy(args, 0);
    scope.step(source.len())?;
    scope.allocate_many(source.len(), 16)?;
    let version = parsed(args, 1)?;
    let found = constraint::check(&source, &version);
    found.map(Item::Bool).ok_or(Fault::new("the first argument is not a constraint of versions"))
}
