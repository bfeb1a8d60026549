//! Defaults, JSON and types.

use super::equality;
use super::signature::Parameter::{Any, Bool, String as Str};
use super::signature::{Function, any, rest, text};
use crate::error::Fault;
use crate::item::{Element, Item};
use crate::json::decoder;
use crate::json::encoder::{self, Style};
use crate::scope::Scope;
use crate::syntax::number;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("default", &[Any], |_, args| {
        let given = rest(args, 1).first().filter(|given| !is_empty(given));
        Ok(given.unwrap_or(any(args, 0)).clone())
    })
    .with(Any),
    Function::new("empty", &[Any], |_, args| Ok(Item::Bool(is_empty(any(args, 0))))),
    Function::new("coalesce", &[], |_, args| {
        Ok(args.iter().find(|item| !is_empty(item)).cloned().unwrap_or(Item::Nil))
    })
    .with(Any),
    Function::new("all", &[], |_, args| Ok(Item::Bool(!args.iter().any(is_empty)))).with(Any),
    Function::new("any", &[], |_, args| Ok(Item::Bool(!args.iter().all(is_empty)))).with(Any),
    Function::new("ternary", &[Any, Any, Bool], |_, args| {
        Ok(any(args, usize::from(!any(args, 2).is_true())).clone())
    }),
    Function::new("fail", &[Str], |_, _| Err(Fault::new("the template called fail"))),
    Function::new("fromJson", &[Str], |scope, args| Ok(from_json(scope, args)?.unwrap_or(Item::Nil))),
    Function::new("mustFromJson", &[Str], |scope, args| {
        from_json(scope, args)?.ok_or(Fault::new("the argument is not a JSON document"))
    }),
    Function::new("toJson", &[Any], |scope, args| lenient(scope, args, Style::Html)),
    Function::new("toPrettyJson", &[Any], |scope, args| lenient(scope, args, Style::Pretty)),
    Function::new("toRawJson", &[Any], |scope, args| strict(scope, args, Style::Raw)),
    Function::new("mustToJson", &[Any], |scope, args| strict(scope, args, Style::Html)),
    Function::new("mustToPrettyJson", &[Any], |scope, args| strict(scope, args, Style::Pretty)),
    Function::new("mustToRawJson", &[Any], |scope, args| strict(scope, args, Style::Raw)),
    Function::new("typeOf", &[Any], |_, args| Ok(Item::text(any(args, 0).type_name()))),
    Function::new("typeIs", &[Str, Any], |_, args| {
        Ok(Item::Bool(any(args, 1).type_name().as_bytes() == text(args, 0)))
    }),
    Function::new("typeIsLike", &[Str, Any], |_, args| {
        let name = any(args, 1).type_name();
        let target = text(args, 0);
        Ok(Item::Bool(name.as_bytes() == target || name.strip_prefix('*').map(str::as_bytes) == Some(target)))
    }),
    Function::new("kindOf", &[Any], |_, args| Ok(Item::text(any(args, 0).kind()))),
    Function::new("kindIs", &[Str, Any], |_, args| {
        Ok(Item::Bool(any(args, 1).kind().as_bytes() == text(args, 0)))
    }),
    Function::new("deepEqual", &[Any, Any], |scope, args| {
        Ok(Item::Bool(equality::deep(scope, any(args, 0), any(args, 1))?))
    }),
];

/// Whether a value is the zero value of its type.
pub(super) fn is_empty(item: &Item) -> bool {
    !item.is_true()
}

fn lenient(scope: &mut Scope, args: &[Item], style: Style) -> Result<Item, Fault> {
    match strict(scope, args, style) {
        Err(Fault::Failed(_)) => Ok(Item::text("")),
        other => other,
    }
}

fn strict(scope: &mut Scope, args: &[Item], style: Style) -> Result<Item, Fault> {
    Ok(Item::text(encoder::encode(scope, any(args, 0), style)?))
}

/// The value of a document, with numbers as floats, or none if it is invalid.
fn from_json(scope: &mut Scope, args: &[Item]) -> Result<Option<Item>, Fault> {
    let document = text(args, 0);
    scope.allocate(document.len())?;
    let value = decoder::decode(document);
    value.map(|value| import(scope, &value, 0)).transpose().map(Option::flatten)
}

/// A decoded value. A number that is too large makes the document invalid.
pub(super) fn import(scope: &mut Scope, value: &Value, depth: usize) -> Result<Option<Item>, Fault> {
    scope.visit(depth)?;
    match value {
        Value::Number(number) => Ok(number::parse_float(number).map(Item::Float)),
        Value::List(items) => {
            let items: Option<Vec<Item>> =
                items.iter().map(|item| import(scope, item, depth + 1)).collect::<Result<_, _>>()?;
            items.map(|items| scope.list(Element::Any, items)).transpose()
        }
        Value::Map(entries) => {
            let pairs = entries.iter().map(|(key, value)| {
                Ok(import(scope, value, depth + 1)?.map(|item| (key.as_str().into(), item)))
            });
            let entries: Option<_> = pairs.collect::<Result<_, Fault>>()?;
            entries.map(|entries| Ok(Item::Dict(scope.dict(Element::Any, entries)?))).transpose()
        }
        other => scope.import(other, depth).map(Some),
    }
}
