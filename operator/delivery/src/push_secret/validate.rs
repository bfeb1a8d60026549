//! Computes the entries of a spec from the keys of its Secret.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use steamer_api::{BaoPushSecretSpec, Generator, KvType, PushEncoding, PushItem, rules};
use steamer_core::Error;
use steamer_core::ownership::Mark;
use steamer_openbao::{Json, NamespacePath};
use steamer_runtime::ObjectName;

use super::entry::{Entry, Seal, properties};
use super::place::Place;
use crate::engine::{KEYS_OF, OWNER};
use crate::naming::{Budget, Naming, expression};

/// Field of the items, in messages.
const FIELD: &str = "spec.data";

/// Everything that determines the entries of an object.
pub(super) struct Inputs<'a> {
    pub(super) spec: &'a BaoPushSecretSpec,
    pub(super) secret: Option<&'a Secret>,
    /// OpenBao namespace of the entries, from the root.
    pub(super) namespace: &'a NamespacePath,
    pub(super) seal: Seal<'a>,
}

/// Values and generators of an entry.
#[derive(Default)]
struct Draft {
    fixed: BTreeMap<String, Json>,
    generated: BTreeMap<String, Generator>,
    rotations: BTreeMap<String, SignedDuration>,
}

/// Returns the entries, at most one for each place.
///
/// # Errors
/// [`Error::Invalid`] for a mistake in the spec or a value that cannot be written, [`Error::Waiting`] for a missing key,
/// [`Error::Conflict`] for a Secret that Steamer writes.
pub(super) fn entries(inputs: &Inputs<'_>) -> Result<Vec<Entry>, Error> {
    if let Some(secret) = inputs.secret {
        check_origin(secret)?;
    }
    let (mut drafts, mut budget) = (BTreeMap::<Place, Draft>::new(), Budget::default());
    for item in &inputs.spec.data {
        check(item)?;
        let draft = drafts.entry(Place::of_item(item, inputs.namespace)).or_default();
        draft.add(item, inputs.secret, &mut budget)?;
    }
    let finished = |(place, Draft { fixed, generated, rotations })| Entry {
        rotations,
        ..Entry::new(place, fixed, generated, &inputs.seal)
    };
    drafts.into_iter().map(|draft| distinct(finished(draft))).collect()
}

/// Refuses a Secret that Steamer writes: its values come from OpenBao, and would return to it.
fn check_origin(secret: &Secret) -> Result<(), Error> {
    let marks = [OWNER, KEYS_OF].into_iter().filter_map(|key| Mark::parse(secret.annotations().get(key)?));
    match marks.into_iter().next() {
        Some(Mark { owner, name, .. }) => Err(Error::Conflict(format!(
            "Secret {} is written by {owner} {name}: its values would return to OpenBao; choose another secretRef",
            ObjectName::of(secret)
        ))),
        None => Ok(()),
    }
}

/// Repeats the checks of admission that protect other engines.
fn check(item: &PushItem) -> Result<(), Error> {
    let PushItem { mount, path, property, generate, type_, key, match_, rewrite, .. } = item;
    if rules::is_no_engine_mount(mount) {
        return Err(Error::Invalid(format!(
            "mount `{mount}` is not the path of a KV engine: correct spec.data"
        )));
    }
    if rules::is_no_secret_path(path) {
        return Err(Error::Invalid(format!(
            "path `{path}` has an empty segment, . or .. as a segment, or control characters: correct spec.data"
        )));
    }
    if generate.is_some() && (property.is_none() || *type_ == KvType::V1) {
        return Err(Error::Invalid("generate requires property and type kv-v2: add them".to_owned()));
    }
    if (match_.is_some() || !rewrite.is_empty()) && (key.is_some() || generate.is_some()) {
        return Err(Error::Invalid(
            "match and rewrite apply to all keys of the Secret: remove key and generate".to_owned(),
        ));
    }
    Ok(())
}

impl Draft {
    fn add(&mut self, item: &PushItem, secret: Option<&Secret>, budget: &mut Budget) -> Result<(), Error> {
        if let (Some(generator), Some(property)) = (&item.generate, &item.property) {
            self.rotate(property, item);
            return self.generate(property, generator);
        }
        let secret = secret.ok_or_else(|| Error::Invalid("secretRef is required: add it".to_owned()))?;
        let (name, data) = (ObjectName::of(secret), secret.data.iter().flatten());
        let chosen = data.filter(|(key, _)| item.key.as_ref().is_none_or(|wanted| wanted == *key));
        let matching = item.match_.as_ref().map(|text| expression(text, FIELD, "match")).transpose()?;
        let mut naming = Naming::parse(&item.rewrite, FIELD)?;
        let mut found = false;
        for (key, value) in chosen.filter(|(key, _)| matching.as_ref().is_none_or(|it| it.is_match(key))) {
            found = true;
            let property = match &item.property {
                Some(property) if item.key.is_some() => property.clone(),
                _ => renamed(&mut naming, key, budget)?,
            };
            self.fix(&property, text(value, item.encoding).ok_or_else(|| not_text(&name, key))?)?;
        }
        match &item.key {
            Some(key) if !found => Err(Error::Waiting(format!("Secret {name} has no key `{key}`"))),
            _ => Ok(()),
        }
    }

    fn fix(&mut self, property: &str, value: Json) -> Result<(), Error> {
        match self.fixed.insert(property.to_owned(), value) {
            Some(_) => Err(twice(property)),
            None => Ok(()),
        }
    }

    fn rotate(&mut self, property: &str, item: &PushItem) {
        if let Some(age) = item.rotate_after.as_ref().and_then(|age| SignedDuration::try_from(age.get()).ok())
        {
            self.rotations.insert(property.to_owned(), age);
        }
    }

    fn generate(&mut self, property: &str, generator: &Generator) -> Result<(), Error> {
        match self.generated.insert(property.to_owned(), generator.clone()) {
            Some(_) => Err(twice(property)),
            None => Ok(()),
        }
    }
}

/// Refuses an entry in which two items write the same property.
fn distinct(entry: Entry) -> Result<Entry, Error> {
    let mut names = entry.fixed.keys().cloned().collect::<Vec<_>>();
    names.extend(entry.generated.iter().flat_map(|(property, generator)| properties(property, generator)));
    if names.is_empty() {
        return Err(Error::Waiting(format!(
            "the Secret has no keys for {}: add them",
            entry.place.published()
        )));
    }
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(twice(&pair[0])),
        None => Ok(entry),
    }
}

fn renamed(naming: &mut Naming<'_>, key: &str, budget: &mut Budget) -> Result<String, Error> {
    naming.rewritten(key, budget).filter(|name| !name.is_empty()).ok_or_else(|| too_long(key))
}

/// The key of a Secret is public in its metadata, its value is not.
fn too_long(key: &str) -> Error {
    Error::Invalid(format!(
        "{FIELD}: rewrite makes no name of key `{key}`: a name has 1 to 1024 bytes, all of them at most 32 KiB, and \
         the templates for all names need at most 500,000 steps: correct rewrite"
    ))
}

fn twice(property: &str) -> Error {
    Error::Invalid(format!("spec.data writes property `{property}` of one path twice: rename one of them"))
}

fn not_text(secret: &ObjectName, key: &str) -> Error {
    Error::Invalid(format!("key `{key}` of Secret {secret} is not UTF-8: set encoding: Base64"))
}

fn text(value: &ByteString, encoding: PushEncoding) -> Option<Json> {
    match encoding {
        PushEncoding::Text => std::str::from_utf8(&value.0).ok().map(Json::string),
        PushEncoding::Base64 => Some(Json::string(&STANDARD.encode(&value.0))),
    }
}
