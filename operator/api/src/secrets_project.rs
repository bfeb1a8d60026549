//! Kind SecretsProject: secrets of a project or group.

mod auth;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::{AllowedNamespaces, Duration, Lifecycle, Reference};

pub use auth::*;
pub use status::*;

/// Secrets of a project or group, and the logins that may access them.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "SecretsProject",
    plural = "secretsprojects",
    namespaced,
    status = "SecretsProjectStatus",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace"),
    printcolumn(name = "Policies", type_ = "integer", json_path = ".status.policies")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::immutable!("defaultRoles", "defaultRoles is written once, when the project becomes active for the first time: create a UserPolicy instead"))]
pub struct SecretsProjectSpec {
    /// SecretsTenant that the project belongs to. Immutable.
    #[x_kube(validation = ("self == oldSelf", "tenantRef is immutable: to move to another tenant, create another SecretsProject"))]
    pub tenant_ref: Reference,
    /// Entity that `id` identifies: `Project` or `Group`. Immutable. Default: `Project`.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf", "scope is immutable: create another SecretsProject"))]
    pub scope: Scope,
    /// ID of the project or group at the issuer, 1 or greater. Immutable.
    #[schemars(range(min = 1))]
    #[x_kube(validation = ("self == oldSelf", "id is immutable: create another SecretsProject"))]
    pub id: i64,
    /// `false` removes all access to the project and keeps its values. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Secrets engines that hold the values. Exactly one: a KV v2 engine, mounted at `secrets/<name>`. The name is
    /// immutable. Default: `kv`.
    #[serde(default = "kv")]
    #[schemars(length(min = 1, max = 1), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = ("self.all(engine, oldSelf.exists(old, old.name == engine.name))", "the name of an engine is immutable, because the path of every secret contains it: create another SecretsProject"))]
    pub engines: Vec<Engine>,
    /// JWTIssuer of the project's pipelines. Default: the issuer of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<Reference>,
    /// Further issuers whose jobs read secrets of this project. Each has its own auth mount, `pipeline_jwt_<name>`, and its
    /// own policies: a PipelinePolicy names the issuer that it applies to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub additional_issuers: Vec<AdditionalIssuer>,
    /// Login of the project's pipelines.
    #[serde(default)]
    pub pipeline_auth: PipelineAuth,
    /// Login of users who manage secrets: auth mount `user_jwt`. It never gives access to a value. The mount exists while a
    /// UserPolicy or `defaultRoles` grants access through it.
    #[serde(default)]
    pub user_auth: UserAuth,
    /// Login of users who read values outside of CI: auth mount `api_jwt`. The mount exists while a UserPolicy or
    /// `defaultRoles` grants `ReadValue`.
    #[serde(default)]
    pub api_auth: ApiAuth,
    /// Access of users by their access level. Steamer writes it once, when the project becomes active for the first time, and
    /// neither changes nor restores it: whoever may change policies in OpenBao can narrow it. Use UserPolicies for access
    /// that Steamer maintains. Immutable. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["accessLevel"]))]
    pub default_roles: Vec<DefaultRole>,
    /// Kubernetes workloads that read secrets of this project. Each gets its own role and policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub workloads: Vec<Workload>,
    /// Namespaces whose PipelinePolicies, UserPolicies and BaoAuths may refer to this project. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Lifecycle of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

fn kv() -> Vec<Engine> {
    vec![Engine::default()]
}

/// Entity that an ID identifies.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Scope {
    /// A project.
    #[default]
    Project,
    /// A group, with all projects below it.
    Group,
}

/// A KV v2 secrets engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// Name of the engine. It is mounted at `secrets/<name>`. Default: `kv`.
    #[serde(default = "kv_name")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][a-z0-9-]*$"))]
    pub name: String,
    /// Type of the engine. Default: `kv-v2`.
    #[serde(default, rename = "type")]
    pub type_: EngineType,
    /// Number of versions to keep per secret. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_versions: i64,
    /// `true` requires check-and-set: a write must specify the version that it replaces. Default: `false`.
    #[serde(default)]
    pub cas_required: bool,
    /// Time from its creation after which a version is deleted. `0s`: never. Default: `0s`.
    #[serde(default = "never")]
    pub delete_version_after: Duration,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            name: kv_name(),
            type_: EngineType::KvV2,
            max_versions: ten(),
            cas_required: false,
            delete_version_after: never(),
        }
    }
}

fn kv_name() -> String {
    "kv".to_owned()
}

fn ten() -> i64 {
    10
}

fn never() -> Duration {
    Duration::from_secs(0)
}

/// Type of a secrets engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EngineType {
    /// KV version 2: versioned secrets.
    #[default]
    #[serde(rename = "kv-v2")]
    KvV2,
}

/// A Kubernetes workload that reads secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Name of the workload and of its role.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Name of the workload's ServiceAccount.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("!self.contains('*')", "serviceAccount must be a name, not a pattern"))]
    pub service_account: String,
    /// Namespace of the ServiceAccount.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("!self.contains('*')", "namespace must be a name, not a pattern"))]
    pub namespace: String,
    /// Audience of the ServiceAccount's tokens. An audience that the API server accepts is rejected. Default: the audience
    /// of the operator's login at the cluster, which is `openbao:<namespace>/<name>` for a managed cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub audience: Option<String>,
    /// Names of the secrets that the workload reads.
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 255)))]
    #[x_kube(validation = ("self.all(name, name.matches('^[A-Za-z0-9_]+$'))", "names of secrets must consist of letters, digits and _ only; patterns and paths are not supported"))]
    pub secrets: Vec<String>,
}
