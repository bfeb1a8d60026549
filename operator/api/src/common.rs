//! Types that several kinds share: references, allowed namespaces, lifecycle of resources in OpenBao, conditions.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, OwnedResource};

/// Reference to another object of this API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Namespace of the object. Default: the namespace of the referring object. An object in another namespace must
    /// allow the reference in its `allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Reference to an object in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Reference to a key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret. Default: `ca.crt`.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

/// Reference to a secret value: a key of a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretValueReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Namespaces whose objects may refer to this object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// `Same`: only the namespace of this object. `All`: all namespaces. `Selector`: namespaces that match `selector`.
    /// Default: `Same`.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels that a namespace must have, for `from: Selector`. A selector without labels matches no namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// Source of references that are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// Only the namespace of the object.
    #[default]
    Same,
    /// All namespaces.
    All,
    /// Namespaces that match the selector.
    Selector,
}

/// Labels that a namespace must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels and their values. A namespace must have all of them.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, String>,
}

impl AllowedNamespaces {
    /// Returns whether an object in namespace `consumer` may refer to an object in namespace `own`. `labels` are the
    /// labels of namespace `consumer`.
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

/// Lifecycle of the resources that Steamer creates in OpenBao for an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// `true` suspends reconciliation: Kubernetes and OpenBao are left unchanged until it is `false` again. Exception:
    /// access that a revoked permission granted is removed. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
    /// `Enforce` changes OpenBao to match the spec. `Observe` lists the pending changes in `status.plan` and does not
    /// write to OpenBao, except that access that a revoked permission granted is removed. Default: `Enforce`.
    #[serde(default)]
    pub mode: Mode,
    /// Handling of an existing OpenBao resource of the same name that this object did not create. `Never`: leave it
    /// unchanged and set `Stalled`. `IfUnowned`: adopt it if it has no owner, or if this installation of Steamer owned
    /// it for an object that no longer exists. Default: `Never`.
    #[serde(default)]
    pub adopt: Adopt,
    /// Handling of the resources in OpenBao when this object is deleted. `Retain`: keep secrets engines and their
    /// values, and remove all access (auth mounts, roles, policies). `Delete`: also delete secrets engines and their
    /// values. Default: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Time that a deletion waits for an unreachable OpenBao before it removes the finalizer anyway. The resources left
    /// in OpenBao are then listed in `status.orphans` of the parent and removed once OpenBao is reachable. At
    /// most 720h. Default: 10m.
    #[serde(default = "ten_minutes")]
    #[x_kube(validation = ("duration(self) <= duration('720h')", "deletionDeadline must be at most 720h (30 days): until then an unreachable OpenBao keeps the namespace of the object from being deleted"))]
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

/// Reconciliation mode: change OpenBao, or only report differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Make the changes that the spec requires.
    #[default]
    Enforce,
    /// Write nothing; report differences.
    Observe,
}

/// Policy for adopting existing OpenBao resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Adopt {
    /// Adopt nothing.
    #[default]
    Never,
    /// Adopt resources without an existing owner.
    IfUnowned,
}

/// Handling of data when its object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Keep the data.
    #[default]
    Retain,
    /// Delete the data.
    Delete,
}

/// A change that `mode: Enforce` would make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChange {
    /// Kind of the change: `Create`, `Update` or `Delete`.
    pub operation: Operation,
    /// Path in OpenBao, from the root namespace of the server. In a BaoStaticSecret, BaoDynamicSecret or BaoPKISecret also
    /// `Secret/<name>`, `Secret/<name>/<key>`, or a workload such as `Deployment/web`. In a ClusterBaoStaticSecret,
    /// `<namespace>/` precedes these paths and `BaoStaticSecret/<name>`.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Reason of the change. In a BaoPushSecret also the names of the keys of the entry.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operation {
    /// The resource does not exist.
    Create,
    /// The resource differs.
    Update,
    /// The resource is not desired.
    Delete,
}

/// Resources that a deleted object left in OpenBao. Removed once OpenBao is reachable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// Kind of the deleted object.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Namespace of the deleted object.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name of the deleted object.
    #[schemars(length(max = 253))]
    pub name: String,
    /// OpenBao namespace that contains the resources, relative to `external.namespace` of the cluster.
    #[schemars(length(max = 512))]
    pub openbao_namespace: String,
    /// `Delete`: secrets engines and their values are deleted too. `Retain`: they are kept.
    pub deletion_policy: DeletionPolicy,
    /// Paths of the resources, for kinds whose resources carry no mark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub resources: Vec<OwnedResource>,
    /// Keyed digest (MAC) of this entry. Without it, nothing in `resources` and no values are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub seal: Option<String>,
}

/// Default of a field that is `true` unless it is set.
pub(crate) fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_selector_allows_only_the_own_namespace() {
        let allowed = AllowedNamespaces { from: NamespacesFrom::Selector, selector: None };
        assert!(allowed.allow("a", "a", &BTreeMap::new()));
        assert!(!allowed.allow("a", "b", &BTreeMap::new()));
        let empty = AllowedNamespaces { selector: Some(NamespaceSelector::default()), ..allowed };
        assert!(!empty.allow("a", "b", &BTreeMap::from([("x".into(), "y".into())])));
    }
}
