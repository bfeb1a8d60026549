//! Issuers of PKI engines: those that a PKIIssuer can adopt, and the issuers that signed them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use steamer_convert::Finding;

use crate::certificates::{contents, is_root, is_signed_by};
use crate::configs::without_defaults;
use crate::findings::{note, review};
use crate::names::Names;
use crate::resource::{Class, Fields, Place, Resource, items, text};

/// Lists of URLs, which are fields of a PKIIssuer.
const URLS: [&str; 3] = ["crl_distribution_points", "issuing_certificates", "ocsp_servers"];
/// Further settings of an issuer, with their default values.
const SETTINGS: &str = r#"{
    "delta_crl_distribution_points": [], "enable_aia_url_templating": false, "leaf_not_after_behavior": "err",
    "manual_chain": [], "revocation_signature_algorithm": "",
    "usage": "crl-signing,issuing-certificates,ocsp-signing,read-only"
}"#;
/// Algorithms that OpenBao chooses for the revocation lists of the types of keys.
const ALGORITHMS: [&str; 5] =
    ["ECDSAWithSHA256", "ECDSAWithSHA384", "ECDSAWithSHA512", "Ed25519", "SHA256WithRSA"];
/// Most characters of a common name.
const LONGEST_NAME: usize = 64;

const KEYLESS: &str = "the key of this issuer is not in OpenBao, so that no object can renew it: it completes the chains of other issuers, and Steamer leaves it unchanged";
const REVOKED: &str = "the issuer is revoked: Steamer leaves it unchanged";
const UNSIGNED: &str = "the authority that signed this issuer is not an imported issuer, and a PKIIssuer names the one that signs its next certificate in parentRef: Steamer leaves it unchanged";
const UNNAMED: &str = "the issuer has no name, and a PKIIssuer finds it by its name: name it with `bao patch <mount>/issuer/<id> issuer_name=<name>`, and import again";
const RESERVED: &str = "the name of the issuer is reserved for the next issuer of a rotation: rename the issuer so that its name does not end with -next, and import again";
const UNREADABLE: &str = "the certificate of the issuer cannot be read: manage it as before";
const COMMON_NAME: &str =
    "the common name of the certificate must have 1 to 64 characters for a PKIIssuer: manage it as before";
const KEY_TYPE: &str =
    "the algorithm of the key is not one of rsa, ec and ed25519, which a PKIIssuer has: manage it as before";

/// The finding about an issuer that no PKIIssuer can adopt. `None` for one that becomes an object.
pub(crate) fn left(issuer: &Resource) -> Option<Finding> {
    let (fields, place) = (&issuer.fields, issuer.place.to_string());
    if fields.get("revoked") == Some(&json!(true)) {
        return Some(note(place, REVOKED.to_owned()));
    }
    // A Terraform state does not state the key.
    if fields.get("key_id") == Some(&json!("")) {
        return Some(note(place, KEYLESS.to_owned()));
    }
    mistake(fields).map(|action| review(place, "", action))
}

/// What a PKIIssuer cannot state of an issuer.
fn mistake(fields: &Fields) -> Option<&'static str> {
    match (text(fields, "issuer_name"), contents(text(fields, "certificate"))) {
        ("", _) => Some(UNNAMED),
        (name, _) if name.ends_with("-next") => Some(RESERVED),
        (_, None) => Some(UNREADABLE),
        (_, Some(found)) if text(&found, "common_name").is_empty() => Some(COMMON_NAME),
        (_, Some(found)) if text(&found, "common_name").chars().count() > LONGEST_NAME => Some(COMMON_NAME),
        (_, Some(found)) if text(&found, "key_type").is_empty() => Some(KEY_TYPE),
        (_, Some(_)) => None,
    }
}

/// The intermediates that no listed issuer signed, and the issuers that they signed, with the finding about each.
pub(crate) fn unsigned(listed: &[Resource]) -> Vec<(Place, Finding)> {
    let mut kept: Vec<Resource> = listed.iter().filter(|it| is_issuer(it)).cloned().collect();
    let mut lost = BTreeSet::new();
    loop {
        let is_lost = |it: &&Resource| !is_self_signed(it) && parent(it, &kept).is_none();
        let found: Vec<Place> = kept.iter().filter(is_lost).map(|it| it.place.clone()).collect();
        if found.is_empty() {
            break;
        }
        kept.retain(|it| !found.contains(&it.place));
        lost.extend(found);
    }
    let finding = |place: Place| (place.clone(), note(place.to_string(), UNSIGNED.to_owned()));
    lost.into_iter().map(finding).collect()
}

/// Adds the name of the object of its parent to each intermediate.
pub(crate) fn refer(listed: &mut [Resource], names: &Names) {
    let parent_of = |it: &Resource| if is_self_signed(it) { None } else { names.get(parent(it, listed)?) };
    let parents: Vec<Option<String>> =
        listed.iter().map(|it| is_issuer(it).then(|| parent_of(it).cloned()).flatten()).collect();
    for (issuer, parent) in listed.iter_mut().zip(parents) {
        issuer.fields.extend(parent.map(|name| ("parent_ref".to_owned(), json!({"name": name}))));
    }
}

/// The place of the issuer that signed an intermediate, in the same OpenBao namespace if there are several.
fn parent<'a>(issuer: &Resource, listed: &'a [Resource]) -> Option<&'a Place> {
    let certificate = text(&issuer.fields, "certificate");
    let signed = |other: &&Resource| {
        is_issuer(other)
            && other.place != issuer.place
            && is_signed_by(certificate, text(&other.fields, "certificate"))
    };
    let places = listed.iter().filter(signed).map(|other| &other.place);
    places.min_by_key(|place| place.namespace != issuer.place.namespace)
}

fn is_issuer(resource: &Resource) -> bool {
    resource.place.class == Class::Issuer
}

fn is_self_signed(issuer: &Resource) -> bool {
    is_root(text(&issuer.fields, "certificate"))
}

/// The parameters of an issuer as the fields of a PKIIssuer state them.
pub(crate) fn prepared(fields: &mut Fields) {
    let mut authority = contents(text(fields, "certificate")).unwrap_or_default();
    authority.extend(fields.remove("parent_ref").map(|parent| ("parent_ref".to_owned(), parent)));
    let defaults: Fields = serde_json::from_str(SETTINGS).unwrap_or_default();
    let (urls, mut settings) = (taken(fields, URLS), taken(fields, defaults.keys().map(String::as_str)));
    if ALGORITHMS.contains(&text(&settings, "revocation_signature_algorithm")) {
        settings.remove("revocation_signature_algorithm");
    }
    let default = fields.remove("default");
    fields.clear();
    fields.extend(default.map(|default| ("default".to_owned(), default)));
    // The fields accept no templates of URLs.
    let target = if URLS.iter().flat_map(|list| items(&urls, list)).all(is_url) {
        &mut *fields
    } else {
        &mut settings
    };
    target.extend(urls);
    fields.insert("authority".to_owned(), Value::Object(authority));
    fields.insert("parameters".to_owned(), Value::Object(without_defaults(settings, &defaults)));
}

fn taken<'a>(fields: &mut Fields, names: impl IntoIterator<Item = &'a str>) -> Fields {
    names.into_iter().filter_map(|name| Some((name.to_owned(), fields.remove(name)?))).collect()
}

fn is_url(text: &str) -> bool {
    let has_scheme = ["http://", "https://", "ldap://"].iter().any(|scheme| text.starts_with(scheme));
    has_scheme && !text.contains([' ', ','])
}
