//! Entries of an ExternalSecret: `data` and `dataFrom`.

use serde_json::{Value, json};

use super::location::{Location, located};
use super::store_reference::StoreReference;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::inventory::Store;
use crate::task::Task;

/// What to do about an entry without a counterpart.
const NO_COUNTERPART: &str =
    "this entry is not converted: add its keys as an item of sources, with find, keys, rewrite or decode";

/// The store that all entries use.
pub(super) struct Stores<'a> {
    pub(super) reference: &'a StoreReference,
    pub(super) store: &'a Store,
}

/// A part of the Secret.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) location: Location,
    pub(super) part: Part,
    /// Path of the entry in the source.
    pub(super) from: String,
}

/// The keys of an entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// One key under a name, with the rest of its path in a nested value, and a function that decodes it.
    Key { key: String, name: String, nested: Vec<String>, decoded: Option<&'static str> },
    /// The whole value as JSON, under a name.
    Whole { name: String },
    /// All keys, with a text before their names.
    All { prefix: Option<String> },
}

/// The store of the entries, if all of them refer to the same one.
pub(super) fn common_store(spec: &mut Cursor) -> Option<StoreReference> {
    let mut found = Vec::new();
    for list in ["data", "dataFrom"] {
        let items = spec.peek(list).and_then(Value::as_array).into_iter().flatten();
        found.extend(items.map(|item| item.pointer("/sourceRef/storeRef").cloned()));
    }
    let first = found.first().cloned().flatten()?;
    let same = found.iter().all(|other| other.as_ref() == Some(&first));
    let text = |field: &str| first[field].as_str().map(str::to_owned);
    same.then(|| {
        let kind = text("kind").unwrap_or_else(|| "SecretStore".to_owned());
        Some(StoreReference { kind, name: text("name")?, path: "spec.data[].sourceRef.storeRef".to_owned() })
    })?
}

/// Takes all entries. One without a counterpart suspends the converted object.
pub(super) fn taken(
    task: &mut Task<'_>,
    spec: &mut Cursor,
    draft: &mut Draft,
    stores: &Stores<'_>,
) -> Vec<Entry> {
    let data = spec.each("data", |item| of_data(task, item, stores).or_else(|| held(task, item, draft)));
    let from = spec
        .each("dataFrom", |item| of_data_from(task, item, draft, stores).or_else(|| held(task, item, draft)));
    data.into_iter().chain(from).flatten().collect()
}

fn held(task: &mut Task<'_>, item: &mut Cursor, draft: &mut Draft) -> Option<Entry> {
    task.hold(draft, (item.here().to_owned(), None), NO_COUNTERPART);
    None
}

/// Takes a reference to the store of the object. Returns false for another source.
fn is_of(item: &mut Cursor, stores: &Stores<'_>) -> bool {
    let is_same = |source: &mut Cursor| {
        let kind = |value: &Value| value["kind"].as_str().unwrap_or("SecretStore").to_owned();
        let same = source.peek("storeRef").is_some_and(|reference| {
            reference["name"] == *stores.reference.name && kind(reference) == stores.reference.kind
        });
        if same {
            source.take("storeRef");
        }
        same
    };
    item.within("sourceRef", is_same).unwrap_or(true)
}

fn of_data(task: &mut Task<'_>, item: &mut Cursor, stores: &Stores<'_>) -> Option<Entry> {
    let from = item.path("remoteRef");
    if !is_of(item, stores) || !item.has("secretKey") {
        return None;
    }
    let (location, property, decoding) = item.within("remoteRef", |remote| {
        let decoding = decoding(remote);
        Some((taken_location(task, remote, stores)?, remote.text("property"), decoding))
    })??;
    let name = item.text("secretKey")?;
    let part = match property {
        Some(property) => key(task, &from, (property, name), decoding),
        None if decoding.is_some() => return None,
        None => Part::Whole { name },
    };
    Some(Entry { location, part, from })
}

fn key(
    task: &mut Task<'_>,
    from: &str,
    (property, name): (String, String),
    decoded: Option<&'static str>,
) -> Part {
    let mut parts = property.split('.').map(str::to_owned);
    let key = parts.next().unwrap_or_default();
    let nested: Vec<String> = parts.collect();
    if !nested.is_empty() {
        task.review(
            format!("{from}.property"),
            None,
            "a property with dots becomes a template that reads a nested value: check it, and write the key into sources[].keys if its name contains the dots",
        );
    }
    Part::Key { key, name, nested, decoded }
}

/// Takes key and version of a remote reference.
fn taken_location(task: &mut Task<'_>, remote: &mut Cursor, stores: &Stores<'_>) -> Option<Location> {
    let key = remote.text("key")?;
    let (path, text) = (remote.path("version"), remote.text("version"));
    let version = text.as_ref().and_then(|text| text.parse().ok());
    if let (Some(text), None) = (text, version) {
        task.review(path, Some(&Value::String(text)), "a version is a number: write version of the source");
        return None;
    }
    for (field, value) in
        [("conversionStrategy", "Default"), ("metadataPolicy", "None"), ("nullBytePolicy", "Ignore")]
    {
        remote.expect(field, &json!(value));
    }
    // Without them, the Secret would have other data.
    if ["conversionStrategy", "metadataPolicy", "decodingStrategy"].iter().any(|field| remote.has(field)) {
        return None;
    }
    located(stores.store, &key, version)
}

/// Takes a decoding strategy that a template can do.
fn decoding(remote: &mut Cursor) -> Option<&'static str> {
    remote.expect("decodingStrategy", &json!("None"));
    remote.take_if("decodingStrategy", |value| value == "Base64").map(|_| "b64dec")
}

fn of_data_from(
    task: &mut Task<'_>,
    item: &mut Cursor,
    draft: &mut Draft,
    stores: &Stores<'_>,
) -> Option<Entry> {
    if !is_of(item, stores) {
        return None;
    }
    let from = item.path("extract");
    if item.has("find") {
        return None;
    }
    let location = item.within("extract", |remote| {
        remote.expect("decodingStrategy", &json!("None"));
        taken_location(task, remote, stores)
    })??;
    let prefix = prefix(item);
    if item.has("rewrite") {
        let rewrite = item.take("rewrite");
        task.hold(
            draft,
            (item.path("rewrite"), rewrite.as_ref()),
            "this rule is not converted: write rewrite, prefix or keys of the source",
        );
    }
    Some(Entry { location, part: Part::All { prefix }, from })
}

/// The prefix that a rewrite adds to all keys. Another rewrite stays.
fn prefix(item: &mut Cursor) -> Option<String> {
    let rewrites = item.peek("rewrite")?.as_array()?;
    let [rewrite] = rewrites.as_slice() else { return None };
    let rule = rewrite.as_object().filter(|fields| fields.len() == 1)?.get("regexp")?;
    let is_everything = ["(.*)", "^(.*)$", "(.+)", "^(.+)$"].iter().any(|source| rule["source"] == **source);
    let target = rule["target"].as_str()?;
    let prefix = target.strip_suffix("$1").or_else(|| target.strip_suffix("${1}"))?.to_owned();
    if !is_everything || prefix.contains('$') || prefix.is_empty() {
        return None;
    }
    item.take("rewrite");
    Some(prefix)
}
