//! Issuers of PKI engines, which several resources of the provider create and manage.

use serde_json::json;

use super::links::{Links, is_stated, mount};
use super::state::Entry;
use super::table::{ISSUER_SETTINGS, Rule};
use crate::resource::{Fields, Place, Resource, items, text};

/// The issuer that a resource created, with the settings of the resource that manages it.
pub(super) fn issuer(rule: &Rule, entry: &Entry, links: &Links) -> Resource {
    let (attributes, at) = (&entry.attributes, mount(&entry.attributes, rule.mount));
    let mut ids = items(attributes, "imported_issuers");
    ids.extend([text(attributes, "issuer_id"), text(attributes, rule.name)]);
    ids.retain(|id| !id.is_empty());
    let settings = links.issuer(&at, &ids);
    let known = |field: &str| {
        let managed = settings.map(|settings| text(settings, field)).filter(|it| !it.is_empty());
        managed.unwrap_or_else(|| text(attributes, field))
    };
    let (name, default) = (known(rule.name), links.default_issuer(&at));
    let mut fields: Fields = settings.map(stated).unwrap_or_default();
    fields.insert("issuer_name".to_owned(), json!(name));
    fields.insert("certificate".to_owned(), json!(text(attributes, "certificate")));
    if !default.is_empty() && (default == name || ids.contains(&default)) {
        fields.insert("default".to_owned(), json!(true));
    }
    let shown = [name, ids.first().copied().unwrap_or_default(), entry.address.as_str()];
    let shown = shown.into_iter().find(|it| !it.is_empty()).unwrap_or_default();
    let place = Place::new(rule.class, &at.0, shown).inside(&at.1, rule.folder);
    Resource { place, method: "pki".to_owned(), fields }
}

/// The settings that the state contains.
fn stated(settings: &Fields) -> Fields {
    let known = |name: &String| ISSUER_SETTINGS.contains(&name.as_str());
    let stated = settings.iter().filter(|(name, value)| known(name) && is_stated(value));
    stated.map(|(name, value)| (name.clone(), value.clone())).collect()
}
