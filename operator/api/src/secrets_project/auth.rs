//! Logins of a SecretsProject.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::{AccessLevel, Duration, Reference, Verb};

/// Login of CI jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineAuth {
    /// Method that selects the policies of a token. `CEL`: a CEL program in OpenBao. Default: `CEL`.
    #[serde(default)]
    pub mode: PipelineAuthMode,
    /// Lifetime of a token, 10s to 24h. Default: 5m.
    #[serde(default = "five_minutes", rename = "tokenTTL")]
    #[x_kube(validation = ("duration(self) >= duration('10s') && duration(self) <= duration('24h')", "tokenTTL must be 10s to 24h: the token of a job is a batch token, which cannot be revoked"))]
    pub token_ttl: Duration,
    /// `true`: the role `all_pipelines` requires the claim `secrets_manager_scope: pipeline`, which users cannot add to
    /// an ID token. Default: `true`.
    #[serde(default = "yes")]
    pub require_scope_claim: bool,
    /// Role `id_tokens`, for ID tokens (`vault:` keyword).
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

/// Method that selects the policies of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PipelineAuthMode {
    /// A CEL program.
    #[default]
    CEL,
}

/// Login with ID tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdTokens {
    /// `true` creates the role. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Accepted audiences of ID tokens. An audience of pipeline tokens is rejected. Default: the `jwtAudience` of the
    /// cluster followed by `/id-tokens`; without a `jwtAudience`, the role is not created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
}

impl Default for IdTokens {
    fn default() -> Self {
        Self { enabled: true, audiences: Vec::new() }
    }
}

/// A further issuer of the tokens of CI jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.id) != has(self.subjects)", "an additional issuer requires exactly one of id and subjects"))]
pub struct AdditionalIssuer {
    /// Name of the issuer in this project, and suffix of its auth mount.
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// JWTIssuer of the tokens.
    pub issuer_ref: Reference,
    /// ID of the project at this issuer, or of the group with `scope: Group`, 1 or greater: only its jobs can log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub id: Option<i64>,
    /// Exact `sub` claims of the tokens that can log in, for issuers without IDs of projects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 255)), extend("x-kubernetes-list-type" = "set"))]
    pub subjects: Vec<String>,
}

/// Login of users who manage secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserAuth {
    /// `false` lets no user in. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Longest lifetime of a token, 10s to 1h. A token ends no later than its JWT, plus the `leeway` of
    /// the JWTIssuer. Default: 30s.
    #[serde(default = "half_a_minute", rename = "tokenTTL")]
    #[x_kube(validation = ("duration(self) >= duration('10s') && duration(self) <= duration('1h')", "tokenTTL must be 10s to 1h: the token of a user is a batch token, which cannot be revoked"))]
    pub token_ttl: Duration,
    /// Networks from which a token can be used, such as `10.0.0.0/8`. Behind a proxy, set `xForwardedForAuthorizedAddresses`
    /// of the cluster. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "boundCIDRs")]
    #[schemars(length(max = 32), inner(length(min = 2, max = 64)))]
    #[x_kube(validation = ("self.all(network, isCIDR(network))", "boundCIDRs must be networks such as 10.0.0.0/8 or 2001:db8::/32"))]
    pub bound_cidrs: Vec<String>,
}

impl Default for UserAuth {
    fn default() -> Self {
        Self { enabled: true, token_ttl: half_a_minute(), bound_cidrs: Vec::new() }
    }
}

/// Login of users who read values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiAuth {
    /// `false` lets no user in. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Longest lifetime of a token, 10s to 1h. A token ends no later than its JWT, plus the `leeway` of
    /// the JWTIssuer. Default: 5m.
    #[serde(default = "five_minutes", rename = "tokenTTL")]
    #[x_kube(validation = ("duration(self) >= duration('10s') && duration(self) <= duration('1h')", "tokenTTL must be 10s to 1h: the token of a user is a batch token, which cannot be revoked"))]
    pub token_ttl: Duration,
    /// Networks from which a token can be used, as in `userAuth`. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "boundCIDRs")]
    #[schemars(length(max = 32), inner(length(min = 2, max = 64)))]
    #[x_kube(validation = ("self.all(network, isCIDR(network))", "boundCIDRs must be networks such as 10.0.0.0/8 or 2001:db8::/32"))]
    pub bound_cidrs: Vec<String>,
}

impl Default for ApiAuth {
    fn default() -> Self {
        Self { enabled: true, token_ttl: five_minutes(), bound_cidrs: Vec::new() }
    }
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

/// Access of everyone with an access level to all secrets of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefaultRole {
    /// Access level in the project or group.
    pub access_level: AccessLevel,
    /// Granted verbs.
    #[schemars(length(min = 1, max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub verbs: Vec<Verb>,
}
