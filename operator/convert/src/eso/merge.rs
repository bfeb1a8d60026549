//! Entries of an ExternalSecret as sources and templates of a BaoStaticSecret.

use serde_json::{Map, Value, json};

use super::entries::{Entry, Part};
use super::location::Location;
use super::names::Names;
use crate::draft::Draft;
use crate::task::Task;

/// A source of a BaoStaticSecret: all keys of a path, or some, or all secrets of a folder.
struct Source {
    location: Location,
    names: Names,
    keys: Vec<Value>,
    decode: Option<Value>,
    find: Option<Value>,
}

impl Source {
    fn new(location: Location, names: Names) -> Self {
        Self { location, names, keys: Vec::new(), decode: None, find: None }
    }

    /// Whether the fields of a single secret describe the source.
    fn is_plain(&self) -> bool {
        self.names == Names::default() && self.keys.is_empty() && self.decode.is_none() && self.find.is_none()
    }
}

/// Writes the entries into the draft.
pub(super) fn written(task: &mut Task<'_>, draft: &mut Draft, entries: Vec<Entry>) {
    if entries.is_empty() {
        task.hold(
            draft,
            ("spec.data".to_owned(), None),
            "no entry was converted: write mount, path and type, or sources",
        );
        return;
    }
    let from = entries.first().map(|entry| entry.from.clone()).unwrap_or_default();
    if entries.iter().any(|entry| matches!(entry.part, Part::Whole { .. })) {
        whole(task, draft, &entries);
        return;
    }
    templates(draft, &entries);
    let sources = sources(entries);
    match &sources[..] {
        [source] if source.is_plain() => single(draft, &source.location, &from),
        _ => {
            let sources: Vec<Value> = sources.iter().map(described).collect();
            draft.put("sources", sources, from);
        }
    }
}

fn single(draft: &mut Draft, location: &Location, from: &str) {
    for (field, value) in location.fields() {
        draft.put(&field, value, from);
    }
}

fn described(source: &Source) -> Value {
    let Source { location, names: Names { prefix, rewrite }, keys, decode, find } = source;
    let mut fields = location.fields();
    let optional = [
        ("prefix", prefix.as_ref().map(|prefix| json!(prefix))),
        ("rewrite", (!rewrite.is_empty()).then(|| json!(rewrite))),
        ("keys", (!keys.is_empty()).then(|| json!(keys))),
        ("decode", decode.clone()),
        ("find", find.clone()),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Value::Object(fields)
}

/// Keys of one path become one source.
fn sources(entries: Vec<Entry>) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for Entry { location, part, .. } in entries {
        match part {
            Part::Key { key, name, nested, decode } => {
                let entry = entry(key, name, decode.filter(|_| nested.is_empty()));
                let with_keys = |source: &&mut Source| source.location == location && !source.keys.is_empty();
                match sources.iter_mut().find(with_keys) {
                    Some(source) => source.keys.push(entry),
                    None => {
                        sources.push(Source { keys: vec![entry], ..Source::new(location, Names::default()) })
                    }
                }
            }
            Part::All { names, decode } => sources.push(Source { decode, ..Source::new(location, names) }),
            Part::Found { find, names } => {
                sources.push(Source { find: Some(find), ..Source::new(location, names) })
            }
            Part::Whole { .. } => {}
        }
    }
    sources
}

fn entry(key: String, name: String, decode: Option<Value>) -> Value {
    let mut entry = if key == name { json!({"key": key}) } else { json!({"key": key, "name": name}) };
    if let Some(decode) = decode {
        entry["decode"] = decode;
    }
    entry
}

/// Nested values become templates, which replace the keys of the same names.
fn templates(draft: &mut Draft, entries: &[Entry]) {
    let mut templates = Map::new();
    for Entry { part, .. } in entries {
        if let Part::Key { name, nested, decode, .. } = part
            && !nested.is_empty()
        {
            let function = decode.as_ref().map(|_| "b64dec");
            templates.insert(name.clone(), json!({"text": nested_text(name, nested, function)}));
        }
    }
    set_templates(draft, templates);
}

fn nested_text(name: &str, nested: &[String], decoded: Option<&str>) -> String {
    let quoted: Vec<String> =
        std::iter::once(name).chain(nested.iter().map(String::as_str)).map(quoted).collect();
    let decoded = decoded.map(|function| format!(" | {function}")).unwrap_or_default();
    format!("{{{{ index .Secrets {}{decoded} }}}}", quoted.join(" "))
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A value without a property is written as JSON. That needs a template, which sees the keys of all paths.
fn whole(task: &mut Task<'_>, draft: &mut Draft, entries: &[Entry]) {
    let mut templates = Map::new();
    let Some(first) = entries.first() else { return };
    for Entry { location, part, from } in entries {
        match part {
            Part::Whole { name } if *location == first.location => {
                templates.insert(name.clone(), json!({"text": "{{ toJson .Secrets }}"}));
            }
            _ => task.hold(draft, (from.clone(), None), "an object that writes a whole value as JSON reads one path only: write another object for this entry"),
        }
    }
    single(draft, &first.location.clone(), &first.from);
    set_templates(draft, templates);
    draft.put("destination.transformation.excludes", json!([".*"]), first.from.as_str());
}

fn set_templates(draft: &mut Draft, templates: Map<String, Value>) {
    if !templates.is_empty() {
        draft.put("destination.transformation.templates", Value::Object(templates), "spec.data");
    }
}
