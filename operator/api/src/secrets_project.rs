mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AllowedNamespaces, Duration, Lifecycle, Reference};

pub use status::*;

/// The secrets of one project or group, and who gets in.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "SecretsProject",
    plural = "secretsprojects",
    namespaced,
    status = "SecretsProjectStatus",
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
    printcolumn(name = "Policies", type_ = "integer", json_path = ".status.policies"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SecretsProjectSpec {
    /// The tenant it belongs to. Immutable.
    #[x_kube(validation = ("self == oldSelf", "tenantRef cannot be changed: a transfer is a new project"))]
    pub tenant_ref: Reference,
    /// What `id` is the number of. Immutable.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf", "scope cannot be changed: make a new project"))]
    pub scope: Scope,
    /// Number of the project or group at the issuer, from 1. Immutable.
    #[schemars(range(min = 1))]
    #[x_kube(validation = ("self == oldSelf", "id cannot be changed: make a new project"))]
    pub id: i64,
    /// `false` takes every way in away; values stay.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Where values are kept: one KV v2 engine at `secrets/<name>`.
    #[serde(default = "kv")]
    #[schemars(length(min = 1, max = 1), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub engines: Vec<Engine>,
    /// Who signs the JWTs of its pipelines. Default: the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<Reference>,
    /// How pipelines log in.
    #[serde(default)]
    pub pipeline_auth: PipelineAuth,
    /// Kubernetes workloads that read secrets of this project; a role and a policy each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub workloads: Vec<Workload>,
    /// Who may refer to this project from PipelinePolicy and BaoAuth.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Suspending, observing, adopting, deleting.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

fn yes() -> bool {
    true
}

fn kv() -> Vec<Engine> {
    vec![Engine::default()]
}

/// What an id is the number of.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Scope {
    /// A project.
    #[default]
    Project,
    /// A group: every project below it.
    Group,
}

/// A KV v2 engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// Its name; mounted at `secrets/<name>`.
    #[serde(default = "kv_name")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][a-z0-9-]*$"))]
    pub name: String,
    /// Its type.
    #[serde(default, rename = "type")]
    pub type_: EngineType,
    /// How many versions of a value are kept. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_versions: i64,
    /// Whether a write has to name the version it replaces.
    #[serde(default)]
    pub cas_required: bool,
    /// How long after its write a version is deleted; `0s`: never.
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

/// The type of a secrets engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EngineType {
    /// KV version 2: versioned values.
    #[default]
    #[serde(rename = "kv-v2")]
    KvV2,
}

/// How CI jobs log in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineAuth {
    /// What decides which policies a token gets. `CEL`: a program in OpenBao.
    #[serde(default)]
    pub mode: PipelineAuthMode,
    /// How long a token lives. Default: 5m.
    #[serde(default = "five_minutes", rename = "tokenTTL")]
    pub token_ttl: Duration,
    /// Whether role `all_pipelines` requires `secrets_manager_scope: pipeline`, which no user can put into an ID token.
    #[serde(default = "yes")]
    pub require_scope_claim: bool,
    /// Role `id_tokens`, for plain ID tokens (`vault:` keyword).
    #[serde(default)]
    pub id_tokens: IdTokens,
}

impl Default for PipelineAuth {
    fn default() -> Self {
        Self {
            mode: PipelineAuthMode::default(),
            token_ttl: five_minutes(),
            require_scope_claim: true,
            id_tokens: IdTokens::default(),
        }
    }
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

/// What decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PipelineAuthMode {
    /// A CEL program.
    #[default]
    CEL,
}

/// Plain ID tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdTokens {
    /// Whether the role exists.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Audiences of such tokens; none may be an audience of pipeline tokens. Default: the cluster's `jwtAudience`
    /// followed by `/id-tokens`; without a `jwtAudience` there is no such role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
}

impl Default for IdTokens {
    fn default() -> Self {
        Self { enabled: true, audiences: Vec::new() }
    }
}

/// A Kubernetes workload that reads secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Its name here; also the role's.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Its ServiceAccount.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("!self.contains('*')", "serviceAccount is a name, not a pattern"))]
    pub service_account: String,
    /// The ServiceAccount's namespace.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("!self.contains('*')", "namespace is a name, not a pattern"))]
    pub namespace: String,
    /// Audience of its tokens; not one that the API server accepts. Default: `openbao`.
    #[serde(default = "openbao")]
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
    /// The secrets it reads.
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 255)))]
    #[x_kube(validation = ("self.all(name, name.matches('^[A-Za-z0-9_]+$'))", "names of secrets are letters, digits and _ only; patterns and paths are not possible"))]
    pub secrets: Vec<String>,
}

fn openbao() -> String {
    "openbao".to_owned()
}
