//! An entry in its desired state.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use secrecy::ExposeSecret;
use steamer_api::Generator;
use steamer_core::generators::properties;
use steamer_core::mac::Mac;
use steamer_openbao::{Json, Values};
use steamer_runtime::ObjectName;

use super::place::Place;

/// Stands for a generated value in the digest of an entry. It is no JSON, so that it is no value of a Secret.
const GENERATED: &[u8] = b"generated";

/// An entry in its desired state. It has no `Debug`.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// Name of the Secret, if a selector chose it.
    pub(super) secret: Option<String>,
    /// Values from the Secret, by property.
    pub(super) fixed: BTreeMap<String, Json>,
    /// Generators, by property.
    pub(super) generated: BTreeMap<String, Generator>,
    /// Keyed digest of the values from the Secret.
    pub(super) mac: String,
    /// Age at which values are generated again, by property.
    pub(super) rotations: BTreeMap<String, SignedDuration>,
    /// Properties that have reached this age.
    pub(super) expired: BTreeSet<String>,
}

impl Entry {
    pub(super) fn new(
        place: Place,
        fixed: BTreeMap<String, Json>,
        generated: BTreeMap<String, Generator>,
        seal: &Seal<'_>,
    ) -> Self {
        let mac = seal.of(&place, &fixed, generated.keys());
        let (rotations, expired) = (BTreeMap::new(), BTreeSet::new());
        Self { place, secret: None, fixed, generated, mac, rotations, expired }
    }

    /// The values that are written: those of the Secret, and the existing generated ones. The properties of a missing or
    /// expired generated value are not part of it.
    pub(super) fn merged(&self, existing: &Values) -> Values {
        let mut merged = self.fixed.clone();
        for (property, generator) in
            self.generated.iter().filter(|(property, _)| !self.expired.contains(*property))
        {
            for name in properties(property, generator) {
                if let Some(value) = existing.0.get(&name) {
                    merged.insert(name, value.clone());
                }
            }
        }
        Values(merged)
    }

    /// The generators of values that do not exist or have expired.
    pub(super) fn missing<'a>(&'a self, existing: &Values) -> Vec<(&'a str, &'a Generator)> {
        let generated = self.generated.iter().map(|(property, generator)| (property.as_str(), generator));
        let is_missing =
            |property: &str| !existing.0.contains_key(property) || self.expired.contains(property);
        generated.filter(|(property, _)| is_missing(property)).collect()
    }

    /// Returns true if the existing values are the desired ones.
    pub(super) fn matches(&self, existing: &Values) -> bool {
        self.missing(existing).is_empty() && same(&self.merged(existing), existing)
    }
}

/// Compares the values of two entries.
pub(super) fn same(one: &Values, other: &Values) -> bool {
    let texts = |values: &Values| -> Vec<(String, String)> {
        let text = |value: &Json| value.compact().expose_secret().to_owned();
        values.0.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    };
    texts(one) == texts(other)
}

/// Computes the digests of the entries of one object. They are different for every entry, so that equal digests do not reveal
/// equal values.
#[derive(Clone, Copy)]
pub(super) struct Seal<'a> {
    pub(super) mac: &'a Mac,
    pub(super) object: &'a ObjectName,
}

impl Seal<'_> {
    fn of<'b>(
        &self,
        place: &Place,
        fixed: &BTreeMap<String, Json>,
        generated: impl Iterator<Item = &'b String>,
    ) -> String {
        let values: Vec<_> = fixed.iter().map(|(key, value)| (key.as_str(), value.compact())).collect();
        let fixed = values.iter().map(|(key, value)| (*key, value.expose_secret().as_bytes()));
        let inner = self.mac.of(fixed.chain(generated.map(|property| (property.as_str(), GENERATED))));
        let place = format!("BaoPushSecret {}: {}", self.object, place.published());
        self.mac.of([(place.as_str(), inner.as_bytes())])
    }

    /// The digest of existing values of an entry without generated ones.
    pub(super) fn of_values(&self, place: &Place, values: &Values) -> String {
        self.of(place, &values.0, std::iter::empty())
    }
}
