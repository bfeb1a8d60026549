//! Kind BaoNamespace: a namespace in OpenBao that no tenant owns.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, Lifecycle, LifecycleStatus, OwnedResources, Placement};

/// A namespace in OpenBao that no tenant owns.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoNamespace",
    plural = "baonamespaces",
    namespaced,
    status = "BaoNamespaceStatus",
    printcolumn(name = "Parent", type_ = "string", json_path = ".status.openbaoNamespace"),
    printcolumn(name = "Sealed", type_ = "boolean", json_path = ".status.sealed")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::immutable!("path", "path is immutable: create another BaoNamespace"))]
#[x_kube(validation = crate::rules::immutable!("seal", "seal is immutable, because OpenBao cannot change it: create another BaoNamespace"))]
pub struct BaoNamespaceSpec {
    /// Location in OpenBao: the parent of the namespace.
    #[serde(flatten)]
    pub placement: Placement,
    /// Last segment of the path of the namespace, such as `apps` for `teams/apps`. `org_*` directly below the root of the
    /// cluster is reserved for tenants. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = crate::rules::NAMESPACE_NAME)]
    pub path: Option<String>,
    /// Custom metadata of the namespace, all of it. The value `steamer` of the key `managed-by` is reserved for tenants and projects.
    /// Unset: the custom metadata is not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = ("!('managed-by' in self) || self['managed-by'] != 'steamer'", "managed-by: steamer in customMetadata is the mark of tenants and projects: choose another value"))]
    pub custom_metadata: Option<BTreeMap<String, String>>,
    /// Gives the namespace a seal and encryption keys of its own. It needs OpenBao 2.6. The namespace is sealed after its
    /// creation and after each restart of OpenBao, until holders of the key shares unseal it. Steamer never unseals it.
    /// Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<NamespaceSeal>,
    /// Lifecycle of the namespace in OpenBao. `deletionPolicy: Retain` keeps the namespace with everything in it. `Delete`
    /// deletes it with all its secrets engines, values, auth methods and policies, after no object with `clusterRef` or
    /// `projectRef` has resources of the same OpenBaoCluster in it, and after it contains no child namespaces. It does not
    /// wait for the entries of BaoPushSecrets, nor for resources that Steamer did not create.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Shamir seal of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.threshold <= self.shares", "seal.threshold must not be greater than seal.shares"))]
#[x_kube(validation = ("self.shares == 1 || self.threshold > 1", "seal.threshold must be at least 2 if seal.shares is greater than 1"))]
#[x_kube(validation = ("self.pgpKeys.size() == self.shares", "seal.pgpKeys must contain one key per share"))]
pub struct NamespaceSeal {
    /// Number of key shares. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub shares: i32,
    /// Number of key shares that unseal the namespace. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub threshold: i32,
    /// PGP public keys in Base64, without armor, one per share. OpenBao encrypts each share with its key, so that neither
    /// Steamer nor Kubernetes receives a share in plain text.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 16384)))]
    pub pgp_keys: Vec<String>,
    /// Name of a Secret in the namespace of this object that does not exist yet. It receives the encrypted shares as
    /// `share-1`, `share-2`, ..., in hexadecimal, in the order of `pgpKeys`. Steamer never changes or deletes it afterwards:
    /// without the shares, no one can unseal the namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub recovery_secret_name: String,
}

fn one() -> i32 {
    1
}

/// Observed state of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoNamespaceStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
    /// `true` if the namespace is sealed, as observed by the last reconcile. Unset without `seal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<bool>,
    /// Origin of the key shares of a namespace with `seal`. Unset until the namespace exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_shares: Option<KeySharesOrigin>,
}

/// Origin of the key shares of a namespace with a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeySharesOrigin {
    /// Steamer created the namespace and wrote its key shares to the Secret `recoverySecretName`.
    Written,
    /// Someone else created the namespace, and it was adopted. Steamer never had its key shares.
    Adopted,
}
