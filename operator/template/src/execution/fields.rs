//! Fields of dicts, and the methods of versions and times.

use super::state::State;
use crate::error::{Error, Fault};
use crate::item::Item;
use crate::moment::Moment;
use crate::version::Version;

impl State<'_> {
    /// `value.a.b`
    pub(super) fn fields(&mut self, at: usize, value: Item, names: &[String]) -> Result<Item, Error> {
        let mut value = value;
        for name in names {
            self.step(at)?;
            let field = field(&value, name);
            value = self.located(at, field)?;
        }
        Ok(value)
    }
}

fn field(item: &Item, name: &str) -> Result<Item, Fault> {
    let found = match item {
        Item::Missing => Some(Item::Missing),
        Item::Nil => return Err(Fault::new(format!("nil pointer evaluating interface {{}}.{name}"))),
        Item::Dict(dict) => Some(dict.get(name.as_bytes()).unwrap_or(Item::Missing)),
        Item::Version(version) => version_method(version, name),
        Item::Moment(moment) => moment_method(moment, name),
        _ => None,
    };
    found.ok_or_else(|| Fault::new(format!("can't evaluate field {name} in type {}", item.type_name())))
}

fn version_method(version: &Version, name: &str) -> Option<Item> {
    let number = |index: usize| Item::Int64(version.numbers[index].cast_signed());
    Some(match name {
        "Major" => number(0),
        "Minor" => number(1),
        "Patch" => number(2),
        "Prerelease" => Item::text(version.prerelease.as_str()),
        "Metadata" => Item::text(version.metadata.as_str()),
        "Original" => Item::text(version.original.as_str()),
        "String" => Item::text(version.to_string()),
        _ => return None,
    })
}

fn moment_method(moment: &Moment, name: &str) -> Option<Item> {
    Some(match name {
        "Year" => Item::Int(moment.year),
        "Day" => Item::Int(moment.day),
        "Hour" => Item::Int(moment.hour),
        "Minute" => Item::Int(moment.minute),
        "Second" => Item::Int(moment.second),
        "Unix" => Item::Int64(moment.unix()),
        "String" => Item::text(moment.to_string()),
        _ => return None,
    })
}
