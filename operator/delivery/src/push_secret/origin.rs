//! The Secrets that an object pushes: the one that it names, those that its selector matches, or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use steamer_core::Error;

use super::entry::Entry;
use super::place::Place;
use super::unpushed::{Cause, Unpushed};
use super::validate::{Inputs, Rules, entries, entries_by};

/// Most entries of selected Secrets.
const MOST: usize = 128;

/// The Secrets of an object, with the keys that its transformation makes.
pub(super) enum Origin {
    /// All values are generated.
    Nothing,
    /// The Secret that the object names.
    Named(Arc<Secret>),
    /// The Secrets that the selector matches.
    Selected(Vec<Selected>),
}

/// A Secret that the selector matches.
pub(super) struct Selected {
    pub(super) name: String,
    /// The Secret, or why it cannot be transformed.
    pub(super) secret: Result<Arc<Secret>, Cause>,
}

/// The entries of an object.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) entries: Vec<Entry>,
    /// Number of selected Secrets. None without a selector.
    pub(super) selected: Option<usize>,
    /// Selected Secrets without entries.
    pub(super) unpushed: Unpushed,
    /// Places of the entries that these Secrets would have. Existing entries there are not released.
    pub(super) unknown: BTreeSet<Place>,
}

impl Chosen {
    /// The entries of all Secrets. `inputs` names no Secret.
    ///
    /// # Errors
    /// As [`entries`]. With a selector, an error of one Secret concerns only this one, and [`Error::Invalid`] states that there are
    /// too many entries.
    pub(super) fn of(origin: &Origin, inputs: Inputs<'_>) -> Result<Self, Error> {
        let entries = match origin {
            Origin::Nothing => entries(&inputs)?,
            Origin::Named(secret) => entries(&Inputs { secret: Some(secret), ..inputs })?,
            Origin::Selected(all) => return Self::selected(all, inputs),
        };
        Ok(Self { entries, ..Self::default() })
    }

    fn selected(all: &[Selected], inputs: Inputs<'_>) -> Result<Self, Error> {
        let mut chosen = Self { selected: Some(all.len()), ..Self::default() };
        let mut rules = Rules::parse(inputs.spec).map_err(|error| Cause::of(&error));
        for Selected { name, secret } in all {
            match computed((name.as_str(), secret), inputs, &mut rules) {
                Ok(entries) => chosen.entries.extend(entries),
                Err(cause) => {
                    let items = inputs.spec.data.iter();
                    chosen
                        .unknown
                        .extend(items.map(|item| Place::of_item(item, inputs.namespace, Some(name))));
                    chosen.unpushed.add(name, cause);
                }
            }
        }
        let count = chosen.entries.len() + chosen.unknown.len();
        if count > MOST {
            return Err(Error::Invalid(format!(
                "selector matches {} Secrets, which need {count} entries, more than {MOST}: narrow it, or divide the Secrets \
                 between several objects",
                all.len()
            )));
        }
        Ok(chosen)
    }
}

/// The entries of one selected Secret.
fn computed(
    (name, secret): (&str, &Result<Arc<Secret>, Cause>),
    inputs: Inputs<'_>,
    rules: &mut Result<Rules<'_>, Cause>,
) -> Result<Vec<Entry>, Cause> {
    let secret = secret.as_ref().map_err(Cause::clone)?;
    let rules = rules.as_mut().map_err(|cause| cause.clone())?;
    let computed = entries_by(&Inputs { secret: Some(secret), below: Some(name), ..inputs }, rules);
    let computed = computed.map_err(|error| Cause::of(&error))?;
    Ok(computed.into_iter().map(|entry| Entry { secret: Some(name.to_owned()), ..entry }).collect())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_api::BaoPushSecretSpec;
    use steamer_core::mac::Mac;
    use steamer_openbao::NamespacePath;
    use steamer_runtime::ObjectName;

    use super::super::entry::Seal;
    use super::*;

    /// A Secret with these keys. The Secret `made` is one that Steamer writes.
    fn selected(name: &str, keys: &[&str]) -> Selected {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        secret.metadata.namespace = Some("web".to_owned());
        if name == "token" {
            secret.type_ = Some("kubernetes.io/service-account-token".to_owned());
        }
        if name == "made" {
            let owner = "i/BaoStaticSecret/web/app".to_owned();
            secret.metadata.annotations = Some([("steamer.dev/owner".to_owned(), owner)].into());
        }
        let value = || ByteString(name.as_bytes().to_vec());
        secret.data = Some(keys.iter().map(|key| ((*key).to_owned(), value())).collect());
        Selected { name: name.to_owned(), secret: Ok(Arc::new(secret)) }
    }

    fn item(path: &str, changes: Value) -> Value {
        let mut item = json!({"mount": "kv", "path": path, "type": "kv-v2"});
        for (field, value) in changes.as_object().into_iter().flatten() {
            item[field] = value.clone();
        }
        item
    }

    fn chosen(data: Value, secrets: Vec<Selected>) -> Result<Chosen, Error> {
        let selector = json!({"matchLabels": {"push": "yes"}});
        let spec: BaoPushSecretSpec =
            serde_json::from_value(json!({"selector": selector, "data": data})).unwrap();
        let (mac, object) = (Mac::new(&[7; 32]), ObjectName::new("web", "app"));
        let (namespace, seal) = (&NamespacePath::new("org"), Seal { mac: &mac, object: &object });
        let inputs = Inputs { spec: &spec, secret: None, below: None, namespace, seal };
        Chosen::of(&Origin::Selected(secrets), inputs)
    }

    fn paths<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<&'a str> {
        places.map(|place| place.path.as_str()).collect()
    }

    fn failed(chosen: &Chosen) -> Vec<(String, String)> {
        chosen.unpushed.listed().into_iter().map(|it| (it.name, it.reason)).collect()
    }

    #[test]
    fn each_secret_has_entries_of_its_own_and_its_error_concerns_no_other() {
        let data = json!([item("apps", json!({"key": "a", "property": "p"})), item("all", json!({}))]);
        let secrets = vec![selected("db", &["a"]), selected("empty", &["b"]), selected("made", &["a"])];
        let chosen = chosen(data, secrets).ok().unwrap();
        assert_eq!(chosen.selected, Some(3));
        assert_eq!(paths(chosen.entries.iter().map(|entry| &entry.place)), ["all/db", "apps/db"]);
        assert!(chosen.entries.iter().all(|entry| entry.secret.as_deref() == Some("db")));
        let expected = [("empty", "Waiting"), ("made", "Conflict")];
        assert_eq!(failed(&chosen), expected.map(|(name, reason)| (name.to_owned(), reason.to_owned())));
        // Their entries are not released.
        assert_eq!(paths(chosen.unknown.iter()), ["all/empty", "all/made", "apps/empty", "apps/made"]);
    }

    #[test]
    fn a_token_of_a_service_account_is_not_selected() {
        let chosen = chosen(json!([item("apps", json!({}))]), vec![selected("token", &["a"])]).ok().unwrap();
        assert_eq!(failed(&chosen), [("token".to_owned(), "Conflict".to_owned())]);
    }

    #[rstest]
    #[case::generated(item("a", json!({"property": "p", "generate": {"uuid": {}}})), "generate excludes selector")]
    #[case::long_path(item(&"p".repeat(1023), json!({})), "more than 1024 characters")]
    fn an_item_that_fits_no_selected_secret_is_named(#[case] item: Value, #[case] expected: &str) {
        let chosen = chosen(json!([item]), vec![selected("db", &["a"])]).ok().unwrap();
        let listed = chosen.unpushed.listed();
        assert!(chosen.entries.is_empty() && listed[0].message.contains(expected), "{}", listed[0].message);
        assert_eq!(listed[0].reason, "Invalid");
    }

    #[rstest]
    #[case::as_many_as_allowed(MOST / 2, None)]
    #[case::too_many(MOST / 2 + 1, Some("selector matches 65 Secrets, which need 130 entries, more than 128"))]
    fn the_number_of_entries_is_bounded(#[case] secrets: usize, #[case] expected: Option<&str>) {
        let data = json!([item("a", json!({})), item("b", json!({}))]);
        let secrets = (0..secrets).map(|number| selected(&format!("s{number}"), &["a"]));
        let error = chosen(data, secrets.collect()).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), expected.is_some());
        assert!(error.is_none_or(|text| text.starts_with(expected.unwrap_or_default())));
    }
}
