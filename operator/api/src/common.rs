//! What several kinds share: references, who may refer, the life of what is made in OpenBao, conditions.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Another object of this API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the namespace of the object that refers to it. Another namespace has to allow it
    /// by `allowedNamespaces` of the object referred to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// An object in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key whose value is meant. Default: `ca.crt`.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

/// Which namespaces may refer to this object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// `Same`: only this object's own namespace. `All`: every namespace. `Selector`: those whose labels match.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels a namespace must carry, with `from: Selector`. A selector without any label matches nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// Where references may come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// Only the namespace of the object itself.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Namespaces chosen by their labels.
    Selector,
}

/// Labels that a namespace must carry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Every label here must be on the namespace with this value.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, String>,
}

impl AllowedNamespaces {
    /// Whether an object in `consumer` may refer to one in `own`. `labels` are those of the consumer's namespace.
    #[must_use]
    pub fn allow(&self, own: &str, consumer: &str, labels: &BTreeMap<String, String>) -> bool {
        let selected = |selector: &NamespaceSelector| {
            !selector.match_labels.is_empty()
                && selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        own == consumer
            || match self.from {
                NamespacesFrom::Same => false,
                NamespacesFrom::All => true,
                NamespacesFrom::Selector => self.selector.as_ref().is_some_and(selected),
            }
    }
}

/// How Steamer treats what it makes in OpenBao for this object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// `true` leaves everything as it is, here and in OpenBao, until it is `false` again.
    #[serde(default)]
    pub suspend: bool,
    /// `Enforce` makes OpenBao match. `Observe` never writes to OpenBao and lists in `status.plan` what it would do.
    #[serde(default)]
    pub mode: Mode,
    /// What to do with a thing of the same name that this object did not make. `Never` leaves it and stalls.
    /// `IfUnowned` takes it over where no other living object owns it.
    #[serde(default)]
    pub adopt: Adopt,
    /// What stays in OpenBao when this object is deleted. `Retain` keeps secrets engines and values; every way
    /// in (auth mounts, roles, policies) goes. `Delete` removes the values too.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How long a deletion waits for an OpenBao that cannot be reached before it lets go. What is then left is
    /// listed in the parent's `status.orphans` and removed when OpenBao is back. Default: 10m.
    #[serde(default = "ten_minutes")]
    pub deletion_deadline: Duration,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            suspend: false,
            mode: Mode::default(),
            adopt: Adopt::default(),
            deletion_policy: DeletionPolicy::default(),
            deletion_deadline: ten_minutes(),
        }
    }
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

/// Whether OpenBao is changed or only looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// OpenBao is made to match.
    #[default]
    Enforce,
    /// Nothing is written; differences are reported.
    Observe,
}

/// Whether foreign things are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Adopt {
    /// Foreign things stay foreign.
    #[default]
    Never,
    /// What no living object owns is taken over.
    IfUnowned,
}

/// What happens to engines and values when their object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted.
    Delete,
}

/// One thing that `mode: Observe` would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChange {
    /// `Create`, `Update` or `Delete`.
    pub operation: Operation,
    /// Path in OpenBao, from the root namespace.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Why it would be done.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operation {
    /// It is not there.
    Create,
    /// It differs.
    Update,
    /// It should not be there.
    Delete,
}

/// Something left in OpenBao by an object that is gone; removed as soon as OpenBao can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// The kind of the object that is gone.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Its namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The OpenBao namespace that holds what is left.
    #[schemars(length(max = 512))]
    pub openbao_namespace: String,
    /// Whether engines and values are to be deleted too.
    pub deletion_policy: DeletionPolicy,
}

/// What every status has.
pub trait Conditions {
    /// The conditions.
    fn conditions(&self) -> &[Condition];
    /// The conditions, to be changed.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
    /// The generation of the spec that the status speaks of; -1 when never looked at.
    fn observed_generation_mut(&mut self) -> &mut i64;
}

macro_rules! conditions {
    ($($status:ty),+) => {$(
        impl $crate::Conditions for $status {
            fn conditions(&self) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
                &self.conditions
            }
            fn conditions_mut(&mut self) -> &mut Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
                &mut self.conditions
            }
            fn observed_generation_mut(&mut self) -> &mut i64 {
                &mut self.observed_generation
            }
        }
    )+};
}
pub(crate) use conditions;

/// The value of `observedGeneration` before the first look.
pub(crate) fn never_observed() -> i64 {
    -1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_selector_allows_nobody_but_the_own_namespace() {
        let allowed = AllowedNamespaces { from: NamespacesFrom::Selector, selector: None };
        assert!(allowed.allow("a", "a", &BTreeMap::new()));
        assert!(!allowed.allow("a", "b", &BTreeMap::new()));
        let empty = AllowedNamespaces { selector: Some(NamespaceSelector::default()), ..allowed };
        assert!(!empty.allow("a", "b", &BTreeMap::from([("x".into(), "y".into())])));
    }
}
