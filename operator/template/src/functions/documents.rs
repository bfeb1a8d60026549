//! YAML and TOML, with the functions of External Secrets Operator and Helm.

use super::defaults;
use super::signature::Parameter::{Any, String as Str};
use super::signature::{Function, any, text};
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;
use crate::{toml, yaml};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("toYaml", &[Any], |scope, args| {
        let text = yaml::encode(scope, any(args, 0))?;
        Ok(Item::text(text.strip_suffix('\n').unwrap_or(&text)))
    }),
    Function::new("fromYaml", &[Str], from_yaml),
    Function::new("toToml", &[Any], |scope, args| Ok(Item::text(toml::encode(scope, any(args, 0))?))),
    Function::new("fromToml", &[Str], |scope, args| toml::decode(scope, text(args, 0))),
];

/// The mapping of a document, with numbers as floats, as `fromJson`.
fn from_yaml(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let document = text(args, 0);
    scope.allocate(document.len().saturating_mul(4))?;
    let value = yaml::decode(document).ok_or(Fault::new("the argument is not a mapping in YAML"))?;
    let item = defaults::import(scope, &value, 0)?;
    item.ok_or(Fault::new("the argument contains a number that is too large"))
}
