use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{conditions, never_observed};
use crate::{AllowedNamespaces, Lifecycle, Orphan, PlannedChange, Reference};

/// An organization's group or user, whose projects keep their secrets apart from everybody else's.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "SecretsTenant",
    plural = "secretstenants",
    namespaced,
    status = "SecretsTenantStatus",
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
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.groupId) && has(self.userId))", "a tenant has at most one of groupId and userId"))]
#[x_kube(validation = ("has(self.groupId) == has(oldSelf.groupId) && (!has(self.groupId) || self.groupId == oldSelf.groupId)", "groupId cannot be changed: make a new tenant"))]
#[x_kube(validation = ("has(self.userId) == has(oldSelf.userId) && (!has(self.userId) || self.userId == oldSelf.userId)", "userId cannot be changed: make a new tenant"))]
pub struct SecretsTenantSpec {
    /// The OpenBao that holds the tenant. Immutable.
    #[x_kube(validation = ("self == oldSelf", "clusterRef cannot be changed: make a new tenant"))]
    pub cluster_ref: Reference,
    /// Number of the organization, from 1. Immutable.
    #[schemars(range(min = 1))]
    #[x_kube(validation = ("self == oldSelf", "organizationId cannot be changed: make a new tenant"))]
    pub organization_id: i64,
    /// Number of the top-level group. Without it and `userId` the organization itself is the tenant. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub group_id: Option<i64>,
    /// Number of the user. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub user_id: Option<i64>,
    /// How tenants are laid out. `Namespaced`: OpenBao namespaces `org_<o>/group_<g>`. Immutable.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf", "layout cannot be changed: paths of every secret depend on it"))]
    pub layout: Layout,
    /// Who signs the JWTs of this tenant's pipelines.
    pub issuer_ref: Reference,
    /// `false` takes every way in away from all projects of the tenant; values stay.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Which namespaces may claim which ids; nothing else is honoured. Empty: this object's own namespace, any id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub projects: Vec<ProjectClaim>,
    /// Who may refer to this tenant from a SecretsProject.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Suspending, observing, adopting, deleting.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

fn yes() -> bool {
    true
}

/// How tenants are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Layout {
    /// By OpenBao namespaces.
    #[default]
    Namespaced,
}

/// The right of some namespaces to claim some ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectClaim {
    /// A name for people.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The namespaces that may claim.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
    /// Project ids they may claim with `scope: Project`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub ids: Vec<i64>,
    /// Group ids they may claim with `scope: Group`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub group_ids: Vec<i64>,
}

/// What is there of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsTenantStatus {
    /// The generation this status speaks of.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The tenant's namespace in OpenBao, from the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub openbao_namespace: Option<String>,
    /// With `mode: Observe`: what would be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub plan: Vec<PlannedChange>,
    /// What deleted projects left behind while OpenBao could not be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub orphans: Vec<Orphan>,
}

conditions!(SecretsTenantStatus);
