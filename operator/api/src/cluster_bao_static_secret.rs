//! Kind ClusterBaoStaticSecret: a BaoStaticSecret in each selected namespace.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BaoStaticSecretSpec, CommonStatus, LabelSelector, Mode, PlannedChange, rules};

/// A BaoStaticSecret in each selected namespace.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "ClusterBaoStaticSecret",
    plural = "clusterbaostaticsecrets",
    status = "ClusterBaoStaticSecretStatus",
    shortname = "cbss",
    printcolumn(name = "Namespaces", type_ = "integer", json_path = ".status.selected"),
    printcolumn(name = "Provisioned", type_ = "integer", json_path = ".status.provisioned")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.namespaces) || has(self.namespaceSelector) || has(self.namespaceSelectors)", "one of namespaces, namespaceSelector and namespaceSelectors is required"))]
pub struct ClusterBaoStaticSecretSpec {
    /// Names of namespaces. A namespace is selected if it is listed here or matches a selector. A namespace that does not
    /// exist is served when it appears.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
    /// Selects namespaces by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Selectors of namespaces. A namespace is selected if it matches one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub namespace_selectors: Vec<LabelSelector>,
    /// BaoStaticSecret to create in each selected namespace.
    pub template: StaticSecretTemplate,
    /// `Enforce` creates, changes and deletes the BaoStaticSecrets. `Observe` leaves them as they are, reads the value with the
    /// login of each namespace, and lists the BaoStaticSecrets, the keys of Secrets and the workloads that would change in
    /// `status.plan`. Existing BaoStaticSecrets continue to sync. Default: `Enforce`.
    #[serde(default)]
    pub mode: Mode,
    /// `true` leaves the BaoStaticSecrets as they are. They continue to sync: to stop them, set `template.spec.suspend`.
    /// Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

/// BaoStaticSecret that is created in each selected namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaticSecretTemplate {
    /// Name, labels and annotations of the BaoStaticSecrets.
    #[serde(default)]
    pub metadata: TemplateMetadata,
    /// Spec of the BaoStaticSecrets. References without a namespace refer to the namespace of each BaoStaticSecret.
    pub spec: BaoStaticSecretSpec,
}

/// Metadata of the created objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Name of the BaoStaticSecrets. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("!format.dns1123Subdomain().validate(self).hasValue()", "template.metadata.name must be a valid name of an object: lowercase letters, digits, - and ."))]
    pub name: Option<String>,
    /// Labels to set on the BaoStaticSecrets. Labels of Kubernetes (except `app.kubernetes.io/*`) and Steamer are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::LABEL_VALUES, validation = rules::SECRET_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// Annotations to set on the BaoStaticSecrets. Annotations of Kubernetes (except `app.kubernetes.io/*`) and Steamer are
    /// refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::KEYS, validation = rules::SECRET_KEYS)]
    pub annotations: BTreeMap<String, String>,
}

/// Observed state of the BaoStaticSecrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterBaoStaticSecretStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Number of selected namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<i64>,
    /// Number of selected namespaces with a BaoStaticSecret that is Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<i64>,
    /// Selected namespaces without a BaoStaticSecret that is Ready: at most 64, those that need a change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub failed: Vec<FailedNamespace>,
    /// Pending changes, with `mode: Observe`: names of BaoStaticSecrets, keys and workloads, without values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub plan: Vec<PlannedChange>,
}

/// A selected namespace without a BaoStaticSecret that is Ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedNamespace {
    /// Name of the namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Reason, as in the condition `Ready` of the BaoStaticSecret.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// What is wrong, and what to change.
    #[schemars(length(max = 1100))]
    pub message: String,
}

impl ClusterBaoStaticSecretSpec {
    /// Returns whether a namespace with these labels is selected.
    #[must_use]
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespaces.iter().any(|name| name == namespace)
            || self.namespace_selector.iter().chain(&self.namespace_selectors).any(|one| one.matches(labels))
    }
}
