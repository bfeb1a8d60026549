//! Paths with `/`. The functions for paths of the operating system are the same.

use super::signature::Parameter::String as Str;
use super::signature::{Body, Function, text};
use crate::error::Fault;
use crate::item::Item;
use crate::scope::Scope;

pub(super) const FUNCTIONS: &[Function] = &[
    one("base", |scope, args| scope.string(base(text(args, 0)))),
    one("osBase", |scope, args| scope.string(base(text(args, 0)))),
    one("dir", |scope, args| scope.string(dir(text(args, 0)))),
    one("osDir", |scope, args| scope.string(dir(text(args, 0)))),
    one("clean", |scope, args| scope.string(clean(text(args, 0)))),
    one("osClean", |scope, args| scope.string(clean(text(args, 0)))),
    one("ext", extension),
    one("osExt", extension),
    one("isAbs", |_, args| Ok(Item::Bool(text(args, 0).starts_with(b"/")))),
    one("osIsAbs", |_, args| Ok(Item::Bool(text(args, 0).starts_with(b"/")))),
];

const fn one(name: &'static str, body: Body) -> Function {
    Function::new(name, &[Str], body)
}

fn base(path: &[u8]) -> &[u8] {
    let Some(end) = path.iter().rposition(|byte| *byte != b'/') else {
        return if path.is_empty() { b"." } else { b"/" };
    };
    let trimmed = &path[..=end];
    let start = trimmed.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    &trimmed[start..]
}

fn dir(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    clean(&path[..end])
}

fn extension(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let path = text(args, 0);
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let dot = name.iter().rposition(|byte| *byte == b'.').unwrap_or(name.len());
    scope.string(&name[dot..])
}

fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join(&b"/"[..]);
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", &joined[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}
