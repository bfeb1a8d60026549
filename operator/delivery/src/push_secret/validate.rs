//! Computes the entries of a spec from the keys of its Secret.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use steamer_api::{BaoPushSecretSpec, Generator, KvType, PushEncoding, PushItem, rules};
use steamer_core::Error;
use steamer_core::generators::properties;
use steamer_core::ownership::secret::check_origin;
use steamer_openbao::{Json, NamespacePath};
use steamer_runtime::ObjectName;
use steamer_template::Expression;

use super::entry::{Entry, Seal};
use super::place::Place;
use crate::naming::{Budget, Naming, expression};

/// Field of the items, in messages.
const FIELD: &str = "spec.data";

/// Type of the Secrets of ServiceAccounts. A selector does not push them.
const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";

/// Longest path of an entry, in characters.
const LONGEST: usize = 1024;

/// Everything that determines the entries of an object.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) spec: &'a BaoPushSecretSpec,
    pub(super) secret: Option<&'a Secret>,
    /// Name of the Secret, if a selector chose it: the last segment of the paths.
    pub(super) below: Option<&'a str>,
    /// OpenBao namespace of the entries, from the root.
    pub(super) namespace: &'a NamespacePath,
    pub(super) seal: Seal<'a>,
}

/// The compiled expressions of all items, and the steps that their templates share.
pub(super) struct Rules<'a> {
    items: Vec<Rule<'a>>,
    budget: Budget,
}

/// The compiled expressions of an item.
struct Rule<'a> {
    matching: Option<Expression>,
    naming: Naming<'a>,
}

impl<'a> Rules<'a> {
    /// Compiles the expressions of a spec.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a mistake in an item.
    pub(super) fn parse(spec: &'a BaoPushSecretSpec) -> Result<Self, Error> {
        let items = spec.data.iter().map(Rule::parse).collect::<Result<_, _>>()?;
        Ok(Self { items, budget: Budget::default() })
    }
}

impl<'a> Rule<'a> {
    fn parse(item: &'a PushItem) -> Result<Self, Error> {
        check(item)?;
        let matching = item.match_.as_ref().map(|text| expression(text, FIELD, "match")).transpose()?;
        Ok(Self { matching, naming: Naming::parse(&item.rewrite, FIELD)? })
    }
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
    entries_by(inputs, &mut Rules::parse(inputs.spec)?)
}

/// Same as [`entries`], with the rules of the spec, which all Secrets of an object share.
///
/// # Errors
/// Same as [`entries`].
pub(super) fn entries_by(inputs: &Inputs<'_>, rules: &mut Rules<'_>) -> Result<Vec<Entry>, Error> {
    if let Some(secret) = inputs.secret {
        check_secret(secret, inputs.below.is_some())?;
    }
    let mut drafts = BTreeMap::<Place, Draft>::new();
    let Rules { items, budget } = rules;
    for (item, rule) in inputs.spec.data.iter().zip(items) {
        let place = Place::of_item(item, inputs.namespace, inputs.below);
        if let Some(name) = inputs.below {
            check_selected(item, &place, name)?;
        }
        let draft = drafts.entry(place).or_default();
        draft.add(item, inputs.secret, (rule, &mut *budget))?;
    }
    let finished = |(place, Draft { fixed, generated, rotations })| Entry {
        rotations,
        ..Entry::new(place, fixed, generated, &inputs.seal)
    };
    drafts.into_iter().map(|draft| distinct(finished(draft))).collect()
}

/// Refuses a Secret whose values must not be pushed.
fn check_secret(secret: &Secret, is_selected: bool) -> Result<(), Error> {
    if !is_selected {
        return check_origin(secret, "choose another secretRef");
    }
    check_origin(secret, "exclude it from the selector")?;
    if secret.type_.as_deref() == Some(SERVICE_ACCOUNT_TOKEN) {
        return Err(Error::Conflict(format!(
            "Secret {} contains a token of a ServiceAccount: exclude it from the selector, or name it in secretRef",
            ObjectName::of(secret)
        )));
    }
    Ok(())
}

/// Checks an item for the selected Secret `name`.
fn check_selected(item: &PushItem, place: &Place, name: &str) -> Result<(), Error> {
    if item.generate.is_some() {
        return Err(Error::Invalid(
            "generate excludes selector: write the generated values with another object".to_owned(),
        ));
    }
    if place.path.chars().count() > LONGEST {
        return Err(Error::Invalid(format!(
            "the path and the name {name} have more than {LONGEST} characters: shorten the path"
        )));
    }
    Ok(())
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
    fn add(
        &mut self,
        item: &PushItem,
        secret: Option<&Secret>,
        (rule, budget): (&mut Rule<'_>, &mut Budget),
    ) -> Result<(), Error> {
        if let (Some(generator), Some(property)) = (&item.generate, &item.property) {
            self.rotate(property, item);
            return self.generate(property, generator);
        }
        let secret = secret.ok_or_else(|| Error::Invalid("secretRef is required: add it".to_owned()))?;
        let (name, data) = (ObjectName::of(secret), secret.data.iter().flatten());
        let chosen = data.filter(|(key, _)| item.key.as_ref().is_none_or(|wanted| wanted == *key));
        let Rule { matching, naming } = rule;
        naming.restart();
        let mut found = false;
        for (key, value) in chosen.filter(|(key, _)| matching.as_ref().is_none_or(|it| it.is_match(key))) {
            found = true;
            let property = match &item.property {
                Some(property) if item.key.is_some() => property.clone(),
                _ => renamed(naming, key, budget)?,
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
