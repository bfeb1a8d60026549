//! Namespaces that may refer to a served object, by the rules of VSO.

use serde_json::{Map, Value};
use steamer_api::KindId;
use steamer_runtime::ObjectName;

use super::names::{ANY_DEFAULT, Counterpart};
use super::settings::settings;

/// Name of the object that is used without a reference.
const DEFAULT: &str = "default";

/// Namespaces that may refer to a served object.
#[derive(Clone, Debug)]
pub(super) enum Permission {
    /// All.
    All,
    /// Its own, and these.
    Listed(Vec<String>),
}

impl Permission {
    /// The permission that an object of VSO states. Everyone may refer to a VaultConnection and to a SecretTransformation: they
    /// contain no credentials.
    pub(super) fn of<K: Counterpart>(source: &Map<String, Value>) -> Self {
        let is_restricted = matches!(K::ID, KindId::BaoAuth | KindId::BaoAuthGlobal);
        let part = |field: &str| source.get("metadata").and_then(|metadata| metadata[field].as_str());
        let is_default =
            part("name") == Some(DEFAULT) && part("namespace") == Some(settings().vso_namespace.as_str());
        let listed = source.get("spec").and_then(|spec| spec["allowedNamespaces"].as_array());
        let names: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
        if !is_restricted || is_default || names == ["*"] {
            return Self::All;
        }
        Self::Listed(names.into_iter().map(str::to_owned).collect())
    }

    /// Returns true if an object of namespace `from` may refer to the object, which is in namespace `own`.
    pub(super) fn allows(&self, own: &str, from: &str) -> bool {
        own == from
            || match self {
                Self::All => true,
                Self::Listed(names) => names.iter().any(|name| name == from),
            }
    }
}

/// The names to look up for a reference. The VaultAuthGlobal that `allowDefault` permits is also looked up in the namespace of
/// VSO.
pub(crate) fn with_default(name: ObjectName) -> Vec<ObjectName> {
    if name.name != ANY_DEFAULT {
        return vec![name];
    }
    let own = ObjectName::new(name.namespace, DEFAULT);
    let other = ObjectName::new(&settings().vso_namespace, DEFAULT);
    if other == own { vec![own] } else { vec![own, other] }
}
