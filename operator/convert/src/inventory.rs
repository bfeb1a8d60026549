//! Facts about all objects of the input that the conversion of one object needs: stores, and references between namespaces.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::input::Object;
use crate::settings::Settings;

/// Path of a store and version of its engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Store {
    /// Mount. None: keys start with the mount.
    pub(crate) mount: Option<String>,
    /// `kv-v1` or `kv-v2`. None: the store is not an OpenBao.
    pub(crate) kv: Option<&'static str>,
}

/// Facts about all objects of the input.
#[derive(Default)]
pub(crate) struct Inventory {
    /// By kind, namespace (empty: cluster-scoped) and name.
    stores: BTreeMap<(String, String, String), Store>,
    /// Namespaces that refer to an object: kind, namespace, name.
    consumers: BTreeMap<(&'static str, String, String), BTreeSet<String>>,
    /// Settings of the generators of External Secrets Operator, by kind, namespace and name.
    generators: BTreeMap<(String, String, String), Map<String, Value>>,
}

impl Inventory {
    pub(crate) fn of(objects: &[Object], settings: &Settings) -> Self {
        let mut inventory = Self::default();
        for object in objects {
            inventory.add(object, settings);
        }
        inventory
    }

    pub(crate) fn store(&self, kind: &str, namespace: &str, name: &str) -> Option<&Store> {
        let namespace = if kind == "ClusterSecretStore" { "" } else { namespace };
        self.stores.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// The settings of a generator.
    pub(crate) fn generator(&self, kind: &str, namespace: &str, name: &str) -> Option<&Map<String, Value>> {
        self.generators.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// The other namespaces that refer to an object.
    pub(crate) fn consumers(&self, kind: &'static str, namespace: &str, name: &str) -> Vec<&str> {
        let found = self.consumers.get(&(kind, namespace.to_owned(), name.to_owned()));
        found.into_iter().flatten().map(String::as_str).filter(|other| *other != namespace).collect()
    }

    fn add(&mut self, object: &Object, settings: &Settings) {
        let text = |path: &str| pointer(object, path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, name) = (text("kind"), text("metadata/name"));
        let own = Some(text("metadata/namespace"))
            .filter(|own| !own.is_empty())
            .or_else(|| settings.namespace.clone());
        let own = own.unwrap_or_default();
        match kind.as_str() {
            "SecretStore" => drop(self.stores.insert((kind.clone(), own.clone(), name), store(object))),
            "ClusterSecretStore" => {
                drop(self.stores.insert((kind.clone(), String::new(), name), store(object)))
            }
            _ if text("apiVersion").starts_with("generators.external-secrets.io/") => {
                drop(self.generators.insert((kind.clone(), own.clone(), name), spec(object)));
            }
            "VaultAuth" | "VaultAuthGlobal" => {
                let target = named(&text("spec/vaultConnectionRef"), &own);
                let target = target.unwrap_or_else(|| (settings.vso_namespace.clone(), "default".to_owned()));
                self.refer("VaultConnection", target, &own);
            }
            _ => {}
        }
        let refs =
            pointer(object, "spec/destination/transformation/transformationRefs").and_then(Value::as_array);
        for reference in refs.into_iter().flatten() {
            let part =
                |field: &str| reference[field].as_str().filter(|part| !part.is_empty()).map(str::to_owned);
            if let Some(name) = part("name") {
                let namespace = part("namespace").unwrap_or_else(|| own.clone());
                self.refer("SecretTransformation", (namespace, name), &own);
            }
        }
    }

    fn refer(&mut self, kind: &'static str, (namespace, name): (String, String), consumer: &str) {
        self.consumers.entry((kind, namespace, name)).or_default().insert(consumer.to_owned());
    }
}

/// The namespace and name in a reference of VSO (`name` or `namespace/name`). None if it is empty.
pub(crate) fn named(reference: &str, own: &str) -> Option<(String, String)> {
    match reference.split_once('/') {
        _ if reference.is_empty() => None,
        Some((namespace, name)) => Some((namespace.to_owned(), name.to_owned())),
        None => Some((own.to_owned(), reference.to_owned())),
    }
}

/// The consent to references from the namespaces that refer to an object today.
pub(crate) fn allowed(consumers: &[&str]) -> Option<Value> {
    match consumers {
        [] => None,
        [one] => Some(
            json!({"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": one}}}),
        ),
        _ => Some(json!({"from": "All"})),
    }
}

fn spec(object: &Map<String, Value>) -> Map<String, Value> {
    pointer(object, "spec").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn store(object: &Map<String, Value>) -> Store {
    let provider =
        pointer(object, "spec/provider/vault").or_else(|| pointer(object, "spec/provider/openbao"));
    let text =
        |field: &str| provider.and_then(|provider| provider[field].as_str()).filter(|text| !text.is_empty());
    let kv = if text("version") == Some("v1") { "kv-v1" } else { "kv-v2" };
    Store { mount: text("path").map(|path| path.trim_matches('/').to_owned()), kv: provider.map(|_| kv) }
}

fn pointer<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let value = object.get(first)?;
    if rest.is_empty() { Some(value) } else { pointer(value.as_object()?, rest) }
}
