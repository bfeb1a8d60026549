//! Kind UserPolicy: access of people to the secrets of a project.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, Reference};

/// Secrets of a project that a user, a member role or everyone with an access level may manage.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "UserPolicy",
    plural = "userpolicies",
    namespaced,
    status = "UserPolicyStatus",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.projectRef.name"),
    printcolumn(name = "Principal", type_ = "string", json_path = ".status.principal")
)]
#[serde(rename_all = "camelCase")]
pub struct UserPolicySpec {
    /// SecretsProject whose secrets are managed. Immutable.
    #[x_kube(validation = ("self == oldSelf", "projectRef is immutable: create another UserPolicy"))]
    pub project_ref: Reference,
    /// Who gets the access. Exactly one of `user`, `memberRole` and `role`. Immutable.
    #[x_kube(validation = ("self == oldSelf", "principal is immutable: create another UserPolicy"))]
    pub principal: Principal,
    /// Granted access. Exactly one of `all` and `secrets`.
    pub grants: UserGrants,
    /// Time from which this policy grants nothing. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Who granted the access, such as a login name. It is part of the comments of the policy in OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_.@+ -]+$"))]
    pub granted_by: Option<String>,
}

/// Who gets the access.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.user) ? 1 : 0) + (has(self.memberRole) ? 1 : 0) + (has(self.role) ? 1 : 0) == 1", "principal requires exactly one of user, memberRole and role"))]
pub struct Principal {
    /// A user, by the claim `user_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<PrincipalId>,
    /// A custom role, by the claim `member_role_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_role: Option<PrincipalId>,
    /// Everyone with exactly this access level in the project or group, by the claim `role_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RolePrincipal>,
}

/// A user or custom role at the issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrincipalId {
    /// ID at the issuer, 1 or greater.
    #[schemars(range(min = 1))]
    pub id: i64,
}

/// Everyone with an access level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolePrincipal {
    /// Access level in the project or group. A higher level does not include a lower one: list each in a UserPolicy of its
    /// own.
    pub access_level: AccessLevel,
}

/// Access level of a user in a project or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AccessLevel {
    /// 50.
    Owner,
    /// 40.
    Maintainer,
    /// 30.
    Developer,
    /// 20.
    Reporter,
}

impl AccessLevel {
    /// Returns the number of the level, as the claim `role_id` contains it.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Owner => 50,
            Self::Maintainer => 40,
            Self::Developer => 30,
            Self::Reporter => 20,
        }
    }
}

/// Granted access.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.all) != has(self.secrets)", "grants requires exactly one of all and secrets"))]
pub struct UserGrants {
    /// Verbs for all secrets of the project, including those that are created later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub all: Vec<Verb>,
    /// Verbs for single secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<SecretVerbs>,
}

/// Verbs for one secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretVerbs {
    /// Exact name of the secret.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9_]+$')", "the name of a secret must consist of letters, digits and _ only; patterns and paths are not supported"))]
    pub name: String,
    /// Granted verbs.
    #[schemars(length(min = 1, max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub verbs: Vec<Verb>,
}

/// What a user may do with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Verb {
    /// Read the metadata: versions, times, description. With `all`, list the names.
    ReadMetadata,
    /// Create a secret that does not exist.
    Create,
    /// Create a secret, or write another version of it.
    Write,
    /// Delete a secret with all versions.
    Delete,
    /// Read the value, through `api_jwt` only.
    ReadValue,
}

/// Observed state of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserPolicyStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Readable description of the principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub principal: Option<String>,
    /// OpenBao policies that this object contributes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 255)))]
    pub policies: Vec<String>,
}
