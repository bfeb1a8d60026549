//! Entries of an ExternalSecret: `data` and `dataFrom`.

use serde_json::{Value, json};

use super::location::{Location, located};
use super::names::{Names, names};
use super::search;
use super::store_reference::StoreReference;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::inventory::Store;
use crate::task::Task;

/// What to do about an entry without a counterpart.
const NO_COUNTERPART: &str =
    "this entry is not converted: add its keys as an item of sources, with find, keys, rewrite or decode";

/// What to do about an entry of a generator.
const GENERATED: &str = "Steamer generates no part of a delivered Secret: write generate into a BaoPushSecret, and read the value from OpenBao; the credential of a VaultDynamicSecret needs a BaoDynamicSecret of its own";

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
    /// One key under a name, with the rest of its path in a nested value, and the encoding of the value.
    Key { key: String, name: String, nested: Vec<String>, decode: Option<Value> },
    /// The whole value as JSON, under a name.
    Whole { name: String },
    /// All keys.
    All { names: Names, decode: Option<Value> },
    /// All secrets that a choice finds.
    Found { find: Value, names: Names },
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
    let is_generated = item.peek("sourceRef").is_some_and(|source| source.get("generatorRef").is_some());
    let action = if is_generated { GENERATED } else { NO_COUNTERPART };
    task.hold(draft, (item.here().to_owned(), None), action);
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
    let (location, property, decode) = item.within("remoteRef", |remote| {
        let decode = decoding(remote);
        Some((taken_location(task, remote, stores)?, remote.text("property"), decode))
    })??;
    let name = item.text("secretKey")?;
    let part = match property {
        Some(property) => key(task, &from, (property, name), decode)?,
        None if decode.is_some() => return None,
        None => Part::Whole { name },
    };
    Some(Entry { location, part, from })
}

fn key(
    task: &mut Task<'_>,
    from: &str,
    (property, name): (String, String),
    decode: Option<Value>,
) -> Option<Part> {
    let mut parts = property.split('.').map(str::to_owned);
    let key = parts.next().unwrap_or_default();
    let nested: Vec<String> = parts.collect();
    if !nested.is_empty() {
        // A template has one function only.
        decode.as_ref().is_none_or(|decode| decode == "Base64").then_some(())?;
        task.review(
            format!("{from}.property"),
            None,
            "a property with dots becomes a template that reads a nested value: check it, and write the key into sources[].keys if its name contains the dots",
        );
    }
    Some(Part::Key { key, name, nested, decode })
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

/// Takes a decoding strategy. Those of Steamer have the same names.
fn decoding(remote: &mut Cursor) -> Option<Value> {
    remote.expect("decodingStrategy", &json!("None"));
    remote.take_if("decodingStrategy", |value| {
        ["Base64", "Base64URL", "Auto"].iter().any(|known| value == known)
    })
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
    if item.has("find") {
        return found(task, item, draft, stores);
    }
    let from = item.path("extract");
    let (location, decode) = item.within("extract", |remote| {
        let decode = decoding(remote);
        Some((taken_location(task, remote, stores)?, decode))
    })??;
    let names = names(item, None);
    rest_of_rewrite(task, item, draft);
    Some(Entry { location, part: Part::All { names, decode }, from })
}

fn found(task: &mut Task<'_>, item: &mut Cursor, draft: &mut Draft, stores: &Stores<'_>) -> Option<Entry> {
    let from = item.path("find");
    let location = search::location(stores.store)?;
    let search::Search { find, folder } = item.within("find", |find| search::taken(task, find, draft))??;
    let names = names(item, folder.as_deref());
    rest_of_rewrite(task, item, draft);
    Some(Entry { location, part: Part::Found { find, names }, from })
}

/// Suspends the converted object if a rule remains.
fn rest_of_rewrite(task: &mut Task<'_>, item: &mut Cursor, draft: &mut Draft) {
    if item.has("rewrite") {
        let rewrite = item.take("rewrite");
        task.hold(
            draft,
            (item.path("rewrite"), rewrite.as_ref()),
            "this rule is not converted: write rewrite, prefix or keys of the source",
        );
    }
}
