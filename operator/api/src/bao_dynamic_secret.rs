//! Kind BaoDynamicSecret: a credential that OpenBao issues, synchronized to a Kubernetes Secret.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CommonStatus, Destination, Duration, Mode, PlannedChange, Reference, RolloutRestart,
    RolloutRestartTarget, SyncStatus, rules,
};

/// A credential that OpenBao issues, such as a database user, synchronized to a Kubernetes Secret.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoDynamicSecret",
    plural = "baodynamicsecrets",
    namespaced,
    status = "BaoDynamicSecretStatus",
    shortname = "bds",
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.destination.name"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.lease.expiresAt")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.params) || !has(self.requestHTTPMethod) || self.requestHTTPMethod != 'GET'", "params are sent with POST or PUT: remove requestHTTPMethod, or set it to POST"))]
pub struct BaoDynamicSecretSpec {
    /// BaoAuth to log in with. Default: the BaoAuth `default` in this namespace, or else the BaoAuth `default` in the
    /// operator's namespace if it allows references from this namespace. `inline: Always` is refused: OpenBao grants leases
    /// only to tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<Reference>,
    /// OpenBao namespace of the mount. Default: the namespace of the BaoAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::NAMESPACE)]
    pub namespace: Option<String>,
    /// Path of the mount, such as `database`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT, validation = rules::ENGINE_MOUNT)]
    pub mount: String,
    /// Path within the mount, such as `creds/app` or `static-creds/app`.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::SECRET_PATH)]
    pub path: String,
    /// HTTP method of the request. Default: `GET`, or `POST` with `params`.
    #[serde(default, rename = "requestHTTPMethod", skip_serializing_if = "Option::is_none")]
    pub request_http_method: Option<RequestMethod>,
    /// Parameters of the request. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    pub params: BTreeMap<String, String>,
    /// Part of the lease after which it is renewed or replaced, in percent. Up to 10 percent are added, so that leases that
    /// were issued together are not replaced together. Default: 67.
    #[serde(default = "two_thirds")]
    #[schemars(range(min = 1, max = 90))]
    pub renewal_percent: i64,
    /// `true` revokes a lease when another one has replaced it and all workloads are restarted, and when this object is
    /// deleted. `false` lets leases expire. Default: `false`.
    #[serde(default)]
    pub revoke: bool,
    /// `true` for a static role: OpenBao changes the password of a fixed user, and Steamer reads it after each rotation.
    /// Default: `false`.
    #[serde(default)]
    pub allow_static_creds: bool,
    /// Interval between two requests if the answer has no lease and is not that of a static role. Default: the request is
    /// not repeated until the spec changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s')", "refreshAfter must be at least 1s: a shorter interval would only load OpenBao"))]
    pub refresh_after: Option<Duration>,
    /// Kubernetes Secret to write.
    pub destination: Destination,
    /// Workloads of the namespace to restart when the data of the Secret changes. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub rollout_restart_targets: Vec<RolloutRestartTarget>,
    /// How workloads are restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_restart: Option<RolloutRestart>,
    /// `Enforce` requests the credential and writes the Kubernetes Secret. `Observe` requests, renews and writes nothing: it
    /// lists the keys that are known without a request, and the workloads that would be restarted, in `status.plan`. A
    /// credential that was issued before ends. Default: `Enforce`.
    #[serde(default)]
    pub mode: Mode,
    /// `true` stops the renewal of the lease and leaves the Kubernetes Secret unchanged: the credential ends. Default:
    /// `false`.
    #[serde(default)]
    pub suspend: bool,
}

fn two_thirds() -> i64 {
    67
}

/// HTTP method of a request for a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RequestMethod {
    /// Read.
    Get,
    /// Write.
    Post,
    /// Write.
    Put,
}

/// Observed state of a credential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoDynamicSecretStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// The Kubernetes Secret, and the restarts of its consumers.
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// Lease of the credential. Unset for a static role and for an answer without a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseStatus>,
    /// When the value of a static role is read again: after its next rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_read: Option<Time>,
    /// State of the last sync, in a format of the operator: digests of the request and the content, and the leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub stamp: Option<String>,
    /// Pending changes, with `mode: Observe`: the request, and names of keys and workloads, without values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub plan: Vec<PlannedChange>,
    /// Requests for a credential that are not complete, in a format of the operator: accessors of their tokens. Steamer revokes
    /// the token of a request without an answer, also after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub open_requests: Option<String>,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseStatus {
    /// ID of the lease.
    #[schemars(length(max = 2048))]
    pub id: String,
    /// When the credential ends unless it is renewed: the end of the lease, or of the token that it was issued with.
    pub expires_at: Time,
    /// Whether OpenBao renews the lease.
    pub renewable: bool,
}
