//! Searches of an ExternalSecret: `dataFrom[].find`.

use serde_json::{Map, Value, json};

use super::location::Location;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::inventory::Store;
use crate::task::Task;

/// A search.
pub(super) struct Search {
    /// `find` of a source.
    pub(super) find: Value,
    /// Folder that is searched.
    pub(super) folder: Option<String>,
}

/// The mount that a search reads. None: the names of secrets would start with a mount.
pub(super) fn location(store: &Store) -> Option<Location> {
    let (mount, kv) = (store.mount.clone()?, store.kv?);
    Some(Location { mount, path: String::new(), kv, version: None })
}

/// Takes a search. None if the found secrets would have other data.
pub(super) fn taken(task: &mut Task<'_>, find: &mut Cursor, draft: &mut Draft) -> Option<Search> {
    for (field, value) in
        [("conversionStrategy", "Default"), ("decodingStrategy", "None"), ("nullBytePolicy", "Ignore")]
    {
        find.expect(field, &json!(value));
    }
    if ["conversionStrategy", "decodingStrategy"].iter().any(|field| find.has(field)) {
        return None;
    }
    let folder = find.text("path").map(|path| path.trim_matches('/').to_owned());
    let folder = folder.filter(|path| !path.is_empty());
    // Tags beside a name are ignored.
    let tags = if find.has("name") { Map::new() } else { find.texts("tags") };
    let optional = [
        ("path", folder.as_ref().map(|folder| json!(folder))),
        ("regexp", regexp(task, find, (draft, folder.as_deref()))),
        ("metadata", (!tags.is_empty()).then_some(Value::Object(tags))),
    ];
    let fields = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Some(Search { find: Value::Object(fields.collect()), folder })
}

/// Takes the expression for names. One that cannot be an expression for paths below the folder suspends the converted object.
fn regexp(
    task: &mut Task<'_>,
    find: &mut Cursor,
    (draft, folder): (&mut Draft, Option<&str>),
) -> Option<Value> {
    let path = find.path("name.regexp");
    let regexp = find.within("name", |name| name.text("regexp")).flatten()?;
    if is_everything(&regexp) {
        return None;
    }
    let Some(folder) = folder else { return Some(json!(regexp)) };
    let below = below(&regexp, folder);
    if below.is_none() {
        let text = "this expression is about complete paths, and regexp of find about paths below the folder: check it";
        task.hold(draft, (path, None), text);
    }
    Some(json!(below.unwrap_or(regexp)))
}

/// Returns true for an expression that every name matches.
pub(super) fn is_everything(regexp: &str) -> bool {
    [".*", "^.*$", ".+", "^.+$"].contains(&regexp)
}

/// An expression for complete paths as one for paths below a folder, if it begins with the folder.
fn below(regexp: &str, folder: &str) -> Option<String> {
    let is_literal = |character: char| character.is_ascii_alphanumeric() || "-_/".contains(character);
    let rest = regexp.strip_prefix('^')?.strip_prefix(folder)?.strip_prefix('/')?;
    folder.chars().all(is_literal).then(|| format!("^{rest}"))
}
