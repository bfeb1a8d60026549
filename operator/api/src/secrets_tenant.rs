//! Kind SecretsTenant: an organization, a group or a user with isolated secrets.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::{AllowedNamespaces, CommonStatus, Lifecycle, LifecycleStatus, Orphan, Reference};

/// A group, a user or a whole organization. The secrets of its projects are isolated from those of all other tenants.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "SecretsTenant",
    plural = "secretstenants",
    namespaced,
    status = "SecretsTenantStatus",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace"),
    printcolumn(name = "Entitlement", type_ = "string", json_path = ".spec.entitlement")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.organizationId != 1 || has(self.groupId) || has(self.userId)", "organizationId 1 is the default organization, which contains unrelated groups: set groupId to the top-level group, or userId"))]
#[x_kube(validation = ("!(has(self.groupId) && has(self.userId))", "a SecretsTenant allows at most one of groupId and userId"))]
#[x_kube(validation = crate::rules::immutable!("groupId", "groupId is immutable: create another SecretsTenant"))]
#[x_kube(validation = crate::rules::immutable!("userId", "userId is immutable: create another SecretsTenant"))]
pub struct SecretsTenantSpec {
    /// OpenBaoCluster that holds the tenant. Immutable.
    #[x_kube(validation = ("self == oldSelf", "clusterRef is immutable: create another SecretsTenant"))]
    pub cluster_ref: Reference,
    /// ID of the organization, 1 or greater. 1 is the default organization of GitLab, which contains unrelated groups: it
    /// requires `groupId` or `userId`. Immutable.
    #[schemars(range(min = 1))]
    #[x_kube(validation = ("self == oldSelf", "organizationId is immutable: create another SecretsTenant"))]
    pub organization_id: i64,
    /// ID of the top-level group, 1 or greater. If neither `groupId` nor `userId` is set, the organization itself is
    /// the tenant. Its groups can be tenants of their own beside it. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub group_id: Option<i64>,
    /// ID of the user, 1 or greater. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub user_id: Option<i64>,
    /// Layout of tenants in OpenBao. `Namespaced`: OpenBao namespaces `org_<organizationId>/group_<groupId>`.
    /// Immutable. Default: `Namespaced`.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf", "layout is immutable: the path of every secret depends on it"))]
    pub layout: Layout,
    /// JWTIssuer of the tenant's pipelines.
    pub issuer_ref: Reference,
    /// `false` removes all access to all projects of the tenant and keeps their values. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What the subscription of the tenant permits. `Active`: everything. `Grace`: everything, and the status reports that the
    /// subscription has ended. `ReadOnly`: values can be read and deleted; users can neither create nor change them.
    /// `Blocked`: all access is removed and values are kept, as with `enabled: false`. Default: `Active`.
    #[serde(default)]
    pub entitlement: Entitlement,
    /// Project and group IDs that namespaces may claim. All other claims are rejected. Empty: the namespace of this
    /// object may claim any ID.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub projects: Vec<ProjectClaim>,
    /// Namespaces whose SecretsProjects may refer to this tenant. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Lifecycle of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// What the subscription of a tenant permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Entitlement {
    /// Everything.
    #[default]
    Active,
    /// Everything, for a limited time.
    Grace,
    /// Reads and deletions.
    ReadOnly,
    /// Nothing.
    Blocked,
}

impl SecretsTenantSpec {
    /// Returns true if the projects of the tenant can give access.
    #[must_use]
    pub fn gives_access(&self) -> bool {
        self.enabled && self.entitlement != Entitlement::Blocked
    }
}

/// Isolation of tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Layout {
    /// OpenBao namespaces.
    #[default]
    Namespaced,
}

/// Permission of namespaces to claim IDs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectClaim {
    /// Descriptive name, unique in the list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Namespaces that may claim the IDs.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
    /// Project IDs that they may claim with `scope: Project`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub ids: Vec<i64>,
    /// Group IDs that they may claim with `scope: Group`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub group_ids: Vec<i64>,
}

/// Observed state of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsTenantStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources that deleted projects left in OpenBao while it was unreachable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub orphans: Vec<Orphan>,
}
