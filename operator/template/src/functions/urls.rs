//! URLs.

use std::collections::BTreeMap;

use super::signature::Parameter::{Dict as Map, String as Str};
use super::signature::{Function, dict, text};
use crate::error::Fault;
use crate::item::{Element, Item};
use crate::link::{Link, Part, escape};
use crate::scope::Scope;

pub(super) const FUNCTIONS: &[Function] =
    &[Function::new("urlParse", &[Str], parse), Function::new("urlJoin", &[Map], join)];

/// Go's `url.QueryEscape`.
pub(super) fn query(text: &[u8]) -> Vec<u8> {
    escape(text, Part::Query)
}

fn parse(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let source = text(args, 0);
    scope.allocate_many(source.len() + 16, 8)?;
    let link = Link::parse(source).ok_or(Fault::new("the argument is not a URL"))?;
    let (host, hostname) = (link.host.clone(), link.hostname().to_vec());
    let userinfo = link.userinfo();
    let parts = [
        ("scheme", link.scheme),
        ("host", host),
        ("hostname", hostname),
        ("path", link.path),
        ("query", link.query),
        ("opaque", link.opaque),
        ("fragment", link.fragment),
        ("userinfo", userinfo),
    ];
    let entries = parts.into_iter().map(|(name, part)| (name.into(), Item::text(part))).collect();
    scope.dict(Element::Any, entries).map(Item::Dict)
}

fn join(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let entries = dict(args, 0)?;
    let entries: BTreeMap<_, _> = entries.pairs().into_iter().collect();
    let part = |name: &'static str| match entries.get(name.as_bytes()) {
        None => Ok(Vec::new()),
        Some(Item::String(text) | Item::Number(text)) => Ok(text.to_vec()),
        Some(other) => Err(Fault::new(format!("key {name:?} must be a string; got {}", other.type_name()))),
    };
    let userinfo = part("userinfo")?;
    let user = match &userinfo[..] {
        b"" => None,
        known => {
            let probe = Link::parse(&[b"proto://", known, b"@host"].concat());
            probe.ok_or(Fault::new("the userinfo is not valid in a URL"))?.user
        }
    };
    let link = Link {
        scheme: part("scheme")?,
        host: part("host")?,
        path: part("path")?,
        query: part("query")?,
        opaque: part("opaque")?,
        fragment: part("fragment")?,
        user,
    };
    let size =
        [&link.host, &link.path, &link.query, &link.fragment, &userinfo].iter().map(|part| part.len()).sum();
    scope.allocate_many(size, 3)?;
    Ok(Item::text(link.text()))
}
