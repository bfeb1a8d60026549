use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{conditions, never_observed};
use crate::{AllowedNamespaces, Orphan, SecretKeyReference};

/// An OpenBao that Steamer works with.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "OpenBaoCluster",
    plural = "openbaoclusters",
    namespaced,
    status = "OpenBaoClusterStatus",
    shortname = "obc",
    category = "steamer",
    category = "openbao",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.jwtAudience) == has(oldSelf.jwtAudience) ? (!has(self.jwtAudience) || self.jwtAudience == oldSelf.jwtAudience) : !has(oldSelf.jwtAudience)", "jwtAudience cannot be changed once it is set: every role binds it"))]
pub struct OpenBaoClusterSpec {
    /// A server that someone else runs.
    pub external: ExternalServer,
    /// The address that clients outside the cluster use, such as CI runners. Default: the address itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^/]+')", "externalUrl is a URL such as https://bao.example.com"))]
    pub external_url: Option<String>,
    /// The audience that JWTs for this OpenBao carry. Immutable. Issuers and projects use it where they name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub jwt_audience: Option<String>,
    /// What the operator may do in OpenBao. `Tenants`: nothing to policies and roles of the root namespace.
    #[serde(default)]
    pub operator_scope: OperatorScope,
    /// Who may refer to this cluster from BaoConnection, BaoAuth and SecretsTenant.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// `true` stops looking at the server; the last state stays.
    #[serde(default)]
    pub suspend: bool,
}

/// A server that Steamer does not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalServer {
    /// Its URL, such as `https://openbao.openbao.svc:8200`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = ("self.matches('^https?://[^/]+$')", "address is a URL without a path, such as https://openbao.openbao.svc:8200"))]
    pub address: String,
    /// URLs of other nodes of the same OpenBao, tried when the first does not answer or cannot serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub additional_addresses: Vec<String>,
    /// The CA that signed the server's certificate. Default: the CAs of the operator's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// The OpenBao namespace that is the root for Steamer. Default: the root namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub namespace: Option<String>,
    /// How the operator logs in, always with a short-lived token of its own ServiceAccount.
    pub management_auth: ManagementAuth,
}

/// The operator's own login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.kubernetes) != has(self.jwt)", "managementAuth needs exactly one of kubernetes and jwt"))]
pub struct ManagementAuth {
    /// Kubernetes auth: OpenBao asks the API server who the token belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<ManagementLogin>,
    /// JWT auth: OpenBao checks the token's signature itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<ManagementLogin>,
}

/// Where and as what the operator logs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagementLogin {
    /// Path of the auth mount, without `auth/`. Default: `kubernetes`, or `jwt` under `jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub mount: Option<String>,
    /// The role to log in as. Default: `steamer`.
    #[serde(default = "steamer")]
    #[schemars(length(min = 1, max = 255))]
    pub role: String,
    /// The audience of the token, which the role has to bind. It may not be one that the API server accepts.
    /// Default: `openbao`.
    #[serde(default = "openbao")]
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
}

fn steamer() -> String {
    "steamer".to_owned()
}

fn openbao() -> String {
    "openbao".to_owned()
}

/// How far the operator's own policy reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperatorScope {
    /// Namespaces of tenants only.
    #[default]
    Tenants,
}

/// What is known of an OpenBao.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoClusterStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`; `Available`, `Initialized`, `Unsealed`, `LeaderElected`, `OperatorPolicyCurrent`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The state in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ClusterPhase>,
    /// The version the server reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// Where clients reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,
    /// Whether it was ever initialised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialized: Option<bool>,
    /// What deleted tenants left behind while OpenBao could not be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub orphans: Vec<Orphan>,
}

/// The state of an OpenBao in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClusterPhase {
    /// Not looked at yet.
    Pending,
    /// It serves.
    Running,
    /// It does not serve.
    Unavailable,
}

conditions!(OpenBaoClusterStatus);
