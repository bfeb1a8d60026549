//! Kind BaoRateLimitQuota: a limit of requests to OpenBao.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, Duration, Lifecycle, LifecycleStatus, OwnedResources, Placement};

/// A rate limit of OpenBao for all requests, a namespace, a mount, a path, or a role.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoRateLimitQuota",
    plural = "baoratelimitquotas",
    namespaced,
    status = "BaoRateLimitQuotaStatus",
    printcolumn(name = "Path", type_ = "string", json_path = ".spec.path"),
    printcolumn(name = "Rate", type_ = "number", json_path = ".spec.rate")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.namespace) && !has(self.projectRef)", "OpenBao has quotas in its root namespace only: write the namespace to limit in path, and use clusterRef without namespace"))]
#[x_kube(validation = crate::rules::immutable!("name", "name is immutable: create another BaoRateLimitQuota"))]
#[x_kube(validation = crate::rules::immutable!("role", "role is immutable, because OpenBao cannot change it: create another BaoRateLimitQuota"))]
#[x_kube(validation = ("!has(self.role) || has(self.path)", "role needs path: the path of an auth mount, such as auth/approle"))]
pub struct BaoRateLimitQuotaSpec {
    /// Location in OpenBao. Quotas exist in the root namespace of OpenBao only: `namespace` and `projectRef` are refused.
    #[serde(flatten)]
    pub placement: Placement,
    /// Name of the quota in OpenBao. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rules::ENTRY_NAME)]
    pub name: Option<String>,
    /// What the quota limits, from the root namespace: a namespace such as `team-a`, a mount such as `team-a/kv` or
    /// `auth/approle`, or a path below a mount such as `kv/data/app` (`*` at its end matches any rest). Default: all
    /// requests, which includes those of Steamer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = crate::rules::QUOTA_PATH)]
    pub path: Option<String>,
    /// Number of requests in each `interval` that each client address may make, greater than 0.
    #[x_kube(validation = ("self > 0.0", "rate must be greater than 0"))]
    pub rate: f64,
    /// Interval of the limit, in whole seconds, at least 1s. Default: `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s')", "interval must be at least 1s"))]
    #[x_kube(validation = crate::rules::WHOLE_SECONDS)]
    pub interval: Option<Duration>,
    /// Time for which a client that reaches the limit is blocked, in whole seconds. Default: `0s`, until the interval ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = crate::rules::WHOLE_SECONDS)]
    pub block_interval: Option<Duration>,
    /// Role whose logins are limited, if `path` is an auth mount with roles. Immutable. Default: all requests to `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub role: Option<String>,
    /// `true` applies the quota of a namespace to its child namespaces without a quota of their own. Default: `true` without
    /// `path`, otherwise `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inheritable: Option<bool>,
    /// Lifecycle of the quota in OpenBao. A deletion removes the quota with both deletion policies.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Observed state of a quota.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoRateLimitQuotaStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
}
