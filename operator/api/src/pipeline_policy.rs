//! Kind PipelinePolicy: secrets that CI jobs may read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, Duration, Reference};

/// Secrets of a project that the CI jobs of certain environments and branches may read.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "PipelinePolicy",
    plural = "pipelinepolicies",
    namespaced,
    status = "PipelinePolicyStatus",
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.projectRef.name"),
    printcolumn(name = "Contexts", type_ = "string", json_path = ".status.policies[*].context")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.scopes) || !(has(self.environments) || has(self.branches) || has(self.when))", "scopes cannot be combined with environments, branches and when: create another PipelinePolicy"))]
pub struct PipelinePolicySpec {
    /// SecretsProject whose secrets are read. Immutable.
    #[x_kube(validation = ("self == oldSelf", "projectRef is immutable: create another PipelinePolicy"))]
    pub project_ref: Reference,
    /// Name of one of the `additionalIssuers` of the project. The policy applies to the jobs of one issuer only. Default: the
    /// own issuer of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub issuer: Option<String>,
    /// Environments of the job. `*` matches any characters, including `/`; all other characters are literal. Empty:
    /// jobs with any environment and jobs without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 255)))]
    #[x_kube(validation = (r"self.all(name, name.matches(r'^[A-Za-z0-9_${}. *-]([A-Za-z0-9_${}. */-]*[A-Za-z0-9_${}. *-])?$'))", "the name of an environment consists of letters, digits, spaces and -_/${}. and neither starts nor ends with /; in a pattern, only * has a special meaning"))]
    pub environments: Vec<String>,
    /// Branches of the job, with the syntax of `environments`. Tags and merge requests never match. Empty: jobs on any
    /// branch, tag or merge request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 255)))]
    #[x_kube(validation = (r"self.all(name, name.matches(r'^[^\x00-\x20\x7f~^:?|\[\\]+$'))", "the name of a branch cannot contain spaces, control characters and ~^:?|[\\; in a pattern, only * has a special meaning: list each branch, or use *"))]
    #[x_kube(validation = (r"self.all(name, name != '@' && !name.contains('..') && !name.contains('//') && !name.contains('@{') && !name.contains('/.') && !name.contains('.lock/') && !name.matches(r'(^[/.!-])|([/.]$)|([.]lock$)'))", "no branch has such a name: see `git help check-ref-format`; in a pattern, only * has a special meaning"))]
    pub branches: Vec<String>,
    /// Additional conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// Scopes, one of which the token must have in the `scopesClaim` of its JWTIssuer. Cannot be combined with
    /// `environments`, `branches` and `when`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 255)), extend("x-kubernetes-list-type" = "set"))]
    pub scopes: Vec<String>,
    /// Secrets that the jobs may read.
    #[schemars(length(min = 1, max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<SecretGrant>,
    /// Time from which this policy grants nothing. If several policies grant the same secret, the latest time applies,
    /// and a policy without `expiresAt` never expires. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Time after the creation of this object from which it grants nothing, 1s to 8760h. If `expiresAt` is set too, the
    /// earlier of both applies. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) >= duration('1s') && duration(self) <= duration('8760h')", "ttl must be 1s to 8760h"))]
    pub ttl: Option<Duration>,
    /// `true` revokes everything that this policy grants, without deleting it. Default: `false`.
    #[serde(default)]
    pub cancelled: bool,
}

/// Additional conditions of a policy. Each of them narrows the match further.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct When {
    /// `true`: the job's ref must be protected. `false`: it must not be protected. Unset: either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_protected: Option<bool>,
    /// `true`: the job's environment must be protected. `false`: it must not be protected. Unset: either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_protected: Option<bool>,
    /// Tiers of the job's environment. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub deployment_tiers: Vec<DeploymentTier>,
    /// Events that start the pipeline, such as `push`, `web` or `schedule`. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = ("self.all(source, source.matches('^[a-z][a-z0-9_]*$'))", "a pipeline source consists of lower-case letters, digits and _, such as merge_request_event"))]
    pub pipeline_sources: Vec<String>,
    /// IDs of users, or of service accounts, one of which started the pipeline. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = ("self.all(id, id >= 1)", "an ID must be 1 or greater"))]
    pub user_ids: Vec<i64>,
    /// IDs of pipelines, for access of single pipelines. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = ("self.all(id, id >= 1)", "an ID must be 1 or greater"))]
    pub pipeline_ids: Vec<i64>,
}

/// Tier of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentTier {
    /// Production.
    Production,
    /// Staging.
    Staging,
    /// Testing.
    Testing,
    /// Development.
    Development,
    /// Any other tier.
    Other,
}

impl DeploymentTier {
    /// Returns the tier as the claim `deployment_tier` contains it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
            Self::Testing => "testing",
            Self::Development => "development",
            Self::Other => "other",
        }
    }
}

/// A secret and the capabilities that are granted on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretGrant {
    /// Exact name of the secret.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9_]+$')", "the name of a secret must consist of letters, digits and _ only; patterns and paths are not supported"))]
    pub name: String,
    /// Granted capabilities. Default: `[read]`.
    #[serde(default = "read")]
    #[schemars(length(min = 1, max = 1))]
    pub capabilities: Vec<Capability>,
}

fn read() -> Vec<Capability> {
    vec![Capability::Read]
}

/// Capability on a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Read the value and the metadata.
    Read,
}

/// Observed state of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelinePolicyStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// OpenBao policies that this object contributes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub policies: Vec<ContextPolicy>,
}

/// An OpenBao policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextPolicy {
    /// Name of the policy in the project's OpenBao namespace.
    #[schemars(length(max = 2048))]
    pub name: String,
    /// Readable description of the jobs that get the policy.
    #[schemars(length(max = 1024))]
    pub context: String,
    /// Number of secrets that this object contributes.
    pub secrets: i64,
}
